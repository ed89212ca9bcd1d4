/* OBS: the time of day, observed by confirmable and by non-confirmable notifications.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

#include <time.h>

/* What /obs tells its observers next. */
static struct {
	enum { TIME, TEXT, GONE, OTHER_FORMAT } say;
	bool told;
	char text[PLUGTEST_TEXT_MAX + 1];
} obs;

static void say_time(struct copse_response *rs)
{
	char text[20];
	struct tm tm;
	const time_t t = time(NULL);
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%H:%M:%S", &tm);
	copse_response_text(rs, text);
	rs->max_age = PLUGTEST_OBS_EVERY;
}

/* Observers hear of a DELETE and of a format that they did not ask for as errors, which end their observations; for
 * whoever asks, the resource goes on. */
static void obs_get(const struct copse_request *rq, struct copse_response *rs)
{
	const bool notify = rq->purpose == COPSE_PURPOSE_NOTIFY;
	obs.told |= notify;
	if (notify && obs.say == GONE) {
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, NULL);
	} else if (notify && obs.say == OTHER_FORMAT) {
		copse_response_error(rs, COPSE_CODE_NOT_ACCEPTABLE, NULL);
	} else if (obs.say == TEXT) {
		copse_response_text(rs, obs.text);
		rs->max_age = PLUGTEST_OBS_EVERY;
	} else {
		say_time(rs);
	}
}

static void obs_non_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	say_time(rs);
}

static void obs_says(const struct copse_request *rq, int say)
{
	obs.say = say;
	obs.told = copse_server_changed(rq->server, rq->resource, NULL, rq->now) == 0;
}

static void obs_put(const struct copse_request *rq, struct copse_response *rs)
{
	const size_t n = rq->body_len < PLUGTEST_TEXT_MAX ? rq->body_len : PLUGTEST_TEXT_MAX;
	(void)rs;
	memcpy(obs.text, rq->body, n);
	obs.text[n] = '\0';
	obs_says(rq,
		 rq->format == COPSE_FORMAT_NONE || rq->format == COPSE_FORMAT_TEXT ? TEXT : OTHER_FORMAT);
}

static void obs_delete(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	obs_says(rq, GONE);
}

static void reset_post(const struct copse_request *rq, struct copse_response *rs);

enum { OBS, OBS_NON, OBS_RESET };

static const struct copse_resource resources[] = {
    [OBS] = {.path = "obs",
	     .get = obs_get,
	     .put = obs_put,
	     .delete = obs_delete,
	     .rt = "observe",
	     .flags = COPSE_RESOURCE_OBSERVABLE,
	     .worth = COPSE_COMMAND},
    [OBS_NON] = {.path = "obs-non",
		 .get = obs_non_get,
		 .rt = "observe",
		 .flags = COPSE_RESOURCE_OBSERVABLE,
		 .worth = COPSE_TELEMETRY},
    [OBS_RESET] = {.path = "obs-reset", .post = reset_post},
};

/* Forget the observers, as a restart would. */
static void reset_post(const struct copse_request *rq, struct copse_response *rs)
{
	static const char word[] = "sesame";
	if (rq->body_len != sizeof word - 1 || memcmp(rq->body, word, sizeof word - 1) != 0) {
		copse_response_error(rs, COPSE_CODE_FORBIDDEN, NULL);
		return;
	}
	copse_server_drop_observers(rq->server, &resources[OBS], rq->now);
	copse_server_drop_observers(rq->server, &resources[OBS_NON], rq->now);
}

void plugtest_tick(struct copse_server *server, copse_ms now)
{
	/* What was put is told first, and then it is the time again. */
	if (obs.say == TIME || obs.told) {
		obs.say = TIME;
		copse_server_changed(server, &resources[OBS], NULL, now);
	}
	copse_server_changed(server, &resources[OBS_NON], NULL, now);
}

PLUGTEST_GROUP(observe, resources);
