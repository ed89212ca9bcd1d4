/* What an application and a link need of a board. Implemented by one of board_*.c, chosen in the Makefile.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef NODE_BOARD_H
#define NODE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clocks, timer, pins. Called once, before anything else. */
void board_init(void);

/* Milliseconds since board_init; wraps. */
uint32_t board_ms(void);

/* Sleep until an interrupt: at the latest the timer's, after a millisecond. */
void board_sleep(void);

/* Four words for the key of tokens and message IDs: others at each start, as good as the board
 * has them; see README.md. */
void board_key(uint32_t key[4]);

/* The thermometer, whole degrees Celsius. */
int board_degrees(void);

/* ---- Ethernet: a frame as words, behind 16 bits of length so that the IPv6 header lies on words ---- */

void board_mac(uint8_t mac[6]);
bool board_frame_waits(void);
uint32_t board_frame_word(void);     /* the next word of the frame received */
void board_frame_put(uint32_t word); /* the next word of the frame to be sent */
void board_frame_send(void);

/* ---- UART ---- */

void board_uart_init(void);
int board_uart_get(void); /* a byte, or -1 */
void board_uart_put(uint8_t byte);

/* ---- memory that keeps what is written without power ---- */

#define BOARD_PAGE 1024u

extern const uint32_t board_store_bytes; /* its size, a multiple of BOARD_PAGE */

void board_store_read(uint32_t at, void *data, size_t len);
/* Every byte of the page becomes 0xff. */
void board_store_erase(uint32_t page);
/* `at` and `len` are multiples of 4, within a page; what is written was erased before. */
void board_store_write(uint32_t at, const void *data, size_t len);

#endif
