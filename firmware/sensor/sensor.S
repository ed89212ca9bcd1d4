/* SPDX-License-Identifier: BSD-2-Clause */
/* The send-only sensor: straight code with a frame template in flash and the frame in RAM.
 *
 * A timer wakes the processor. It reads the sensor, patches the frame in RAM, feeds it to the MAC and sleeps again. It never receives. Nothing here depends on a length,
 * so the five formats share the code. Choices of the build:
 *
 *   FORMAT    FORMAT_XML, FORMAT_SENML_XML, FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_BINARY
 *   SENSOR    SENSOR_I2C: thermometer at 0x48, whole degrees;  SENSOR_ADC: channel 0, counts 0 to 1023
 *   HARDWARE  1: the identity comes from the MAC's registers;  0: from the build
 *   RANDOM    1: each period is drawn anew;  0: PERIOD
 *   DEEP      1: deep sleep;  0: sleep
 *
 * RAM, 0x20000000 to 0x200000ff:
 *   frame     from sp up to 0x200000ff, 100 to 180 octets; sp moves only while the interrupt is taken
 *   stack     32 octets below the frame, 36 where the hardware aligns, filled by the interrupt alone
 *
 * Registers, once `reset` is through. The handler uses r4 to r10 alone: the architecture leaves r0 to r3 and r12
 * unknown there.
 *   r0  where `move` reads      r4  GPTM0 IMR          r8   ADC or I2C0; goes to TBMR and MIS too, to no effect
 *   r1  word, sum               r5  GPTM0 TAMR         r9   0x21: CTL, and ICR
 *   r2  where `move` writes     r6  1: IMR             r10  period: TAILR; lower half 0xfeff, also put into the frame
 *   r3  scratch                 r7  2: TAMR            r11  CoAP header, message ID in the upper half
 *   lr  `idle`, in thread mode  r12 the table of texts; r0 and r2 for a frame to be sent lie just below it
 *
 * Each routine says: in, out, clobbers, octets of code, and cycles by the Cortex-M3's manual; of XML from the ADC with
 * everything switched on.
 */

#include "board.inc"

#define FORMAT_XML		1
#define FORMAT_SENML_XML	2
#define FORMAT_SENML_JSON	3
#define FORMAT_SENML_CBOR	4
#define FORMAT_BINARY		5
#define SENSOR_I2C		1
#define SENSOR_ADC		2

	.syntax	unified
	.cpu	cortex-m3
	.thumb
	.text

#include "frame.inc"
#include "text.inc"
#include "payload.inc"

.macro value
	.set	value_word, words
	plain	0
.endm

/* flash.ld puts the vectors first and the template last, padded so that it ends where the low octet of its address is zero. */
	.section .template, "a"
template:
	headers	HARDWARE
	plain	W(0x54, 2, 0, 0)
	plain	0
	publish
	payload
	.set	frame_words, words
	finish	spare, 0
	.section .padding, "a"
	.balign	256, 0xff
	.fill	256 - frame_words * 4, 1, 0xff

	.section .vectors, "a"
	.word	RAM_END - frame_words * 4, reset + 1
	.rept	14 + TIMER0_IRQ
	.word	0
	.endr
	.word	tick + 1

	.text
	.global	reset
/* reset: clocks, sensor, interrupt and MAC are set up once, as the data sheet asks; then the template is copied to RAM
 * and the timer started by falling through `move` and `tick`.
 * In: nothing. Out: the registers above. Clobbers: all. 30 octets, about 50 cycles. */
	.thumb_func
reset:
	adr	r0, setup
	ldm	r0!, {r1-r12, lr}
	stm	r1, {r2-r4}			@ RCGC0 to RCGC2
#if SENSOR == SENSOR_ADC
	stm	r5, {r6-r11}			@ ACTSS to EMUX; what triggers it does not run yet
#endif
	str	r8, [r7]			@ ISER0
