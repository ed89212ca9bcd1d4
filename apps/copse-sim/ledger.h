/* What ways of communicating cost a sleepy device, found out by letting it communicate: a device and an intermediary,
 * each with an endpoint of the core, over a link that loses datagrams, in virtual time. An account is kept of what the
 * device does awake.
 *
 * Nothing here waits, opens or reads a clock. One run is one device; runs share nothing.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_LEDGER_H
#define COPSE_SIM_LEDGER_H

#include <stdint.h>
#include <stdio.h>

/* A radio (or a cable) and the device behind it. Power in mW. */
struct ledger_radio {
	const char *name;
	double rate; /* bit/s */
	double
	    overhead; /* octets on the air with each CoAP message: all headers, and what keeps receivers in step */
	double send_mw, listen_mw, think_mw, sleep_mw;
	double wake_us;    /* from sleep until it can send */
	double make_us;    /* to make a message */
	double latency_us; /* from one end to the other, besides the time on the air */
};

/* "ethernet", "802.15.4" or "ble"; NULL for another name. */
const struct ledger_radio *ledger_radio_find(const char *name);

enum ledger_model {
	LEDGER_SEND_ONLY,
	LEDGER_CONFIRMED,
	LEDGER_SERVER,
	LEDGER_OBSERVED,
	LEDGER_WINDOW,
	LEDGER_IMPLICIT,
	LEDGER_DISCOVERY,
	LEDGER_MODEL_N
};

extern const char *const ledger_model_names[LEDGER_MODEL_N];

#define LEDGER_HOURS_MAX 24000

struct ledger_config {
	const struct ledger_radio *radio;
	double loss; /* chance, 0 to 1, each way */
	uint64_t seed;
	uint32_t hours;     /* 1 to LEDGER_HOURS_MAX */
	uint32_t period_s;  /* from reading to reading, half of it at least and one and a half at most */
	uint32_t window_ms; /* LEDGER_WINDOW: how long it listens in each period */
};

struct ledger_account {
	double awake_s;        /* sending, listening, thinking and waking up */
	double sent, received; /* octets on the air */
	double mj;
	uint32_t readings, delivered; /* taken by the device; known to the intermediary in the end */
	uint32_t registrations;       /* observation requests of the intermediary */
};

/* Let one device with `model` live for `hours`. Returns 0, or -1 without memory. */
int ledger_run(const struct ledger_config *config, enum ledger_model model, struct ledger_account *account);

/* All models, `devices` times each with seeds of their own, as a table. Returns 0, or -1 without memory. */
int ledger_print(const struct ledger_config *config, uint32_t devices, FILE *out);

#endif
