/* SPDX-License-Identifier: BSD-2-Clause */
/* A curiosity: the sensor with a binary value in twelve instructions. The frames are those of stream.S.
 *
 * The stack pointer walks through flash, over triples: a value, an address, and what to do with them. Each routine ends in the
 * one `pop` that fetches the next triple and jumps. The initial stack pointer in the vector table starts it. The
 * interrupt is only ever pending: PRIMASK is set, and must be, for nothing can be stacked. No RAM.
 *
 * Registers:
 *   r1 value    r2 address    r4 word 20 of the frame, or word 16: its negative (see stream.S)    sp next triple
 */

#include "board.inc"

	.syntax	unified
	.cpu	cortex-m3
	.thumb

#include "frame.inc"
#include "counted.inc"

	.text
	.word	triples, next + 1

	.global	reset
reset:
/* rewind: r1: the triples to go on with; r2: the ADC's FIFO. Then measure: sleep, read the ADC into word 20, count.
 * 16 octets with its `pop`, about 13 cycles. */
	.thumb_func
rewind:
	mov	sp, r1
	wfi
	ldr	r1, [r2]
	bfi	r4, r1, #16, #10
	add	r4, r4, #COUNT_ON
	pop	{r1, r2, pc}

/* begin: r1: the negative of the first word 20. 4 octets, 2 cycles, and on. */
	.thumb_func
begin:
	cpsid	i
	mov	r4, r1
/* negate: word 20 becomes word 16 or the other way round, and goes to r2. 6 octets, 2 cycles, and on. */
	.thumb_func
negate:
	rsb	r4, r4, #0
	mov	r1, r4
/* store: r1 to r2. 2 octets, 2 cycles, and on. */
	.thumb_func
store:
	str	r1, [r2]
/* next: the next triple. 2 octets, 6 cycles. Clobbers: r1, r2. */
	.thumb_func
next:
	pop	{r1, r2, pc}

.macro put value, address
	.word	\value, \address, store + 1
.endm
.macro feed n
	put	frame_\n, MAC + MAC_DATA
.endm

	.balign	4, 0
triples:
	.word	-FRAME_20, MAC + MAC_IA0, begin + 1	@ IA0 gets its value below
	put	RCGC0_ADC, RCGC
	put	RCGC1_TIMER0, RCGC + 4
	put	RCGC2_MAC, RCGC + 8
	put	EMUX_3_TIMER, ADC + 0x14
	put	ACTSS_3, ADC
	put	1 << TIMER0_IRQ, NVIC
	put	BUILD_IA0, MAC + MAC_IA0
	put	BUILD_IA1, MAC + MAC_IA1
	put	TCTL_SEND, MAC + MAC_TCTL
	put	THR_SEND, MAC + MAC_THR
	put	PERIOD, GPTM0_IMR + 0x10
	put	IMR_TIMEOUT, GPTM0_IMR
	put	TAMR_PERIODIC, GPTM0_TAMR
	put	CTL_RUN, GPTM0_TAMR + 8
	.word	message, ADC + ADC_SSFIFO3, rewind + 1
message:
	put	IMR_TIMEOUT, GPTM0_IMR + 0x0c
	put	1 << TIMER0_IRQ, NVIC + 0x180
	feed	0
	feed	1
	feed	2
	feed	3
	feed	4
	feed	5
	feed	6
	feed	7
	feed	8
	feed	9
	feed	10
	feed	11
	feed	12
	feed	13
	feed	14
	feed	15
	.word	0, MAC + MAC_DATA, negate + 1
	feed	17
	feed	18
	feed	19
	.word	0, MAC + MAC_DATA, negate + 1	@ the frame is complete: the MAC sends
	.word	message, ADC + ADC_SSFIFO3, rewind + 1
