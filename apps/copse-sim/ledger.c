/* The table of the ledger, and the radios. See ledger.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ledger.h"
#include "random.h"

#include <string.h>

/* Ethernet as tiny sensors were first calculated: sending and thinking cost the same, listening a thousandth, sleep
 * nothing; 800 us to wake up, 100 us to make a message. Preamble 8, header and FCS 18, gap 12, IPv6 40, UDP 8.
 * 802.15.4: 250 kbit/s; 17.4, 18.8 and 1.8 mA at 3 V; PHY 6, MAC 23, compressed IPv6 and UDP 10.
 * BLE: 1 Mbit/s; 5.3, 5.4 and 3 mA at 3 V; link layer 10, L2CAP 6, compressed IPv6 and UDP 10. */
static const struct ledger_radio radios[] = {
    {"ethernet", 10e6, 86, 1000, 1, 1000, 0, 800, 100, 900},
    {"802.15.4", 250e3, 39, 52.2, 56.4, 5.4, 0.003, 800, 100, 5000},
    {"ble", 1e6, 26, 15.9, 16.2, 9, 0.006, 800, 100, 10000},
};

const char *const ledger_model_names[LEDGER_MODEL_N] = {
    "send-only",        "send and confirm",      "server",          "observed",
    "observed, window", "implicit subscription", "daily discovery",
};

const struct ledger_radio *ledger_radio_find(const char *name)
{
	for (size_t i = 0; i < sizeof(radios) / sizeof(*radios); i++) {
		if (strcmp(radios[i].name, name) == 0)
			return &radios[i];
	}
	return NULL;
}

static int run_all(const struct ledger_config *config, enum ledger_model model, uint32_t devices,
		   struct ledger_account *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint32_t i = 0; i < devices; i++) {
		struct ledger_config own = *config;
		struct ledger_account one;
		own.seed = sim_mix(config->seed + i * LEDGER_MODEL_N + model);
		if (ledger_run(&own, model, &one) < 0)
			return -1;
		sum->awake_s += one.awake_s;
		sum->sent += one.sent;
		sum->received += one.received;
		sum->mj += one.mj;
		sum->readings += one.readings;
		sum->delivered += one.delivered;
		sum->registrations += one.registrations;
	}
	return 0;
}

int ledger_print(const struct ledger_config *config, uint32_t devices, FILE *out)
{
	double days = config->hours / 24.0 * devices, first = 0;

	fprintf(out,
		"%s, loss %g %% each way, a reading every %u s, %u devices for %u h; for each device and "
		"day:\n\n",
		config->radio->name, config->loss * 100, config->period_s, devices, config->hours);
	fprintf(out, "| model | awake, s | sent, octets | received, octets | energy, J | send-only = 1 | "
		     "delivered | registrations |\n");
	fprintf(out, "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
	for (int m = 0; m < LEDGER_MODEL_N; m++) {
		struct ledger_account sum;
		if (run_all(config, (enum ledger_model)m, devices, &sum) < 0)
			return -1;
		if (m == 0)
			first = sum.mj;
		fprintf(out, "| %s | %.2f | %.0f | %.0f | %.4g | %.3g | %.2f %% | %.1f |\n",
			ledger_model_names[m], sum.awake_s / days, sum.sent / days, sum.received / days,
			sum.mj / 1000 / days, sum.mj / first,
			100.0 * sum.delivered / (sum.readings ? sum.readings : 1),
			(double)sum.registrations / devices);
	}
	return 0;
}
