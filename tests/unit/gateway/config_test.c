/* The configuration: what is read, and what is said about what is wrong, with file and line.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/config.h"
#include "make_keys.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static char folder[256], why[GW_CONFIG_WHY];
static char rsa_private[PEM_MAX], rsa_public[PEM_MAX], ec_private[PEM_MAX], ec_public[PEM_MAX];

static int set_up(void **state)
{
	(void)state;
	make_folder(folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove_folder(folder);
	return 0;
}

static struct gw_config *read_text(const char *text)
{
	char path[512];

	make_file(folder, "g.conf", text, path);
	return gw_config_read(path, why);
}

static struct gw_config *must_read(const char *text)
{
	struct gw_config *c = read_text(text);

	if (!c)
		print_error("%s", why);
	assert_non_null(c);
	assert_string_equal(why, "");
	return c;
}

/* An error of `text` is reported at `line` of the file, in words that contain `what`. */
static void must_fail(const char *text, unsigned line, const char *what)
{
	char place[600];

	struct gw_config *c = read_text(text);
	if (c)
		print_error("accepted: %s\n", text);
	assert_null(c);
	snprintf(place, sizeof(place), "%s/g.conf:%u: ", folder, line);
	if (strncmp(why, place, strlen(place)) != 0 || !strstr(why, what))
		print_error("%s--> line %u, %s: %s", text, line, what, why);
	assert_int_equal(strncmp(why, place, strlen(place)), 0);
	assert_non_null(strstr(why, what));
	assert_null(strstr(why, SECRET));
}

/* A file beside the configuration, closed to others unless `mode` says otherwise. */
static void put_file(const char *name, const char *text, mode_t mode)
{
	char path[512];

	make_file(folder, name, text, path);
	assert_int_equal(chmod(path, mode), 0);
}

static void test_secure(void **state)
{
	(void)state;
	struct gw_config *c = must_read("device \"d\" {\n address = \"127.0.0.3\"\n}\n");
	assert_null(c->client_keys);
	assert_null(c->mesh_keys);
	assert_int_equal(c->mesh_secure_port, 4849);
	assert_int_equal(c->devices[0].secure_port, 4849);
	gw_config_free(c);

	put_file("c.psk", "alice:" SECRET "\n", 0600);
	put_file("m.psk", "# the devices\nd:" SECRET "\n*:" SECRET "\n", 0600);
	c = must_read("secure {\n psk_file = \"c.psk\"\n}\nmesh {\n psk_file = \"m.psk\"\n}\n"
		      "device \"d\" {\n address = \"127.0.0.3\"\n secure_port = 7\n}\n");
	assert_int_equal(copse_secure_psk_n(c->client_keys), 1);
	assert_int_equal(copse_secure_psk_n(c->mesh_keys), 2);
	assert_int_equal(c->secure_listen_n, 1);
	assert_int_equal(copse_address_port(&c->secure_listen[0]), 5684);
	assert_int_equal(c->devices[0].secure_port, 7);
	gw_config_free(c);
}

#define PUBLIC_KEY                                                                                           \
	"-----BEGIN PUBLIC KEY-----\n"                                                                       \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEB0OHxVO59lR6meVLhGVHs27ESR/B\n"                                 \
	"O0p7nkmM/5o4l7cg7QAPHhHu7BtRSx1f6tuB9vO9yDmaDUZ/8iVi3Nb+gg==\n"                                     \
	"-----END PUBLIC KEY-----\n"

/* Devices that are known by a raw key, without any pre-shared one; and what contradicts itself. */
static void test_mesh_keys(void **state)
{
	(void)state;
	put_file("d.pub", PUBLIC_KEY, 0644);
	put_file("m.psk", "d:" SECRET "\n", 0600);
	struct gw_config *c =
	    must_read("device \"d\" {\n address = \"127.0.0.3\"\n raw_key = \"d.pub\"\n}\n");
	assert_non_null(c->mesh_keys);
	assert_int_equal(copse_secure_psk_n(c->mesh_keys), 0);
	gw_config_free(c);
	must_fail("device \"d\" {\n address = \"127.0.0.3\"\n raw_key = \"none.pub\"\n}\n", 4,
		  "No such file");
	must_fail("device \"d\" {\n address = \"127.0.0.3\"\n raw_key = \"m.psk\"\n}\n", 4, "no public key");
	must_fail(
	    "device \"d\" {\n address = \"127.0.0.3\"\n raw_key = \"d.pub\"\n certificate_name = \"d\"\n}\n",
	    5, "no certificate_name");
	must_fail("mesh {\n psk_file = \"m.psk\"\n}\ndevice \"d\" {\n address = \"127.0.0.3\"\n raw_key = "
		  "\"d.pub\"\n}\n",
		  7, "something else is expected");
	must_fail("mesh {\n raw_key = \"d.pub\"\n}\n", 3, "no device is to be believed");
	must_fail("mesh {\n ca = \"d.pub\"\n}\n", 3, "no certificate of an authority");
	put_file("open.key", "-----BEGIN PRIVATE KEY-----", 0640);
	must_fail("mesh {\n psk_file = \"m.psk\"\n raw_key = \"open.key\"\n}\ndevice \"d\" {\n address = "
		  "\"127.0.0.3\"\n}\n",
		  4, "chmod 600");
}

