/* SenML in its three representations: RFC 8428's own examples, each rule, faults that are named, bounds, and back again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include "store/identity.h"
#include "store/senml.h"

#include <copse/format.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON COPSE_FORMAT_SENML_JSON
#define XML  COPSE_FORMAT_SENML_XML
#define CBOR COPSE_FORMAT_SENML_CBOR

#define NOW ((int64_t)1700000000 * 1000000)

static char text[1 << 20];

/* The records of a pack as text, or the fault. */
static const char *decode(uint32_t format, const void *bytes, size_t len)
{
	struct senml_pack pack;
	struct senml_fault fault;
	size_t at = 0;

	text[0] = 0;
	if (senml_decode(format, bytes, len, NOW, &pack, &fault) != 0) {
		assert_null(pack.record);
		snprintf(text, sizeof(text), "%d: %s",
			 fault.record == SENML_NO_RECORD ? -1 : (int)fault.record, fault.text);
		return text;
	}
	for (uint32_t i = 0; i < pack.n; i++) {
		const struct senml_record *r = &pack.record[i];
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s@%" PRId64 "%s", r->name,
				       r->time == NOW ? 0 : r->time / 1000, r->unit[0] ? " " : "");
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", r->unit);
		switch (r->kind) {
		case STORE_NUMBER:
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %.12g", r->number);
			break;
		case STORE_BOOL:
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       r->number != 0 ? " true" : " false");
			break;
		case STORE_TEXT:
			at += (size_t)snprintf(text + at, sizeof(text) - at, " '%.*s'", (int)r->len,
					       (const char *)r->bytes);
			break;
		case STORE_DATA:
			for (uint32_t j = 0; j < r->len; j++)
				at += (size_t)snprintf(text + at, sizeof(text) - at, " %02x", r->bytes[j]);
			break;
		default: break;
		}
		if (r->has_sum)
			at += (size_t)snprintf(text + at, sizeof(text) - at, " sum %.12g", r->sum);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "\n");
	}
	senml_pack_free(&pack);
	return text;
}

static const char *decode_text(uint32_t format, const char *pack)
{
	return decode(format, pack, strlen(pack));
}

/* --- RFC 8428 --- */

/* clang-format off */
#define OW "urn:dev:ow:10e2073a01080063"

static const char several[] = "urn:dev:ow:10e2073a0108006:voltage@1276020076001 V 120.1\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020071001 A 1.2\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020072001 A 1.3\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020073001 A 1.4\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020074001 A 1.5\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020075001 A 1.6\n"
			      "urn:dev:ow:10e2073a0108006:current@1276020076001 A 1.7\n";

