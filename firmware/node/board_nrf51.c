/* nRF51822 (Cortex-M0) as on the micro:bit: TIMER0 at 1 MHz, UART, random numbers, and the upper flash as
 * memory that outlives the power. Registers by their names in the reference manual.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"

#include <string.h>

#define REG(address) (*(volatile uint32_t *)(address))

#define TIMER_START    REG(0x40008000)
#define TIMER_CAPTURE1 REG(0x40008044)
#define TIMER_COMPARE0 REG(0x40008140)
#define TIMER_INTENSET REG(0x40008304)
#define TIMER_MODE     REG(0x40008504)
#define TIMER_BITMODE  REG(0x40008508)
#define TIMER_PRESCALE REG(0x40008510)
#define TIMER_CC0      REG(0x40008540)
#define TIMER_CC1      REG(0x40008544)
#define TIMER_IRQ      8

#define UART_STARTRX REG(0x40002000)
#define UART_STARTTX REG(0x40002008)
#define UART_RXDRDY  REG(0x40002108)
#define UART_TXDRDY  REG(0x4000211c)
#define UART_ENABLE  REG(0x40002500)
#define UART_PSELTXD REG(0x4000250c)
#define UART_PSELRXD REG(0x40002514)
#define UART_RXD     REG(0x40002518)
#define UART_TXD     REG(0x4000251c)
#define UART_BAUD    REG(0x40002524)

#define RNG_START  REG(0x4000d000)
#define RNG_STOP   REG(0x4000d004)
#define RNG_VALRDY REG(0x4000d100)
#define RNG_VALUE  REG(0x4000d508)

#define TEMP_START   REG(0x4000c000)
#define TEMP_DATARDY REG(0x4000c100)
#define TEMP_VALUE   REG(0x4000c508)

#define NVMC_READY  REG(0x4001e400)
#define NVMC_CONFIG REG(0x4001e504)
#define NVMC_ERASE  REG(0x4001e508)

#define NVIC_ISER REG(0xe000e100)
#define NVIC_ICPR REG(0xe000e280)

#define STORE 0x30000u /* the last 64 KiB of 256; the image is far smaller */

const uint32_t board_store_bytes = 0x10000;

void board_init(void)
{
	TIMER_MODE = 0;
	TIMER_BITMODE = 3;  /* 32 bits */
	TIMER_PRESCALE = 4; /* 16 MHz / 2^4 */
	TIMER_INTENSET = 1 << 16;
	TIMER_START = 1;
	NVIC_ISER = 1 << TIMER_IRQ;
	__asm__ volatile("cpsid i"); /* an interrupt wakes and is never served */
}

/* Milliseconds are counted as they pass: this is called at least once in the 71 minutes of the timer. */
uint32_t board_ms(void)
{
	static uint32_t ms, counted; /* counted: microseconds that are in ms */
	TIMER_CAPTURE1 = 1;
	for (uint32_t now = TIMER_CC1; now - counted >= 1000; ms++)
		counted += 1000;
	return ms;
}

void board_sleep(void)
{
	TIMER_CAPTURE1 = 1;
	TIMER_CC0 = TIMER_CC1 + 1000;
	__asm__ volatile("wfi");
	TIMER_COMPARE0 = 0;
	NVIC_ICPR = 1 << TIMER_IRQ;
}

void board_key(uint32_t key[4])
{
	uint8_t *byte = (uint8_t *)key;
	RNG_START = 1;
	for (int i = 0; i < 16; i++) {
		RNG_VALRDY = 0;
		while (!RNG_VALRDY)
			;
		byte[i] = (uint8_t)RNG_VALUE;
	}
	RNG_STOP = 1;
}

/* The chip's own thermometer, in quarters of a degree. An emulator without one shows no value, which is
 * taken as 0. */
int board_degrees(void)
{
	TEMP_DATARDY = 0;
	TEMP_START = 1;
	for (int i = 0; i < 100 && !TEMP_DATARDY; i++)
		;
	return (int32_t)TEMP_VALUE >> 2;
}

/* ---- UART: pins 24 and 25 of the micro:bit ---- */

void board_uart_init(void)
{
	UART_PSELTXD = 24;
	UART_PSELRXD = 25;
	UART_BAUD = 0x01d7e000; /* 115,200 */
	UART_ENABLE = 4;
	UART_STARTRX = 1;
	UART_STARTTX = 1;
}

int board_uart_get(void)
{
	if (!UART_RXDRDY)
		return -1;
	UART_RXDRDY = 0;
	return (int)(UART_RXD & 0xff);
}

void board_uart_put(uint8_t byte)
{
	UART_TXDRDY = 0;
	UART_TXD = byte;
	while (!UART_TXDRDY)
		;
}

/* ---- flash ---- */

static void flash_mode(uint32_t mode)
{
	NVMC_CONFIG = mode; /* 0: read, 1: write, 2: erase */
	while (!NVMC_READY)
		;
}

void board_store_read(uint32_t at, void *data, size_t len)
{
	memcpy(data, (const void *)(STORE + at), len);
}

void board_store_erase(uint32_t page)
{
	flash_mode(2);
	NVMC_ERASE = STORE + page * BOARD_PAGE;
	flash_mode(0);
}

void board_store_write(uint32_t at, const void *data, size_t len)
{
	const uint8_t *from = data;
	flash_mode(1);
	for (volatile uint32_t *to = (volatile uint32_t *)(STORE + at); len > 0; len -= 4, from += 4) {
		uint32_t word;
		memcpy(&word, from, 4);
		*to++ = word;
		while (!NVMC_READY)
			;
	}
	flash_mode(0);
}
