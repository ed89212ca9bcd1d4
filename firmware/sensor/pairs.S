/* SPDX-License-Identifier: BSD-2-Clause */
/* The sensor with a binary value as one loop over address-value pairs; the frames are those of stream.S.
 *
 * For each message the pairs set up everything anew, acknowledge the interrupt, and feed the MAC what precedes the message
 * ID. The processor sleeps with that in the FIFO, reads the ADC and feeds the rest. The interrupt is only ever
 * pending: PRIMASK is set. No RAM and no stack.
 *
 * Registers:
 *   r0 place in the pairs     r3 MAC                      r5 end of the pairs     r6, r7, r8 words 17 to 19
 *   r1, r2 address, value     r4 word 20 (see stream.S)   r9 ADC                  r10 scratch
 */

#include "board.inc"

	.syntax	unified
	.cpu	cortex-m3
	.thumb

#include "frame.inc"
#include "counted.inc"

	.text
	.word	RAM_END, reset + 1

	.global	reset
/* In: nothing. Returns never. 52 octets, about 315 cycles a message. */
	.thumb_func
reset:
	cpsid	i
	adr	r0, constants
	ldm	r0, {r3-r9}
message:
	adr	r0, pairs
pair:
	ldm	r0!, {r1, r2}
	str	r2, [r1]
	cmp	r0, r5
	bne	pair
	wfi
	ldr	r10, [r9, #ADC_SSFIFO3]
	bfi	r4, r10, #16, #10
	add	r4, r4, #COUNT_ON
	rsb	r10, r4, #0
	str	r10, [r3, #MAC_DATA]
	str	r6, [r3, #MAC_DATA]
	str	r7, [r3, #MAC_DATA]
	str	r8, [r3, #MAC_DATA]
	str	r4, [r3, #MAC_DATA]		@ the frame is complete: the MAC sends
	b	message

	.balign	4, 0
constants:					@ r3 to r9
	.word	MAC, FRAME_20, pairs_end, frame_17, frame_18, frame_19, ADC

.macro feed n
	.word	MAC + MAC_DATA, frame_\n
.endm

pairs:
	.word	RCGC, RCGC0_ADC, RCGC + 4, RCGC1_TIMER0, RCGC + 8, RCGC2_MAC
	.word	ADC + 0x14, EMUX_3_TIMER, ADC, ACTSS_3
	.word	MAC + MAC_IA0, BUILD_IA0, MAC + MAC_IA1, BUILD_IA1, MAC + MAC_TCTL, TCTL_SEND, MAC + MAC_THR, THR_SEND
	.word	GPTM0_IMR + 0x0c, IMR_TIMEOUT, GPTM0_IMR + 0x10, PERIOD, GPTM0_IMR, IMR_TIMEOUT
	.word	GPTM0_TAMR, TAMR_PERIODIC, GPTM0_TAMR + 8, CTL_RUN
	.word	NVIC + 0x180, 1 << TIMER0_IRQ, NVIC, 1 << TIMER0_IRQ
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
pairs_end:
