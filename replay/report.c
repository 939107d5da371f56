/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports: one self-contained HTML file each.  A page (report.html.in,
 * compare.html.in) says @STYLE@, @COMMON@, @CHART@ (Chart.js, from Debian's
 * libjs-chart.js) and @DATA@ (the result as JSON) where the build's assets and
 * the result go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "output.h"
#include "trace/output.h"
#include "report_assets.h" /* made by the build */

/* JSON inside a script element must not close it. */
static void write_script_safe(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("\\u003c", out);
		else
			fputc(*text, out);
	}
}

struct part {
	const char *name;
	const unsigned char *bytes; /* NULL: the data */
	size_t len;
};

static const struct part parts[] = {
	{ "@STYLE@", report_style, report_style_len },
	{ "@COMMON@", report_common, report_common_len },
	{ "@CHART@", report_chart, report_chart_len },
	{ "@DATA@", NULL, 0 },
};
#define NR_PARTS (sizeof(parts) / sizeof(parts[0]))

/* The part whose name stands at `at`, or NULL. */
static const struct part *part_at(const char *at)
{
	for (size_t i = 0; i < NR_PARTS; i++)
		if (strncmp(at, parts[i].name, strlen(parts[i].name)) == 0)
			return &parts[i];
	return NULL;
}

static void write_page(FILE *out, const char *page, const char *data)
{
	const char *at;

	while ((at = strchr(page, '@')) != NULL) {
		const struct part *part = part_at(at);

		fwrite(page, 1, (size_t)(at - page), out);
		page = at + (part ? strlen(part->name) : 1);
		if (!part)
			fputc('@', out);
		else if (part->bytes)
			fwrite(part->bytes, 1, part->len, out);
		else
			write_script_safe(out, data);
	}
	fputs(page, out);
}

/* Takes the reference to `json`, which may be NULL. */
static int write_report(const char *path, const unsigned char *page, json_t *json,
			struct trace_error *error)
{
	char *data = json ? json_dumps(json, JSON_COMPACT) : NULL;
	struct output out;
	int err;

	json_decref(json);
	if (!data)
		return trace_fail(error, ENOMEM, 0, "%s: no memory for a report", path);
	err = output_open(&out, path, error);
	if (err)
		goto out_free;
	errno = 0;
	write_page(out.file, (const char *)page, data);
	if (fflush(out.file) != 0 || ferror(out.file))
		err = trace_fail(error, errno ? errno : EIO, 0, "%s: cannot write: %s", path,
				 strerror(errno ? errno : EIO));
	else
		err = output_commit(&out, error);
	output_fini(&out);
out_free:
	free(data);
	return err;
}

int replay_write_report(const char *path, const struct replay_result *result,
			struct trace_error *error)
{
	return write_report(path, replay_page, replay_json(result), error);
}

int compare_write_report(const char *path, const struct compare_result *result,
			 struct trace_error *error)
{
	return write_report(path, compare_page, compare_json(result), error);
}
