/* SPDX-License-Identifier: BSD-2-Clause */
/* twin VARIANT MAC CAPTURE COUNT [DEGREES ...]
 *
 * Compares the first COUNT frames of a capture, octet for octet, with those of the twin. VARIANT is FORMAT-SENSOR[-...],
 * as the images are named. Of the ADC every value is known beforehand. Of the thermometer the values must come in the
 * order of DEGREES, each at least once, from the first on. Exit status 0: all equal; 1: not; 2: called wrongly. */
#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct capture {
	FILE *file;
	uint8_t frame[TWIN_FRAME_MAX];
	size_t len;
};

static uint32_t little32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int capture_open(struct capture *capture, const char *path)
{
	uint8_t head[24];

	capture->file = fopen(path, "rb");
	if (!capture->file || fread(head, sizeof head, 1, capture->file) != 1 ||
	    little32(head) != 0xa1b2c3d4) {
		fprintf(stderr, "twin: %s is no capture of this machine\n", path);
		return -1;
	}
	return 0;
}

static int capture_next(struct capture *capture)
{
	uint8_t head[16];

	if (fread(head, sizeof head, 1, capture->file) != 1)
		return -1;
	capture->len = little32(head + 8);
	if (capture->len > sizeof capture->frame)
		return -1;
	return fread(capture->frame, capture->len, 1, capture->file) == 1 ? 0 : -1;
}

static int parse_variant(struct twin *twin, const char *name)
{
	static const char *const formats[] = {"xml", "senml-xml", "senml-json", "senml-cbor", "binary"};
	static const char *const sensors[] = {"i2c", "adc"};

	for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
		for (size_t s = 0; s < 2; s++) {
			char prefix[32];
			size_t len = (size_t)snprintf(prefix, sizeof prefix, "%s-%s", formats[f], sensors[s]);

			if (strncmp(name, prefix, len))
				continue;
			twin->format = (enum twin_format)f;
			twin->sensor = (enum twin_sensor)s;
			twin->hardware = !name[len];
			if (name[len] && twin->format == TWIN_BINARY)
				twin->format = TWIN_COUNTED;
			return 0;
		}
	return -1;
}

static int parse_mac(uint8_t *mac, const char *text)
{
	unsigned m[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
		return -1;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
	return 0;
}

static int matches(const struct twin *twin, uint32_t number, int value, const struct capture *capture)
{
	uint8_t frame[TWIN_FRAME_MAX];
	size_t len = twin_frame(twin, number, value, frame);

	return len == capture->len && !memcmp(frame, capture->frame, len);
}

static void show(const char *who, const uint8_t *at, size_t len)
{
	fprintf(stderr, "%s", who);
	for (size_t i = 0; i < len; i++)
		fprintf(stderr, " %02x", at[i]);
	fputc('\n', stderr);
}

static int differs(const struct twin *twin, uint32_t number, int value, const struct capture *capture)
{
	uint8_t frame[TWIN_FRAME_MAX];
	size_t len = twin_frame(twin, number, value, frame);

	fprintf(stderr, "twin: message %u differs, value %d\n", number, value);
	show("firmware:", capture->frame, capture->len);
	show("twin:    ", frame, len);
	return 1;
}

static int check_adc(const struct twin *twin, struct capture *capture, uint32_t count)
{
	struct twin_adc adc = {.samples = 4};

	for (uint32_t n = 1; n <= count; n++) {
		int value = twin_adc_read(&adc);

		if (capture_next(capture)) {
			fprintf(stderr, "twin: the capture ends before message %u\n", n);
			return 1;
		}
		if (!matches(twin, n, value, capture))
			return differs(twin, n, value, capture);
	}
	return 0;
}

static int check_i2c(const struct twin *twin, struct capture *capture, uint32_t count, char **degrees,
		     int steps)
{
	int step = 0;

	for (uint32_t n = 1; n <= count; n++) {
		if (capture_next(capture)) {
			fprintf(stderr, "twin: the capture ends before message %u\n", n);
			return 1;
		}
		if (matches(twin, n, atoi(degrees[step]), capture))
			continue;
		if (step + 1 == steps || !matches(twin, n, atoi(degrees[step + 1]), capture))
			return differs(twin, n, atoi(degrees[step]), capture);
		step++;
	}
	if (step + 1 == steps)
		return 0;
	fprintf(stderr, "twin: %d degrees never came\n", atoi(degrees[step + 1]));
	return 1;
}

int main(int argc, char **argv)
{
	struct twin twin;
	struct capture capture;
	uint32_t count;

	if (argc < 5 || parse_variant(&twin, argv[1]) || parse_mac(twin.mac, argv[2]) ||
	    (twin.sensor == TWIN_I2C) != (argc > 5)) {
		fprintf(stderr, "usage: twin VARIANT MAC CAPTURE COUNT [DEGREES ...]\n");
		return 2;
	}
	if (capture_open(&capture, argv[3]))
		return 2;
	count = (uint32_t)strtoul(argv[4], NULL, 10);
	if (twin.sensor == TWIN_ADC)
		return check_adc(&twin, &capture, count);
	return check_i2c(&twin, &capture, count, argv + 5, argc - 5);
}
