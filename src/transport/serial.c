/* The serial line: one file descriptor, one peer; see copse/serial.h.
 *
 * `in` holds what was read and not yet taken apart; `pending` is the rest of a frame that the descriptor did not
 * take at once: nothing else is sent before it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serial.h>

#include <copse/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define IN_CAP        4096
#define FRAME_DEFAULT 256
#define BAUD_DEFAULT  115200
#define FLUSH_MS      2 /* until a line that took part of a frame is tried again */

struct serial {
	struct copse_transport base;
	struct copse_hdlc hdlc;
	uint32_t frame_max;
	uint8_t group;
	bool lost, told;
	bool is_socket;
	uint8_t in[IN_CAP];
	size_t in_at, in_len;
	size_t pending_at, pending_len;
	uint8_t frame[COPSE_SERIAL_FRAME_MAX + COPSE_HDLC_FCS];
	uint8_t pending[COPSE_HDLC_BYTES(COPSE_SERIAL_FRAME_MAX)];
};

static struct serial *serial_of(struct copse_transport *t)
{
	return (struct serial *)t;
}

static void lose(struct serial *s)
{
	s->lost = true;
	s->base.failed = !s->told;
}

/* Returns whether there is something in `in`. */
static bool fill(struct serial *s)
{
	ssize_t n;

	if (s->in_at < s->in_len)
		return true;
	if (s->lost)
		return false;
	n = read(s->base.fd, s->in, sizeof(s->in));
	s->base.counters.receive_calls++;
	if (n > 0) {
		s->in_at = 0;
		s->in_len = (size_t)n;
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		lose(s);
	return false;
}

static bool hand_out(struct serial *s, struct copse_datagram *d, size_t len)
{
	if (len > d->cap) {
		s->base.counters.truncated++;
		return false;
	}
	copse_serial_peer(&s->base, &d->peer);
	memcpy(d->data, s->frame, len);
	d->len = (uint32_t)len;
	d->flags = 0;
	s->base.counters.received++;
	s->base.counters.received_bytes += len;
	return true;
}

static size_t serial_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct serial *s = serial_of(t);
	size_t got = 0;

	(void)now;
	while (got < n && fill(s)) {
		size_t len;
		s->in_at += copse_hdlc_take(&s->hdlc, s->in + s->in_at, s->in_len - s->in_at, &len);
		if (len && hand_out(s, &batch[got], len))
			got++;
	}
	return got;
}

/* A socket whose other end is closed must not end the program. */
static ssize_t put(const struct serial *s, const uint8_t *bytes, size_t n)
{
	return s->is_socket ? send(s->base.fd, bytes, n, MSG_NOSIGNAL) : write(s->base.fd, bytes, n);
}

/* Returns whether nothing is pending any more. */
static bool flush(struct serial *s)
{
	while (s->pending_at < s->pending_len && !s->lost) {
		ssize_t n = put(s, s->pending + s->pending_at, s->pending_len - s->pending_at);
		if (n >= 0) {
			s->pending_at += (size_t)n;
			continue;
		}
		if (errno == EAGAIN || errno == EINTR)
			return false;
		lose(s);
	}
	return true;
}

static size_t serial_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			  copse_ms now)
{
	struct serial *s = serial_of(t);

	(void)now;
	for (size_t i = 0; i < n; i++) {
		struct copse_datagram *d = batch[i];
		if (!flush(s)) {
			t->blocked = true;
			t->counters.send_blocked++;
			return i;
		}
		t->blocked = false;
		d->flags = 0;
		if (s->lost || d->len > s->frame_max) {
			*(s->lost ? &t->counters.send_refused : &t->counters.send_toobig) += 1;
			d->flags = COPSE_DATAGRAM_DROPPED;
			continue;
		}
		s->pending_at = 0;
		s->pending_len = copse_hdlc_put(s->pending, sizeof(s->pending), d->data, d->len);
		t->counters.sent++;
		t->counters.sent_bytes += d->len;
		t->counters.send_calls++;
		flush(s);
	}
	return n;
}

static bool serial_failure(struct copse_transport *t, struct copse_peer *peer)
{
	struct serial *s = serial_of(t);

	t->failed = false;
	if (!s->lost || s->told)
		return false;
	s->told = true;
	copse_serial_peer(t, peer);
	return true;
}

static int serial_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	(void)t;
	(void)a;
	(void)peer;
	return COPSE_ERR_ARGUMENT; /* a line has no addresses */
}

static void serial_local(const struct copse_transport *t, const struct copse_peer *peer,
			 struct copse_address *out)
{
	(void)t;
	(void)peer;
	memset(out, 0, sizeof(*out));
}

