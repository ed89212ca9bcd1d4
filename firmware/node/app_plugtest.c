/* The conformance server on a microcontroller: the resources that the ETSI plugtest cases ask for.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "app.h"

#include <string.h>

#define EVERY 2000u /* ms between notifications, and their Max-Age */
#define LARGE 1280u

#define GET    COPSE_SMALL_METHOD(COPSE_CODE_GET)
#define POST   COPSE_SMALL_METHOD(COPSE_CODE_POST)
#define PUT    COPSE_SMALL_METHOD(COPSE_CODE_PUT)
#define DELETE COPSE_SMALL_METHOD(COPSE_CODE_DELETE)

struct text {
	uint16_t len, cap;
	char *bytes;
};

static unsigned content(struct copse_small_turn *turn, const void *bytes, size_t len, unsigned format)
{
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, format);
	copse_small_put(&turn->out, bytes, len);
	return COPSE_CODE_CONTENT;
}

static unsigned text(struct copse_small_turn *turn, const char *what)
{
	return content(turn, what, strlen(what), 0);
}

/* Keep the request's payload where it belongs in the body. */
static unsigned keep(struct text *t, const struct copse_small_turn *turn)
{
	const struct copse_small_message *m = turn->in;
	size_t end = turn->upload + m->payload_len;
	if (end > t->cap)
		return COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	memcpy(t->bytes + turn->upload, m->payload, m->payload_len);
	t->len = (uint16_t)end;
	return COPSE_CODE_CHANGED;
}

/* ---- core ---- */

static char test_bytes[64] = "a small resource\n";
static struct text test_text = {17, 64, test_bytes};

static unsigned test(struct copse_small_turn *turn)
{
	switch (turn->in->code) {
	case COPSE_CODE_GET:
		return test_text.len ? content(turn, test_bytes, test_text.len, 0) : text(turn, "empty\n");
	case COPSE_CODE_DELETE: test_text.len = 0; return COPSE_CODE_DELETED;
	case COPSE_CODE_PUT: return keep(&test_text, turn);
	default: break;
	}
	unsigned code = keep(&test_text, turn);
	copse_small_location(&turn->out, "location1/location2/location3");
	return code == COPSE_CODE_CHANGED ? COPSE_CODE_CREATED : code;
}

static unsigned separate(struct copse_small_turn *turn)
{
	turn->delay = 1000;
	return turn->later ? text(turn, "it took a second\n") : COPSE_SMALL_LATER;
}

static unsigned name(struct copse_small_turn *turn)
{
	return text(turn, turn->resource->path);
}

static unsigned query(struct copse_small_turn *turn)
{
	struct copse_small_value value = {NULL, 0};
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 0);
	while (copse_small_walk(turn->in, COPSE_OPTION_URI_QUERY, &value)) {
		copse_small_put(&turn->out, value.at, value.len);
		copse_small_text(&turn->out, "\n");
	}
	return turn->out.total ? COPSE_CODE_CONTENT : text(turn, "no query\n");
}

static unsigned location_query(struct copse_small_turn *turn)
{
	copse_small_location(&turn->out, "?first=1&second=2");
	return COPSE_CODE_CREATED;
}

static unsigned formats(struct copse_small_turn *turn)
{
	static const uint8_t cbor[] = {0xa1, 0x66, 'f', 'o', 'r', 'm', 'a', 't', 0x64, 'C', 'B', 'O', 'R'};
	static const char xml[] = "<?xml version=\"1.0\"?><format>XML</format>\n",
			  json[] = "{\"format\":\"JSON\"}\n";
	switch (copse_small_uint(turn->in, COPSE_OPTION_ACCEPT, 0)) {
	case 0: return text(turn, "format: text\n");
	case 41: return content(turn, xml, sizeof(xml) - 1, 41);
	case 50: return content(turn, json, sizeof(json) - 1, 50);
	case 60: return content(turn, cbor, sizeof(cbor), 60);
	default: return COPSE_CODE_NOT_ACCEPTABLE;
	}
}

