/* See state.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state.h"
#include "report.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for another command in the same session, and how often to look. */
#define LOCK_TRIES    100
#define LOCK_PAUSE_NS 100000000

/* Ports below those that Linux hands out by itself (ip_local_port_range), and above those that programs like. */
#define PORT_FIRST 20000u
#define PORT_SPAN  12000u

static bool is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= sizeof(((struct state *)0)->name) || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (name[i] == '/' || (unsigned char)name[i] <= ' ')
			return false;
	}
	return true;
}

/* Make the folder at `path` and those above it, for their owner alone. Returns 0 or -1 with errno. */
static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int err = mkdir(path, 0700);
		*slash = '/';
		if (err && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int find_path(struct state *state)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	const struct passwd *user = home && *home ? NULL : getpwuid(getuid());
	int n;

	if (user)
		home = user->pw_dir;
	if (runtime && *runtime)
		n = snprintf(state->path, sizeof(state->path), "%s/copse/%s.session", runtime, state->name);
	else
		n = snprintf(state->path, sizeof(state->path), "%s/.local/state/copse/%s.session",
			     home ? home : "/tmp", state->name);
	if (n < 0 || (size_t)n + 8 >= sizeof(state->path))
		return report_error(EXIT_OTHER, "the folder for sessions has too long a name");
	return 0;
}

/* Wait for the lock beside the file. Without a folder there is no session, and no lock is needed to know so. */
static int take_lock(struct state *state)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	char path[STATE_PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s.lock", state->path);
	state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->lock < 0)
		return errno == ENOENT
			   ? 0
			   : report_error(EXIT_OTHER, "cannot open %s: %s", path, strerror(errno));
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(state->lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	close(state->lock);
	state->lock = -1;
	report_error(EXIT_OTHER, "session %s is in use by another command", state->name);
	report_hint("one port carries one command at a time; open another session with --session NAME, or "
		    "use --direct");
	return EXIT_OTHER;
}

static int damaged(const struct state *state, const char *why)
{
	report_error(EXIT_OTHER, "%s: %s", state->path, why);
	report_hint("remove it, or: copse session close --force");
	return EXIT_OTHER;
}

static bool copy(char *to, size_t cap, const char *from)
{
	size_t n = strlen(from);

	if (n >= cap)
		return false;
	memcpy(to, from, n + 1);
	return true;
}

static int parse(struct state *state, FILE *file)
{
	json_error_t where;
	const char *gateway, *address, *account, *opened, *resumption = "";
	int port, last_id;

	json_t *o = json_loadf(file, JSON_REJECT_DUPLICATES, &where);
	if (!o)
		return damaged(state, where.text);
	int err = json_unpack_ex(o, &where, 0, "{s:s, s:s, s:s, s:s, s:i, s:i, s?s}", "gateway", &gateway,
				 "address", &address, "account", &account, "opened", &opened, "port", &port,
				 "last_id", &last_id, "resumption", &resumption);
	if (err)
		err = damaged(state, where.text);
	else if (port < 1 || port > 65535 || last_id < 0 || last_id > 65535 ||
		 !copy(state->gateway, sizeof(state->gateway), gateway) ||
		 !copy(state->address, sizeof(state->address), address) ||
		 !copy(state->account, sizeof(state->account), account) ||
		 !copy(state->opened, sizeof(state->opened), opened) ||
		 !copy(state->resumption, sizeof(state->resumption), resumption))
		err = damaged(state, "a value is out of range");
	json_decref(o);
	state->port = (uint16_t)port;
	state->last_id = (uint16_t)last_id;
	return err;
}

int state_load(struct state *state, const struct args *args)
{
	const char *name = args_value(args, ARG_SESSION), *from = "--session";

	*state = (struct state){.lock = -1};
	if (!name) {
		name = getenv("COPSE_SESSION");
		from = "COPSE_SESSION";
	}
	if (!name || !*name)
		name = "default";
	if (!is_name(name))
		return report_error(EXIT_OTHER, "%s: %s is no name of a session", from, name);
	copy(state->name, sizeof(state->name), name);
	int code = find_path(state);
	if (!code)
		code = take_lock(state);
	if (code)
		return code;
	FILE *file = fopen(state->path, "re");
	if (!file && errno == ENOENT)
		return 0;
	if (!file)
		return report_error(EXIT_OTHER, "cannot read %s: %s", state->path, strerror(errno));
	code = parse(state, file);
	fclose(file);
	state->open = code == 0;
	return code;
}

/* Written beside, then moved into place: a reader sees the old one or the new one. */
static int write_beside(const struct state *state, const char *beside)
{
	json_t *o =
	    json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s}", "gateway", state->gateway, "address",
		      state->address, "account", state->account, "opened", state->opened, "port",
		      (int)state->port, "last_id", (int)state->last_id, "resumption", state->resumption);
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = !o || fd < 0 || json_dumpfd(o, fd, JSON_INDENT(2));

	json_decref(o);
	if (fd >= 0 && close(fd))
		err = 1;
	return err;
}

int state_save(const struct state *state)
{
	char beside[STATE_PATH_MAX + 8];

	snprintf(beside, sizeof(beside), "%s.new", state->path);
	if (write_beside(state, beside) || rename(beside, state->path)) {
		int code = report_error(EXIT_OTHER, "cannot write %s: %s", state->path, strerror(errno));
		unlink(beside);
		return code;
	}
	return 0;
}

int state_remove(struct state *state)
{
	state->open = false;
	if (unlink(state->path) && errno != ENOENT)
		return report_error(EXIT_OTHER, "cannot remove %s: %s", state->path, strerror(errno));
	return 0;
}

int state_prepare(struct state *state)
{
	if (state->lock >= 0)
		return 0;
	if (make_folders(state->path))
		return report_error(EXIT_OTHER, "cannot make the folder of %s: %s", state->path,
				    strerror(errno));
	return take_lock(state);
}

uint16_t state_next_id(const struct state *state)
{
	/* Those from 0xf000 on are for multicast; 0 would stand for "at random". */
	return state->last_id == 0 ? 0 : state->last_id >= 0xefff ? 1 : (uint16_t)(state->last_id + 1);
}

void state_release(struct state *state)
{
	if (state->lock >= 0)
		close(state->lock);
	state->lock = -1;
}

static bool is_free(uint16_t port)
{
	struct sockaddr_in6 any = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), off = 0, err;

	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		err = bind(fd, (struct sockaddr *)&any, sizeof(any));
		close(fd);
		return err == 0;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = fd < 0 || bind(fd, (struct sockaddr *)&any4, sizeof(any4));
	if (fd >= 0)
		close(fd);
	return err == 0;
}

uint16_t state_choose_port(void)
{
	for (int i = 0; i < 1000; i++) {
		uint32_t random;
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return 0;
		uint16_t port = (uint16_t)(PORT_FIRST + random % PORT_SPAN);
		if (is_free(port))
			return port;
	}
	return 0;
}
