/* Listeners of several workers at one port.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include <copse/tcp.h>

#include <unistd.h>

#define CLIENTS 64 /* that one of two listeners gets none happens once in 2^63 runs */

static int listen_at(const struct copse_address *at, bool share, bool reuse, struct copse_transport **t)
{
	const struct copse_tcp_config c = {
	    .bind = *at, .server = true, .share_port = share, .reuse_port = reuse, .per_address = CLIENTS};
	char why[256];

	return copse_tcp_open(&c, t, why, sizeof why);
}

static uint32_t connections(struct copse_transport *t)
{
	struct copse_tcp_usage usage;
	struct batch none = batch_new(1, 65536);

	copse_transport_receive(t, none.d, 1, 1);
	batch_free(&none);
	copse_tcp_usage(t, &usage);
	return usage.connections + usage.beginning;
}

/* The first takes the port alone; then who asks for it may share it, and nobody else; each connection is one listener's. */
static void a_port_is_shared(void **state)
{
	struct copse_address at = address("127.0.0.1", 0);
	struct copse_transport *a, *b, *none = NULL;
	int fd[CLIENTS];
	uint32_t of_a = 0, of_b = 0;

	(void)state;
	assert_int_equal(listen_at(&at, true, false, &a), COPSE_OK);
	copse_transport_local(a, NULL, &at);
	assert_int_equal(listen_at(&at, false, false, &none), COPSE_ERR_ARGUMENT);
	assert_int_equal(listen_at(&at, true, false, &none), COPSE_ERR_ARGUMENT);
	assert_int_equal(listen_at(&at, false, true, &b), COPSE_OK);
	a->id = 1;
	b->id = 2;
	for (int i = 0; i < CLIENTS; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[i], &at.sa, at.len), 0);
	}
	while (of_a + of_b < CLIENTS) {
		of_a = connections(a);
		of_b = connections(b);
	}
	assert_true(of_a > 0 && of_b > 0);
	assert_int_equal(of_a + of_b, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* Without sharing nobody else gets the port. */
static void a_port_is_not_shared(void **state)
{
	struct copse_address at = address("127.0.0.1", 0);
	struct copse_transport *a, *none = NULL;

	(void)state;
	assert_int_equal(listen_at(&at, false, false, &a), COPSE_OK);
	copse_transport_local(a, NULL, &at);
	assert_int_equal(listen_at(&at, false, true, &none), COPSE_ERR_ARGUMENT);
	copse_transport_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_port_is_shared),
	    cmocka_unit_test(a_port_is_not_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
