/* SPDX-License-Identifier: BSD-2-Clause */
/* What quire-counting has in the place of counting_image.S: nothing. */
	.section .rodata
	.globl counting_image
	.globl counting_image_end
counting_image:
counting_image_end:
	.section .note.GNU-stack, "", %progbits
