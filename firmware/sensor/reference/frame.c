/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the frames of the send-only sensor. Owner: firmware/sensor. */
#include "frame.h"

#include <stdio.h>
#include <string.h>

enum { ETHERNET = 14, IPV6 = 40, UDP = 8, PORT = 5683 };

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t little32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The text of a reading in four characters, right-aligned. */
static void put_text(uint8_t *at, int value)
{
	char text[16];

	snprintf(text, sizeof text, "%4d", value);
	memcpy(at, text, 4);
}

static void put_big32(uint8_t *at, int value)
{
	put16(at, (unsigned)value >> 16 & 0xffff);
	put16(at + 2, (unsigned)value & 0xffff);
}

static size_t append(uint8_t *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return len;
}

/* A payload in text: what precedes the value, four characters, what follows. `*value_at` becomes the value's place. */
static size_t text_payload(uint8_t *at, const char *before, const char *after, int value, uint8_t **value_at)
{
	size_t len = append(at, before, strlen(before));

	*value_at = at + len;
	put_text(at + len, value);
	len += 4;
	return len + append(at + len, after, strlen(after));
}

static size_t cbor_payload(uint8_t *at, enum twin_sensor sensor, int value, uint8_t **value_at)
{
	size_t len;

	if (sensor == TWIN_ADC) {
		len = append(at,
			     "\x81\xa2\x00\x63"
			     "adc"
			     "\x02\x1a",
			     9);
		*value_at = at + len;
		put_big32(at + len, value);
		return len + 4;
	}
	len = append(at,
		     "\x81\xa3\x01\x63"
		     "Cel"
		     "\x00\x78\x0b"
		     "temperature",
		     21);
	*value_at = at + len;
	at[len] = 2;
	at[len + 1] = value < 0 ? 0x39 : 0x19;
	put16(at + len + 2, (unsigned)(value < 0 ? -1 - value : value));
	return len + 4;
}

/* The payload in the twin's format; `*content` is its Content-Format, RFC 7252 §12.3 and RFC 8428 §12. */
static size_t payload(const struct twin *twin, int value, uint8_t *at, uint8_t **value_at, unsigned *content)
{
	static const char *const before[3][2] = {
	    {"<temp v=\"", "<adc  v=\""},
	    {"<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml  n=\"temperature\" u=\"Cel\" v=\"",
	     "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml  n=\"adc\" v=\""},
	    {"[{\"n\":\"temperature\",\"u\":\"Cel\",\"v\":   ", "[{\"n\":\"adc\",\"v\": "},
	};
	static const char *const after[3] = {"\"/>\n", "\"/></sensml>", "}]"};
	static const unsigned contents[] = {41, 310, 110, 112, 42, 42};

	*content = contents[twin->format];
	if (twin->format == TWIN_SENML_CBOR)
		return cbor_payload(at, twin->sensor, value, value_at);
	if (twin->format == TWIN_BINARY) {
		at[0] = twin->sensor == TWIN_I2C ? 1 : 2;
		*value_at = at + 1;
		put_big32(at + 1, value);
		return 5;
	}
	return text_payload(at, before[twin->format][twin->sensor], after[twin->format], value, value_at);
}

/* The token: the complement of the sum of all words that vary, modulo 2^32 - 1, in the MAC's octet order. */
static void put_token(const struct twin *twin, uint8_t *token, const uint8_t *header, const uint8_t *value)
{
	uint64_t sum = (uint64_t)little32(value) + little32(header);

	if (twin->hardware)
		sum += (little32(twin->mac) ^ 2) + (uint64_t)(twin->mac[4] | (unsigned)twin->mac[5] << 8);
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	for (int i = 0; i < 4; i++)
		token[i] = (uint8_t)(~sum >> 8 * i);
}

static size_t options(uint8_t *at, unsigned content)
{
	size_t len = append(at, "\xb7publish", 8);

	if (content > 255) {
		at[len] = 0x12;
		put16(at + len + 1, content);
		len += 3;
	} else {
		at[len] = 0x11;
		at[len + 1] = (uint8_t)content;
		len += 2;
	}
	at[len] = 0xff;
	return len + 1;
}

