/* An image that parses one message, for the count of instructions: a GET of 23 bytes with a token of 4,
 * Uri-Path "sensors" and "temp", and Accept 50. Ends in a sleep for good; `parse_result` and what it found
 * are looked at first.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/small.h>

static const uint8_t get[] = {
    0x44, 0x01, 0x12, 0x34,                     /* CON GET, token of 4 */
    0xde, 0xad, 0xbe, 0xef,                     /* token */
    0xb7, 's',  'e',  'n',  's', 'o', 'r', 's', /* Uri-Path */
    0x04, 't',  'e',  'm',  'p',                /* Uri-Path */
    0x61, 0x32,                                 /* Accept: JSON */
};

_Static_assert(sizeof(get) == 23, "the message that is spoken of");

int main(void)
{
	struct copse_small_message m;
	volatile int good = copse_small_parse(&m, get, sizeof(get)) == 0 &&
			    copse_small_uint(&m, COPSE_OPTION_ACCEPT, 0) == 50;
	for (;;) {
		if (good)
			__asm__ volatile("wfi");
	}
}