#if DEEP
	str	r10, [r7, #NVIC_SCR]
#endif
	str	r9, [r12, #MAC_TCTL]
#if SENSOR == SENSOR_I2C
	ldm	r0!, {r1-r6}
	str	r3, [r1, #0x20]			@ AFSEL: PB2 and PB3 belong to I2C
	str	r3, [r1, #0x10c]		@ ODR: open drain
	str	r3, [r1, #0x11c]		@ DEN
	str	r4, [r2, #I2C_MCR]		@ master
	str	r5, [r2, #I2C_MTPR]		@ 89 kbit/s
	str	r6, [r2]			@ MSA: read from 0x48
#endif
	ldm	r0, {r0, r2, r4-r12, pc}	@ goes on at move

/* idle: makes one message. It sleeps in wfi; the interrupt runs `tick` and comes back here.
 * In: the registers above. Out: r0 and r2 for `move`, r10, r11, the frame. Clobbers: r1, r3, flags.
 * 76 octets, about 45 cycles awake. */
	.thumb_func
idle:
	wfi
	ldrd	r0, r2, [r12, #-8]
#if SENSOR == SENSOR_I2C
	movs	r3, #7				@ MCS: RUN, START, STOP
	str	r3, [r8, #I2C_MCS]
1:	ldr	r3, [r8, #I2C_MCS]
	lsls	r3, r3, #31			@ BUSY
	bne	1b
	ldr	r3, [r8, #I2C_MDR]
#else
	ldr	r3, [r8, #ADC_SSFIFO3]
#endif
#if FORMAT == FORMAT_BINARY || (FORMAT == FORMAT_SENML_CBOR && SENSOR == SENSOR_ADC)
#if SENSOR == SENSOR_I2C
	sxtb	r3, r3
#endif
	rev	r1, r3
#else
	ldr	r1, [r12, r3, lsl #2]
#endif
	str	r1, [sp, #value_word * 4]
	add	r11, r11, #0x10000		@ the next message ID
	adds	r1, r1, r11			@ r1 and carry: sum of all that varies
#if HARDWARE
	ldr	r3, [r2, #MAC_IA0 - MAC_DATA]
	str	r3, [sp, #8]			@ Ethernet source, first four octets
	str	r3, [sp, #34]			@ the fourth is now in its place in the IPv6 source, and three more are wrong
	eor	r3, r3, #2			@ RFC 4291 appendix A: the universal/local bit
	str	r3, [sp, #32]			@ the first three
	adcs	r1, r1, r3
	strh	r10, [sp, #35]			@ ff:fe between the halves
	ldr	r3, [r2, #MAC_IA1 - MAC_DATA]
	strh	r3, [sp, #12]			@ the last two of the Ethernet source
	strh	r3, [sp, #38]			@ and of the IPv6 source
	adcs	r1, r1, r3
#endif
	adc	r1, r1, #0
	mvn	r1, r1				@ the token makes up for all of it, so the checksum stays
	strd	r11, r1, [sp, #64]
#if RANDOM
	umull	r1, r3, r1, r1			@ the middle of the token's square
	bfi	r10, r3, #16, #11
#endif

/* move: words from r0 to r2, until the low octet of r0 is zero. RAM is written upwards; the MAC's FIFO is one address:
 * r2 >> 27 is 4 in RAM and 8 in the MAC, so r2 advances by 8 - 4 or by 8 - 8.
 * In: r0, r2, r6. Out: -. Clobbers: r0, r1, r2, flags. 20 octets, 9 cycles a word. */
move:
	ldr	r1, [r0], #4
	str	r1, [r2], #8
	sub	r2, r2, r2, lsr #27
	tst	r0, #0xff
	bne	move
	str	r6, [r2, #MAC_TR - MAC_DATA]	@ send. The first time, r2 is RAM_END and this falls into unused RAM

/* tick: acknowledges the interrupt, sets the next period and lets the timer run. Thread mode passes through too: the first time
 * that starts the timer, later it changes nothing. Ends in the return from the interrupt, or in `idle`.
 * In: r4 to r10, lr. Out: -. Clobbers: nothing. 10 octets, 13 cycles. */
	.thumb_func
tick:
	stm	r4, {r6-r10}			@ IMR, RIS, MIS, ICR, TAILR
	stm	r5, {r7-r9}			@ TAMR, TBMR, CTL
	bx	lr

	.balign	4, 0
setup:						@ for reset: r1 to r12, lr
#if SENSOR == SENSOR_ADC
	.word	RCGC, RCGC0_ADC, RCGC1_TIMER0, RCGC2_MAC, ADC, ACTSS_3
#else
	.word	RCGC, 0, RCGC1_TIMER0 | RCGC1_I2C0, RCGC2_MAC | RCGC2_PORTB, 0, 0
#endif
	.word	NVIC, 1 << TIMER0_IRQ, TCTL_SEND, SCR_SLEEPDEEP, EMUX_3_TIMER, MAC, idle + 1
#if SENSOR == SENSOR_I2C
	.word	PORTB, I2C0, 0x0c, 0x10, 6, 0x91	@ r1 to r6
#endif
	.word	template, RAM_END - frame_words * 4	@ r0, r2
	.word	GPTM0_IMR, GPTM0_TAMR, IMR_TIMEOUT, TAMR_PERIODIC
#if SENSOR == SENSOR_ADC
	.word	ADC
#else
	.word	I2C0
#endif
#if RANDOM
	.word	CTL_RUN, PERIOD_LOW
#else
	.word	CTL_RUN, PERIOD
#endif
	.word	W(0x54, 2, 0, 0), texts, move + 1	@ NON with a token of four octets, POST

	.word	RAM_END - frame_words * 4, MAC + MAC_DATA
texts:
#if FORMAT == FORMAT_SENML_CBOR && SENSOR == SENSOR_I2C
	table_cbor
#elif FORMAT == FORMAT_SENML_CBOR || FORMAT == FORMAT_BINARY
#elif SENSOR == SENSOR_I2C
	table_degrees
#else
	table_counts
#endif