static size_t message(const struct twin *twin, uint32_t number, int value, uint8_t *at)
{
	uint8_t body[TWIN_FRAME_MAX], *value_at;
	unsigned content;
	size_t body_len = payload(twin, value, body, &value_at, &content), len = 8;

	at[0] = 0x54; /* version 1, NON, a token of 4 octets */
	at[1] = 0x02; /* POST */
	at[2] = (uint8_t)number;
	at[3] = (uint8_t)(number >> 8);
	put_token(twin, at + 4, at, value_at);
	len += options(at + len, content);
	return len + append(at + len, body, body_len);
}

/* The variant that counts in the payload: 16 bits of which the message ID is the complement. */
static size_t counted_message(uint32_t number, int value, uint8_t *at)
{
	unsigned field = (49 * number % 64) << 10 | (unsigned)value;
	size_t len = 4;

	at[0] = 0x50;
	at[1] = 0x02;
	at[2] = (uint8_t)~field;
	at[3] = (uint8_t)(~field >> 8);
	len += options(at + len, 42);
	len += append(at + len, "\x03\xb0\xfd", 3);
	at[len] = (uint8_t)field;
	at[len + 1] = (uint8_t)(field >> 8);
	return len + 2;
}

/* RFC 1071 over `len` octets, continued from `sum`. */
static uint32_t add_up(const uint8_t *at, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_headers(const struct twin *twin, uint8_t *frame, size_t udp_len)
{
	static const uint8_t to[] = {0x33, 0x33, 0xfe, 0, 0, 1}; /* RFC 2464 §7 */
	static const uint8_t group[] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfe, 0, 0, 1};
	uint8_t *ip = frame + ETHERNET, *udp = ip + IPV6;

	memset(frame, 0, ETHERNET + IPV6 + UDP);
	memcpy(frame, to, 6);
	memcpy(frame + 6, twin->mac, 6);
	put16(frame + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)udp_len);
	ip[6] = 17;
	ip[7] = 1;
	ip[8] = 0xfe;
	ip[9] = 0x80;
	memcpy(ip + 16, twin->mac, 3); /* RFC 4291 appendix A */
	ip[16] ^= 2;
	ip[19] = 0xff;
	ip[20] = 0xfe;
	memcpy(ip + 21, twin->mac + 3, 3);
	memcpy(ip + 24, group, 16);
	put16(udp, PORT);
	put16(udp + 2, PORT);
	put16(udp + 4, (unsigned)udp_len);
}

size_t twin_frame(const struct twin *twin, uint32_t number, int value, uint8_t *frame)
{
	uint8_t *udp = frame + ETHERNET + IPV6;
	size_t len = twin->format == TWIN_COUNTED ? counted_message(number, value, udp + UDP)
						  : message(twin, number, value, udp + UDP);
	uint32_t sum;

	len += UDP;
	put_headers(twin, frame, len);
	/* RFC 8200 §8.1: addresses, length and next header */
	sum = add_up(frame + ETHERNET + 8, 32, 17 + (uint32_t)len);
	sum = ~add_up(udp, len, sum) & 0xffff;
	put16(udp + 6, sum ? sum : 0xffff);
	return ETHERNET + IPV6 + len;
}

static void adc_sample(struct twin_adc *adc)
{
	adc->noise = adc->noise * 314159 + 1;
	if (adc->kept == 16)
		return;
	adc->fifo[(adc->first + adc->kept++) % 16] = (uint16_t)(0x200 + (adc->noise >> 16 & 7));
}

int twin_adc_read(struct twin_adc *adc)
{
	int value;

	for (unsigned i = 0; i < adc->samples; i++)
		adc_sample(adc);
	value = adc->fifo[adc->first];
	adc->first = (adc->first + 1) % 16;
	adc->kept--;
	return value;
}
