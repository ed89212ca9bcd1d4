/* The mailbox by itself: its order, its bounds, whom it finds, and that nothing is left behind.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <copse/address.h>

#include "gateway/mailbox.h"

#define LIMIT 1000

static const uint64_t key[2] = {7, 8};
static const struct gw_mail_bounds bounds = {.mails = 8, .of_device = 3, .of_account = 5, .message_len = 16};
static struct gw_mailbox *box;
static struct gw_mail *mail;
static copse_ms until;

static int set_up(void **state)
{
	(void)state;
	box = gw_mailbox_new(&bounds, key);
	return box ? 0 : -1;
}

static int tear_down(void **state)
{
	struct gw_mail *m;

	(void)state;
	while ((m = gw_mailbox_first(box)) != NULL)
		gw_mail_end(box, m);
	assert_int_equal(gw_mailbox_count(box), 0);
	assert_int_equal(gw_mailbox_devices(box), 0);
	assert_true(gw_mailbox_deadline(box) == COPSE_NEVER);
	gw_mailbox_free(box);
	gw_mailbox_free(NULL);
	return 0;
}

static struct copse_peer at(const char *address)
{
	struct copse_address a;
	struct copse_peer peer;

	assert_int_equal(copse_address_parse(address, 5683, &a), 0);
	assert_int_equal(copse_peer_from_address(3, &a, &peer), 0);
	return peer;
}

static enum gw_mail_result put(const char *device, const char *address, const char *account, copse_ms ends,
			       const char *text)
{
	struct gw_mail_device d = {.peer = at(address), .secure_port = 5684};
	struct gw_mail_wish wish = {.ends = ends, .len = strlen(text)};

	snprintf(d.name, sizeof(d.name), "%s", device);
	gw_resolve_alias(d.name, strlen(d.name), d.alias);
	snprintf(wish.account, sizeof(wish.account), "%s", account);
	mail = NULL;
	return gw_mailbox_put(box, &d, &wish, text, &mail, &until);
}

static bool says(const struct gw_mail *m, const char *text)
{
	return m && m->wish.len == strlen(text) && memcmp(m->message, text, m->wish.len) == 0;
}

static struct gw_mail_device *device(const char *address)
{
	struct copse_peer peer = at(address);

	return gw_mailbox_at(box, &peer, false);
}

static void test_order_of_one_device(void **state)
{
	(void)state;
	assert_int_equal(put("d1", "192.0.2.1", "a", LIMIT, "one"), GW_MAIL_KEPT);
	assert_int_equal(put("d2", "192.0.2.2", "a", LIMIT, "other"), GW_MAIL_KEPT);
	assert_int_equal(put("d1", "192.0.2.1", "b", LIMIT, "two"), GW_MAIL_KEPT);
	struct gw_mail_device *d = device("192.0.2.1");
	assert_string_equal(d->name, "d1");
	assert_int_equal(d->n, 2);
	struct gw_mail *one = gw_mail_next(box, d);
	assert_true(says(one, "one"));
	gw_mail_send(box, one);
	assert_int_equal(one->state, GW_MAIL_SENDING);
	assert_int_equal(one->attempts, 1);
	assert_null(gw_mail_next(box, d)); /* one at a time */
	assert_true(says(gw_mail_next(box, device("192.0.2.2")), "other"));
	gw_mail_back(box, one);
	assert_ptr_equal(gw_mail_next(box, d), one); /* before the one that came later */
	gw_mail_send(box, one);
	assert_int_equal(one->attempts, 2);
	gw_mail_end(box, one);
	assert_true(says(gw_mail_next(box, d), "two"));
	gw_mail_end(box, gw_mail_next(box, d));
	assert_null(device("192.0.2.1"));
	assert_int_equal(gw_mailbox_count(box), 1);
	assert_int_equal(gw_mailbox_devices(box), 1);
}

static void test_bounds(void **state)
{
	(void)state;
	char name[8], address[24];
	for (copse_ms i = 0; i < 3; i++)
		assert_int_equal(put("d1", "192.0.2.1", "a", LIMIT - i, "x"), GW_MAIL_KEPT);
	assert_int_equal(put("d1", "192.0.2.1", "b", LIMIT, "x"), GW_MAIL_DEVICE_FULL);
	assert_null(mail);
	assert_int_equal(until, LIMIT - 2); /* whichever of the device's ends first */
	for (unsigned i = 0; i < 2; i++) {
		snprintf(address, sizeof(address), "192.0.2.%u", 10 + i);
		assert_int_equal(put("d", address, "a", LIMIT - 7, "x"), GW_MAIL_KEPT);
	}
	assert_int_equal(put("d9", "192.0.2.9", "a", LIMIT, "x"), GW_MAIL_ACCOUNT_FULL);
	assert_int_equal(until, LIMIT - 7);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		snprintf(address, sizeof(address), "192.0.2.%u", 20 + i);
		assert_int_equal(put(name, address, "b", LIMIT + 1, "x"), GW_MAIL_KEPT);
	}
	assert_int_equal(put("f", "192.0.2.30", "c", LIMIT, "x"), GW_MAIL_FULL);
	assert_int_equal(until, LIMIT - 7);
	assert_int_equal(gw_mailbox_count(box), 8);
	assert_int_equal(gw_mailbox_devices(box), 6);
	gw_mail_end(box, gw_mailbox_first(box));
	assert_int_equal(put("f", "192.0.2.30", "c", LIMIT, "x"), GW_MAIL_KEPT);
}

static void test_longest_message(void **state)
{
	(void)state;
	assert_int_equal(put("d1", "192.0.2.1", "a", LIMIT, "0123456789abcdef"), GW_MAIL_KEPT);
	assert_int_equal(put("d1", "192.0.2.1", "a", LIMIT, ""), GW_MAIL_KEPT);
	assert_true(says(gw_mail_next(box, device("192.0.2.1")), "0123456789abcdef"));
}

