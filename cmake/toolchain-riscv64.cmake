# SPDX-License-Identifier: BSD-2-Clause
# riscv64 with Debian's cross compiler.  Debian 12 has no libraries for it, so
# this compiles and does not link: QUIRE_SYSROOT holds liburcu's headers alone.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER riscv64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER riscv64-linux-gnu-gcc)
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES "${QUIRE_SYSROOT}/usr/include")
