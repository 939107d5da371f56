/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one table of system calls.  From it are made: the numbers and names of
 * event.h, the filter and the decoder of the recorder (calls.c), the encoding
 * of a call and the table in a recording's header (codec.c), the decoder of
 * strace and perf logs, and what a replay does with a call (replay/calls.c).
 * To know one call more is one line here, and what its role asks for.
 *
 * CALL(ID, name, role, arg0, arg1, ...)
 *
 * Roles:
 *	REPEATED  changes an address space; a replay makes it again
 *	IMPORTED  the same, but not worth stopping a program for: in logs alone
 *	NOTED     changes an address space in a way that the core does not model:
 *	          kept, and named in the account of that address space
 *	RIGHTS    changes limits or rights: what they are afterwards is told (a
 *	          LIMITS event), not the call
 *	REACHES   the kernel touches memory that it names, without an exception
 *	SIZES     may change the size of a file that is mapped
 * The filter of a recorder that has to stop the program leaves IMPORTED and
 * SIZES out: they are many, and a stop costs a hundred times the call.
 *
 * The first 18 have their places for ever: in recordings of version 1 the place
 * is the number.
 */
#ifndef QUIRE_TRACE_CALL_TABLE_H
#define QUIRE_TRACE_CALL_TABLE_H

#define TRACE_CALL_TABLE(CALL)                                                    \
	CALL(MMAP, mmap, REPEATED, ADDR, LEN, PROT, FLAGS, FD, OFFSET)            \
	CALL(MUNMAP, munmap, REPEATED, ADDR, LEN)                                 \
	CALL(MPROTECT, mprotect, REPEATED, ADDR, LEN, PROT)                       \
	CALL(MREMAP, mremap, REPEATED, ADDR, LEN, NEW_LEN, FLAGS, NEW_ADDR)       \
	CALL(BRK, brk, REPEATED, ADDR)                                            \
	CALL(MADVISE, madvise, REPEATED, ADDR, LEN, ADVICE)                       \
	CALL(MLOCK, mlock, REPEATED, ADDR, LEN)                                   \
	CALL(MLOCK2, mlock2, REPEATED, ADDR, LEN, FLAGS)                          \
	CALL(MUNLOCK, munlock, REPEATED, ADDR, LEN)                               \
	CALL(MLOCKALL, mlockall, REPEATED, FLAGS)                                 \
	CALL(MUNLOCKALL, munlockall, REPEATED, NOTHING)                           \
	CALL(MSYNC, msync, REPEATED, ADDR, LEN, FLAGS)                            \
	CALL(MINCORE, mincore, IMPORTED, ADDR, LEN)                               \
	CALL(SHMAT, shmat, REPEATED, SEGMENT, ADDR, FLAGS)                        \
	CALL(SHMDT, shmdt, REPEATED, ADDR)                                        \
	CALL(FTRUNCATE, ftruncate, REPEATED, FD, LEN)                             \
	CALL(FALLOCATE, fallocate, REPEATED, FD, FLAGS, OFFSET, LEN)              \
	CALL(PROCESS_MADVISE, process_madvise, REPEATED, PIDFD, ADDR, LEN, ADVICE)        \
	CALL(PKEY_MPROTECT, pkey_mprotect, REPEATED, ADDR, LEN, PROT, KEY)        \
	CALL(MSEAL, mseal, REPEATED, ADDR, LEN, FLAGS)                            \
	CALL(REMAP_FILE_PAGES, remap_file_pages, NOTED, ADDR, LEN, PROT, OFFSET, FLAGS) \
	CALL(MBIND, mbind, NOTED, ADDR, LEN, ADVICE)                              \
	CALL(USERFAULTFD, userfaultfd, NOTED, FLAGS)                              \
	CALL(IO_URING_SETUP, io_uring_setup, NOTED, COUNT)                        \
	CALL(SETRLIMIT, setrlimit, RIGHTS, ADVICE)                                \
	CALL(PRLIMIT64, prlimit64, RIGHTS, PID, ADVICE)                           \
	CALL(PRCTL, prctl, RIGHTS, ADVICE, LEN)                                   \
	CALL(CAPSET, capset, RIGHTS, NOTHING)                                     \
	CALL(PERSONALITY, personality, RIGHTS, NOTHING)                           \
	CALL(SETUID, setuid, RIGHTS, NOTHING)                                     \
	CALL(SETREUID, setreuid, RIGHTS, NOTHING)                                 \
	CALL(SETRESUID, setresuid, RIGHTS, NOTHING)                               \
	CALL(PROCESS_VM_READV, process_vm_readv, REACHES, PID)                    \
	CALL(PROCESS_VM_WRITEV, process_vm_writev, REACHES, PID)                  \
	CALL(VMSPLICE, vmsplice, REACHES, FD)                                     \
	CALL(WRITE, write, SIZES, FD)                                             \
	CALL(PWRITE64, pwrite64, SIZES, FD)                                       \
	CALL(WRITEV, writev, SIZES, FD)                                           \
	CALL(PWRITEV, pwritev, SIZES, FD)                                         \
	CALL(PWRITEV2, pwritev2, SIZES, FD)                                       \
	CALL(TRUNCATE, truncate, SIZES, NOTHING)

/* What an argument is: a field of struct trace_call (event.h says which), or
 * something that leads to one.  Their order is that of the fields in a file. */
#define TRACE_ARGUMENTS(ARG) \
	ARG(ADDR) ARG(LEN) ARG(NEW_ADDR) ARG(NEW_LEN) ARG(OFFSET) ARG(PROT) ARG(FLAGS) ARG(ADVICE) \
	ARG(FD)      /* of a file: its index and size */                                          \
	ARG(PIDFD)   /* of a process: its index */                                                \
	ARG(KEY)     /* a protection key */                                                       \
	ARG(COUNT)   /* any other number */                                                       \
	ARG(MODE)    /* of a descriptor: no argument, but found with it */                        \
	ARG(SEGMENT) /* an id of shared memory: file, and its size as len */                      \
	ARG(PID)     /* as PIDFD */                                                               \
	ARG(NOTHING)

#endif
