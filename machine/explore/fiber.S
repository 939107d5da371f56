/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * void xp_switch(void **save_sp, void *load_sp);
 *
 * Saves what a call must preserve on this stack, leaves the stack pointer in
 * *save_sp, goes on from load_sp as xp_switch did there.  A new fiber's stack
 * is laid out by xp_fiber_prepare() as if it had been saved here.
 */
#if defined(__x86_64__)
	.text
	.globl	xp_switch
	.type	xp_switch, @function
	.p2align 4
xp_switch:
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.size	xp_switch, . - xp_switch
#elif defined(__aarch64__)
	.text
	.globl	xp_switch
	.type	xp_switch, %function
	.p2align 4
xp_switch:
	stp	x29, x30, [sp, #-160]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x29, x30, [sp], #160
	ret
	.size	xp_switch, . - xp_switch
#else
#error "xp_switch is not written for this processor"
#endif
	.section .note.GNU-stack, "", %progbits
