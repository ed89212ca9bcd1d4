/* A complete CoAP server with one resource.  SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serve.h>

static void hello(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_text(rs, "Hello, world\n");
}

static const struct copse_resource resources[] = {{.path = "hello", .get = hello, .title = "A greeting"}};

int main(int argc, char **argv)
{
	return copse_serve(argc > 1 ? argv[1] : "*:5683", resources, 1);
}
