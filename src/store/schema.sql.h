/* The tables of a database; described in doc/STORE.md. Values have no type of their own: a number is REAL, a boolean
 * INTEGER, a text TEXT, data a BLOB, and a reading that has a sum alone NULL.
 *
 * `arrival` takes what comes in, one row behind the other: that costs a few bytes a reading, whatever the number of
 * devices. `reading` keeps it by series and time; arrivals are merged into it many at a time.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_SCHEMA_SQL_H
#define STORE_SCHEMA_SQL_H

#define STORE_SCHEMA_ID      "1131376755" /* "Cops": PRAGMA application_id */
#define STORE_SCHEMA_VERSION "1"

/* clang-format off */
static const char store_schema_sql[] =
	"CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, known INTEGER NOT NULL DEFAULT 0,"
	"  label TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '', type TEXT NOT NULL DEFAULT '',"
	"  \"group\" TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL DEFAULT '', extra TEXT NOT NULL DEFAULT '',"
	"  sleeping INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE series (id INTEGER PRIMARY KEY, device INTEGER NOT NULL REFERENCES device(id), name TEXT NOT NULL,"
	"  unit TEXT NOT NULL, UNIQUE (device, name));"
	"CREATE TABLE arrival (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, time INTEGER NOT NULL, unit TEXT,"
	"  value, sum REAL, received INTEGER NOT NULL, expires INTEGER);"
	"CREATE TABLE reading (series INTEGER NOT NULL, time INTEGER NOT NULL, id INTEGER NOT NULL, unit TEXT,"
	"  value, sum REAL, received INTEGER NOT NULL, expires INTEGER, PRIMARY KEY (series, time, id)) WITHOUT ROWID;"
	"CREATE TABLE document (id INTEGER PRIMARY KEY, path TEXT NOT NULL, received INTEGER NOT NULL, expires INTEGER,"
	"  format INTEGER, body BLOB NOT NULL);"
	"CREATE INDEX document_path ON document (path, id);"
	"CREATE TABLE origin (origin INTEGER PRIMARY KEY, received INTEGER NOT NULL);"
	"CREATE TABLE merged (next INTEGER NOT NULL);"
	"INSERT INTO merged VALUES (1);"
	"CREATE VIEW readings AS SELECT d.name AS device, s.name AS name,"
	"  strftime('%Y-%m-%dT%H:%M:%fZ', r.time / 1e6, 'unixepoch') AS time, r.value AS value,"
	"  coalesce(r.unit, s.unit) AS unit, r.sum AS sum,"
	"  strftime('%Y-%m-%dT%H:%M:%fZ', r.received / 1e6, 'unixepoch') AS received FROM"
	"  (SELECT series, time, id, unit, value, sum, received FROM reading UNION ALL"
	"   SELECT series, time, id, unit, value, sum, received FROM arrival) AS r"
	"  JOIN series AS s ON s.id = r.series JOIN device AS d ON d.id = s.device;"
	"CREATE VIEW documents AS SELECT path, strftime('%Y-%m-%dT%H:%M:%fZ', received / 1e6, 'unixepoch') AS received,"
	"  format, length(body) AS bytes, body FROM document;"
	"PRAGMA application_id = " STORE_SCHEMA_ID ";"
	"PRAGMA user_version = " STORE_SCHEMA_VERSION ";";
/* clang-format on */

#endif