static char validate_bytes[64] = "validate me\n";
static struct text validate_text = {12, 64, validate_bytes};
static uint32_t validate_version = 1;

static unsigned validate(struct copse_small_turn *turn)
{
	if (turn->in->code == COPSE_CODE_GET)
		return content(turn, validate_bytes, validate_text.len, 0);
	validate_version++;
	return keep(&validate_text, turn);
}

static bool created;

/* To be refused removes it: a client that finds it existing tries once more. */
static unsigned create(struct copse_small_turn *turn)
{
	bool was = created;
	if (turn->in->code == COPSE_CODE_GET)
		return created ? text(turn, "created\n") : COPSE_CODE_NOT_FOUND;
	created = turn->in->code == COPSE_CODE_PUT;
	if (!created)
		return COPSE_CODE_DELETED;
	if (was && copse_small_has(turn->in, COPSE_OPTION_IF_NONE_MATCH)) {
		created = false;
		return COPSE_CODE_PRECONDITION_FAILED;
	}
	return was ? COPSE_CODE_CHANGED : COPSE_CODE_CREATED;
}

/* ---- observe ---- */

static char obs_bytes[64] = "00000";
static struct text obs_text = {5, 64, obs_bytes};
static copse_small_ms obs_due;
static bool obs_stop;

static unsigned obs_put(struct copse_small_turn *turn)
{
	const struct copse_small_message *m = turn->in;
	unsigned code = COPSE_CODE_DELETED;
	if (m->code == COPSE_CODE_PUT && copse_small_uint(m, COPSE_OPTION_CONTENT_FORMAT, 0) == 0) {
		code = keep(&obs_text, turn);
		copse_small_notify(turn->small, turn->resource, turn->now);
	} else if (m->code == COPSE_CODE_PUT) {
		code = COPSE_CODE_CHANGED;
		copse_small_end(turn->small, turn->resource, COPSE_CODE_NOT_ACCEPTABLE, turn->now);
	} else {
		copse_small_end(turn->small, turn->resource, COPSE_CODE_NOT_FOUND, turn->now);
	}
	obs_due = turn->now + EVERY;
	return code;
}

static unsigned obs(struct copse_small_turn *turn)
{
	if (turn->in->code != COPSE_CODE_GET)
		return obs_put(turn);
	copse_small_set(&turn->out, COPSE_SMALL_MAX_AGE, EVERY / 1000);
	return content(turn, obs_bytes, obs_text.len, 0);
}

static unsigned obs_reset(struct copse_small_turn *turn)
{
	if (turn->in->payload_len != 6 || memcmp(turn->in->payload, "sesame", 6) != 0)
		return COPSE_CODE_FORBIDDEN;
	obs_stop = true;
	return COPSE_CODE_CHANGED;
}

/* ---- block ---- */

static char large_bytes[LARGE + 64], create_bytes[LARGE + 64], post_bytes[LARGE + 64];
static struct text large_text = {0, LARGE + 64, large_bytes}, create_text = {0, LARGE + 64, create_bytes},
		   post_text = {0, LARGE + 64, post_bytes};
static uint32_t large_version = 1, create_version = 1;

static unsigned large(struct copse_small_turn *turn)
{
	static const char line[] = "|large resource, a line of 64 bytes|...............|0123456789|\n";
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 0);
	while (turn->out.total < LARGE)
		copse_small_put(&turn->out, line, 64);
	return COPSE_CODE_CONTENT;
}

static unsigned large_update(struct copse_small_turn *turn)
{
	if (turn->in->code == COPSE_CODE_GET)
		return content(turn, large_bytes, large_text.len, 0);
	large_version++;
	return keep(&large_text, turn);
}

static unsigned large_create(struct copse_small_turn *turn)
{
	if (turn->in->code == COPSE_CODE_GET)
		return content(turn, create_bytes, create_text.len, 0);
	create_version++;
	copse_small_location(&turn->out, "large-create/1");
	return keep(&create_text, turn) == COPSE_CODE_CHANGED ? COPSE_CODE_CREATED
							      : COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
}

