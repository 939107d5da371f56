/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One self-contained HTML file: the page (report.html.in), the plotting
 * library (Chart.js, from Debian's libjs-chart.js) and the result as JSON,
 * joined where the page says @CHART@ and @DATA@.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "report_assets.h" /* made by the build: report_page, report_chart */

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

static void write_page(FILE *out, const char *data)
{
	const char *page = (const char *)report_page;
	const char *at;

	while ((at = strchr(page, '@')) != NULL) {
		fwrite(page, 1, (size_t)(at - page), out);
		if (strncmp(at, "@CHART@", 7) == 0) {
			fwrite(report_chart, 1, report_chart_len, out);
			page = at + 7;
		} else if (strncmp(at, "@DATA@", 6) == 0) {
			write_script_safe(out, data);
			page = at + 6;
		} else {
			fputc('@', out);
			page = at + 1;
		}
	}
	fputs(page, out);
}

int replay_write_report(const char *path, const struct replay_result *result)
{
	json_t *json = replay_json(result);
	char *data = json ? json_dumps(json, JSON_COMPACT) : NULL;
	FILE *out;
	int err = 0;

	json_decref(json);
	if (!data)
		return -ENOMEM;
	out = fopen(path, "w");
	if (!out) {
		err = -errno;
		goto out_free;
	}
	write_page(out, data);
	if (ferror(out))
		err = -EIO;
	if (fclose(out) != 0 && !err)
		err = -errno;
out_free:
	free(data);
	return err;
}
