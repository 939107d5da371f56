/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A control group for the recorded command alone: perf events of a group need
 * not be copied for each task on each CPU, which costs a fork as much as itself.
 */
#ifndef QUIRE_TRACE_CGROUP_H
#define QUIRE_TRACE_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

struct cgroup;

/* A new group below ours, with pid and all it will start in it.  NULL: there is
 * no cgroup2 file system, or we may not. */
struct cgroup *cgroup_create(pid_t pid);
/* Its directory, for perf_event_open. */
int cgroup_fd(const struct cgroup *);
/* Is the thread (still) in it? */
bool cgroup_contains(const struct cgroup *, pid_t tid);
/* Removes it; nobody may be left in it.  NULL is allowed. */
void cgroup_destroy(struct cgroup *);

#endif