static void test_secure_faults(void **state)
{
	(void)state;
	put_file("open.psk", "alice:" SECRET "\n", 0640);
	must_fail("secure {\n psk_file = \"open.psk\"\n}\n", 3, "chmod 600");
	must_fail("secure {\n psk_file = \"none.psk\"\n}\n", 3, "No such file");
	put_file("bad.psk", "alice:" SECRET "\nbob:xyz\n", 0600);
	must_fail("secure {\n psk_file = \"bad.psk\"\n}\n", 3, "line 2");
	must_fail("secure {\n certificate = \"bad.psk\"\n}\n", 3, "belong together");
	must_fail("secure {\n raw_key = \"bad.psk\"\n}\n", 3, "raw_key");
	must_fail("mesh {\n psk_file = \"open.psk\"\n}\n", 3, "chmod 600");
	put_file("m.psk", "nobody:" SECRET "\n", 0600);
	must_fail("mesh {\n psk_file = \"m.psk\"\n}\n", 3, "no device has this name");
	put_file("m.psk", "*:" SECRET "\n*:" SECRET "\n", 0600);
	must_fail("mesh {\n psk_file = \"m.psk\"\n}\n", 3, "one key");
	put_file("m.psk", "*:0011\n", 0600);
	must_fail("mesh {\n psk_file = \"m.psk\"\n}\n", 3, "16 to 128 digits");
	must_fail("mesh {\n secure_port = 0\n}\n", 2, "");
	must_fail("secure {\n associations = 0\n}\n", 2, "");
}

static void test_jwks(void **state)
{
	static const char set[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\","
				  "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}";

	(void)state;
	put_file("set.json", set, 0600);
	struct gw_config *c =
	    must_read("key \"b\" {\n algorithm = HS256\n secret = \"" SECRET
		      "\"\n}\ntoken {\n jwks = \"set.json\"\n issuer = {\"x\", \"y\"}\n}\n");
	assert_int_equal(c->key_n, 2);
	assert_string_equal(c->keys[1].id, "a");
	assert_int_equal(c->token.issuer.n, 2);
	gw_config_free(c);
	must_fail("key \"a\" {\n algorithm = HS256\n secret = \"" SECRET
		  "\"\n}\ntoken {\n jwks = \"set.json\"\n}\n",
		  7, "stands twice");
	put_file("set.json", set, 0644);
	must_fail("token {\n jwks = \"set.json\"\n}\n", 3, "chmod 600");
	put_file("set.json", "{}", 0644);
	must_fail("token {\n jwks = \"set.json\"\n}\n", 3, "no JWK set");
	must_fail("token {\n issuer = {a, b, c, d, e, f, g, h, i}\n}\n", 3, "more than 8");
}

#define SET(kid) \
	"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"" kid \
	"\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}"
#define TWO_ISSUERS "token {\n issuer = {\"a\", \"b\"}\n}\n" /* three lines */
#define HS256       " algorithm = HS256\n secret = \"" SECRET "\"\n"

/* Which issuers a key speaks for: of sections and of sets, in any order, and what contradicts itself. */
static void test_key_issuer(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *what;
	} bad[] = {
	    {"key \"k\" {\n issuer = \"a\"\n" HS256 "}\n", 5, "issuer 'a' is none of those"},
	    {TWO_ISSUERS "key \"k\" {\n issuer = {\"a\", \"A\"}\n" HS256 "}\n", 8,
	     "issuer 'A' is none of those"},
	    {"key \"k\" {\n issuer = {}\n" HS256 "}\n", 5, "names no issuer"},
	    {TWO_ISSUERS "key \"k\" {\n" HS256 "}\nkey \"l\" {\n kid = k\n issuer = a\n" HS256 "}\n", 13,
	     "key 'k' stands twice for the same issuer"},
	    {TWO_ISSUERS "key \"k\" {\n issuer = {a, b}\n" HS256
			 "}\nkey \"l\" {\n kid = k\n issuer = b\n" HS256 "}\n",
	     14, "key 'k' stands twice for the same issuer"},
	    {TWO_ISSUERS "key \"k\" {\n issuer = a\n" HS256
			 "}\nkey \"s\" {\n jwks = \"set.json\"\n issuer = a\n}\n",
	     12, "key 'k' stands twice for the same issuer"},
	    {TWO_ISSUERS
	     "key \"s\" {\n jwks = \"set.json\"\n issuer = a\n}\ntoken {\n jwks = \"set.json\"\n}\n",
	     10, "key 'k' stands twice for the same issuer"},
	    {"key \"s\" {\n jwks = \"set.json\"\n" HS256 "}\n", 5, "says algorithm, kid and key itself"},
	    {"key \"s\" {\n jwks = \"set.json\"\n kid = k\n}\n", 4, "says algorithm, kid and key itself"},
	    {"key \"s\" {\n jwks = \"absent.json\"\n}\n", 3, "absent.json"},
	    {"key \"s\" {\n jwks = \"broken.json\"\n}\n", 3, "no JWK set"},
	    {"key \"k\" {\n kid = \"\"\n}\n", 2, "1 to 63 bytes"},
	};

	(void)state;
	put_file("set.json", SET("k"), 0600);
	put_file("broken.json", "[]", 0600);
	struct gw_config *c =
	    must_read("key \"k\" {\n issuer = \"b\"\n" HS256 "}\nkey \"l\" {\n" HS256 "}\n"
		      "key \"m\" {\n kid = \"l/2\"\n issuer = {\"b\", \"a\"}\n" HS256 "}\n"
		      "key \"s\" {\n issuer = \"a\"\n jwks = \"set.json\"\n}\n" TWO_ISSUERS);
	assert_int_equal(c->key_n, 4);
	assert_string_equal(c->keys[0].id, "k");
	assert_int_equal(c->keys[0].issuers, 2);
	assert_int_equal(c->keys[1].issuers, 0);
	assert_string_equal(c->keys[2].id, "l/2");
	assert_int_equal(c->keys[2].issuers, 3);
	assert_string_equal(c->keys[3].id, "k");
	assert_int_equal(c->keys[3].issuers, 1);
	gw_config_free(c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		must_fail(bad[i].text, bad[i].line, bad[i].what);
}

