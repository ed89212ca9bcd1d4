/* From reset to main: vectors, data, bss; and the few functions of a C library that the compiler and we call.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern uint32_t start_stack[], start_data[], start_data_end[], start_data_image[], start_bss[],
    start_bss_end[];

int main(void);
void start_reset(void);
void start_tick(void); /* the board's: SysTick, if it has one */
_Noreturn void copse_assert_failed(const char *file, int line, const char *what);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	uint8_t *t = to;
	for (const uint8_t *f = from; n > 0; n--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;
	if (t <= f)
		return memcpy(to, from, n); /* which goes upward */
	while (n-- > 0)
		t[n] = f[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	for (uint8_t *t = to; n > 0; n--)
		*t++ = (uint8_t)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;
	for (; n > 0; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

size_t strlen(const char *text)
{
	size_t n = 0;
	while (text[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++)
		if (*a != *b || *a == 0)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

/* Whatever should not happen: begin anew. */
static void restart(void)
{
	*(volatile uint32_t *)0xe000ed0c = 0x05fa0004; /* AIRCR: SYSRESETREQ */
	for (;;)
		;
}

_Noreturn void copse_assert_failed(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	restart();
	for (;;)
		;
}

void start_reset(void)
{
	memcpy(start_data, start_data_image, (size_t)((uint8_t *)start_data_end - (uint8_t *)start_data));
	memset(start_bss, 0, (size_t)((uint8_t *)start_bss_end - (uint8_t *)start_bss));
	main();
}

__attribute__((weak)) void start_tick(void)
{
}

/* Only the core's own vectors: no peripheral interrupts a handler, it wakes from sleep at most. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))start_stack,
    start_reset,
    restart,
    restart,
    restart,
    restart,
    restart,
    NULL,
    NULL,
    NULL,
    NULL,
    restart,
    restart,
    NULL,
    restart,
    start_tick,
};
