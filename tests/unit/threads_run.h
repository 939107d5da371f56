/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs one function on several CPUs of the threads machine at once. */
#ifndef THREADS_RUN_H
#define THREADS_RUN_H

#include <pthread.h>
#include <stdlib.h>

#include <quire/machine.h>

struct threads_job {
	void (*body)(void *arg, unsigned nth);
	void *arg;
	unsigned nth;
	pthread_barrier_t *start;
	pthread_t thread;
};

static inline void *threads_job_main(void *job_arg)
{
	struct threads_job *job = job_arg;

	if (mach_attach())
		abort();
	pthread_barrier_wait(job->start);
	job->body(job->arg, job->nth);
	mach_detach();
	return NULL;
}

/* Returns when body(arg, 0) .. body(arg, nr - 1) have all returned. */
static inline void threads_run(unsigned nr, void (*body)(void *arg, unsigned nth), void *arg)
{
	struct threads_job jobs[16];
	pthread_barrier_t start;

	if (nr > 16 || pthread_barrier_init(&start, NULL, nr))
		abort();
	for (unsigned i = 0; i < nr; i++) {
		jobs[i] = (struct threads_job){ body, arg, i, &start, 0 };
		if (pthread_create(&jobs[i].thread, NULL, threads_job_main, &jobs[i]))
			abort();
	}
	for (unsigned i = 0; i < nr; i++)
		pthread_join(jobs[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

#endif
