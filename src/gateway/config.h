/* The configuration: read from a file, checked, and then never changed. A worker uses one snapshot until it is handed
 * the next; the text format is described in gateway.conf(5).
 *
 * Reading blocks (files) and allocates; it is never done in a worker.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "lane.h"
#include "log.h"
#include "rate.h"
#include "rule.h"

#include "core/table.h"

#include <copse/address.h>
#include <copse/endpoint.h>
#include <copse/secure.h>

#define GW_NAME_MAX    63   /* names of devices, keys, classes */
#define GW_ACCOUNT_MAX 95   /* longest account */
#define GW_CLAIM_MAX   63   /* name of the claim with the account */
#define GW_CONFIG_WHY  2048 /* room for what is wrong with a configuration */
#define GW_LISTEN_MAX  8
#define GW_WORKERS_MAX 8

/* Parameter groups of the endpoint. */
#define GW_GROUP_CLIENTS 0
#define GW_GROUP_MESH    1
#define GW_GROUP_CLASSES 2 /* the first of classes that differ */

#define GW_SECRET_MIN 32 /* RFC 7518 §3.2: as long as the hash's output */

enum gw_algorithm { GW_HS256, GW_RS256, GW_ES256 };

/* A key that tokens are verified with. */
struct gw_key {
	char id[GW_NAME_MAX + 1];
	enum gw_algorithm algorithm;
	uint8_t issuers; /* bits: which of gw_token_rules.issuer it speaks for; 0: all */
	uint8_t *bytes;  /* the secret, or a public key in PEM; wiped when the snapshot goes */
	size_t len;
};

#define GW_TOKEN_NAMES 8 /* as many as gw_key.issuers has bits */

struct gw_names {
	char text[GW_TOKEN_NAMES][256];
	size_t n; /* 0: not checked */
};

/* What the token must say, and where the account stands in it. */
struct gw_token_rules {
	struct gw_names issuer, audience; /* one of them */
	char account_claim[GW_CLAIM_MAX + 1];
	char allow_claim[GW_CLAIM_MAX + 1], deny_claim[GW_CLAIM_MAX + 1];
	int64_t skew; /* seconds */
	bool require_exp;
	uint32_t rate; /* verifications a second */
};

/* Who shares what the response cache holds of a device. */
enum gw_sharing { GW_SHARE_ALL, GW_SHARE_ACCOUNT, GW_SHARE_NOTHING };

#define GW_QUEUE_MAX 64 /* deepest queue of a lane */

/* How devices of a class are treated. */
struct gw_class {
	char name[GW_NAME_MAX + 1];
	struct gw_lane_rule lane;
	uint8_t szx;      /* of the largest blocks that its devices are sent */
	bool sleeping;    /* its devices do not listen: the collector answers for them */
	bool request_tag; /* they tell transfers apart by Request-Tag (RFC 9175 §3) */
	enum gw_sharing cache;
	uint8_t group;       /* of the endpoint: GW_GROUP_MESH, or one of its own */
	struct gw_rate rate; /* of each device */
};

#define GW_CLASS_DEFAULT 0 /* of devices without a class, or with one that has no section */

struct gw_device {
	char name[GW_NAME_MAX + 1]; /* as gw_name_normalize makes it */
	char class[GW_NAME_MAX + 1];
	char uri_host[GW_NAME_MAX + 1]; /* "": none is sent */
	struct copse_address address;   /* with port; len 0: by the mesh's prefix */
	uint16_t port, secure_port;
	uint16_t class_number; /* in gw_config.classes */
	bool deny, sleeping;
	bool stream; /* by TCP and TLS */
};

/* A group that clients may ask. */
struct gw_group {
	char name[GW_NAME_MAX + 1];
	struct copse_address address; /* with port */
	uint32_t answers;             /* passed on, of one request */
	uint32_t timeout;             /* seconds that a request may take at most */
	struct gw_rate rate;
};

