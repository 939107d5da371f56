/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clang's thread-safety annotations, nothing elsewhere.  A function whose
 * locking depends on a condition that the analysis cannot follow says so with
 * NO_LOCK_ANALYSIS and a reason.
 */
#ifndef SYNC_ANNOTATIONS_H
#define SYNC_ANNOTATIONS_H

#ifdef __clang__
#define LOCK_ATTRIBUTE(x) __attribute__((x))
#else
#define LOCK_ATTRIBUTE(x)
#endif

#define LOCK_TYPE(name) LOCK_ATTRIBUTE(capability(name))
#define GUARDED_BY(lock) LOCK_ATTRIBUTE(guarded_by(lock))
#define ACQUIRES(...) LOCK_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ACQUIRES_SHARED(...) LOCK_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define RELEASES(...) LOCK_ATTRIBUTE(release_capability(__VA_ARGS__))
#define RELEASES_SHARED(...) LOCK_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) LOCK_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRES_SHARED(...) \
	LOCK_ATTRIBUTE(try_acquire_shared_capability(__VA_ARGS__))
#define REQUIRES(...) LOCK_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) LOCK_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS LOCK_ATTRIBUTE(no_thread_safety_analysis)

#endif
