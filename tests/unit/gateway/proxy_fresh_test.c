/* That nobody who observes through the gateway takes a state for fresh that the device has long left, in virtual time:
 * over links that lose, double, delay and reorder on both sides, with a device that restarts, is silent for a while,
 * and forgets who observes it.
 *
 * Two observers behave as RFC 7641 §3.3.1 and §3.4 say. Whatever happens: what one of them takes for fresh was the
 * device's state at most Max-Age (and what the mesh takes) ago. And when the links are good again, each gets to know
 * the newest state.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/worker_state.h"
#include "world.h"

#define MAX_AGE_S 20
#define DELAY_MS  200
#define REACHES_MS                                                                                           \
	1000 /* every datagram that is not lost arrives within it, the longest held back included */
#define SECONDS_MS 2000 /* Max-Age counts whole seconds, once at each of two servers */
#define VERSIONS   4096

static const char configuration[] =
    "name = \"gw\"\n"
    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
    "sessions {\n idle = 1000000\n}\n"
    "mesh {\n ack_timeout = 2\n max_retransmit = 3\n response_timeout = 30\n}\n"
    "observe {\n observations = 4\n observers = 8\n}\n"
    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n";

/* What happens is the test's own chance, so that the network's is not changed by it. */
static uint64_t chance_state;

static bool chance(double p)
{
	chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
	return (double)(chance_state >> 11) / (double)(UINT64_C(1) << 53) < p;
}

/* ---- the device ---- */

static struct {
	unsigned version;        /* its state is text "v<version>" */
	copse_ms left[VERSIONS]; /* when it went on to the next; COPSE_NEVER: it has not */
	int sequence;
	bool knows; /* that somebody observes */
	char text[16];
	sim_handler *handler;
} node;

static void set_version(unsigned version)
{
	assert_true(version < VERSIONS);
	node.version = version;
	node.left[version] = COPSE_NEVER;
	snprintf(node.text, sizeof(node.text), "v%u", version);
	device[DEVICE1].text = node.text;
}

static void device_is_asked(struct sim_node *n, const struct copse_event *event)
{
	if (event->kind == COPSE_EVENT_REQUEST &&
	    copse_message_uint(event->message, COPSE_OPTION_OBSERVE, 1) == 0)
		node.knows = true;
	device[DEVICE1].observe = node.sequence;
	node.handler(n, event);
}

/* Its state changes; who observes is told, confirmably or not. */
static void change(enum copse_type type)
{
	node.left[node.version] = sim.now;
	set_version(node.version + 1);
	node.sequence++;
	if (node.knows)
		device_notify(DEVICE1, type, COPSE_CODE_CONTENT, node.sequence, node.text);
}

/* It forgets who observes it, counts from the beginning, and has another state. */
static void restart(void)
{
	node.knows = false;
	node.sequence = 0;
	node.left[node.version] = sim.now;
	set_version(node.version + 1);
}

/* ---- observers ---- */

static struct observer {
	enum copse_type type;
	bool observes; /* the last answer said so */
	unsigned version;
	uint32_t sequence;
	copse_ms heard, until; /* fresh until then */
	copse_ms asked;
	uint16_t ids[8]; /* of the last messages, to recognize copies */
	unsigned id_n;
	unsigned told; /* messages taken */
} observer[NODES];

static double client_loss;
static uint16_t next_id;

static bool is_copy(struct observer *o, uint16_t id)
{
	for (unsigned i = 0; i < 8 && i < o->id_n; i++)
		if (o->ids[i] == id)
			return true;
	o->ids[o->id_n++ % 8] = id;
	return false;
}

/* RFC 7641 §3.4 */
static bool is_newer(const struct observer *o, uint32_t sequence)
{
	uint32_t ahead = (sequence - o->sequence) & 0xffffff;

	return !o->observes || (ahead > 0 && ahead < 1u << 23) || sim.now > o->heard + 128000;
}