/* Which accounts an access section is about. */
struct gw_account_match {
	char text[GW_ACCOUNT_MAX + 1];
	bool beginning; /* `text` is the beginning of an account */
};

/* An access section: it decides when one of its rules matches and the account is one of its own. */
struct gw_access {
	bool deny;
	struct gw_account_match *accounts; /* none: all */
	size_t account_n;
	struct gw_rule *rules; /* none: all requests */
	size_t rule_n;
	bool devices; /* it is about devices, not just about documents */
};

/* The leading `bits` of an address; IPv4 as IPv4-mapped IPv6. */
struct gw_prefix {
	uint8_t bytes[16];
	uint8_t bits;
};

#define GW_COLLECTOR_TYPES_MAX      32
#define GW_COLLECTOR_INTERFACES_MAX 8

/* An agreed subscription: notifications under this token are readings of this type. */
struct gw_implicit {
	uint32_t type;
	uint8_t token[8];
	uint8_t token_len;
};

#define GW_IMPLICIT_MAX 16

/* What the collector is to do (collector.h); `path` "": nothing. */
struct gw_collector_config {
	char path[256]; /* of the database, or ":memory:" */
	bool sync, open, refuse_mismatch;
	uint32_t devices;
	struct gw_rate rate; /* of what one address publishes */
	int64_t keep_us;
	uint64_t max_bytes;
	uint32_t type[GW_COLLECTOR_TYPES_MAX]; /* numbers of registry/sensor_types.def */
	size_t type_n;
	struct gw_implicit implicit[GW_IMPLICIT_MAX];
	size_t implicit_n;
	char interface[GW_COLLECTOR_INTERFACES_MAX][16];
	size_t interface_n;
};

/* "TYPE:TOKEN", the token in hexadecimal. Returns false when it is none. */
bool gw_implicit_parse(const char *text, struct gw_implicit *implicit);

/* The resource directory (directory_serve.h); no registrations: there is none. */
struct gw_directory_config {
	uint32_t registrations;
	bool open;
};

/* The mailbox (mailbox.h); no requests: there is none. */
struct gw_mail_config {
	uint32_t requests, of_device, of_account;
	copse_ms limit_ms; /* so long one waits at most */
};

/* What is listened for: datagrams, or which kind of connections. */
enum gw_stream { GW_STREAM_NONE, GW_STREAM_PLAIN, GW_STREAM_WEBSOCKET };

#define GW_ORIGINS_MAX 1024

/* How clients come to workers. */
enum gw_spread {
	GW_SPREAD_ADDRESS, /* by their address; devices follow the clients that first asked for them */
	GW_SPREAD_PORT     /* by address and port; devices by their addresses */
};

/* "address" or "port", or -1. */
int gw_spread_from_text(const char *text);

struct gw_config {
	char name[GW_NAME_MAX + 1];
	struct copse_address listen[GW_LISTEN_MAX];
	uint8_t listen_stream[GW_LISTEN_MAX]; /* enum gw_stream */
	size_t listen_n;
	char origins[GW_ORIGINS_MAX]; /* copse_tcp_config.origins */
	uint32_t workers;             /* 0: one for each core */
	enum gw_spread spread;
	bool segmentation; /* copse_udp_config.segment */
	enum gw_log_level log_level;

	/* The secure sides. Keys are held; NULL: there is no such side. */
	struct copse_secure *client_keys, *mesh_keys;
	struct copse_address secure_listen[GW_LISTEN_MAX];
	uint8_t secure_listen_stream[GW_LISTEN_MAX]; /* enum gw_stream */
	size_t secure_listen_n;
	uint32_t associations, handshakes, handshake_rate; /* of each socket */
	unsigned handshake_helpers;                        /* threads; 0: workers make all handshakes */
	copse_ms association_idle_ms;

	struct gw_key *keys;
	size_t key_n;
	struct gw_token_rules token;

