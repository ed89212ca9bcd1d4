/* Parses or builds one message over and over, to be counted by callgrind (see `count`).
 *
 *	bench-codec parse|build|parse-long|build-long N
 *
 * "parse" takes a GET of 35 bytes with Uri-Host, two Uri-Path, Accept and a token of 4, and looks at its four options;
 * "build" makes it. The long ones have a host and a segment of more than 12 bytes, whose length needs a byte of its own.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/format.h>
#include <copse/message.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
	const char *host, *first, *second;
};

static const struct words plain = {"device.local", "sensors", "hum"};
static const struct words longer = {"device-0042.mesh.example", "thermostats-upstairs", "setpoint"};

static int build(const struct words *w, uint8_t *buf, size_t cap, const size_t len[3])
{
	struct copse_builder b;
	copse_build_message(&b, buf, cap, COPSE_CON, COPSE_CODE_GET, 0x1234, "abcd", 4);
	copse_build_option(&b, COPSE_OPTION_URI_HOST, w->host, len[0]);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, w->first, len[1]);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, w->second, len[2]);
	copse_build_uint(&b, COPSE_OPTION_ACCEPT, COPSE_FORMAT_JSON);
	return copse_build_finish(&b);
}

/* What a server does with an option: looks at its bytes. */
static uint32_t look(const struct copse_message *m, const struct copse_option *o)
{
	return o ? o->len + (uint32_t)*copse_option_value(m, o) : 0;
}

static uint32_t parse(struct copse_message *m, const uint8_t *buf, size_t len)
{
	if (copse_message_parse(m, buf, len) != 0)
		return 0;
	const struct copse_option *path = copse_message_option(m, COPSE_OPTION_URI_PATH);
	return look(m, copse_message_option(m, COPSE_OPTION_URI_HOST)) + look(m, path) +
	       look(m, path ? copse_message_option_next(m, path) : NULL) +
	       copse_message_uint(m, COPSE_OPTION_ACCEPT, COPSE_FORMAT_NONE);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: bench-codec parse|build|parse-long|build-long N\n");
		return 1;
	}
	const struct words *w = strstr(argv[1], "-long") ? &longer : &plain;
	const size_t len[3] = {strlen(w->host), strlen(w->first), strlen(w->second)};
	static struct copse_message m;
	uint8_t buf[128];
	uint64_t sum = 0;
	const int bytes = build(w, buf, sizeof(buf), len);
	const long times = strtol(argv[2], NULL, 10);
	if (argv[1][0] == 'p') {
		for (long i = 0; i < times; i++)
			sum += parse(&m, buf, (size_t)bytes);
	} else {
		for (long i = 0; i < times; i++)
			sum += (uint64_t)build(w, buf, sizeof(buf), len);
	}
	printf("%d bytes, %llu\n", bytes, (unsigned long long)sum);
	return sum == 0;
}
