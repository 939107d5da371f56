/* SPDX-License-Identifier: BSD-2-Clause */
/* What subject.c does and record.c expects. */
#ifndef QUIRE_TRACE_TESTS_SUBJECT_H
#define QUIRE_TRACE_TESTS_SUBJECT_H

#define PAGE 4096u
#define TOUCHED 300 /* pages written by "touch", "fork" and "kill" */
#define TABLES 40 /* page tables that "peak" has for a moment */
#define FORKS 200
#define STORM_FORKS 12 /* by "fork-storm", beside its threads */
#define FIXED 1500 /* times that "fixed" maps its page anew */
#define ADVISED 3 /* ranges of the one call of "advise" */
#define PIECES 8 /* of a file, mapped side by side by "beside" */
#define REACHED 100 /* pages that "direct" and "reach" have the kernel bring */
#define BARRIERS 64 /* pages that "barrier" is refused once each */
#define FORK_TOUCHED 40 /* of them, written again by the child of "fork" */

#endif