	uint32_t sessions_max, sessions_per_account, session_requests, grants_max;
	struct gw_rate account_rate;
	copse_ms session_idle_ms;

	struct copse_params clients, mesh;
	uint8_t
	    amplification; /* bytes to an address that is not verified, for each byte from it; 0: no limit */
	struct copse_address mesh_bind;
	uint16_t mesh_port, mesh_secure_port;
	uint8_t mesh_hops; /* of requests to groups */
	bool mesh_clear;   /* sessions are clear unless they ask for more */
	bool has_mesh_prefix;
	struct gw_prefix mesh_prefix;

	uint32_t requests_max, max_message;
	uint8_t hop_limit;    /* 0: none is added */
	uint32_t waiting_max; /* messages that wait in lanes */
	uint32_t transfers_max;
	copse_ms transfer_idle_ms;
	copse_ms drain_ms;	 /* at the end, for what is under way */
	size_t remembered_bytes; /* of messages, to recognize copies; at least what the other bounds need */
	struct gw_prefix *outside;
	size_t outside_n;

	uint32_t observations_max, observers_max, session_observers;
	uint32_t cache_entries, cache_waiters;
	uint64_t cache_bytes;

	struct gw_access *access; /* in the order of the file: the first that decides */
	size_t access_n;
	bool access_to_devices; /* one of them may be about a device */

	struct gw_class *classes; /* GW_CLASS_DEFAULT first */
	size_t class_n;
	struct copse_params groups[COPSE_GROUPS_MAX]; /* of classes, from GW_GROUP_CLASSES on */
	uint8_t group_n;                              /* GW_GROUP_CLASSES and as many more */
	struct gw_collector_config collector;
	struct gw_directory_config directory;
	struct gw_mail_config mailbox;

	struct gw_device *devices; /* in the order of the file */
	uint32_t device_n;
	struct core_table device_index; /* by gw_config_hash of the name: number in `devices` + 1 */
	uint64_t hash_key[2];

	struct core_table
	    address_index; /* by gw_config_address_hash, with either port: number in `devices` + 1 */

	struct gw_group *group_list;
	size_t group_list_n;

	char *device_list; /* /devices in link format */
	size_t device_list_len;
	uint8_t device_list_etag[8];
};

/* Read `path` and all that it includes.
 * Returns a snapshot to be given to gw_config_free, or NULL with `why` ("file:line: what is wrong"), which never
 * contains a secret. Not re-entrant: one thread at a time (libConfuse has one scanner). */
struct gw_config *gw_config_read(const char *path, char why[GW_CONFIG_WHY]);

/* Wipes the keys. NULL is taken. */
void gw_config_free(struct gw_config *config);

/* What `new` changes that has no effect before a restart: a list of option names in `buf`, "" for none. */
const char *gw_config_restart_needed(const struct gw_config *old, const struct gw_config *new, char *buf,
				     size_t cap);

/* Where a table keyed by `hash_key` has the name of a device. */
uint32_t gw_config_hash(const struct gw_config *config, const char *name, size_t len);

/* Where the table of addresses has one, with its port. */
uint32_t gw_config_address_hash(const struct gw_config *config, const struct copse_address *address);

/* One link of the list of devices, as snprintf writes it. */
size_t gw_config_put_link(char *buf, size_t cap, const struct gw_device *d, bool first);

/* Normalize the name of a device into `out` (GW_NAME_MAX + 1 bytes): lower case; a MAC ID of 12 or 16 digits loses
 * its dashes. Returns its length, or COPSE_ERR_ARGUMENT for what is no host name (RFC 1123 §2.1). */
int gw_name_normalize(const char *text, size_t len, char *out);

/* Read "192.0.2.0/24" or "fd00::/64". Bits behind the length must be zero. Returns 0 or COPSE_ERR_ARGUMENT. */
int gw_prefix_parse(const char *text, struct gw_prefix *out);

bool gw_prefix_has(const struct gw_prefix *prefix, const struct copse_address *address);

#endif
