/* Stellaris LM3S6965 (Cortex-M3): 12.5 MHz as after reset, SysTick, Ethernet, UART0, I2C with a TMP105 and
 * an AT24C memory. Registers by their names in the data sheet.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define RCGC1    REG(0x400fe104)
#define RCGC2    REG(0x400fe108)
#define SYST_CSR REG(0xe000e010)
#define SYST_RVR REG(0xe000e014)
#define SYST_CVR REG(0xe000e018)
#define CLOCK    12500000u

#define I2C_MSA     REG(0x40020000)
#define I2C_MCS     REG(0x40020004)
#define I2C_MDR     REG(0x40020008)
#define I2C_MTPR    REG(0x4002000c)
#define I2C_MCR     REG(0x40020020)
#define MCS_BUSY    1u
#define MCS_RUN     1u
#define MCS_START   2u
#define MCS_STOP    4u
#define MCS_ACK     8u
#define MCS_ADRACK  4u /* as a status: the address was not acknowledged */
#define PORTB_AFSEL REG(0x40005420)
#define PORTB_ODR   REG(0x4000550c)
#define PORTB_DEN   REG(0x4000551c)

#define MAC_RCTL REG(0x40048008)
#define MAC_TCTL REG(0x4004800c)
#define MAC_DATA REG(0x40048010)
#define MAC_IA0  REG(0x40048014)
#define MAC_IA1  REG(0x40048018)
#define MAC_NP   REG(0x40048034)
#define MAC_TR   REG(0x40048038)

#define UART_DR     REG(0x4000c000)
#define UART_FR     REG(0x4000c018)
#define UART_IBRD   REG(0x4000c024)
#define UART_FBRD   REG(0x4000c028)
#define UART_LCRH   REG(0x4000c02c)
#define UART_CTL    REG(0x4000c030)
#define PORTA_AFSEL REG(0x40004420)
#define PORTA_DEN   REG(0x4000451c)

#define THERMOMETER 0x48u
#define MEMORY      0x50u

static volatile uint32_t ticks;

void start_tick(void);

void start_tick(void)
{
	ticks++;
}

uint32_t board_ms(void)
{
	return ticks;
}

void board_sleep(void)
{
	__asm__ volatile("wfi");
}

void board_init(void)
{
	RCGC1 = 0x00001001; /* I2C0, UART0 */
	RCGC2 = 0x50000003; /* Ethernet MAC and PHY, ports A and B */
	SYST_RVR = CLOCK / 1000 - 1;
	SYST_CVR = 0;
	SYST_CSR = 7;
	PORTB_AFSEL = 0x0c;
	PORTB_ODR = 0x08;
	PORTB_DEN = 0x0c;
	I2C_MCR = 0x10;
	I2C_MTPR = 6;    /* 89 kbit/s */
	MAC_TCTL = 0x17; /* full duplex, CRC, padding, on */
	MAC_RCTL = 0x1b; /* FIFO reset, reject bad CRC, multicast, on */
}

/* What differs from board to board: the MAC address, and a secret of 8 bytes that whoever makes the device
 * writes to the end of the memory. What differs from start to start: how many there have been, counted in
 * front of it. */
void board_key(uint32_t key[4])
{
	board_store_read(board_store_bytes - 12, key, 12);
	key[0]++;
	board_store_write(board_store_bytes - 12, key, 4); /* a memory of this kind needs no erasing */
	key[3] = MAC_IA0 ^ MAC_IA1;
}

/* ---- I2C ---- */

static void i2c_go(uint32_t command)
{
	I2C_MCS = command;
	while (I2C_MCS & MCS_BUSY)
		;
}

static uint8_t i2c_get(uint32_t command)
{
	i2c_go(command);
	return (uint8_t)I2C_MDR;
}

static void i2c_put(uint32_t byte, uint32_t command)
{
	I2C_MDR = byte;
	i2c_go(command);
}

int board_degrees(void)
{
	I2C_MSA = THERMOMETER << 1 | 1; /* its pointer stands on the temperature after power-on */
	return (int8_t)i2c_get(MCS_START | MCS_RUN | MCS_STOP);
}

/* An AT24C512: 64 KiB, of which pages of ours are erased by writing ones. */
const uint32_t board_store_bytes = 65536;

/* Address the memory. It does not answer while it writes, 5 ms at most; and never where there is none. */
static void store_at(uint32_t at)
{
	for (int tries = 100; tries > 0; tries--) {
		I2C_MSA = MEMORY << 1;
		i2c_put(at >> 8, MCS_START | MCS_RUN);
		if (!(I2C_MCS & MCS_ADRACK))
			break;
		i2c_go(MCS_STOP);
	}
	i2c_put(at & 0xff, MCS_RUN);
}

void board_store_read(uint32_t at, void *data, size_t len)
{
	uint8_t *to = data;
	uint32_t how = MCS_START | MCS_RUN | MCS_ACK;
	store_at(at);
	I2C_MSA = MEMORY << 1 | 1;
	for (; len > 1; len--, how = MCS_RUN | MCS_ACK)
		*to++ = i2c_get(how);
	*to = i2c_get((how & MCS_START) | MCS_RUN | MCS_STOP);
}

/* Write `len` bytes, from `data` or ones, in steps that a page of the chip holds. */
static void store_put(uint32_t at, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = 128 - (at & 127);
		n = n < len ? n : len;
		store_at(at);
		len -= n;
		for (at += n; n > 0; n--)
			i2c_put(data ? *data++ : 0xff, n > 1 ? MCS_RUN : MCS_RUN | MCS_STOP);
	}
}

void board_store_erase(uint32_t page)
{
	store_put(page * BOARD_PAGE, NULL, BOARD_PAGE);
}

void board_store_write(uint32_t at, const void *data, size_t len)
{
	store_put(at, data, len);
}

/* ---- Ethernet ---- */

void board_mac(uint8_t mac[6])
{
	uint32_t low = MAC_IA0, high = MAC_IA1;
	for (int i = 0; i < 4; i++, low >>= 8)
		mac[i] = (uint8_t)low;
	mac[4] = (uint8_t)high;
	mac[5] = (uint8_t)(high >> 8);
}

bool board_frame_waits(void)
{
	return MAC_NP != 0;
}

uint32_t board_frame_word(void)
{
	return MAC_DATA;
}

void board_frame_put(uint32_t word)
{
	MAC_DATA = word;
}

void board_frame_send(void)
{
	MAC_TR = 1;
	while (MAC_TR & 1)
		;
}

/* ---- UART ---- */

void board_uart_init(void)
{
	PORTA_AFSEL = 3;
	PORTA_DEN = 3;
	UART_IBRD = 6; /* 115,200 bit/s: 12.5 MHz / 16 / 6.78 */
	UART_FBRD = 50;
	UART_LCRH = 0x70;
	UART_CTL = 0x301;
}

int board_uart_get(void)
{
	return UART_FR & 0x10 ? -1 : (int)(UART_DR & 0xff);
}

void board_uart_put(uint8_t byte)
{
	while (UART_FR & 0x20)
		;
	UART_DR = byte;
}