static void examples_in_json(void **state)
{
	(void)state;
	assert_string_equal(decode_text(JSON, "[{\"n\":\"" OW "\",\"u\":\"Cel\",\"v\":23.1}]"), /* §5.1.1 */
			    OW "@0 Cel 23.1\n");
	assert_string_equal(decode_text(JSON,
					"[{\"bn\":\"" OW ":\",\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1},"
					"{\"n\":\"current\",\"u\":\"A\",\"v\":1.2}]"), /* §5.1.2 */
			    OW ":voltage@0 V 120.1\n" OW ":current@0 A 1.2\n");
	assert_string_equal(
	    decode_text(JSON,
			"[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"bt\":1.276020076001e+09,"
			"\"bu\":\"A\",\"bver\":5,\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1},"
			"{\"n\":\"current\",\"t\":-5,\"v\":1.2},{\"n\":\"current\",\"t\":-4,\"v\":1.3},"
			"{\"n\":\"current\",\"t\":-3,\"v\":1.4},{\"n\":\"current\",\"t\":-2,\"v\":1.5},"
			"{\"n\":\"current\",\"t\":-1,\"v\":1.6},{\"n\":\"current\",\"v\":1.7}]"), /* §5.1.2 */
	    several);
	assert_string_equal(
	    decode_text(JSON, "[{\"bn\":\"" OW "\",\"bt\":1.320067464e+09,\"bu\":\"%RH\",\"v\":20},"
			      "{\"u\":\"lon\",\"v\":24.30621},{\"u\":\"lat\",\"v\":60.07965},"
			      "{\"t\":60,\"v\":20.3},{\"u\":\"%EL\",\"t\":150,\"v\":98}]"), /* from §5.1.3 */
	    OW "@1320067464000 %RH 20\n" OW "@1320067464000 lon 24.30621\n" OW "@1320067464000 lat 60.07965\n" OW
	       "@1320067524000 %RH 20.3\n" OW "@1320067614000 %EL 98\n");
	assert_string_equal(decode_text(JSON, "[{\"bn\":\"" OW ":\",\"n\":\"temp\",\"u\":\"Cel\",\"v\":23.1},"
					      "{\"n\":\"label\",\"vs\":\"Machine Room\"},"
					      "{\"n\":\"open\",\"vb\":false},"
					      "{\"n\":\"nfc-reader\",\"vd\":\"aGkgCg\"}]"), /* §5.1.5 */
			    OW ":temp@0 Cel 23.1\n" OW ":label@0 'Machine Room'\n" OW ":open@0 false\n" OW
			       ":nfc-reader@0 68 69 20 0a\n");
	assert_string_equal(decode_text(JSON, "[{\"bn\":\"2001:db8::2/\",\"bt\":1.320078429e+09,"
					      "\"n\":\"temperature\",\"u\":\"Cel\",\"v\":27.2},"
					      "{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":80}]"), /* §5.1.6 */
			    "2001:db8::2/temperature@1320078429000 Cel 27.2\n"
			    "2001:db8::2/humidity@1320078429000 %RH 80\n");
	assert_string_equal(decode_text(JSON, "[{\"bn\":\"" OW ":\"},{\"n\":\"temp\",\"u\":\"Cel\",\"v\":23.1},"
					      "{\"n\":\"heat\",\"u\":\"/\",\"v\":1},"
					      "{\"n\":\"fan\",\"u\":\"/\",\"v\":0}]"), /* §5.1.7 */
			    OW ":temp@0 Cel 23.1\n" OW ":heat@0 / 1\n" OW ":fan@0 / 0\n");
}

static void the_example_in_xml(void **state)
{
	(void)state;
	assert_string_equal(
	    decode_text(XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\">"
			     "<senml bn=\"urn:dev:ow:10e2073a0108006:\" bt=\"1.276020076001e+09\" bu=\"A\" bver=\"5\" "
			     "n=\"voltage\" u=\"V\" v=\"120.1\"></senml>"
			     "<senml n=\"current\" t=\"-5\" v=\"1.2\"></senml>"
			     "<senml n=\"current\" t=\"-4\" v=\"1.3\"></senml>"
			     "<senml n=\"current\" t=\"-3\" v=\"1.4\"></senml>"
			     "<senml n=\"current\" t=\"-2\" v=\"1.5\"></senml>"
			     "<senml n=\"current\" t=\"-1\" v=\"1.6\"></senml>"
			     "<senml n=\"current\" v=\"1.7\"></senml></sensml>"), /* §7 */
	    several);
	/* as the firmware of a sensor aligns it */
	assert_string_equal(decode_text(XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\">"
					     "<senml n=\"a\" v=\"  21\"/><senml n=\"b\" vb=\" 1\n\"/></sensml>"),
			    "a@0 21\nb@0 true\n");
}

