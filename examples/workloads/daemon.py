#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A program that loads its data and then becomes a daemon, as daemons do.

It forks twice, so that the daemon leads no session and has no parent: three
address spaces have met on its memory, and then two of them go.  The daemon is
alone with the data, and changes all of it.  Whoever remembers only some of
those that ever mapped a large folio cannot tell that it is alone.
"""
import mmap
import os

DATA_BYTES = 8 * 1024 * 1024
STEP_BYTES = 1024


def fill(data, value):
    for at in range(0, len(data), STEP_BYTES):
        data[at] = value


def end_of_others(reader, writer):
    """Returns when nobody else holds the pipe any more: they have exited."""
    os.close(writer)
    assert os.read(reader, 1) == b""


def main():
    data = mmap.mmap(-1, DATA_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fill(data, 1)
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.wait()
        os._exit(0)
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    end_of_others(reader, writer)
    fill(data, 2)
    assert data[0] == 2 and data[DATA_BYTES - STEP_BYTES] == 2


if __name__ == "__main__":
    main()