/* The text in upper case. A request for a later block of the answer brings no text. */
static unsigned large_post(struct copse_small_turn *turn)
{
	unsigned code = COPSE_CODE_CHANGED;
	if (turn->out.offset == 0)
		code = keep(&post_text, turn);
	for (size_t i = turn->upload; i < post_text.len; i++)
		if (post_bytes[i] >= 'a' && post_bytes[i] <= 'z')
			post_bytes[i] = (char)(post_bytes[i] - 'a' + 'A');
	content(turn, post_bytes, post_text.len, 0);
	return code;
}

static unsigned path(struct copse_small_turn *turn)
{
	static const char links[] = "</path/sub1>,</path/sub2>";
	return content(turn, links, sizeof(links) - 1, 40);
}

enum { OBS, OBS_NON };

const struct copse_small_resource app_resources[] = {
    [OBS] = {"obs", ";rt=\"observe\";obs", obs, NULL, GET | PUT | DELETE,
	     COPSE_SMALL_OBSERVABLE | COPSE_SMALL_CONFIRM},
    [OBS_NON] = {"obs-non", ";rt=\"observe\";obs", obs, NULL, GET, COPSE_SMALL_OBSERVABLE},
    {"obs-reset", NULL, obs_reset, NULL, POST, 0},
    {"test", "", test, NULL, GET | POST | PUT | DELETE, 0},
    {"separate", "", separate, NULL, GET, 0},
    {"seg1/seg2/seg3", "", name, NULL, GET, 0},
    {"query", "", query, NULL, GET, 0},
    {"location-query", "", location_query, NULL, POST, 0},
    {"multi-format", ";ct=\"0 41 50 60\"", formats, NULL, GET, 0},
    {"validate", "", validate, &validate_version, GET | PUT, 0},
    {"create1", "", create, NULL, GET | PUT | DELETE, COPSE_SMALL_CONDITIONS},
    {"large", ";rt=\"block\";sz=1280", large, NULL, GET, 0},
    {"large-update", ";rt=\"block\";sz=1280", large_update, &large_version, GET | PUT, COPSE_SMALL_UPLOAD},
    {"large-create", ";rt=\"block\";sz=1280", large_create, &create_version, GET | POST, COPSE_SMALL_UPLOAD},
    {"large-create/1", NULL, large_create, &create_version, GET, 0},
    {"large-post", ";rt=\"block\";sz=1280", large_post, NULL, POST, COPSE_SMALL_UPLOAD},
    {"link1", ";rt=\"Type1 Type2\";if=\"If1\"", name, NULL, GET, 0},
    {"link2", ";rt=\"Type2 Type3\";if=\"If2\"", name, NULL, GET, 0},
    {"link3", ";rt=\"Type1 Type3\";if=\"foo\"", name, NULL, GET, 0},
    {"path", ";ct=40", path, NULL, GET, 0},
    {"path/sub1", NULL, name, NULL, GET, 0},
    {"path/sub2", NULL, name, NULL, GET, 0},
    {".well-known/core", NULL, copse_small_links, NULL, GET, 0},
    {0},
};

void app_init(struct copse_small *node)
{
	(void)node;
}

copse_small_ms app_run(struct copse_small *node, copse_small_ms now)
{
	if (obs_stop) {
		obs_stop = false;
		copse_small_end(node, &app_resources[OBS], 0, now);
		copse_small_end(node, &app_resources[OBS_NON], 0, now);
	}
	if ((int32_t)(now - obs_due) < 0)
		return obs_due - now;
	obs_due = now + EVERY;
	/* Another text each time: a number that grows by one. */
	static char digits[] = {'0', '0', '0', '0', '0'};
	for (unsigned i = sizeof(digits); i-- > 0;) {
		digits[i] = digits[i] == '9' ? '0' : (char)(digits[i] + 1);
		if (digits[i] != '0')
			break;
	}
	memcpy(obs_bytes, digits, sizeof(digits));
	obs_text.len = sizeof(digits);
	copse_small_notify(node, &app_resources[OBS], now);
	copse_small_notify(node, &app_resources[OBS_NON], now);
	return 0;
}
