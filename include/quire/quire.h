/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything a program that uses the library needs. */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <quire/cost.h>
#include <quire/decisions.h>
#include <quire/errno.h>
#include <quire/file.h>
#include <quire/geometry.h>
#include <quire/instance.h>
#include <quire/mm.h>
#include <quire/sharing.h>

#endif