/* §6: the same pack, as its diagnostic notation has it. */
static const uint8_t cbor_several[] = {
    0x87, 0xa7, 0x21, 0x78, 0x1b, 'u',  'r',  'n',  ':',  'd',  'e',  'v',  ':',  'o',  'w',  ':',  '1',
    '0',  'e',  '2',  '0',  '7',  '3',  'a',  '0',  '1',  '0',  '8',  '0',  '0',  '6',  ':',  0x22, 0xfb,
    0x41, 0xd3, 0x03, 0xa1, 0x5b, 0x00, 0x10, 0x62, 0x23, 0x61, 'A',  0x20, 0x05, 0x00, 0x67, 'v',  'o',
    'l',  't',  'a',  'g',  'e',  0x01, 0x61, 'V',  0x02, 0xfb, 0x40, 0x5e, 0x06, 0x66, 0x66, 0x66, 0x66,
    0x66, 0xa3, 0x00, 0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06, 0x24, 0x02, 0xfb, 0x3f, 0xf3,
    0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0xa3, 0x00, 0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06,
    0x23, 0x02, 0xfb, 0x3f, 0xf4, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcd, 0xa3, 0x00, 0x67, 'c',  'u',  'r',
    'r',  'e',  'n',  't',  0x06, 0x22, 0x02, 0xfb, 0x3f, 0xf6, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0xa3,
    0x00, 0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06, 0x21, 0x02, 0xf9, 0x3e, 0x00, 0xa3, 0x00,
    0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06, 0x20, 0x02, 0xfb, 0x3f, 0xf9, 0x99, 0x99, 0x99,
    0x99, 0x99, 0x9a, 0xa3, 0x00, 0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06, 0x00, 0x02, 0xfb,
    0x3f, 0xfb, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33,
};

static void the_example_in_cbor(void **state)
{
	(void)state;
	assert_string_equal(decode(CBOR, cbor_several, sizeof(cbor_several)), several);
}

/* clang-format on */

/* Each prefix of a pack ends too early; AddressSanitizer watches that nothing behind it is read. */
static void prefixes_are_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(cbor_several); len++) {
		uint8_t *copy = malloc(len ? len : 1);
		memcpy(copy, cbor_several, len);
		assert_non_null(strstr(decode(CBOR, copy, len), "too early"));
		free(copy);
	}
	static const char json[] = "[{\"n\":\"a\",\"v\":1}]";
	for (size_t len = 0; len + 1 < sizeof(json); len++)
		assert_int_equal(decode(JSON, json, len)[0], '-');
	static const char xml[] =
	    "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" v=\"1\"/></sensml>";
	for (size_t len = 0; len + 1 < sizeof(xml); len++)
		assert_int_equal(decode(XML, xml, len)[0], '-');
}

/* --- each rule --- */

static void values_and_times_resolve(void **state)
{
	static const struct {
		const char *pack, *expected;
	} rows[] = {
	    {"[{\"bv\":10,\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":-2}]", "a@0 11\nb@0 8\n"},
	    {"[{\"bs\":10,\"n\":\"a\",\"s\":1},{\"n\":\"b\",\"v\":2}]", "a@0 sum 11\nb@0 2 sum 10\n"},
	    {"[{\"n\":\"a\",\"s\":5,\"vs\":\"\"}]", "a@0 '' sum 5\n"},
	    /* relative below 2^28, absolute from there on (§4.5.3) */
	    {"[{\"n\":\"a\",\"v\":1,\"t\":-60}]", "a@1699999940000 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"t\":10}]", "a@1700000010000 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"t\":268435455}]", "a@1968435455000 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"t\":268435456}]", "a@268435456000 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"bt\":268435450,\"t\":6}]", "a@268435456000 1\n"},
	    /* base fields hold until they are replaced */
	    {"[{\"bn\":\"x:\",\"bu\":\"V\",\"n\":\"a\",\"v\":1},{\"bn\":\"y:\",\"n\":\"a\",\"v\":1},{\"n\":"
	     "\"b\",\"u\":\"W\",\"v\":1}]",
	     "x:a@0 V 1\ny:a@0 V 1\ny:b@0 W 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"ut\":60,\"extra\":{\"k\":[]}}]", "a@0 1\n"},
	    {"[{\"n\":\"a\",\"v\":1,\"bver\":10},{\"n\":\"b\",\"v\":2}]", "a@0 1\nb@0 2\n"},
	    {"[{\"v\":1}]", "@0 1\n"}, /* the sender is named by its address */
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(decode_text(JSON, rows[i].pack), rows[i].expected);
}