/* A file that a section names is beside the file with that section, whichever was read last. */
static void test_jwks_beside(void **state)
{
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/sub", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file("sub/more.conf", "key \"s\" {\n jwks = \"there.json\"\n}\n", 0600);
	put_file("sub/there.json", SET("there"), 0600);
	put_file("here.json", SET("here"), 0600);
	struct gw_config *c = must_read("token {\n jwks = \"here.json\"\n}\ninclude(\"sub/more.conf\")\n");
	assert_int_equal(c->key_n, 2);
	assert_string_equal(c->keys[0].id, "there");
	assert_string_equal(c->keys[1].id, "here");
	gw_config_free(c);
	snprintf(path, sizeof(path), "%s/sub", folder);
	remove_folder(path);
}

static void test_defaults(void **state)
{
	char text[COPSE_ADDRESS_TEXT];

	(void)state;
	struct gw_config *c = must_read("");
	assert_int_equal(c->listen_n, 1);
	assert_int_equal(copse_address_port(&c->listen[0]), 5683);
	assert_true(copse_address_is_any(&c->listen[0]));
	assert_string_equal(copse_address_text(&c->mesh_bind, text, sizeof(text)), "[::]:0");
	assert_int_equal(c->workers, 0); /* one for each core */
	assert_int_equal(c->spread, GW_SPREAD_ADDRESS);
	assert_true(c->segmentation);
	assert_int_equal(c->mesh_port, 5683);
	assert_int_equal(c->mesh.ack_timeout_ms, 20000);
	assert_int_equal(c->mesh.ack_random_percent, 150);
	assert_int_equal(c->mesh.max_retransmit, 4);
	assert_int_equal(c->mesh.response_timeout_ms, 180000);
	assert_int_equal(c->clients.ack_timeout_ms, 2000);
	assert_false(c->mesh_clear);
	assert_false(c->has_mesh_prefix);
	assert_int_equal(c->key_n, 0);
	assert_int_equal(c->device_n, 0);
	assert_int_equal(c->hop_limit, 16);
	assert_int_equal(c->sessions_max, 100000);
	assert_int_equal(c->sessions_per_account, 16);
	assert_int_equal(c->session_idle_ms, 3600000);
	assert_string_equal(c->token.account_claim, "sub");
	assert_int_equal(c->token.skew, 30);
	assert_int_equal(c->log_level, GW_LOG_INFO);
	assert_true(strlen(c->name) > 0);
	assert_int_equal(c->cache_entries, 16384);
	assert_int_equal(c->cache_bytes, 8388608);
	assert_int_equal(c->cache_waiters, 256);
	assert_int_equal(c->waiting_max, 64);
	assert_int_equal(c->class_n, 1);
	assert_int_equal(c->group_n, GW_GROUP_CLASSES);
	assert_int_equal(c->classes[GW_CLASS_DEFAULT].lane.concurrent, 1);
	assert_int_equal(c->classes[GW_CLASS_DEFAULT].lane.queue, 0);
	assert_int_equal(c->classes[GW_CLASS_DEFAULT].cache, GW_SHARE_ALL);
	assert_int_equal(c->classes[GW_CLASS_DEFAULT].group, GW_GROUP_MESH);
	gw_config_free(c);
}