static void test_time(void **state)
{
	(void)state;
	put("d1", "192.0.2.1", "a", 300, "late");
	put("d1", "192.0.2.1", "a", 200, "early");
	assert_int_equal(gw_mailbox_deadline(box), 200);
	assert_null(gw_mailbox_overdue(box, 199));
	assert_true(says(gw_mailbox_overdue(box, 200), "early"));
	gw_mail_end(box, gw_mailbox_overdue(box, 200));
	gw_mail_send(box, mail = gw_mailbox_first(box));
	assert_true(gw_mailbox_deadline(box) == COPSE_NEVER); /* its time may run out only while it waits */
	assert_null(gw_mailbox_overdue(box, 1000));
	gw_mail_back(box, mail);
	assert_ptr_equal(gw_mailbox_overdue(box, 1000), mail);
}

static void test_who_is_heard(void **state)
{
	(void)state;
	put("d1", "192.0.2.1", "a", LIMIT, "x");
	struct copse_peer other_port = at("192.0.2.1:40000"), other = at("192.0.2.2:5683");
	assert_non_null(device("192.0.2.1:5683"));
	assert_non_null(device("192.0.2.1:5684")); /* secure */
	assert_null(device("192.0.2.1:40000"));
	assert_non_null(gw_mailbox_at(box, &other_port, true));
	assert_null(gw_mailbox_at(box, &other, true));
	/* met by another socket */
	struct copse_peer elsewhere = at("192.0.2.1");
	elsewhere.key[1] ^= 1;
	assert_string_equal(gw_mailbox_at(box, &elsewhere, false)->name, "d1");
	/* where two have one address the port must tell */
	put("d2", "192.0.2.1:5690", "a", LIMIT, "y");
	assert_null(gw_mailbox_at(box, &other_port, true));
	assert_string_equal(device("192.0.2.1:5690")->name, "d2");
	assert_string_equal(device("192.0.2.1")->name, "d1");
	assert_true(gw_mail_same_host(&other_port, &elsewhere));
	assert_false(gw_mail_same_host(&other_port, &other));
	/* a peer that is on no network of IP */
	struct copse_peer strange = {.len = 2, .key = {'n', 1}};
	assert_null(gw_mailbox_at(box, &strange, true));
}

static void test_names(void **state)
{
	(void)state;
	put("0024befffe804ff1", "192.0.2.1", "a", LIMIT, "x");
	assert_null(gw_mailbox_named(box, "d1"));
	assert_string_equal(gw_mailbox_named(box, "0024befffe804ff1")->name, "0024befffe804ff1");
	assert_string_equal(gw_mailbox_named(box, "0024be804ff1")->name, "0024befffe804ff1");
	put("d1", "192.0.2.2", "a", LIMIT, "x");
	assert_string_equal(gw_mailbox_named(box, "d1")->name, "d1");
}

static void test_ids(void **state)
{
	(void)state;
	uint32_t id[4];
	for (unsigned i = 0; i < 3; i++) {
		put("d1", "192.0.2.1", "a", LIMIT, "x");
		id[i] = mail->id;
		assert_ptr_equal(gw_mailbox_find(box, id[i]), mail);
		assert_ptr_equal(gw_mail_of(box, gw_mail_number(box, mail)), mail);
	}
	gw_mail_end(box, gw_mailbox_find(box, id[1]));
	assert_null(gw_mailbox_find(box, id[1]));
	put("d1", "192.0.2.1", "a", LIMIT, "x");
	id[3] = mail->id;
	assert_int_not_equal(id[3], id[1]); /* who still knows the old one means nothing by it */
	assert_null(gw_mailbox_find(box, 0));
	const unsigned expected[] = {0, 2, 3};
	struct gw_mail *m = gw_mailbox_first(box);
	for (unsigned i = 0; i < 3; i++, m = gw_mailbox_after(box, m))
		assert_int_equal(m->id, id[expected[i]]);
	assert_null(m);
}

/* Many come and go, in every order: the tables stay whole. */
static void test_churn(void **state)
{
	(void)state;
	uint32_t seed = 1, kept = 0;
	for (unsigned i = 0; i < 20000; i++) {
		char address[24], account[4], text[8];
		seed = seed * 1664525 + 1013904223;
		snprintf(address, sizeof(address), "192.0.2.%u", 1 + (seed >> 20) % 5);
		snprintf(account, sizeof(account), "%u", (seed >> 16) % 3);
		snprintf(text, sizeof(text), "%u", i % 1000);
		if (put("d", address, account, i + (seed >> 12) % 50, text) == GW_MAIL_KEPT) {
			kept++;
			assert_true(says(mail, text));
		}
		struct gw_mail_device *d = device(address);
		struct gw_mail *next = d ? gw_mail_next(box, d) : NULL;
		if (next && (seed >> 8) % 3 == 0)
			gw_mail_send(box, next);
		else if (d && d->sending && (seed >> 8) % 3 == 1)
			gw_mail_back(box, gw_mail_of(box, d->sending));
		else if (d && d->sending)
			gw_mail_end(box, gw_mail_of(box, d->sending));
		while ((next = gw_mailbox_overdue(box, i)) != NULL)
			gw_mail_end(box, next);
		assert_true(gw_mailbox_devices(box) <= 5);
		assert_true(gw_mailbox_count(box) <= bounds.mails);
	}
	assert_true(kept > 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_order_of_one_device),
	    TEST(test_bounds),
	    TEST(test_longest_message),
	    TEST(test_time),
	    TEST(test_who_is_heard),
	    TEST(test_names),
	    TEST(test_ids),
	    TEST(test_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
