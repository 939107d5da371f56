#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A Python program with worker processes that share its memory after fork.

The parent builds a table of words; four workers, forked from it, count their
share of a text against it and send the results back.  Reading an object
writes its reference count: so the pages of the table are copied, one worker
after the other, though nobody changes a word.
"""
import multiprocessing
import threading

WORDS = {f"word{i}": (i * 7919) % 10007 for i in range(20000)}


def count(first):
    """Sums the values of every fourth word from first on."""
    names = sorted(WORDS)[first::4]
    scratch = bytearray(256 * 1024)
    total = 0
    for i, name in enumerate(names):
        total += WORDS[name]
        scratch[i * 97 % len(scratch)] = total & 255
    return total + sum(scratch[::4096]) * 0


def main():
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        totals = pool.map(count, range(4))
    # And two threads in the parent, for an address space that is shared.
    results = []
    threads = [threading.Thread(target=lambda n: results.append(count(n)), args=(n,))
               for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(totals) == sum(WORDS.values()), totals
    assert sorted(results) == sorted(totals[:2]), results
    print("sum of the words:", sum(totals))


if __name__ == "__main__":
    main()
