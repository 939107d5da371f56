/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8, as RFC 3629 has it. */
#ifndef JOT_UTF8_H
#define JOT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes it wrote. */
size_t utf8_encode(unsigned int code, char bytes[4]);
bool utf8_valid(const char *text);
/* In characters; of valid text. */
size_t utf8_length(const char *text);

#endif