/* Others would take the ports behind one that is named. */
static void test_workers(void **state)
{
	static const struct {
		const char *text;
		uint32_t workers;
		enum gw_spread spread;
	} rows[] = {{"workers = 3\nspread = port\n", 3, GW_SPREAD_PORT},
		    {"workers = 0\nspread = address\n", 0, GW_SPREAD_ADDRESS},
		    {"mesh {\n bind = \"127.0.0.1:5700\"\n}\n", 1, GW_SPREAD_ADDRESS},
		    {"mesh {\n bind = \"127.0.0.1:5700\"\n}\nworkers = 0\n", 0, GW_SPREAD_ADDRESS},
		    {"mesh {\n bind = \"127.0.0.1:0\"\n}\n", 0, GW_SPREAD_ADDRESS}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gw_config *c = must_read(rows[i].text);
		assert_int_equal(c->workers, rows[i].workers);
		assert_int_equal(c->spread, rows[i].spread);
		gw_config_free(c);
	}
	must_fail("\nspread = devices\n", 2, "'spread' must be address or port");
	must_fail("workers = 9\n", 1, "'workers' must be 0 to 8");
	must_fail("workers = -2\n", 1, "'workers' must be 0 to 8");
}

static void test_classes(void **state)
{
	char names[256], many[1000] = "";

	(void)state;
	struct gw_config *c = must_read("class \"Fast\" {\n concurrent = 4\n queue = 2\n cache = account\n}\n"
					"class \"same\" {\n ack_timeout = 20\n cache = off\n}\n"
					"class \"default\" {\n max_retransmit = 1\n response_timeout = 5\n}\n"
					"device \"a\" {\n address = \"::1\"\n class = FAST\n}\n"
					"device \"b\" {\n address = \"::1\"\n class = nobody\n}\n"
					"device \"c\" {\n address = \"::1\"\n}\n");
	assert_int_equal(c->class_n, 3);
	const struct gw_class *fast = &c->classes[c->devices[0].class_number];
	assert_string_equal(fast->name, "fast");
	assert_string_equal(c->devices[0].class, "FAST"); /* shown as it was written */
	assert_int_equal(fast->lane.concurrent, 4);
	assert_int_equal(fast->lane.queue, 2);
	assert_int_equal(fast->cache, GW_SHARE_ACCOUNT);
	assert_int_equal(c->groups[fast->group].nstart, 4);
	assert_int_equal(c->groups[fast->group].ack_timeout_ms, 20000);
	assert_int_equal(c->classes[2].group, GW_GROUP_MESH); /* nothing differs */
	assert_int_equal(c->classes[2].cache, GW_SHARE_NOTHING);
	for (int i = 1; i < 3; i++)
		assert_int_equal(c->devices[i].class_number, GW_CLASS_DEFAULT);
	const struct copse_params *p = &c->groups[c->classes[GW_CLASS_DEFAULT].group];
	assert_int_equal(p->max_retransmit, 1);
	assert_int_equal(p->response_timeout_ms, 5000);
	assert_int_equal(c->group_n, GW_GROUP_CLASSES + 2);
	struct gw_config *plain = must_read("cache {\n entries = 1\n bytes = 0\n waiters = 0\n}\n");
	assert_string_equal(gw_config_restart_needed(c, plain, names, sizeof(names)),
			    "class (transmission), cache.entries, cache.bytes");
	gw_config_free(plain);
	gw_config_free(c);
	must_fail("class \"a\" {\n concurrent = 0\n}\n", 2, "must be 1 to");
	must_fail("class \"a\" {\n queue = 65\n}\n", 2, "must be 0 to 64");
	must_fail("class \"a\" {\n cache = maybe\n}\n", 2, "shared, account or off");
	must_fail("class \"a\" {\n}\nclass \"A\" {\n}\n", 4, "twice");
	for (int i = 0; i < 7; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many),
			 "class \"c%d\" {\n ack_timeout = %d\n}\n", i, i + 1);
	must_fail(many, 21, "more than 6 classes");
}

static void test_policy(void **state)
{
	(void)state;
	struct gw_config *c =
	    must_read("sessions {\n rate = 0.25\n}\nclass \"x\" {\n rate = 2.5\n burst = 9\n}\n"
		      "access \"a\" {\n action = deny\n account = {\"guest*\", \"me\"}\n"
		      " request = {\"get D* /x\", \"put\"}\n}\n"
		      "access \"b\" {\n action = allow\n}\n");
	assert_int_equal(c->account_rate.thousandths, 250);
	assert_int_equal(c->account_rate.burst, 1);
	assert_int_equal(c->classes[1].rate.thousandths, 2500);
	assert_int_equal(c->classes[1].rate.burst, 9);
	assert_int_equal(c->access_n, 2);
	assert_true(c->access[0].deny);
	assert_int_equal(c->access[0].account_n, 2);
	assert_string_equal(c->access[0].accounts[0].text, "guest");
	assert_true(c->access[0].accounts[0].beginning);
	assert_false(c->access[0].accounts[1].beginning);
	assert_int_equal(c->access[0].rule_n, 2);
	assert_string_equal(c->access[0].rules[0].device, "d");
	assert_false(c->access[1].deny);
	assert_int_equal(c->access[1].rule_n, 0);
	assert_string_equal(c->token.allow_claim, "copse_allow");
	assert_string_equal(c->token.deny_claim, "copse_deny");
	gw_config_free(c);
	c = must_read("sessions {\n rate = 0.0001\n}\nclass \"x\" {\n rate = 1\n}\n"
		      "class \"y\" {\n rate = 2.5\n}\n");
	assert_int_equal(c->account_rate.thousandths, 1); /* the least there is; 0 would be no limit */
	assert_int_equal(c->classes[0].rate.thousandths, 0);
	assert_int_equal(c->classes[1].rate.burst, 1);
	assert_int_equal(c->classes[2].rate.burst, 3);
	gw_config_free(c);
	must_fail("access \"a\" {\n}\n", 2, "no action");
	must_fail("access \"a\" {\n action = perhaps\n}\n", 2, "allow or deny");
	must_fail("access \"a\" {\n action = deny\n request = {\"gett\"}\n}\n", 3, "'gett': methods are");
	must_fail("sessions {\n rate = -1\n}\n", 2, "must be 0 to");
}

