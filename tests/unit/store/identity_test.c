/* Who a reading is from.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include "store/identity.h"

#include <string.h>

static void names_are_cut(void **state)
{
	static const struct {
		const char *text, *device, *name;
	} rows[] = {
	    {"device:0024BEFFFE804FF1:temp", "0024befffe804ff1", "temp"},
	    {"device:00-24-be-80-4f-f1/temp", "0024befffe804ff1", "temp"},
	    {"urn:dev:mac:0024befffe804ff1", "0024befffe804ff1", "value"},
	    {"urn:dev:mac:0024befffe804ff1_temp", "0024befffe804ff1", "temp"},
	    {"urn:dev:mac:0024be804ff1:a/b", "0024befffe804ff1", "a/b"},
	    {"0024befffe804ff1/temp", "0024befffe804ff1", "temp"},
	    {"urn:dev:ow:10E2073A01080063", "urn:dev:ow:10e2073a01080063", "value"},
	    {"urn:dev:ow:10e2073a01080063:voltage", "urn:dev:ow:10e2073a01080063", "voltage"},
	    {"urn:dev:ow:10e2073a0108006:voltage", "urn:dev:ow:10e2073a0108006",
	     "voltage"}, /* 15 digits, as in the RFC */
	    {"urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6:x",
	     "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "x"},
	    {"device:kitchen:temp", "device:kitchen", "temp"},
	    {"2001:db8::2/temperature", "2001:db8::2", "temperature"},
	    {"urn:dev:os:32473-123456/pump", "urn:dev:os:32473-123456", "pump"},
	    {"temp", "", "temp"},
	    {"", "", "value"},
	    {"beef", "", "beef"},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1];
		assert_int_equal(store_identity_cut(rows[i].text, device, name), 0);
		assert_string_equal(device, rows[i].device);
		assert_string_equal(name, rows[i].name);
	}
}

static void what_is_too_long_is_refused(void **state)
{
	char text[400], device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1];
	(void)state;

	memset(text, 'x', sizeof(text));
	text[STORE_DEVICE_MAX] = '/';
	text[STORE_DEVICE_MAX + 1 + STORE_NAME_MAX] = 0;
	assert_int_equal(store_identity_cut(text, device, name), 0);
	assert_int_equal(strlen(device), STORE_DEVICE_MAX);
	assert_int_equal(strlen(name), STORE_NAME_MAX);
	text[STORE_DEVICE_MAX + 1 + STORE_NAME_MAX] = 'x';
	text[STORE_DEVICE_MAX + 2 + STORE_NAME_MAX] = 0;
	assert_int_equal(store_identity_cut(text, device, name), -1);
	text[STORE_DEVICE_MAX] = 'x';
	text[STORE_DEVICE_MAX + 1] = '/';
	text[STORE_DEVICE_MAX + 3] = 0;
	assert_int_equal(store_identity_cut(text, device, name), -1);
	assert_int_equal(store_identity(text, STORE_DEVICE_MAX, device), 0);
	assert_int_equal(store_identity(text, STORE_DEVICE_MAX + 1, device), -1);
	assert_int_equal(store_identity("", 0, device), -1);
}

static void one_device_has_one_identity(void **state)
{
	static const char *const same[] = {"0024befffe804ff1", "00-24-BE-FF-FE-80-4F-F1", "0024be804ff1",
					   "device:0024be804ff1", "urn:dev:mac:0024BEFFFE804FF1"};
	static const uint8_t link_local[16] = {0xfe, 0x80, 0,    0,    0,    0,    0,    0,
					       0x02, 0x24, 0xbe, 0xff, 0xfe, 0x80, 0x4f, 0xf1},
			     global[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	char device[STORE_DEVICE_MAX + 1];
	(void)state;

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		assert_int_equal(store_identity(same[i], strlen(same[i]), device), 0);
		assert_string_equal(device, "0024befffe804ff1");
		assert_true(store_identity_is_eui64(device));
	}
	memset(device, 0, sizeof(device));
	assert_true(store_identity_of_address(link_local, device));
	assert_string_equal(device, "0024befffe804ff1");
	assert_false(store_identity_of_address(global, device));
	assert_false(store_identity_is_eui64("urn:dev:ow:10e2073a01080063"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_are_cut),
	    cmocka_unit_test(what_is_too_long_is_refused),
	    cmocka_unit_test(one_device_has_one_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
