/* LINK: resources to be found by their attributes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

static void name_get(const struct copse_request *rq, struct copse_response *rs)
{
	char text[PLUGTEST_TEXT_MAX];
	copse_request_path(rq, text, sizeof text);
	copse_response_text(rs, text);
}

static void path_get(const struct copse_request *rq, struct copse_response *rs)
{
	static const char links[] = "</path/sub1>;title=\"the first\",</path/sub2>,</path/sub3>";
	(void)rq;
	copse_response_view(rs, COPSE_FORMAT_LINK, links, sizeof links - 1);
}

static const struct copse_resource resources[] = {
    {.path = "link1", .get = name_get, .rt = "Type1 Type2", .interface = "If1"},
    {.path = "link2", .get = name_get, .rt = "Type2 Type3", .interface = "If2"},
    {.path = "link3", .get = name_get, .rt = "Type1 Type3", .interface = "foo"},
    {.path = "path", .get = path_get, .formats = COPSE_FORMATS(COPSE_FORMAT_LINK)},
    {.path = "path/sub1", .get = name_get, .flags = COPSE_RESOURCE_HIDDEN},
    {.path = "path/sub2", .get = name_get, .flags = COPSE_RESOURCE_HIDDEN},
    {.path = "path/sub3", .get = name_get, .flags = COPSE_RESOURCE_HIDDEN},
};

PLUGTEST_GROUP(link, resources);