static void test_everything(void **state)
{
	char text[COPSE_ADDRESS_TEXT], path[512];

	(void)state;
	make_file(folder, "secret", SECRET "\n", path);
	make_file(folder, "rsa.pem", rsa_public, path);
	make_file(folder, "more.conf",
		  "device \"AABBCCDDEEFF0011\" {\n\taddress = \"127.1.0.2\"\n}\n"
		  "key \"r\" {\n\talgorithm = RS256\n\tfile = \"rsa.pem\"\n}\n",
		  path);
	struct gw_config *c =
	    must_read("# a comment with { and \" in it\n"
		      "name = \"Gw1.Example\"\n"
		      "listen = {\"127.0.0.1:0\", \"[::1]:5700\"}\n"
		      "log {\n level = debug\n}\n"
		      "include(\"more.conf\")\n"
		      "key \"h\" {\n algorithm = \"HS256\" // here\n file = \"secret\"\n}\n"
		      "token {\n issuer = \"me # not a comment\"\n audience = you\n"
		      " account_claim = acc\n skew = 5\n require_exp = true\n rate = 7\n}\n"
		      "/* two\n lines */\n"
		      "sessions {\n max = 10\n per_account = 2\n idle = 1.5\n requests = 3\n}\n"
		      "clients {\n ack_timeout = 0.5\n ack_random_factor = 1.25\n}\n"
		      "mesh {\n bind = \"127.0.0.1:0\"\n port = 5684\n prefix = \"fd00:1::/64\"\n"
		      " security = none\n ack_timeout = 0.1\n max_retransmit = 2\n nstart = 4\n"
		      " response_timeout = 9\n}\n"
		      "proxy {\n requests = 5\n max_message = 1500\n hop_limit = 0\n"
		      " outside = {\"192.0.2.0/24\", \"2001:db8::/32\"}\n}\n"
		      "device \"00-13-50-03-0a-1b-2c-3d\" {\n class = meter\n deny = true\n}\n"
		      "device \"lamp-1\" {\n address = \"fd00::1\"\n port = 99\n uri_host = lamp\n}\n");
	assert_string_equal(c->name, "Gw1.Example");
	assert_int_equal(c->listen_n, 2);
	assert_string_equal(copse_address_text(&c->listen[1], text, sizeof(text)), "[::1]:5700");
	assert_int_equal(c->log_level, GW_LOG_DEBUG);
	assert_int_equal(c->key_n, 2);
	assert_string_equal(c->keys[0].id, "h");
	assert_int_equal(c->keys[0].len, strlen(SECRET)); /* without the newline */
	assert_memory_equal(c->keys[0].bytes, SECRET, strlen(SECRET));
	assert_int_equal(c->keys[1].algorithm, GW_RS256);
	assert_string_equal(c->token.issuer.text[0], "me # not a comment");
	assert_string_equal(c->token.audience.text[0], "you");
	assert_string_equal(c->token.account_claim, "acc");
	assert_int_equal(c->token.skew, 5);
	assert_true(c->token.require_exp);
	assert_int_equal(c->token.rate, 7);
	assert_int_equal(c->sessions_max, 10);
	assert_int_equal(c->session_idle_ms, 1500);
	assert_int_equal(c->session_requests, 3);
	assert_int_equal(c->clients.ack_timeout_ms, 500);
	assert_int_equal(c->clients.ack_random_percent, 125);
	assert_int_equal(c->mesh.nstart, 4);
	assert_int_equal(c->mesh.response_timeout_ms, 9000);
	assert_true(c->mesh_clear);
	assert_true(c->has_mesh_prefix);
	assert_int_equal(c->requests_max, 5);
	assert_int_equal(c->max_message, 1500);
	assert_int_equal(c->hop_limit, 0);
	assert_int_equal(c->outside_n, 2);
	assert_int_equal(c->device_n, 3);
	assert_string_equal(c->devices[0].name, "001350030a1b2c3d");
	assert_true(c->devices[0].deny);
	assert_int_equal(c->devices[0].address.len, 0);
	assert_string_equal(c->devices[1].uri_host, "lamp");
	assert_string_equal(copse_address_text(&c->devices[1].address, text, sizeof(text)), "[fd00::1]:99");
	assert_string_equal(c->devices[2].name,
			    "aabbccddeeff0011"); /* included: behind those of the first file */
	assert_string_equal(copse_address_text(&c->devices[2].address, text, sizeof(text)), "127.1.0.2:5684");
	assert_string_equal(
	    c->device_list,
	    "<coap://lamp-1>;ep=\"lamp-1\",<coap://aabbccddeeff0011>;ep=\"aabbccddeeff0011\"");
	gw_config_free(c);
}