static void faults_name_the_record(void **state)
{
	static const struct {
		uint32_t format;
		const char *pack, *expected;
	} rows[] = {
	    {JSON, "[]", "-1: the pack has no record with a value"},
	    {JSON, "[{\"bn\":\"a:\"}]", "-1: the pack has no record with a value"},
	    {JSON, "{}", "-1: the pack is no array"},
	    {JSON, "[{\"n\":\"a\",\"v\":1},7]", "1: this is no object"},
	    {JSON, "[{}]", "0: the record is empty"},
	    {JSON, "[{\"n\":\"a\",\"v\":1},{\"n\":\"b\"}]", "1: the record has neither a value nor a sum"},
	    {JSON, "[{\"n\":\"a\",\"v\":1,\"vs\":\"x\"}]", "0: the record has more than one value"},
	    {JSON, "[{\"n\":\"a\",\"v\":\"1\"}]", "0: \"v\" is no number"},
	    {JSON, "[{\"n\":\"a\",\"vb\":1}]", "0: \"vb\" is no boolean"},
	    {JSON, "[{\"n\":\"a\",\"vd\":\"a\"}]", "0: \"vd\" is not in base64url"},
	    {JSON, "[{\"n\":\"a\",\"vd\":\"!!!!\"}]", "0: \"vd\" is not in base64url"},
	    {JSON, "[{\"n\":7,\"v\":1}]", "0: \"n\" is no string"},
	    {JSON, "[{\"n\":\"a\",\"v\":1,\"must_\":1}]", "0: \"must_\" must be understood, and is not"},
	    {JSON, "[{\"n\":\"a\",\"v\":1,\"bver\":11}]", "0: the base version is not 1 to 10"},
	    {JSON, "[{\"n\":\"a\",\"v\":1,\"bver\":5},{\"n\":\"a\",\"v\":1,\"bver\":6}]",
	     "1: the base version differs from that of records before"},
	    {JSON, "[{\"n\":\"a\",\"v\":1},{\"n\":\"a\",\"v\":1,\"bver\":5}]",
	     "1: the base version differs from that of records before"},
	    {JSON, "[{\"n\":\"-a\",\"v\":1}]",
	     "0: the name has other characters than letters, digits and -:./_, or begins with these"},
	    {JSON, "[{\"n\":\"a b\",\"v\":1}]",
	     "0: the name has other characters than letters, digits and -:./_, or begins with these"},
	    {JSON, "[{\"n\":\"a\",\"v\":1,\"t\":1e300}]", "0: the time is beyond the year 9999"},
	    {JSON, "[{\"n\":\"a\",\"bv\":1e308,\"v\":1e308}]", "0: the value is not finite"},
	    {XML, "<sensml><senml n=\"a\" v=\"1\"/></sensml>",
	     "-1: the root is not sensml of urn:ietf:params:xml:ns:senml"},
	    {XML, "<!DOCTYPE sensml [<!ENTITY a \"b\">]><sensml/>", "-1: a document type is not allowed"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" v=\"0x1\"/></sensml>",
	     "0: v is no number"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" v=\"inf\"/></sensml>",
	     "0: v is no number"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" vb=\"yes\"/></sensml>",
	     "0: vb is no boolean"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" v=\"1 2\"/></sensml>",
	     "0: v is no number"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" v=\" \"/></sensml>",
	     "0: v is no number"},
	    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\" vb=\"true 1\"/></sensml>",
	     "0: vb is no boolean"},
	    {0, "x", "-1: the Content-Format is none of SenML"},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(decode_text(rows[i].format, rows[i].pack), rows[i].expected);
}

