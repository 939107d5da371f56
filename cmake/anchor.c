/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives the library one source of its own; the rooms come as objects. */
extern const char quire_anchor[];
const char quire_anchor[] = "quire";
