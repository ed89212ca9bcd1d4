/* Processes under measurement: the gateway itself, and the bare sink beside it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH     64
#define LISTENING "msg=listening address=127.0.0.1:"

void die(const char *what)
{
	perror(what);
	exit(1);
}

double wall_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_config(const char *path, const char *db)
{
	FILE *file = fopen(path, "w");

	if (!file)
		die(path);
	fprintf(file,
		"listen = {\"127.0.0.1:0\"}\nworkers = 1\nmesh { bind = \"127.0.0.1:0\" }\n"
		"key \"k\" { algorithm = HS256 secret = \"%040d\" }\n"
		"collector {\n\tstore = \"%s\"\n\topen = true\n}\n",
		0, db);
	if (fclose(file) != 0)
		die(path);
}

/* The port in the line that says so. */
static uint16_t wait_listening(int output)
{
	static char text[65536];
	size_t len = 0;

	for (;;) {
		ssize_t n = read(output, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		const char *at = strstr(text, LISTENING);
		if (at && strchr(at, '\n'))
			return (uint16_t)strtoul(at + strlen(LISTENING), NULL, 10);
	}
	fprintf(stderr, "the gateway does not listen:\n%s\n", text);
	exit(1);
}

struct process gateway_start(const char *folder, const char *db)
{
	char config[256];
	int pipes[2];

	snprintf(config, sizeof(config), "%s/gateway.conf", folder);
	write_config(config, db);
	if (pipe(pipes) != 0)
		die("pipe");
	struct process p = {.pid = fork(), .output = pipes[0]};
	if (p.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* whoever ends the benchmark ends this */
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		const char *wrapped = getenv("COPSE_BENCH_GATEWAY"); /* a profiler's script, say */
		const char *program = wrapped ? wrapped : COPSE_GATEWAY;
		execl(program, program, "-c", config, (char *)NULL);
		die(program);
	}
	close(pipes[1]);
	p.port = wait_listening(p.output);
	return p;
}

/* --- the sink --- */

static int open_sink(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		die("sink");
	*port = ntohs(a.sin_port);
	return fd;
}

static void sink(int fd)
{
	static uint8_t bytes[BATCH][1500];
	struct sockaddr_in from[BATCH];
	struct iovec room[BATCH];
	struct mmsghdr message[BATCH];

	for (;;) {
		for (int i = 0; i < BATCH; i++) {
			room[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
			message[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i],
								  .msg_namelen = sizeof(from[i]),
								  .msg_iov = &room[i],
								  .msg_iovlen = 1}};
		}
		if (recvmmsg(fd, message, BATCH, MSG_WAITFORONE, NULL) < 0)
			die("recvmmsg");
	}
}

struct process sink_start(void)
{
	struct process p = {.output = -1};
	int fd = open_sink(&p.port);

	p.pid = fork();
	if (p.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		sink(fd);
	}
	close(fd);
	return p;
}

void process_stop(struct process *p)
{
	int status;

	kill(p->pid, SIGTERM);
	waitpid(p->pid, &status, 0);
	if (p->output >= 0) {
		close(p->output);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			fprintf(stderr, "the gateway did not end well: %d\n", status);
			exit(1);
		}
	}
}

/* --- what it costs --- */

static double cpu_of(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned long long ns = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return (double)ns / 1e9;
}

struct cpu process_cpu(const struct process *p)
{
	struct cpu cpu = {0};
	struct dirent *entry;
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)p->pid);
	DIR *tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)p->pid, entry->d_name);
		double seconds = entry->d_name[0] == '.' ? 0 : cpu_of(path);
		cpu.all += seconds;
		if (seconds > cpu.first) {
			cpu.second = cpu.first;
			cpu.first = seconds;
		} else if (seconds > cpu.second) {
			cpu.second = seconds;
		}
	}
	if (tasks)
		closedir(tasks);
	return cpu;
}

long process_rss(const struct process *p)
{
	char path[64];
	long all, resident = 0;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)p->pid);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2)
		die(path);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}