static void cbor_takes_what_cbor_has(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *expected;
	} rows[] = {
#define ROW(bytes, expected) {bytes, sizeof(bytes) - 1, expected}
	    ROW("\x9f\xbf\x00\x61\x61\x02\x18\x64\xff\xff", "a@0 100\n"),            /* indefinite lengths */
	    ROW("\x81\xa2\x00\x61\x61\x02\xc4\x82\x21\x19\x6a\xb3", "a@0 273.15\n"), /* 4([-2, 27315]) */
	    ROW("\x81\xa2\x00\x61\x61\x02\xc4\x82\x02\x03", "a@0 300\n"),            /* 4([2, 3]) */
	    ROW("\x81\xa2\x00\x61\x61\x02\x3b\x00\x00\x00\x00\x00\x00\x00\x09", "a@0 -10\n"),
	    ROW("\x81\xa2\x00\x61\x61\x04\xf5", "a@0 true\n"),
	    ROW("\x81\xa2\x00\x61\x61\x08\x42\x01\xff", "a@0 01 ff\n"),
	    ROW("\x81\xa3\x00\x61\x61\x02\x01\x63\x66\x6f\x6f\x82\x01\xa1\x02\x03",
		"a@0 1\n"), /* skipped: "foo": [1, {2: 3}] */
	    ROW("\x81\xa3\x00\x61\x61\x02\x01\x64\x66\x6f\x6f\x5f\x01",
		"0: \"foo_\" must be understood, and is not"),
	    ROW("\x81\xa2\x61\x6e\x61\x61\x61\x76\x01", "a@0 1\n"), /* labels as in JSON */
	    ROW("\x81\xa3\x00\x61\x61\x02\x01\x02\x02", "0: a label occurs twice"),
	    ROW("\x81\xa2\x00\x61\x61\x02\x61\x31", "0: a value is no number"),
	    ROW("\x81\xa2\x00\x61\x61\x02\xc4\x82\x21\xf9\x3e\x00",
		"0: a decimal fraction is not of integers"),
	    ROW("\x81\xa2\x00\x61\x61\x02\xf9\x7e\x00", "0: the value is not finite"), /* NaN */
	    ROW("\x81\xa2\x00\x61\x61\x03\x62\xc3\xa9", "a@0 '\xc3\xa9'\n"),
	    ROW("\x81\xa2\x00\x61\x61\x03\x62\xc3\x41", "0: a text is not in UTF-8"),
	    ROW("\x81\xa2\x00\x61\x61\x03\x63\xed\xa0\x80", "0: a text is not in UTF-8"), /* a surrogate */
	    ROW("\x81\xa3\x00\x61\x61\x02\x01\x01\x61\xff", "0: a text is not in UTF-8"),
	    ROW("\x80\x00", "-1: something stands behind the pack"),
	    ROW("\x9b\x00\x00\x00\xff\xff\xff\xff\xff", "-1: the CBOR ends too early, in record 0"),
	    ROW("\x81\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "-1: the CBOR ends too early, in record 0"),
	    ROW("\x81\xa2\x00\x7b\xff\xff\xff\xff\xff\xff\xff\xff\x61",
		"-1: the CBOR ends too early, in record 0"),
	    ROW("\xa0", "-1: the pack is no array"),
	    ROW("\x81\x01", "0: this is no map"),
#undef ROW
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(decode(CBOR, rows[i].bytes, rows[i].len), rows[i].expected);
}

static void nesting_is_bounded(void **state)
{
	static char pack[300000];
	size_t len = 0;
	(void)state;

	memcpy(pack, "\x81\xa1\x61x", 4);
	for (len = 4; len < 100000; len++)
		pack[len] = (char)0x81;
	assert_string_equal(decode(CBOR, pack, len), "0: the CBOR is nested too deeply");
	memset(pack, '[', 100000);
	assert_int_equal(decode(JSON, pack, 100000)[0], '-');
	len = (size_t)snprintf(pack, sizeof(pack), "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\">");
	for (int i = 0; i < 20; i++)
		len += (size_t)snprintf(pack + len, sizeof(pack) - len, "<a>");
	assert_string_equal(decode(XML, pack, len), "0: the XML is nested too deeply");
}

static void packs_of_64_kb(void **state)
{
	static char pack[SENML_BYTES_MAX + 2];
	size_t len = 1;
	unsigned n = 0;
	(void)state;

	pack[0] = '[';
	while (len < 65536 - 64) {
		len += (size_t)snprintf(pack + len, sizeof(pack) - len, "%s{\"n\":\"sensor%u\",\"v\":%u}",
					n ? "," : "", n, n);
		n++;
	}
	len += (size_t)snprintf(pack + len, sizeof(pack) - len, "]");
	decode(JSON, pack, len);
	unsigned lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, n);
	memset(pack, ' ', sizeof(pack));
	assert_string_equal(decode(JSON, pack, SENML_BYTES_MAX + 1),
			    "-1: the pack is longer than 262144 bytes");
	/* one record too many */
	len = 1;
	pack[0] = (char)0x9f;
	for (n = 0; n <= SENML_RECORDS_MAX; n++) {
		memcpy(pack + len, "\xa2\x00\x61x\x02\x01", 6);
		len += 6;
	}
	pack[len++] = (char)0xff;
	assert_string_equal(decode(CBOR, pack, len), "-1: the pack has more than 16384 records");
}

