/* The relay that other tests rely on.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct relay {
	pid_t pid;
	FILE *out;
	struct copse_address at;
};

/* Start the relay towards `server` with further arguments in `args`, which ends with NULL. */
static struct relay start(const struct copse_address *server, const char *const *args)
{
	char to[COPSE_ADDRESS_TEXT], line[128];
	const char *argv[20] = {LOSSY_RELAY, "--listen", "127.0.0.1:0", "--to", to};
	struct relay r;
	int ends[2], n = 5;

	copse_address_text(server, to, sizeof to);
	while (*args)
		argv[n++] = *args++;
	assert_int_equal(pipe(ends), 0);
	r.pid = fork();
	if (r.pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(LOSSY_RELAY, (char *const *)(const void *)argv);
		_exit(127);
	}
	close(ends[1]);
	r.out = fdopen(ends[0], "r");
	assert_non_null(fgets(line, sizeof line, r.out));
	assert_memory_equal(line, "listening 127.0.0.1:", 20);
	line[strcspn(line, "\n")] = '\0';
	r.at = address(line + 10, 0);
	assert_int_not_equal(copse_address_port(&r.at), 0);
	return r;
}

/* End it and return what it counted as `name`. */
static unsigned long stop(struct relay *r, const char *name)
{
	char line[128], found[32];
	unsigned long value, result = 999999;
	int status;

	assert_int_equal(kill(r->pid, SIGTERM), 0);
	while (fgets(line, sizeof line, r->out)) {
		if (sscanf(line, "%31s %lu", found, &value) == 2 && strcmp(found, name) == 0)
			result = value;
	}
	fclose(r->out);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_not_equal(result, 999999);
	return result;
}

#define MANY 200

/* Send numbered datagrams through a relay, end it, which makes it pass on all that it has, and write down what has
 * arrived, in order, into `seen`. Returns how many; `*count` is what the relay counted as `name`. */
static size_t through(const char *const *args, int *seen, size_t cap, const char *name, unsigned long *count)
{
	int server = raw_socket("127.0.0.1:0"), client = raw_socket("127.0.0.1:0");
	struct copse_address at = raw_address(server);
	struct relay r = start(&at, args);
	size_t n = 0;

	for (int i = 0; i < MANY; i++)
		raw_send(client, &r.at, &i, sizeof i);
	*count = stop(&r, name);
	while (n < cap && recv(server, &seen[n], sizeof seen[n], MSG_DONTWAIT) == (ssize_t)sizeof seen[n])
		n++;
	close(server);
	close(client);
	return n;
}