static void take(struct observer *o, const struct copse_message *m)
{
	const struct copse_option *seq = copse_message_option(m, COPSE_OPTION_OBSERVE);
	uint32_t sequence = seq ? copse_option_uint(m, seq) : 0;
	char text[16];

	o->told++;
	if (!seq || m->code != COPSE_CODE_CONTENT) {
		o->observes = false;
		o->until = sim.now; /* an error, or an answer that nobody will follow: nothing is known */
		return;
	}
	if (!is_newer(o, sequence))
		return;
	snprintf(text, sizeof(text), "%.*s", (int)m->payload_len, (const char *)copse_message_payload(m));
	assert_int_equal(text[0], 'v');
	o->observes = true;
	o->version = (unsigned)strtoul(text + 1, NULL, 10);
	o->sequence = sequence;
	o->heard = sim.now;
	o->until = sim.now + COPSE_SECONDS(copse_message_uint(m, COPSE_OPTION_MAX_AGE, 60));
}

static bool (*world_tap)(struct sim *, const struct sim_node *, const struct copse_peer *, const uint8_t *,
			 size_t);

static bool look(struct sim *s, const struct sim_node *from, const struct copse_peer *to,
		 const uint8_t *bytes, size_t len)
{
	const unsigned number = to->key[1];
	struct copse_message m;

	if (number != ALICE && number != BOB)
		return world_tap(s, from, to, bytes, len);
	struct observer *o = &observer[number];
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	if (chance(client_loss) || m.code == 0)
		return false;
	if (m.type == COPSE_CON && !chance(client_loss)) { /* else the acknowledgement is lost */
		const uint8_t ack[4] = {0x60, 0, (uint8_t)(m.id >> 8), (uint8_t)m.id};
		send_raw(number, ack, sizeof(ack));
	}
	if (!is_copy(o, m.id))
		take(o, &m);
	return false;
}

static void ask_anew(unsigned number)
{
	struct observer *o = &observer[number];

	o->asked = sim.now;
	begin(o->type, COPSE_CODE_GET, ++next_id, number == ALICE ? "al" : "bo");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/state");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	if (chance(client_loss))
		copse_build_finish(&request);
	else
		send_it(number);
}

/* ---- what must hold ---- */

static void must_be_true(unsigned number)
{
	const struct observer *o = &observer[number];

	if (!o->heard || sim.now >= o->until)
		return; /* it knows that it does not know */
	const copse_ms left = node.left[o->version];
	const copse_ms bound = COPSE_SECONDS(MAX_AGE_S) + REACHES_MS + SECONDS_MS;
	if (left != COPSE_NEVER && left + bound < sim.now)
		print_error(
		    "observer %u takes v%u for fresh at %llu until %llu, the device left it at %llu\n",
		    number, o->version, (unsigned long long)sim.now, (unsigned long long)o->until,
		    (unsigned long long)left);
	assert_true(left == COPSE_NEVER || left + bound >= sim.now);
}

/* RFC 7641 §3.3.1: who has not heard for longer than Max-Age and 5 to 15 seconds asks by itself. */
static void live_for(copse_ms span, bool by_themselves)
{
	for (const copse_ms end = sim.now + span; sim.now < end;) {
		run_for(100);
		for (unsigned i = ALICE; i <= BOB; i++) {
			struct observer *o = &observer[i];
			must_be_true(i);
			if (by_themselves && sim.now > o->until + 10000 && sim.now > o->asked + 10000)
				ask_anew(i);
		}
	}
}

static bool know_the_newest(void)
{
	for (unsigned i = ALICE; i <= BOB; i++)
		if (!observer[i].observes || observer[i].version != node.version ||
		    sim.now >= observer[i].until)
			return false;
	return true;
}

static void start(uint64_t seed)
{
	memset(&node, 0, sizeof(node));
	memset(observer, 0, sizeof(observer));
	chance_state = seed * 2654435761u + 1;
	client_loss = 0;
	start_world(configuration, (struct sim_link){.delay_ms = DELAY_MS});
	sim.random ^= seed << 20;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	device[DEVICE1].max_age = MAX_AGE_S;
	device[DEVICE1].etag = "";
	node.handler = sim.node[DEVICE1].handler;
	sim.node[DEVICE1].handler = device_is_asked;
	set_version(1);
	world_tap = sim.tap;
	sim.tap = look;
	observer[ALICE].type = COPSE_CON;
	observer[BOB].type = COPSE_NON;
	ask_anew(ALICE);
	live_for(2000, false);
	ask_anew(BOB);
	live_for(2000, false);
	assert_true(know_the_newest());
}

