/* A thermometer: readings on request, to observers and by telemetry, an alert when it is too warm, and
 * updates of its firmware.
 *
 *	/temperature   GET, observe     whole degrees Celsius
 *	/period        GET, PUT         seconds between two readings, 1 to 86400
 *	/limit         GET, PUT         degrees above which it raises an alert
 *	/sink          PUT, DELETE      whoever puts anything gets telemetry and alerts from now on
 *	/firmware      GET, PUT, DELETE a new image in blocks, see update.h
 *
 * Telemetry is a non-confirmable POST of each reading to /telemetry of the sink: one lost is replaced by
 * the next. An alert is a confirmable POST to /alert: it is repeated until acknowledged, and raised anew
 * when nobody has.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "app.h"
#include "board.h"
#include "update.h"

#include <string.h>

#define GET    COPSE_SMALL_METHOD(COPSE_CODE_GET)
#define PUT    COPSE_SMALL_METHOD(COPSE_CODE_PUT)
#define DELETE COPSE_SMALL_METHOD(COPSE_CODE_DELETE)

static struct copse_small_peer sink;
static bool has_sink;
static int8_t degrees, limit = 60;
static enum { CALM, RAISED, TOLD } alert; /* of the alert: RAISED is under way or to be repeated */
static bool asking;                       /* an alert is under way */
static uint32_t period = 10;              /* seconds */
static copse_small_ms due;

static void put_number(struct copse_small_out *out, int32_t n)
{
	if (n < 0) {
		copse_small_text(out, "-");
		n = -n;
	}
	copse_small_number(out, (uint32_t)n);
}

static unsigned number(struct copse_small_turn *turn, int32_t n)
{
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 0);
	put_number(&turn->out, n);
	return COPSE_CODE_CONTENT;
}

/* A number from `min` to `max` in the payload, and nothing else. */
static bool take(const struct copse_small_turn *turn, int32_t min, int32_t max, int32_t *n)
{
	const uint8_t *p = turn->in->payload;
	unsigned len = turn->in->payload_len;
	bool negative = len > 0 && *p == '-';
	*n = 0;
	if (negative)
		p++, len--;
	if (len == 0 || len > 6)
		return false;
	for (; len > 0; len--, p++) {
		if (*p < '0' || *p > '9')
			return false;
		*n = *n * 10 + (*p - '0');
	}
	if (negative)
		*n = -*n;
	return *n >= min && *n <= max;
}

static unsigned temperature(struct copse_small_turn *turn)
{
	copse_small_set(&turn->out, COPSE_SMALL_MAX_AGE, period);
	return number(turn, degrees);
}

static unsigned period_resource(struct copse_small_turn *turn)
{
	int32_t n;
	if (turn->in->code == COPSE_CODE_GET)
		return number(turn, (int32_t)period);
	if (!take(turn, 1, 86400, &n))
		return COPSE_CODE_BAD_REQUEST;
	period = (uint32_t)n;
	due = turn->now + period * 1000;
	return COPSE_CODE_CHANGED;
}

static unsigned limit_resource(struct copse_small_turn *turn)
{
	int32_t n;
	if (turn->in->code == COPSE_CODE_GET)
		return number(turn, limit);
	if (!take(turn, -128, 127, &n))
		return COPSE_CODE_BAD_REQUEST;
	limit = (int8_t)n;
	return COPSE_CODE_CHANGED;
}

static unsigned sink_resource(struct copse_small_turn *turn)
{
	has_sink = turn->in->code == COPSE_CODE_PUT;
	sink = *turn->peer;
	return has_sink ? COPSE_CODE_CHANGED : COPSE_CODE_DELETED;
}

enum { TEMPERATURE };

const struct copse_small_resource app_resources[] = {
    [TEMPERATURE] = {"temperature", ";rt=\"temperature\";if=\"core.s\";obs", temperature, NULL, GET,
		     COPSE_SMALL_OBSERVABLE},
    {"period", ";if=\"core.p\"", period_resource, NULL, GET | PUT, 0},
    {"limit", ";if=\"core.p\"", limit_resource, NULL, GET | PUT, 0},
    {"sink", "", sink_resource, NULL, PUT | DELETE, 0},
    {"firmware", ";ct=42", update_resource, NULL, GET | PUT | DELETE,
     COPSE_SMALL_UPLOAD | COPSE_SMALL_RESUME},
    {".well-known/core", NULL, copse_small_links, NULL, GET, 0},
    {0},
};

/* ---- what it says by itself ---- */

static int8_t reported, alarming; /* what a message says must not change while it may be sent again */

static void telemetry_body(const struct copse_small_call *call, struct copse_small_out *out)
{
	(void)call;
	put_number(out, reported);
}

static void alert_body(const struct copse_small_call *call, struct copse_small_out *out)
{
	(void)call;
	put_number(out, alarming);
}

static void alert_answer(const struct copse_small_call *call, int code, const struct copse_small_message *m,
			 uint32_t offset, bool more)
{
	(void)call;
	(void)m;
	(void)offset;
	if (more)
		return;
	asking = false;
	if (code > 0 && alert == RAISED)
		alert = TOLD; /* any answer: somebody has it */
}

static const struct copse_small_call telemetry = {"telemetry", telemetry_body, NULL, 0, COPSE_CODE_POST, 0};
static const struct copse_small_call alerting = {"alert", alert_body,      alert_answer,
						 0,       COPSE_CODE_POST, COPSE_SMALL_CON};

void app_init(struct copse_small *node)
{
	(void)node;
	update_init();
	due = board_ms();
}

copse_small_ms app_run(struct copse_small *node, copse_small_ms now)
{
	if ((int32_t)(now - due) < 0)
		return due - now;
	due = now + period * 1000;
	int8_t new = (int8_t)board_degrees();
	if (new != degrees) {
		degrees = new;
		copse_small_notify(node, &app_resources[TEMPERATURE], now);
	}
	if (degrees <= limit)
		alert = CALM;
	else if (alert == CALM)
		alert = RAISED;
	if (has_sink && alert == RAISED && !asking) {
		alarming = degrees;
		asking = copse_small_ask(node, &sink, &alerting, now) == 0;
	}
	if (has_sink) {
		reported = degrees;
		copse_small_ask(node, &sink, &telemetry, now);
	}
	return 0;
}
