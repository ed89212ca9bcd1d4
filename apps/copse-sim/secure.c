/* See secure.h. The keys come from the seed, as everything of the neighbourhood does: they are no secrets.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "secure.h"
#include "random.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LEN 16

static void make_key(const struct sim_options *options, uint64_t mac, uint8_t key[KEY_LEN])
{
	for (int half = 0; half < 2; half++) {
		uint64_t x = sim_mix(sim_mix(options->seed + (uint64_t)half) ^ mac);

		for (int i = 0; i < 8; i++)
			key[8 * half + i] = (uint8_t)(x >> (56 - 8 * i));
	}
}

struct copse_transport *sim_secure_open(const struct sim_options *options, const struct copse_udp_config *udp,
					uint64_t mac, char *why, size_t why_cap)
{
	struct copse_dtls_config config = {
	    .udp = *udp, .associations = 4, .handshakes = 4, .retransmit_ms = 2000};
	struct copse_transport *t = NULL;
	char name[17], reason[COPSE_SECURE_WHY];
	uint8_t key[KEY_LEN];
	uint16_t port = options->secure_port;

	/* with one address for all, ports go up as those in the clear do */
	if (port && options->port)
		port = (uint16_t)(port + copse_address_port(&udp->bind) - options->port);
	copse_address_set_port(&config.udp.bind, port);
	snprintf(name, sizeof(name), "%016" PRIx64, mac);
	make_key(options, mac, key);
	config.secure = copse_secure_new(true);
	if (!config.secure || copse_secure_psk(config.secure, NULL, name, 16, key, sizeof(key)) != 0 ||
	    copse_secure_finish(config.secure, reason) != 0)
		snprintf(why, why_cap, "out of memory");
	else
		copse_dtls_open(&config, &t, why, why_cap);
	copse_secure_unref(config.secure);
	return t;
}

int sim_secure_write(const struct sim_options *options, const uint64_t *mac, uint32_t n, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *out = fd < 0 || fchmod(fd, 0600) != 0 ? NULL : fdopen(fd, "w");

	if (!out) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t key[KEY_LEN];

		make_key(options, mac[i], key);
		fprintf(out, "%016" PRIx64 ":", mac[i]);
		for (int j = 0; j < KEY_LEN; j++)
			fprintf(out, "%02x", key[j]);
		fputc('\n', out);
	}
	return fclose(out);
}
