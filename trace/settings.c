/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's settings while a recording goes on.  A thread of its own reads them again
 * when somebody has written one, and now and then, for what nobody tells; each that is
 * another than before becomes an event, at the moment at which it was seen.  What cannot
 * be read but has to be tried (host.h) is not tried again.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "recorder.h"

#define LOOK_MS 200

struct settings {
	struct merge *merge;
	struct host last;
	int written; /* or -1: nobody tells */
	int stop;
	pthread_t thread;
};

static void push(struct merge *merge, const char *name, const char *text)
{
	struct item *item = item_create(ITEM_EVENT);

	if (!item)
		return;
	item->text[0] = strdup(name);
	item->text[1] = strdup(text);
	if (!item->text[0] || !item->text[1]) {
		item_destroy(item);
		return;
	}
	item->event = (struct trace_event){
		.kind = TRACE_HOST, .process = TRACE_NONE, .thread = TRACE_NONE,
		.host = { .name = item->text[0], .text = item->text[1] },
	};
	merge_push(merge, item);
}

/* One setting as it is now: told when it makes a difference to what was known. */
static void compare(void *context, const char *name, const char *text)
{
	struct settings *s = context;
	struct host before = s->last;

	if (host_set(&s->last, name, text) && memcmp(&before, &s->last, sizeof(before)) != 0)
		push(s->merge, name, text);
}

static void *settings_thread(void *argument)
{
	struct settings *s = argument;
	struct pollfd fds[] = {
		{ .fd = s->stop, .events = POLLIN }, { .fd = s->written, .events = POLLIN },
	};

	while (poll(fds, 2, LOOK_MS) >= 0 || errno == EINTR) {
		char which[4096];
		struct host now;

		if (fds[0].revents)
			break;
		while (s->written >= 0 && read(s->written, which, sizeof(which)) > 0)
			;
		host_read_settings(&now);
		host_for_each(&now, compare, s);
	}
	return NULL;
}

static void settings_free(struct settings *s)
{
	if (s->written >= 0)
		close(s->written);
	if (s->stop >= 0)
		close(s->stop);
	free(s);
}

struct settings *settings_watch(struct merge *merge)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->merge = merge;
	s->written = host_watch_settings();
	s->stop = eventfd(0, EFD_CLOEXEC);
	host_read_settings(&s->last);
	if (s->stop < 0 || pthread_create(&s->thread, NULL, settings_thread, s) != 0) {
		settings_free(s);
		return NULL;
	}
	return s;
}

void settings_end(struct settings *s)
{
	if (!s)
		return;
	eventfd_write(s->stop, 1);
	pthread_join(s->thread, NULL);
	settings_free(s);
}
