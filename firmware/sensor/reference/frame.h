/* SPDX-License-Identifier: BSD-2-Clause */
/* The C twin of the send-only sensor: the same frames, written as RFCs 2464, 4291, 768, 7252 and 8428 ask, with the
 * checksum added up over all octets. Nothing is shared with the assembler. No state, no I/O, no memory of its own. */
#ifndef SENSOR_REFERENCE_FRAME_H
#define SENSOR_REFERENCE_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum twin_format { TWIN_XML, TWIN_SENML_XML, TWIN_SENML_JSON, TWIN_SENML_CBOR, TWIN_BINARY, TWIN_COUNTED };
enum twin_sensor { TWIN_I2C, TWIN_ADC };

struct twin {
	enum twin_format format;
	enum twin_sensor sensor;
	uint8_t mac[6];
	int hardware; /* the token makes up for the identity, too */
};

#define TWIN_FRAME_MAX 256

/* The Ethernet frame (without FCS) of message `number`, from 1 on, with reading `value`: degrees -128 to 127, or
 * counts 0 to 1023. `frame` holds TWIN_FRAME_MAX octets. Returns its length, never 0. */
size_t twin_frame(const struct twin *twin, uint32_t number, int value, uint8_t *frame);

/* What the emulated ADC gives on the first read after each time-out: pseudo-random from 512 to 519, two samples
 * a time-out, 16 of them kept. QEMU's -icount with sleep=off lets the timer run out twice for each time that the processor
 * wakes, so that there are four. All zero but `samples` before the first use. */
struct twin_adc {
	unsigned samples; /* taken for each read, at least 1 */
	uint32_t noise;
	uint32_t first, kept;
	uint16_t fifo[16];
};

int twin_adc_read(struct twin_adc *adc);

#endif