/* --- and back --- */

static const struct store_reading samples[] = {
    {.device = "0024befffe804ff1",
     .name = "temp",
     .unit = "Cel",
     .time = NOW + 500000,
     .kind = STORE_NUMBER,
     .number = 0.1},
    {.device = "0024befffe804ff1",
     .name = "energy",
     .unit = "J",
     .time = NOW + 1,
     .kind = STORE_NUMBER,
     .number = -1e300,
     .has_sum = true,
     .sum = 3},
    {.device = "urn:dev:ow:10e2073a01080063",
     .name = "open",
     .unit = "",
     .time = NOW + 1000000,
     .kind = STORE_BOOL,
     .number = 1},
    {.device = "urn:dev:ow:10e2073a01080063",
     .name = "label",
     .unit = "",
     .time = NOW + 1000000,
     .kind = STORE_TEXT,
     .bytes = (const uint8_t *)"<a & \"b\">\n\\ \xc3\xa9",
     .len = 14},
    {.device = "2001:db8::2",
     .name = "raw",
     .unit = "",
     .time = NOW + 1000000,
     .kind = STORE_DATA,
     .bytes = (const uint8_t *)"\0\1\xff\xfe",
     .len = 4},
};

static void what_is_written_is_read_again(void **state)
{
	static const uint32_t formats[] = {JSON, XML, CBOR};
	(void)state;

	for (size_t f = 0; f < 3; f++) {
		struct store_buffer out = {.max = 100000};
		struct senml_writer w = {.format = formats[f], .out = &out};
		struct senml_pack pack;
		struct senml_fault fault;
		for (size_t i = 0; i < 5; i++)
			senml_encode_reading(&w, &samples[i]);
		senml_encode_end(&w);
		assert_false(out.failed);
		int err = senml_decode(formats[f], out.at, out.len, 0, &pack, &fault);
		if (err)
			fail_msg("format %u, record %u: %s", formats[f], fault.record, fault.text);
		assert_int_equal(pack.n, 5);
		for (size_t i = 0; i < 5; i++) {
			const struct senml_record *r = &pack.record[i];
			const struct store_reading *s = &samples[i];
			char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1];
			assert_int_equal(store_identity_cut(r->name, device, name), 0);
			assert_string_equal(device, s->device);
			assert_string_equal(name, s->name);
			assert_string_equal(r->unit, s->unit);
			assert_int_equal(r->kind, s->kind);
			assert_true(r->number == s->number);
			assert_int_equal(r->has_sum, s->has_sum);
			assert_true(r->sum == s->sum);
			assert_int_equal(r->len, s->len);
			assert_memory_equal(r->bytes ? (const char *)r->bytes : "",
					    s->bytes ? (const char *)s->bytes : "", s->len);
			assert_int_equal(r->time, s->time); /* to the microsecond, in a double too */
		}
		senml_pack_free(&pack);
		store_buffer_free(&out);
	}
}

