/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the recorder does with signals.  It stands between its caller and the
 * command, so what asks the command to end must reach it: SIGTERM, SIGHUP, and
 * SIGINT and SIGQUIT if somebody sent them to us.  Those of a terminal (the
 * kernel is their sender) go to every process in the foreground, the command
 * among them, and are not sent again.  Stops (SIGTSTP) are left alone: they
 * stop both, and SIGCONT continues both.  A recorder that was attached to a program
 * takes all of them for itself: it is told to go.
 *
 * A handler only counts; the tracer's loop does the rest, woken from waitpid by
 * the signal itself or, if that came just before waitpid began, by an alarm.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "recorder.h"

static const int forwarded[SIGNALS_FORWARDED] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
/* Writing to a pipe that nobody reads, or too much to a file, is an error. */
static const int ignored[SIGNALS_IGNORED] = { SIGPIPE, SIGXFSZ };

static volatile sig_atomic_t arrived[SIGNALS_FORWARDED];
static volatile sig_atomic_t take_typed; /* what a terminal sends is ours as well */

static bool any_arrived(void)
{
	for (int i = 0; i < SIGNALS_FORWARDED; i++)
		if (arrived[i])
			return true;
	return false;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	for (int i = 0; i < SIGNALS_FORWARDED; i++)
		if (sig == forwarded[i] && (take_typed || info->si_code != SI_KERNEL))
			arrived[i] = 1;
	if (any_arrived())
		alarm(1);
}

static void take(int sig, const struct sigaction *action, struct sigaction *saved)
{
	sigaction(sig, NULL, saved);
	/* nohup, or a shell's background: whoever started us wants it so. */
	if (saved->sa_handler != SIG_IGN)
		sigaction(sig, action, NULL);
}

void signals_take(struct saved_signals *saved, bool typed_too)
{
	struct sigaction handle = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	take_typed = typed_too;
	for (int i = 0; i < SIGNALS_FORWARDED; i++) {
		arrived[i] = 0;
		take(forwarded[i], &handle, &saved->forwarded[i]);
	}
	sigaction(SIGALRM, &handle, &saved->alarm);
	for (int i = 0; i < SIGNALS_IGNORED; i++)
		sigaction(ignored[i], &ignore, &saved->ignored[i]);
}

void signals_give_back(const struct saved_signals *saved)
{
	alarm(0);
	for (int i = 0; i < SIGNALS_FORWARDED; i++)
		sigaction(forwarded[i], &saved->forwarded[i], NULL);
	sigaction(SIGALRM, &saved->alarm, NULL);
	for (int i = 0; i < SIGNALS_IGNORED; i++)
		sigaction(ignored[i], &saved->ignored[i], NULL);
}

void signals_block(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	for (int i = 0; i < SIGNALS_FORWARDED; i++)
		sigaddset(&set, forwarded[i]);
	pthread_sigmask(SIG_BLOCK, &set, ret_before);
}

int signals_next(void)
{
	for (int i = 0; i < SIGNALS_FORWARDED; i++) {
		if (arrived[i]) {
			arrived[i] = 0;
			return forwarded[i];
		}
	}
	return 0;
}
