/* SPDX-License-Identifier: BSD-2-Clause */
/* The send-only sensor with a binary value in twenty instructions: straight code with a frame template, fed from flash.
 *
 * ADC, period PERIOD, the identity of the build (which the MAC is told, as the data sheet asks), sleep. No RAM but the
 * 32 octets that the interrupt stacks. The frame varies in two words only, and each is the other's complement, so the checksum stands
 * in the template:
 *
 *   word 16  X = 0x3c000000 - X     50 02, message ID       CoAP header without token
 *   word 20  X = -X                 b0 fd, then 16 bits: reading in the lower 10, count in the upper 6
 *
 * One `rsb` makes each from the other: it subtracts X from r12 << 24, and r12, the place in the template, is 0x33c the
 * first time and 0x100 the second. The two words add up to 2^32 for every reading and count, so their lower halves
 * always add up to 0x10000 and their upper halves to 0xffff. Both turns together add 0xc4000000 to word 20: the count goes
 * on by 49, so it takes 64 messages to repeat a message ID. The payload is 03, b0, fd, then the 16 bits, low octet first.
 *
 * Template: 88 octets from word to word, words 0 to 15 from 0x100 on; words 17 to 19 lie in the gaps, from 0x33c on. `tst`
 * finds the end of either part (0x680, 0x444) by bits 3, 4, 5 and 8 of r12; the carry from its shift, bit 9, tells which.
 * 836 octets back from one end is the beginning of the other part.
 *
 * Registers, once `reset` is through (the handler uses r4 to r10 alone):
 *   r0  TCTL value              r4  GPTM0 IMR          r8   ADC; goes to TBMR and MIS too, to no effect
 *   r1  X                       r5  GPTM0 TAMR         r9   0x21: CTL, and ICR
 *   r2  MAC TCTL                r6  1: IMR, IA1        r10  period: TAILR
 *   r3  IA0; bits for `tst`     r7  2: TAMR, THR       r11  scratch
 *   r12 place in the template   lr  `idle`, in thread mode
 *
 * RAM: 0x200000e0 to 0x200000ff, stacked by the interrupt.
 */

#include "board.inc"

	.syntax	unified
	.cpu	cortex-m3
	.thumb

#include "frame.inc"
#include "counted.inc"

#define STRIDE 88
#define BACK 836

#define FIRST 0x100
#define SECOND 0x33c
#define STRIDE 88
#define BACK 836

	.text
vectors:
	.word	RAM_END, reset + 1
	.rept	14 + TIMER0_IRQ
	.word	0
	.endr
	.word	tick + 1

	.global	reset
/* reset: clocks, ADC and interrupt are set up once, as the data sheet asks; `tick` starts the timer.
 * In: nothing. Out: the registers above. Clobbers: all. 24 octets, about 45 cycles. */
	.thumb_func
reset:
	adr	r0, setup
	ldm	r0!, {r1-r12, lr}
	stm	r1, {r2-r4}			@ RCGC0 to RCGC2
	stm	r5, {r6-r11}			@ ACTSS to EMUX; what triggers it does not run yet
	str	r8, [r7]			@ ISER0
	ldm	r0, {r0-r10, r12, pc}		@ goes on at tick

/* idle: makes and sends one message. It sleeps in wfi; the interrupt runs `tick` and comes back here.
 * In: the registers above. Out: r1. Clobbers: r11, flags. 38 octets, about 175 cycles awake. */
	.thumb_func
idle:
	wfi
	ldr	r11, [r8, #ADC_SSFIFO3]
	bfi	r1, r11, #16, #10
feed:
	ldr	r11, [r12], #STRIDE
	str	r11, [r2, #MAC_DATA - MAC_TCTL]
	tst	r3, r12, lsl #23
	bne	feed
	sub	r12, r12, #BACK
	rsb	r1, r1, r12, lsl #24
	stm	r2, {r0, r1, r3, r6, r7}	@ TCTL, DATA, IA0, IA1, THR: with word 20 the MAC sends
	bcs	feed

/* tick: acknowledges the interrupt, sets the period and lets the timer run. Thread mode passes through too: the first
 * time that starts the timer, later it changes nothing. Ends in the return from the interrupt, or in `idle`.
 * In: r4 to r10, lr. Out: -. Clobbers: nothing. 10 octets, 13 cycles. */
	.thumb_func
tick:
	stm	r4, {r6-r10}			@ IMR, RIS, MIS, ICR, TAILR
	stm	r5, {r7-r9}			@ TAMR, TBMR, CTL
	bx	lr

	.balign	4, 0
	.word	0xffffffff			@ data from here on
.macro at place, n
	.org	\place, 0xff
	.word	frame_\n
.endm

	at	FIRST, 0
	at	FIRST + 1 * STRIDE, 1
	at	FIRST + 2 * STRIDE, 2
	at	FIRST + 3 * STRIDE, 3
	at	FIRST + 4 * STRIDE, 4
	at	FIRST + 5 * STRIDE, 5
	at	FIRST + 6 * STRIDE, 6
	at	SECOND, 17
	at	FIRST + 7 * STRIDE, 7
	at	SECOND + STRIDE, 18
	at	FIRST + 8 * STRIDE, 8
	at	SECOND + 2 * STRIDE, 19
	at	FIRST + 9 * STRIDE, 9
	at	FIRST + 10 * STRIDE, 10
	at	FIRST + 11 * STRIDE, 11
	at	FIRST + 12 * STRIDE, 12
	at	FIRST + 13 * STRIDE, 13
	at	FIRST + 14 * STRIDE, 14
	at	FIRST + 15 * STRIDE, 15

setup:						@ for reset: r1 to r12, lr
	.word	RCGC, RCGC0_ADC, RCGC1_TIMER0, RCGC2_MAC, ADC, ACTSS_3
	.word	NVIC, 1 << TIMER0_IRQ, 0, 0, EMUX_3_TIMER, 0, idle + 1
						@ r0 to r10, r12, pc
	.word	TCTL_SEND, FRAME_20, MAC + MAC_TCTL, BUILD_IA0
	.word	GPTM0_IMR, GPTM0_TAMR, IMR_TIMEOUT, TAMR_PERIODIC, ADC, CTL_RUN, PERIOD
	.word	FIRST, tick + 1