static const struct {
	const char *text;
	unsigned line;
	const char *what;
} bad[] = {
    /* syntax */
    {"nonsense = 1\n", 1, "no such option 'nonsense'"},
    {"# one\n# two\n\nnonsense = 1\n", 4, "nonsense"},
    {"/* a\n\n b */ nonsense = 1\n", 3, "nonsense"},
    {"log {\n level = info\n", 1, "never closed"},
    {"name = a\n}\n", 2, "closes nothing"},
    {"name = \"a\n\n", 1, "quote is never closed"},
    {"name = a /* ...\n", 1, "comment is never closed"},
    {"name\n", 2, "premature end of file"},
    {"log {\n\tlevel = info\n\tcolour = red\n}\n", 3, "no such option 'colour'"},
    /* root */
    {"name = \"a b\"\n", 1, "must be a name"},
    {"\nlisten = {\"*:5683\",\n \"nowhere\"}\n", 3, "not 'nowhere'"},
    {"listen = {\"127.0.0.1:70000\"}\n", 1, "70000"},
    {"listen = {\"224.0.1.187:5683\"}\n", 1, "224.0.1.187"},
    {"listen = {}\n", 2, "needs 1 to 8"}, /* nothing stands there to complain of: at the end */
    /* log */
    {"log {\n level = loud\n}\n", 2, "'level' must be"},
    /* key */
    {"key \"k\" {\n secret = \"" SECRET "\"\n}\n", 3, "has no algorithm"},
    {"key \"k\" {\n algorithm = none\n}\n", 2, "must be HS256, RS256 or ES256"},
    {"key \"k\" {\n algorithm = HS256\n}\n", 3, "either a secret or a file"},
    {"key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n file = x\n}\n", 5,
     "either a secret or a file"},
    {"key \"k\" {\n algorithm = HS256\n secret = \"short\"\n}\n", 4, "at least 32 bytes"},
    {"key \"k\" {\n algorithm = HS256\n file = \"absent\"\n}\n", 4, "absent: No such file"},
    {"key \"k\" {\n algorithm = RS256\n secret = \"" SECRET "\"\n}\n", 4, "needs a file"},
    {"key \"k\" {\n algorithm = ES256\n file = \"g.conf\"\n}\n", 4, "no public key"},
    {"key \"k\" {\n algorithm = HS256\n file = \".\"\n}\n", 4, "Is a directory"},
    {"key {\n algorithm = HS256\n}\n", 1, "missing title"},
    {"key \"k\" {\n secret = four words\n}\n", 2, ":2: no such option\n"}, /* they may be the secret's */
    {"key \"k\" {\n secret\n}\n", 3, ":3: no such option\n"},
    {"alice:" SECRET "\n", 1, ":1: no such option\n"}, /* no configuration, but a file with keys */
    {"averylongwordthatisnooption = 1\n", 1, ":1: no such option\n"},
    {"key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\nkey \"k\" {\n algorithm = HS256\n}\n", 5,
     "duplicate"},
    /* token */
    {"token {\n skew = -1\n}\n", 2, "'skew' must be 0 to 86400"},
    {"token {\n rate = 0\n}\n", 2, "'rate' must be"},
    {"token {\n skew = soon\n}\n", 2, "invalid integer"},
    {"token {\n account_claim = \"\"\n}\n", 2, "'account_claim' must have"},
    {"token {\n require_exp = perhaps\n}\n", 2, "invalid boolean"},
    /* sessions */
    {"sessions {\n max = 0\n}\n", 2, "'max' must be 1 to 4000000"},
    {"sessions {\n max = 4000001\n}\n", 2, "'max' must be"},
    {"sessions {\n idle = 0.5\n}\n", 2, "'idle' must be"},
    {"sessions {\n per_account = 0\n}\n", 2, "'per_account' must be"},
    {"sessions {\n requests = 60001\n}\n", 2, "'requests' must be"},
    /* clients */
    {"clients {\n ack_timeout = 0\n}\n", 2, "'ack_timeout' must be"},
    {"clients {\n ack_random_factor = 0.9\n}\n", 2, "'ack_random_factor' must be"},
    {"clients {\n max_retransmit = 21\n}\n", 2, "'max_retransmit' must be"},
    {"clients {\n nstart = 0\n}\n", 2, "'nstart' must be"},
    /* mesh */
    {"mesh {\n port = 65536\n}\n", 2, "'port' must be 1 to 65535"},
    {"mesh {\n prefix = \"fd00::/65\"\n}\n", 2, "at most 64 bits"},
    {"mesh {\n prefix = \"fd00::1/64\"\n}\n", 2, "with zeros behind"},
    {"mesh {\n prefix = \"192.0.2.0/24\"\n}\n", 2, "IPv6 prefix"},
    {"mesh {\n bind = here\n}\n", 2, "'bind' must be an address"},
    {"mesh {\n security = maybe\n}\n", 2, "secure or none"},
    {"mesh {\n response_timeout = 86401\n}\n", 2, "'response_timeout' must be"},
    /* proxy */
    {"proxy {\n requests = 60001\n}\n", 2, "'requests' must be"},
    {"proxy {\n max_message = 255\n}\n", 2, "'max_message' must be 256"},
    {"proxy {\n hop_limit = 256\n}\n", 2, "'hop_limit' must be 0 to 255"},
    {"proxy {\n outside = {\"192.0.2.0/24\",\n  \"192.0.2.1\"}\n}\n", 3, "'outside' must be like"},
    {"proxy {\n outside = {\"192.0.2.1/24\"}\n}\n", 2, "192.0.2.1/24"},
    {"proxy {\n outside = {\"192.0.2.0/33\"}\n}\n", 2, "192.0.2.0/33"},
    /* device */
    {"device \"a b\" {\n}\n", 2, "a device must have a name"},
    {"device \"x\" {\n address = \"127.0.0.1:5683\"\n}\n", 2, "without port"},
    {"device \"x\" {\n address = \"host\"\n}\n", 2, "not 'host'"},
    {"device \"x\" {\n address = \"ff02::1\"\n}\n", 2, "ff02::1"},
    {"device \"x\" {\n port = 0\n}\n", 2, "'port' must be 1"},
    {"device \"x\" {\n}\n", 2, "has no address"},
    {"mesh {\n prefix = \"fd00::/64\"\n}\ndevice \"x\" {\n}\n", 5, "has no address"},
    {"device \"001350030a1b2c3d\" {\n address = \"127.0.0.1\"\n}\n"
     "device \"00-13-50-03-0A-1B-2C-3D\" {\n address = \"127.0.0.1\"\n}\n",
     6, "stands here twice"},
    {"device \"x\" {\n address = \"127.0.0.1\"\n}\ndevice \"x\" {\n address = \"127.0.0.1\"\n}\n", 4,
     "duplicate"},
    {"device \"x\" {\n class = \"a \\\"b\"\n}\n", 2, "must be a name"},
    /* include */
    {"include(\"absent\")\n", 1, "absent: No such file"},
    {"\ninclude(\"g.conf\", \"b\")\n", 2, "one file name"},
    {"\n\ninclude(\"g.conf\")\n", 3, "in a circle"},
};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		must_fail(bad[i].text, bad[i].line, bad[i].what);
}

