/* SPDX-License-Identifier: BSD-2-Clause */
/* The program quire-counting, whole: see bench/counting.h. */
	.section .rodata
	.balign 16
	.globl counting_image
	.globl counting_image_end
counting_image:
	.incbin COUNTING_IMAGE
counting_image_end:
	.section .note.GNU-stack, "", %progbits
