/* SenML (RFC 8428): packs of records in JSON, CBOR and XML, read into resolved records, and written from readings.
 *
 * Streaming content formats (sensml) are not distinguished here: a pack is a pack. Bounds: a pack of at most
 * SENML_BYTES_MAX bytes and SENML_RECORDS_MAX records; names, units and values as in store.h. A pack is taken
 * whole or not at all: the fault of a record is told with its place.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_SENML_H
#define STORE_SENML_H

#include "buffer.h"
#include "store.h"

#define SENML_BYTES_MAX   262144
#define SENML_RECORDS_MAX 16384
#define SENML_NAME_MAX    (STORE_DEVICE_MAX + STORE_NAME_MAX + 1) /* device and name are cut apart later */

#define SENML_VERSION 10 /* RFC 8428 §4.4: the highest one understood */

/* A resolved record (RFC 8428 §4.6). Texts are in the pack's memory. */
struct senml_record {
	const char *name; /* never NULL; "" only where the pack says so */
	const char *unit; /* "": none */
	int64_t time;     /* microseconds since 1970 */
	bool has_time;    /* false: the pack says nothing, `time` is that of arrival */
	uint8_t kind;     /* enum store_kind */
	bool has_sum, has_update;
	double number, sum, update; /* update: seconds until the next record at the latest */
	const uint8_t *bytes;
	uint32_t len;
};

/* Not to be copied: a short pack has its memory inside. */
struct senml_pack {
	struct senml_record *record;
	uint32_t n;
	/* private */
	uint32_t cap, seen;
	struct senml_block *blocks;
	size_t used;             /* of `room` */
	struct senml_record one; /* the first record, */
	uint8_t room[192];       /* and its texts: most packs have no more */
};

#define SENML_NO_RECORD UINT32_MAX

/* What is wrong, and with which record, from 0, base-only ones counted. */
struct senml_fault {
	uint32_t record; /* or SENML_NO_RECORD: the pack itself */
	char text[120];
};

/* Read a pack of the Content-Format `format`: SENML or SENSML in JSON, CBOR or XML. `now`: microseconds since
 * 1970, what relative times count from. Returns 0 with a pack for senml_pack_free, or -1 with a fault. */
int senml_decode(uint32_t format, const void *bytes, size_t len, int64_t now, struct senml_pack *out,
		 struct senml_fault *fault);

/* Whether senml_decode takes `format`. */
bool senml_is_format(uint32_t format);

void senml_pack_free(struct senml_pack *pack);

/* Whether a name has only the characters that RFC 8428 §4.5.1 allows; an empty one has. */
bool senml_is_name(const char *name);

/* Write a pack, record by record. Begin with zeros but `format` and `out`; each row, then senml_encode_end. */
struct senml_writer {
	uint32_t format; /* COPSE_FORMAT_SENML_JSON, _CBOR or _XML */
	struct store_buffer *out;
	uint32_t n;
	char device[STORE_DEVICE_MAX + 1]; /* whose base name is in force */
};

void senml_encode_reading(struct senml_writer *w, const struct store_reading *r);
void senml_encode_end(struct senml_writer *w);

/* --- private: between the files of this codec --- */

/* A record as it stands in the pack. */
enum senml_field {
	SENML_BN = 1,
	SENML_BT = 2,
	SENML_BU = 4,
	SENML_BV = 8,
	SENML_BS = 16,
	SENML_BVER = 32,
	SENML_N = 64,
	SENML_U = 128,
	SENML_V = 256,
	SENML_VS = 512,
	SENML_VB = 1024,
	SENML_S = 2048,
	SENML_T = 4096,
	SENML_UT = 8192,
	SENML_VD = 16384
};

struct senml_text {
	const char *at;
	size_t len;
};

struct senml_raw {
	unsigned has; /* enum senml_field */
	struct senml_text bn, bu, n, u, vs, vd;
	double bt, bv, bs, bver, v, s, t, ut;
	bool vb;
};

/* What is in force while a pack is read. */
struct senml_reader {
	struct senml_pack *pack;
	struct senml_fault *fault;
	int64_t now;
	char bn[SENML_NAME_MAX + 1], bu[STORE_UNIT_MAX + 1];
	double bt, bv, bs;
	uint32_t version;
	bool has_bv, has_bs, has_version;
};

/* Memory that lives as long as the pack; NULL: there is none, the fault is set. */
void *senml_room(struct senml_reader *r, size_t len);

/* Resolve a record and append it. Texts of `raw` are copied. Returns 0 or -1 with the fault. */
int senml_take(struct senml_reader *r, const struct senml_raw *raw);

/* The same for one that is no record at all, or for the pack (SENML_NO_RECORD). Returns -1. */
int senml_fail(struct senml_reader *r, uint32_t record, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The field with a label of JSON and XML, or 0. `*critical`: it must be understood (RFC 8428 §4.4). */
unsigned senml_field(const char *label, size_t len, bool *critical);

/* The common case, in senml_json_plain.c. Returns false when it is none of these; the reader and its pack are to be begun
 * anew. */
bool senml_decode_json_plain(struct senml_reader *r, const void *bytes, size_t len);
int senml_decode_json(struct senml_reader *r, const void *bytes, size_t len);
int senml_decode_cbor(struct senml_reader *r, const void *bytes, size_t len);
int senml_decode_xml(struct senml_reader *r, const void *bytes, size_t len);

/* base64.c: base64url without padding (RFC 4648 §5); decoding takes padding and the other alphabet too.
 * Returns the length, or -1. */
int senml_base64_decode(const char *text, size_t len, uint8_t *out);
void senml_base64_encode(struct store_buffer *out, const uint8_t *bytes, size_t len);

#endif