/* ---- the tests ---- */

static void chaos(void)
{
	chance(0.5);
	switch (chance_state >> 60) {
	case 0:
	case 1:
	case 2:
	case 3: change(COPSE_NON); break;
	case 4:
	case 5: change(COPSE_CON); break;
	case 6: restart(); break;
	case 7: device[DEVICE1].behaviour = SILENT; break;
	case 8:
	case 9: sim.node[DEVICE1].dead = !sim.node[DEVICE1].dead; break;
	case 10: client_loss = client_loss > 0 ? 0 : 0.4; break;
	default:
		device[DEVICE1].behaviour = ANSWER;
		sim.node[DEVICE1].dead = false;
		break;
	}
}

/* A quarter of an hour of all of it, and then good links. */
static void test_whatever_happens(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		start(seed);
		sim.link =
		    (struct sim_link){.loss = 0.25, .duplicate = 0.1, .reorder = 0.2, .delay_ms = DELAY_MS};
		client_loss = 0.3;
		for (unsigned i = 0; i < 150; i++) {
			if (chance(0.6))
				chaos();
			live_for(6000, true);
		}
		sim.link = (struct sim_link){.delay_ms = DELAY_MS};
		client_loss = 0;
		device[DEVICE1].behaviour = ANSWER;
		sim.node[DEVICE1].dead = false;
		live_for(200000, true); /* until what was under way is over */
		for (unsigned i = 0; i < 50 && !know_the_newest(); i++)
			live_for(100, false); /* it may be just between Max-Age and the new registration */
		assert_true(know_the_newest());
		change(COPSE_NON);
		live_for(1000, false);
		assert_true(know_the_newest());
		assert_true(observer[ALICE].told > 10 && observer[BOB].told > 10);
		end_world();
	}
}

/* A device that restarts is noticed at the end of Max-Age, and nobody has to ask by himself. */
static void test_restart_is_noticed(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		start(seed);
		for (unsigned i = 0; i < 5; i++)
			change(COPSE_NON); /* its numbers are high before, and low behind it */
		live_for(1000, false);
		assert_true(know_the_newest());
		restart();
		assert_false(know_the_newest());
		live_for(COPSE_SECONDS(MAX_AGE_S) + 6000, false);
		assert_true(node.knows);
		assert_true(know_the_newest());
		change(COPSE_NON); /* and what it says from now on arrives, low numbers or not */
		live_for(1000, false);
		assert_true(know_the_newest());
		end_world();
	}
}

/* A notification that is lost is made up for at the end of Max-Age. */
static void test_loss_is_noticed(void **state)
{
	(void)state;
	start(1);
	sim.link.loss = 1;
	change(COPSE_NON);
	run_for(1000);
	sim.link.loss = 0;
	assert_false(know_the_newest());
	live_for(COPSE_SECONDS(MAX_AGE_S) + 5000, false);
	assert_true(know_the_newest());
	end_world();
}

/* Between the end of Max-Age and the answer to the new registration nobody holds anything for fresh, and this is short. */
static void test_the_gap(void **state)
{
	copse_ms without = 0;

	(void)state;
	start(1);
	for (unsigned i = 0; i < 10000; i++) {
		run_for(100);
		must_be_true(ALICE);
		must_be_true(BOB);
		without = sim.now < observer[BOB].until ? 0 : without + 100;
		assert_true(without <= 1000 + 3000 + 2 * DELAY_MS + 200);
	}
	assert_true(gw_worker_counters(worker)->observe_stale >
		    30); /* the device never said anything by itself */
	assert_int_equal(gw_worker_counters(worker)->observe_ended, 0);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_gap),
	    cmocka_unit_test(test_loss_is_noticed),
	    cmocka_unit_test(test_restart_is_noticed),
	    cmocka_unit_test(test_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
