#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A program that asks for huge pages, and what splits and makes them.

A heap under MADV_HUGEPAGE is filled, shared with two children, written in
part by each, rewritten when they are gone, and given back in part; another
heap is filled page by page and collapsed afterwards.
"""
import mmap
import os

MIB = 1024 * 1024
HUGE = 2 * MIB
HEAP = 16 * MIB
PAGE = 4096


def heap():
    return mmap.mmap(-1, HEAP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def write(data, start, end, value):
    for at in range(start, end, PAGE):
        data[at] = value


def child(data, start, end):
    pid = os.fork()
    if pid == 0:
        write(data, start, end, 2)
        os._exit(0)
    return pid


def main():
    data = heap()
    data.madvise(mmap.MADV_HUGEPAGE)
    write(data, 0, HEAP, 1)
    # One after the other, so that the order of touches is the program's.
    for start in (HUGE, 3 * HUGE):
        os.waitpid(child(data, start, start + MIB), 0)
    write(data, 0, HEAP, 3)
    data.madvise(mmap.MADV_DONTNEED, 5 * HUGE + MIB, 64 * PAGE)
    write(data, 5 * HUGE, 6 * HUGE, 4)

    late = heap()
    write(late, 0, HEAP // 2, 1)
    late.madvise(25, 0, HEAP // 2)  # MADV_COLLAPSE
    write(late, 0, HEAP, 2)
    assert data[HUGE] == 3 and data[5 * HUGE + MIB] == 4 and late[HEAP - PAGE] == 2


if __name__ == "__main__":
    main()