static copse_ms serial_tick(struct copse_transport *t, copse_ms now)
{
	struct serial *s = serial_of(t);

	return flush(s) ? COPSE_NEVER : now + FLUSH_MS;
}

static void serial_close(struct copse_transport *t)
{
	close(t->fd);
	copse_mem_free(t);
}

static const struct copse_transport_ops serial_ops = {.receive = serial_receive,
						      .send = serial_send,
						      .failure = serial_failure,
						      .peer = serial_peer,
						      .local = serial_local,
						      .tick = serial_tick,
						      .close = serial_close};

/* ---- opening ---- */

static const struct {
	uint32_t baud;
	speed_t speed;
} speeds[] = {{1200, B1200},     {2400, B2400},     {4800, B4800},     {9600, B9600},
	      {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200},
	      {230400, B230400}, {460800, B460800}, {921600, B921600}, {1000000, B1000000}};

static bool find_speed(uint32_t baud, speed_t *speed)
{
	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
		if (speeds[i].baud == baud) {
			*speed = speeds[i].speed;
			return true;
		}
	}
	return false;
}

static int open_socket(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(at.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		const int err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/* Eight bits as they are, both ways; what lies in the buffers from before is nobody's. */
static int set_up(int fd, speed_t speed)
{
	struct termios mode;

	if (tcgetattr(fd, &mode) < 0)
		return -1;
	cfmakeraw(&mode);
	mode.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS | PARENB);
	mode.c_cflag |= CLOCAL | CREAD | CS8;
	if (cfsetispeed(&mode, speed) < 0 || cfsetospeed(&mode, speed) < 0 ||
	    tcsetattr(fd, TCSANOW, &mode) < 0)
		return -1;
	tcflush(fd, TCIOFLUSH);
	return 0;
}

static int open_terminal(const char *path, speed_t speed)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && set_up(fd, speed) < 0) {
		const int err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static int open_line(const char *path, speed_t speed, bool *is_socket)
{
	struct stat about;

	if (stat(path, &about) < 0)
		return -1;
	*is_socket = S_ISSOCK(about.st_mode);
	return *is_socket ? open_socket(path) : open_terminal(path, speed);
}

__attribute__((format(printf, 3, 4))) static int complain(char *why, size_t cap, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (cap)
		vsnprintf(why, cap, format, args);
	va_end(args);
	return COPSE_ERR_ARGUMENT;
}

int copse_serial_open(const struct copse_serial_config *config, struct copse_transport **out, char *why,
		      size_t why_cap)
{
	const uint32_t frame_max = config->frame_max ? config->frame_max : FRAME_DEFAULT;
	const uint32_t baud = config->baud ? config->baud : BAUD_DEFAULT;
	struct serial *s;
	char text[128];
	bool is_socket = false;
	speed_t speed;
	int fd;

	if (frame_max < COPSE_SERIAL_FRAME_MIN || frame_max > COPSE_SERIAL_FRAME_MAX)
		return complain(why, why_cap, "a frame has %u to %u bytes, not %u", COPSE_SERIAL_FRAME_MIN,
				COPSE_SERIAL_FRAME_MAX, (unsigned)frame_max);
	if (!find_speed(baud, &speed))
		return complain(why, why_cap, "%u baud is none of the usual rates", (unsigned)baud);
	fd = open_line(config->path, speed, &is_socket);
	if (fd < 0)
		return complain(why, why_cap, "cannot open %s: %s", config->path,
				strerror_r(errno, text, sizeof(text)));
	s = copse_mem_new(1, sizeof(*s));
	if (!s) {
		close(fd);
		complain(why, why_cap, "no memory");
		return COPSE_ERR_NOROOM;
	}
	s->base.ops = &serial_ops;
	s->base.scheme = "coap";
	s->base.fd = fd;
	s->is_socket = is_socket;
	s->frame_max = frame_max;
	s->group = config->group;
	copse_hdlc_init(&s->hdlc, s->frame, frame_max + COPSE_HDLC_FCS);
	*out = &s->base;
	return COPSE_OK;
}

/* The key is the transport's id alone: there is nobody else on the line. */
void copse_serial_peer(const struct copse_transport *t, struct copse_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	peer->len = 2;
	peer->group = ((const struct serial *)t)->group;
	peer->key[0] = (uint8_t)(t->id >> 8);
	peer->key[1] = (uint8_t)t->id;
}

bool copse_serial_lost(const struct copse_transport *t)
{
	return ((const struct serial *)t)->lost;
}

const struct copse_hdlc_counters *copse_serial_frames(const struct copse_transport *t)
{
	return &((const struct serial *)t)->hdlc.counters;
}