/* An error in an included file is reported with that file's name and line, and leaves no file open. */
static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_error_in_include(void **state)
{
	char path[512], place[600];
	unsigned before;

	(void)state;
	make_file(folder, "inner.conf", "# comment\n\ndevice \"x\" {\n\taddress = \"y\"\n}\n", path);
	snprintf(place, sizeof(place), "%s/inner.conf:4: ", folder);
	before = open_files();
	for (int i = 0; i < 20; i++) {
		assert_null(read_text("# comment\ninclude(\"inner.conf\")\n\n"));
		assert_int_equal(strncmp(why, place, strlen(place)), 0);
	}
	assert_int_equal(open_files(), before);
}

static void test_unreadable(void **state)
{
	(void)state;
	assert_null(gw_config_read("/nowhere/at.conf", why));
	assert_non_null(strstr(why, "/nowhere/at.conf: No such file"));
	assert_null(gw_config_read(folder, why)); /* a folder */
	assert_non_null(strstr(why, "not a file"));
	char path[512];
	make_file(folder, "zero.conf", "", path);
	FILE *file = fopen(path, "w");
	fwrite("name = a\0b\n", 1, 11, file);
	fclose(file);
	assert_null(gw_config_read(path, why));
	assert_non_null(strstr(why, "no text file"));
}

static void test_key_strength(void **state)
{
	char path[512], pem[PEM_MAX], other[PEM_MAX];

	(void)state;
	make_pair(true, 1024, other, pem);
	make_file(folder, "weak.pem", pem, path);
	make_file(folder, "ec.pem", ec_public, path);
	make_file(folder, "rsa.pem", rsa_public, path);
	must_fail("key \"k\" {\n algorithm = RS256\n file = \"weak.pem\"\n}\n", 4, "at least 2048 bits");
	must_fail("key \"k\" {\n algorithm = RS256\n file = \"ec.pem\"\n}\n", 4, "needs an RSA key");
	must_fail("key \"k\" {\n algorithm = ES256\n file = \"rsa.pem\"\n}\n", 4, "P-256");
	make_pair(false, 384, other, pem);
	make_file(folder, "p384.pem", pem, path);
	must_fail("key \"k\" {\n algorithm = ES256\n file = \"p384.pem\"\n}\n", 4, "P-256");
	gw_config_free(must_read("key \"k\" {\n algorithm = ES256\n file = \"ec.pem\"\n}\n"));
}