static void packs_without_records_are_well_formed(void **state)
{
	static const struct {
		uint32_t format;
		const char *expected;
	} rows[] = {{JSON, "[]"},
		    {XML, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"></sensml>"},
		    {CBOR, "\x9f\xff"}};
	(void)state;

	for (size_t i = 0; i < 3; i++) {
		struct store_buffer out = {.max = 1000};
		struct senml_writer w = {.format = rows[i].format, .out = &out};
		senml_encode_end(&w);
		assert_int_equal(out.len, strlen(rows[i].expected));
		assert_memory_equal(out.at, rows[i].expected, out.len);
		store_buffer_free(&out);
	}
}

/* RFC 8428 §4.5.1, for each octet at the beginning of a name and behind it. */
static void names_have_the_characters_of_the_standard(void **state)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char behind[] = "-:./_";
	(void)state;

	assert_true(senml_is_name(""));
	for (int c = 1; c < 256; c++) {
		const char alone[] = {(char)c, 0}, second[] = {'a', (char)c, 0},
			   third[] = {'a', '-', (char)c, 0};
		const bool is_first = strchr(first, c) != NULL,
			   is_any = is_first || strchr(behind, c) != NULL;
		assert_int_equal(senml_is_name(alone), is_first);
		assert_int_equal(senml_is_name(second), is_any);
		assert_int_equal(senml_is_name(third), is_any);
	}
}

/* A short pack has its memory inside, a longer one outside, the second record takes it there: each byte is what it was. */
static void short_packs_and_long_ones_are_alike(void **state)
{
	(void)state;
	for (unsigned len = 1; len <= 300; len++) {
		for (unsigned n = 1; n <= 10; n += n == 1 ? 1 : 8) {
			static char pack[16384];
			struct senml_pack out;
			struct senml_fault fault;
			size_t at = 0;
			for (unsigned i = 0; i < n; i++) {
				at += (size_t)snprintf(pack + at, sizeof(pack) - at,
						       "%c{\"n\":\"n%u\",\"u\":\"K\",\"vs\":\"",
						       i ? ',' : '[', i);
				memset(pack + at, 'a' + (int)i, len);
				at += len;
				at += (size_t)snprintf(pack + at, sizeof(pack) - at, "\"}");
			}
			pack[at++] = ']';
			assert_int_equal(senml_decode(JSON, pack, at, NOW, &out, &fault), 0);
			assert_int_equal(out.n, n);
			for (unsigned i = 0; i < n; i++) {
				char name[8];
				snprintf(name, sizeof(name), "n%u", i);
				assert_string_equal(out.record[i].name, name);
				assert_string_equal(out.record[i].unit, "K");
				assert_int_equal(out.record[i].len, len);
				for (unsigned k = 0; k < len; k++)
					assert_int_equal(out.record[i].bytes[k], 'a' + i);
			}
			senml_pack_free(&out);
			assert_null(out.record);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(examples_in_json),
	    cmocka_unit_test(the_example_in_xml),
	    cmocka_unit_test(the_example_in_cbor),
	    cmocka_unit_test(prefixes_are_refused),
	    cmocka_unit_test(values_and_times_resolve),
	    cmocka_unit_test(faults_name_the_record),
	    cmocka_unit_test(cbor_takes_what_cbor_has),
	    cmocka_unit_test(nesting_is_bounded),
	    cmocka_unit_test(packs_of_64_kb),
	    cmocka_unit_test(what_is_written_is_read_again),
	    cmocka_unit_test(packs_without_records_are_well_formed),
	    cmocka_unit_test(names_have_the_characters_of_the_standard),
	    cmocka_unit_test(short_packs_and_long_ones_are_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
