# SPDX-License-Identifier: BSD-2-Clause
# aarch64 with Debian's cross compiler; the libraries that Debian has no cross
# package for lie in QUIRE_SYSROOT (scripts/portable.sh puts them there), and
# tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES QUIRE_SYSROOT)

set(CMAKE_FIND_ROOT_PATH "${QUIRE_SYSROOT}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES
  "${QUIRE_SYSROOT}/usr/include" "${QUIRE_SYSROOT}/usr/include/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "\"-L${QUIRE_SYSROOT}/usr/lib/aarch64-linux-gnu\"")
set(CMAKE_BUILD_RPATH "${QUIRE_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
