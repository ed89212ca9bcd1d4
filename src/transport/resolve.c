/* Name look-up for tools: blocks.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/resolve.h>

#include <netdb.h>
#include <stdio.h>

static bool family_fits(const struct copse_address *a, int family)
{
	return family == AF_UNSPEC || family == a->sa.sa_family;
}

static int literal(const char *host, uint16_t port, int family, struct copse_address *out)
{
	char text[COPSE_ADDRESS_TEXT];
	struct copse_address a;
	bool bare = strchr(host, ':') && *host != '[';
	size_t len = strlen(host);
	int n = snprintf(text, sizeof text, bare ? "[%s]" : "%s", host);

	if (n < 0 || (size_t)n >= sizeof text || !*host || *host == '*' ||
	    (*host == '[' && host[len - 1] != ']'))
		return COPSE_ERR_ARGUMENT;
	if (copse_address_parse(text, port, &a) != COPSE_OK || !family_fits(&a, family))
		return COPSE_ERR_ARGUMENT;
	*out = a;
	return COPSE_OK;
}

int copse_resolve(const char *host, uint16_t port, int family, struct copse_address *out, size_t cap,
		  const char **why)
{
	/* Of two families the one that this machine has. Who asks for one gets it: on a machine without a network
	 * the C library would otherwise not even find localhost. */
	struct addrinfo hints = {.ai_family = family,
				 .ai_socktype = SOCK_DGRAM,
				 .ai_flags = family == AF_UNSPEC ? AI_ADDRCONFIG : 0};
	struct addrinfo *list = NULL;
	const char *text = "no such name";
	size_t n = 0;
	int err;

	COPSE_ASSERT(cap > 0);
	if (literal(host, port, family, out) == COPSE_OK)
		return 1;
	err = getaddrinfo(host, NULL, &hints, &list);
	for (const struct addrinfo *a = list; err == 0 && a && n < cap; a = a->ai_next) {
		if (copse_address_from(a->ai_addr, a->ai_addrlen, &out[n]) == COPSE_OK)
			copse_address_set_port(&out[n++], port);
	}
	if (list)
		freeaddrinfo(list);
	if (n > 0)
		return (int)n;
	if (err != 0 && err != EAI_NONAME)
		text = gai_strerror(err);
	if (why)
		*why = text;
	return err == EAI_AGAIN || err == EAI_FAIL || err == EAI_SYSTEM || err == EAI_MEMORY
		   ? COPSE_ERR_TRANSPORT
		   : COPSE_ERR_ARGUMENT;
}