static void test_restart_needed(void **state)
{
	char text[256];

	(void)state;
	struct gw_config *a = must_read("name = a\n");
	struct gw_config *b =
	    must_read("name = a\ndevice \"x\" {\n address = \"127.0.0.1\"\n}\nlog {\n level = debug\n}\n");
	struct gw_config *c =
	    must_read("name = a\nlisten = {\"*:1\"}\nsegmentation = false\nmesh {\n ack_timeout = 3\n}\n");
	assert_string_equal(gw_config_restart_needed(a, b, text, sizeof(text)), "");
	assert_string_equal(gw_config_restart_needed(a, c, text, sizeof(text)),
			    "listen, segmentation, mesh (transmission)");
	gw_config_free(a);
	gw_config_free(b);
	gw_config_free(c);
}

static void test_many_devices(void **state)
{
	size_t cap = 1 << 20, len = 0;
	char *text = malloc(cap);

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		len += (size_t)snprintf(text + len, cap - len,
					"device \"%016x\" {\n address = \"127.1.%u.%u\"\n}\n", i, i / 250,
					i % 250 + 1);
	struct gw_config *c = must_read(text);
	assert_int_equal(c->device_n, 5000);
	gw_config_free(c);
	free(text);
}

/* Every prefix of a good configuration is taken or refused with a place; nothing else happens. */
static void test_prefixes(void **state)
{
	static const char good[] =
	    "name = \"a\" # c\nlisten = {\"*:1\"} /* d */\nkey \"k\" {\n algorithm = HS256\n"
	    " secret = \"" SECRET "\"\n}\ndevice \"x\" {\n address = \"::1\"\n}\n";
	char text[sizeof(good)];

	(void)state;
	for (size_t n = 0; n <= strlen(good); n++) {
		memcpy(text, good, n);
		text[n] = 0;
		struct gw_config *c = read_text(text);
		assert_true(c ? !why[0] : strstr(why, "g.conf:") != NULL);
		gw_config_free(c);
	}
}

static void test_names(void **state)
{
	char out[GW_NAME_MAX + 1];
	static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";

	(void)state;
	assert_int_equal(gw_name_normalize("00-13-50-03-0A-1B-2C-3D", 23, out), 16);
	assert_string_equal(out, "001350030a1b2c3d");
	assert_int_equal(gw_name_normalize("00-13-50-03-0a-1b", 17, out), 12);
	assert_int_equal(gw_name_normalize("00-13", 5, out), 5);
	assert_string_equal(out, "00-13");
	assert_int_equal(gw_name_normalize("A.b-C_1", 7, out), 7);
	assert_string_equal(out, "a.b-c_1");
	assert_int_equal(gw_name_normalize(long_name, 63, out), 63);
	assert_true(gw_name_normalize(long_name, 64, out) < 0);
	assert_true(gw_name_normalize("", 0, out) < 0);
	assert_true(gw_name_normalize("a\0b", 3, out) < 0);
	assert_true(gw_name_normalize("a/b", 3, out) < 0);
	assert_true(gw_name_normalize("\xc3\xa4", 2, out) < 0);
}

static void check_prefix(const char *prefix, const char *address, bool expected)
{
	struct gw_prefix p;
	struct copse_address a;

	assert_int_equal(gw_prefix_parse(prefix, &p), 0);
	assert_int_equal(copse_address_parse(address, 1, &a), 0);
	assert_int_equal(gw_prefix_has(&p, &a), expected);
}

static void test_prefix(void **state)
{
	struct gw_prefix p;
	static const char *const wrong[] = {
	    "",      "/",          "1.2.3.4",   "1.2.3.4/", "1.2.3.4/x", "1.2.3.4/33",   "::/129",
	    "::1/0", "1.2.3.4/-1", "1.2.3.4/8", "x/8",      "::/0x1",    "1.2.3.0/24/1", "1.2.3.0:80/24"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (gw_prefix_parse(wrong[i], &p) == 0)
			fail_msg("%s", wrong[i]);
	check_prefix("192.0.2.0/24", "192.0.2.255", true);
	check_prefix("192.0.2.0/24", "192.0.3.0", false);
	check_prefix("0.0.0.0/0", "255.255.255.255", true);
	check_prefix("0.0.0.0/0", "::1", false); /* every IPv4 address, and no other */
	check_prefix("::/0", "192.0.2.1", true);
	check_prefix("192.0.2.1/32", "::ffff:192.0.2.1", true);
	check_prefix("2001:db8::/33", "2001:db8:7fff::", true);
	check_prefix("2001:db8::/33", "2001:db8:8000::", false);
	check_prefix("::1/128", "::1", true);
	check_prefix("::1/128", "::2", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_everything),
	    cmocka_unit_test(test_workers),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_error_in_include),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_key_strength),
	    cmocka_unit_test(test_restart_needed),
	    cmocka_unit_test(test_many_devices),
	    cmocka_unit_test(test_prefixes),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_secure),
	    cmocka_unit_test(test_jwks),
	    cmocka_unit_test(test_key_issuer),
	    cmocka_unit_test(test_jwks_beside),
	    cmocka_unit_test(test_mesh_keys),
	    cmocka_unit_test(test_secure_faults),
	};

	make_pair(true, 2048, rsa_private, rsa_public);
	make_pair(false, 256, ec_private, ec_public);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
