/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests ask of a machine beyond the seam.  Every machine has these; a
 * program that is no test needs none of them.
 */
#ifndef QUIRE_TESTING_H
#define QUIRE_TESTING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The `nth` allocation (1 is the next) of the calling CPU from now on fails;
 * later ones succeed again.  0: none fails.  Starts the count anew.
 * An allocation is one call of mach_should_fail().
 */
void quire_fail_nth(uint64_t nth);
/* Allocations of the calling CPU since its last quire_fail_nth(). */
uint64_t quire_fail_seen(void);

/*
 * Called by mach_stop() instead of ending the program.  It must not return:
 * it leaves by longjmp(), or it ends the program itself.  NULL: the default,
 * which prints and aborts.  One handler for the whole machine.
 */
typedef void quire_stop_handler(const char *file, int line, const char *what);
void quire_set_stop_handler(quire_stop_handler *handler);

#ifdef __cplusplus
}
#endif

#endif
