# SPDX-License-Identifier: BSD-2-Clause
# The variants of the core: a machine and a geometry each.  A test says which
# ones it runs on (tests/CMakeLists.txt); only what is needed is built.

quire_core(threads_4k MACHINE threads GEOMETRY 4k)
quire_core(threads_64k MACHINE threads GEOMETRY 64k)
quire_core(threads_tiny MACHINE threads GEOMETRY tiny)
quire_core(explore_4k MACHINE explore GEOMETRY 4k)
quire_core(explore_tiny MACHINE explore GEOMETRY tiny)
# What `quire compare` stands on: costs are counted in every preset.
quire_core(count_4k MACHINE threads GEOMETRY 4k COUNT)