static void test_clean(void **state)
{
	static const char *const none[] = {NULL};
	int seen[MANY + 1];
	unsigned long passed;

	(void)state;
	assert_int_equal(through(none, seen, MANY + 1, "passed", &passed), MANY);
	assert_int_equal(passed, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(seen[i], i);
}

/* About as many as asked for are lost; the same ones for the same seed, others for another. */
static void test_loss(void **state)
{
	static const char *const seven[] = {"--loss", "0.3", "--seed", "7", NULL};
	static const char *const eight[] = {"--loss", "30%", "--seed", "8", NULL};
	int a[MANY], b[MANY], c[MANY];
	size_t an, bn, cn;
	unsigned long lost;

	(void)state;
	an = through(seven, a, MANY, "lost", &lost);
	assert_int_equal(an + lost, MANY);
	assert_in_range(lost, MANY / 5, MANY * 2 / 5);
	bn = through(seven, b, MANY, "lost", &lost);
	assert_int_equal(an, bn);
	assert_memory_equal(a, b, an * sizeof a[0]);
	cn = through(eight, c, MANY, "lost", &lost);
	assert_true(an != cn || memcmp(a, c, an * sizeof a[0]) != 0);
}

static void test_all_lost(void **state)
{
	static const char *const all[] = {"--loss", "1", NULL};
	int seen[1];
	unsigned long lost;

	(void)state;
	assert_int_equal(through(all, seen, 1, "lost", &lost), 0);
	assert_int_equal(lost, MANY);
}

static void test_duplicates(void **state)
{
	static const char *const some[] = {"--duplicate", "0.5", "--seed", "3", NULL};
	int seen[2 * MANY];
	unsigned long duplicated;
	size_t n = through(some, seen, 2 * MANY, "duplicated", &duplicated);
	int expected = 0;

	(void)state;
	assert_int_equal(n, MANY + duplicated);
	assert_in_range(duplicated, MANY / 3, MANY * 2 / 3);
	for (size_t i = 0; i < n; i++) {
		assert_true(seen[i] == expected || seen[i] == expected - 1);
		expected = seen[i] + 1;
	}
}

/* Neighbours are swapped; nothing is lost, the last one included. */
static void test_reorder(void **state)
{
	static const char *const some[] = {"--reorder", "0.4", "--seed", "5", NULL};
	int seen[MANY];
	bool there[MANY] = {false};
	unsigned long reordered, swaps = 0;
	size_t n = through(some, seen, MANY, "reordered", &reordered);

	(void)state;
	assert_int_equal(n, MANY);
	for (size_t i = 0; i < n; i++) {
		assert_in_range(seen[i], 0, MANY - 1);
		assert_false(there[seen[i]]);
		there[seen[i]] = true;
		assert_true(abs(seen[i] - (int)i) <= 1);
		swaps += i > 0 && seen[i] < seen[i - 1];
	}
	assert_int_equal(swaps, reordered);
	assert_true(reordered > MANY / 10);
}

/* A delay is met in real time too, without the end that hurries it. */
static void test_delay_passes(void **state)
{
	static const char *const late[] = {"--delay", "5", "--reorder", "1", NULL};
	int server = raw_socket("127.0.0.1:0"), client = raw_socket("127.0.0.1:0");
	struct copse_address at = raw_address(server), from;
	struct relay r = start(&at, late);
	char c;

	(void)state;
	raw_send(client, &r.at, "x", 1);
	assert_int_equal(raw_receive(server, &from, &c, 1), 1);
	assert_int_equal(stop(&r, "passed"), 1);
	close(server);
	close(client);
}

static void test_delay(void **state)
{
	static const char *const late[] = {"--delay", "20",     "--reorder", "0.3", "--duplicate",
					   "0.1",     "--loss", "0.1",       NULL};
	int seen[2 * MANY];
	unsigned long passed;
	size_t n = through(late, seen, 2 * MANY, "passed", &passed);

	(void)state;
	assert_int_equal(n, passed);
	assert_true(n > MANY / 2);
}

/* Two clients are two to the server, and each gets its own answers. */
static void test_clients(void **state)
{
	static const char *const none[] = {NULL};
	int server = raw_socket("127.0.0.1:0"),
	    client[2] = {raw_socket("127.0.0.1:0"), raw_socket("127.0.0.1:0")};
	struct copse_address at = raw_address(server), from[2], answered;
	struct relay r = start(&at, none);
	char c;

	(void)state;
	for (int i = 0; i < 2; i++) {
		raw_send(client[i], &r.at, i ? "b" : "a", 1);
		assert_int_equal(raw_receive(server, &from[i], &c, 1), 1);
		assert_int_equal(c, i ? 'b' : 'a');
	}
	assert_false(copse_address_equal(&from[0], &from[1]));
	raw_send(server, &from[1], "B", 1);
	raw_send(server, &from[0], "A", 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(raw_receive(client[i], &answered, &c, 1), 1);
		assert_int_equal(c, i ? 'B' : 'A');
		assert_true(copse_address_equal(&answered, &r.at));
	}
	raw_send(client[0], &r.at, "c", 1);
	raw_receive(server, &answered, &c, 1);
	assert_true(copse_address_equal(&answered, &from[0]));
	assert_int_equal(stop(&r, "clients"), 2);
	close(server);
	close(client[0]);
	close(client[1]);
}

/* IPv6 behind, and a server that is not there. */
static void test_unreachable(void **state)
{
	static const char *const none[] = {NULL};
	int dead = raw_socket("[::1]:0"), client = raw_socket("127.0.0.1:0"), live = raw_socket("[::1]:0");
	struct copse_address at = raw_address(dead), there = raw_address(live), from;
	struct relay r;
	char c;

	(void)state;
	r = start(&there, none);
	raw_send(client, &r.at, "x", 1);
	assert_int_equal(raw_receive(live, &from, &c, 1), 1);
	assert_int_equal(stop(&r, "passed"), 1);
	close(dead);
	r = start(&at, none);
	raw_send(client, &r.at, "x", 1);
	assert_int_equal(stop(&r, "unreachable"), 1);
	close(client);
	close(live);
}

static void test_usage(void **state)
{
	static const char *const bad[] = {
	    "",
	    "--listen 127.0.0.1:0",
	    "--listen nonsense --to 127.0.0.1:1",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --loss 1.1",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --loss -0.1",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --loss nan",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --loss ''",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --delay x",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 --seed -1",
	    "--listen 127.0.0.1:0 --to 127.0.0.1:1 more",
	    "--listen 192.0.2.77:0 --to 127.0.0.1:1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char command[512];
		int status;

		snprintf(command, sizeof command, "%s %s >/dev/null 2>&1", LOSSY_RELAY, bad[i]);
		status = system(command);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clean),        cmocka_unit_test(test_loss),
	    cmocka_unit_test(test_all_lost),     cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_reorder),      cmocka_unit_test(test_delay),
	    cmocka_unit_test(test_delay_passes), cmocka_unit_test(test_clients),
	    cmocka_unit_test(test_unreachable),  cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
