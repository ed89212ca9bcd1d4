/* Files of security contexts: what is taken and what is not, with its line; numbers that are never used twice, whatever
 * happens to who used them; and the window of those that came.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <oscore/file.h>

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET "master_secret,hex,\"0102030405060708090a0b0c0d0e0f10\"\n"
#define SALT   "master_salt,hex,\"9e7ca92223786340\"\n"
#define IDS    "sender_id,ascii,\"\"\nrecipient_id,hex,\"01\"\n"
#define GOOD   SECRET SALT IDS

/* A folder for the files of one test. */
struct place {
	char folder[64], file[96], numbers[96], beside[112];
};

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void put(const char *path, const char *text)
{
	write_file(path, text, strlen(text), 0600);
}

static void get(const char *path, char *text, size_t cap)
{
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	text[fread(text, 1, cap - 1, in)] = 0;
	fclose(in);
}

static int arrive(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/copse-oscore-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->file, sizeof(p->file), "%s/context", p->folder);
	snprintf(p->numbers, sizeof(p->numbers), "%s/context.seq", p->folder);
	snprintf(p->beside, sizeof(p->beside), "%s/context.seq.new", p->folder);
	*state = p;
	return 0;
}

static int leave(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	unlink(p->numbers);
	unlink(p->beside);
	assert_int_equal(rmdir(p->folder), 0); /* nothing else is left behind */
	free(p);
	return 0;
}

/* Protect a request. Returns the number that it went under. */
static uint64_t use(struct copse_oscore_context *context)
{
	static const uint8_t get_request[] = {0x40, 0x01, 0x00, 0x01};
	struct copse_oscore_binding binding;
	struct copse_message m;
	uint8_t out[128], code;
	uint64_t number = 0;

	assert_int_equal(copse_message_parse(&m, get_request, sizeof(get_request)), 0);
	assert_true(
	    copse_oscore_protect(context, &m, COPSE_OSCORE_REQUEST, &binding, out, sizeof(out), &code) > 0);
	for (unsigned i = 0; i < binding.piv_len; i++)
		number = number << 8 | binding.piv[i];
	return number;
}

static void open_good(struct oscore_file *file, const char *spec)
{
	char why[OSCORE_FILE_WHY] = "";

	if (oscore_file_open(file, spec, why))
		fail_msg("%s", why);
}

static void refused(const char *spec, const char *expected)
{
	struct oscore_file file;
	char why[OSCORE_FILE_WHY] = "";

	assert_int_equal(oscore_file_open(&file, spec, why), -1);
	if (!strstr(why, expected))
		fail_msg("\"%s\" has no \"%s\"", why, expected);
	assert_null(strstr(why, "0102030405060708")); /* no secret is told */
	assert_int_equal(file.lock, -1);
	oscore_file_close(&file);
}

static void test_context(void **state)
{
	/* RFC 8613 Appendix C.1.1: the client's keys, from a file with all that a file can have */
	static const uint8_t sender_key[] = {0xf0, 0x91, 0x0e, 0xd7, 0x29, 0x5e, 0x6a, 0xd4,
					     0xb5, 0x4f, 0xc7, 0x93, 0x15, 0x43, 0x02, 0xff};
	static const uint8_t common_iv[] = {0x46, 0x22, 0xd4, 0xdd, 0x6d, 0x94, 0x41,
					    0x68, 0xee, 0xfb, 0x54, 0x98, 0x7c};
	const struct place *p = *state;
	struct oscore_file file;

	put(p->file, "# a comment\n\n  " SECRET SALT "sender_id , hex , \"\"\r\nrecipient_id,hex,01\n"
		     "aead_alg,text,\"AES-CCM-16-64-128\"\nhkdf_alg,integer,-10\nreplay_window,integer,8\n"
		     "ssn_freq,integer,3\nrfc8613_b_1_2,bool,true\nrfc8613_b_2,bool,false"); /* no newline */
	open_good(&file, p->file);
	assert_memory_equal(file.context.sender_key, sender_key, sizeof(sender_key));
	assert_memory_equal(file.context.common_iv, common_iv, sizeof(common_iv));
	assert_int_equal(file.context.window, 8);
	assert_false(file.context.has_id_context);
	assert_true(file.context.synced);
	oscore_file_close(&file);
	assert_int_equal(file.context.sender_key[0], 0); /* wiped */
	oscore_file_close(&file);

	put(p->file,
	    GOOD "id_context,hex,\"\"\naead_alg,text,chacha20/poly1305\nhkdf_alg,text,direct+HKDF-SHA-512\n");
	open_good(&file, p->file);
	assert_true(file.context.has_id_context); /* an empty one is another than none */
	assert_int_equal(file.context.aead, COPSE_OSCORE_CHACHA20_POLY1305);
	oscore_file_close(&file);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
	    {"", "master_secret is missing"},
	    {SECRET "recipient_id,hex,01\n", "sender_id is missing"},
	    {SECRET "sender_id,hex,01\n", "recipient_id is missing"},
	    {GOOD "frobnicate,hex,00\n", ":5: there is no such keyword"},
	    {GOOD SALT, ":5: master_salt stands in line 2, too"},
	    {SECRET "\n# so\nsender_id,hex\n", ":4: a line is KEYWORD,TYPE,VALUE"},
	    {"master_secret,hex,0\n", ":1: master_secret: no hexadecimal digits"},
	    {"master_secret,hex,0g\n", ":1: master_secret: no hexadecimal digits"},
	    {"master_secret,integer,1\n", ":1: master_secret takes hex or ascii"},
	    {"master_secret,hex,\"\"\n" IDS, ":1: master_secret is empty"},
	    {SECRET "sender_id,ascii,12345678\nrecipient_id,hex,\n", ":2: sender_id is longer than 7 bytes"},
	    {SECRET "sender_id,hex,\nrecipient_id,hex,0102030405060708\n",
	     ":3: recipient_id is longer than 7"},
	    {SECRET "sender_id,hex,31\nrecipient_id,ascii,1\n", ":3: recipient_id is the same as sender_id"},
	    {GOOD "id_context,ascii,123456789012345678901234567890123\n", ":5: id_context is longer than 32"},
	    {GOOD "replay_window,integer,0\n", ":5: replay_window is 1 to 64"},
	    {GOOD "replay_window,integer,65\n", ":5: replay_window is 1 to 64"},
	    {GOOD "replay_window,integer,8x\n", ":5: replay_window: no number"},
	    {GOOD "replay_window,integer,99999999999999999999\n", ":5: replay_window: no number"},
	    {GOOD "ssn_freq,integer,0\n", ":5: ssn_freq is 1 to 1000000"},
	    {GOOD "ssn_freq,hex,10\n", ":5: ssn_freq takes integer"},
	    {GOOD "rfc8613_b_2,bool,true\n", ":5: rfc8613_b_2 is not supported"},
	    {GOOD "rfc8613_b_1_2,integer,yes\n", ":5: rfc8613_b_1_2: no number"},
	    {GOOD "rfc8613_b_1_2,bool,yes\n", ":5: rfc8613_b_1_2 takes bool"},
	    {GOOD "aead_alg,text,ROT13\n", ":5: aead_alg: the algorithm is not known"},
	    {GOOD "aead_alg,integer,2\n", "an algorithm is not known"},
	    {GOOD "hkdf_alg,integer,-12\n", "an algorithm is not known"},
	    {SECRET "sender_id,ascii,1234567\nrecipient_id,hex,\naead_alg,text,A128GCM\n",
	     "too long for aead_alg"},
	};
	const struct place *p = *state;
	char spec[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		put(p->file, wrong[i].text);
		refused(p->file, wrong[i].why);
		assert_int_not_equal(access(p->numbers, F_OK), 0); /* a mistake leaves no numbers behind */
	}
	write_file(p->file, GOOD "\0", sizeof(GOOD), 0600);
	refused(p->file, "is no text");
	memset(spec, 'x', sizeof(spec) - 1);
	spec[sizeof(spec) - 1] = 0;
	refused(spec, "too long");
	refused("/nowhere/at/all", "No such file");
}

static void test_permissions(void **state)
{
	const struct place *p = *state;
	struct oscore_file file;
	char spec[200];

	write_file(p->file, GOOD, strlen(GOOD), 0640);
	refused(p->file, "chmod 600");
	write_file(p->file, GOOD, strlen(GOOD), 0604);
	refused(p->file, "chmod 600");
	refused(p->folder, "not a regular file");
	put(p->file, GOOD);
	write_file(p->numbers, "", 0, 0644);
	refused(p->file, "chmod 600");
	unlink(p->numbers);
	snprintf(spec, sizeof(spec), "%s,%s/none/numbers", p->file, p->folder);
	refused(spec, "cannot be replaced: No such file"); /* nothing is sent that cannot be kept */
	open_good(&file, p->file);
	refused(p->file, "another program uses this context");
	oscore_file_close(&file);
	open_good(&file, p->file);
	oscore_file_close(&file);
}

static void test_numbers_go_on(void **state)
{
	const struct place *p = *state;
	struct oscore_file file;
	struct stat st;

	put(p->file, GOOD);
	open_good(&file, p->file);
	for (uint64_t i = 0; i < 70; i++) /* more than are reserved at once */
		assert_int_equal(use(&file.context), i);
	oscore_file_close(&file);
	assert_int_equal(stat(p->numbers, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	put(p->beside, "what somebody left who was killed while he wrote");
	open_good(&file, p->file);
	assert_int_equal(use(&file.context), 70); /* none is skipped after an orderly end */
	oscore_file_close(&file);
	assert_int_not_equal(access(p->beside, F_OK), 0);
}

/* A number is in the file before it is used. */
static void test_written_ahead(void **state)
{
	const struct place *p = *state;
	struct oscore_file file;
	char text[200];
	unsigned long long next;

	put(p->file, GOOD "ssn_freq,integer,5\n");
	open_good(&file, p->file);
	for (uint64_t i = 0; i < 23; i++) {
		assert_int_equal(use(&file.context), i);
		get(p->numbers, text, sizeof(text));
		assert_int_equal(sscanf(strchr(text, '\n'), "\nnext %llu", &next), 1);
		assert_true(next > i && next <= i + 5);
		assert_null(strstr(text, "window")); /* which would be an old one */
	}
	oscore_file_close(&file);
}

/* The program is killed in the midst of it, again and again: no number comes twice. */
static void test_killed(void **state)
{
	const struct place *p = *state;
	uint64_t last = 0, number;
	bool any = false;

	put(p->file, GOOD "ssn_freq,integer,7\n");
	for (int round = 0; round < 12; round++) {
		int ends[2], status;

		assert_int_equal(pipe(ends), 0);
		const pid_t child = fork();
		if (child == 0) {
			struct oscore_file file;
			char why[OSCORE_FILE_WHY];

			close(ends[0]);
			if (oscore_file_open(&file, p->file, why))
				_exit(1);
			for (;;) {
				number = use(&file.context);
				if (write(ends[1], &number, sizeof(number)) != sizeof(number))
					_exit(2);
			}
		}
		close(ends[1]);
		for (int i = 0; i < 3 * round + 1; i++) {
			assert_int_equal(read(ends[0], &number, sizeof(number)), sizeof(number));
			assert_true(!any || number > last);
			last = number;
			any = true;
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		while (read(ends[0], &number, sizeof(number)) ==
		       sizeof(number)) /* what it had used besides */
			last = number;
		close(ends[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
	}
}

static void test_cannot_be_kept(void **state)
{
	static const uint8_t get_request[] = {0x40, 0x01, 0x00, 0x01};
	const struct place *p = *state;
	struct copse_oscore_binding binding;
	struct oscore_file file;
	struct copse_message m;
	uint8_t out[128], code;
	int n;

	put(p->file, GOOD "ssn_freq,integer,2\n");
	open_good(&file, p->file);
	assert_int_equal(use(&file.context), 0);
	assert_int_equal(use(&file.context), 1);
	assert_int_equal(mkdir(p->beside, 0700), 0); /* in the way, also of root */
	assert_int_equal(copse_message_parse(&m, get_request, sizeof(get_request)), 0);
	n = copse_oscore_protect(&file.context, &m, COPSE_OSCORE_REQUEST, &binding, out, sizeof(out), &code);
	assert_int_equal(n, COPSE_ERR_EXHAUSTED);
	assert_int_equal(rmdir(p->beside), 0);
	assert_int_equal(use(&file.context), 2);
	oscore_file_close(&file);
}

static void test_damaged(void **state)
{
	static const char *const wrong[] = {"",
					    "7\n",
					    "context 0011223344556677\n",
					    "context 0011223344556677\nnext \n",
					    "context 0011223344556677\nnext 7",
					    "context 0011\nnext 7\n",
					    "context 0011223344556677\nnext -1\n",
					    "context 0011223344556677\nnext 1099511627777\n", /* 2^40 + 1 */
					    "context 0011223344556677\nnext 99999999999999999999\n",
					    "context 0011223344556677\nnext 7\nwindow 1\n",
					    "context 0011223344556677\nnext 7\nwindow 1 1\nmore\n",
					    "context 0011223344556677\nnext 7\nwindow 1 1",
					    "context 0011223344556677\nnext 7x\n"};
	const struct place *p = *state;
	struct oscore_file file;

	put(p->file, GOOD);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		put(p->numbers, wrong[i]);
		refused(p->file, "is damaged");
	}
	put(p->numbers,
	    "context 0011223344556677\nnext 1099511627776\n"); /* all are used, which is no damage */
	open_good(&file, p->file);
	oscore_file_close(&file);
}

static void test_window(void **state)
{
	const struct place *p = *state;
	struct oscore_file file;
	char text[200];
	uint64_t top, seen;

	put(p->file, GOOD);
	open_good(&file, p->file);
	copse_oscore_restore_window(&file.context, 17, 0x1f);
	oscore_file_close(&file);
	open_good(&file, p->file); /* after an orderly end it is as it was */
	assert_true(copse_oscore_window(&file.context, &top, &seen));
	assert_int_equal(top, 17);
	assert_int_equal(seen, 0x1f);
	get(p->numbers, text, sizeof(text)); /* what a killed program leaves: no window */
	oscore_file_close(&file);
	put(p->numbers, text);
	open_good(&file, p->file);
	assert_false(copse_oscore_window(&file.context, &top, &seen));
	oscore_file_close(&file);
	get(p->numbers, text, sizeof(text)); /* not known is not kept */
	assert_null(strstr(text, "window"));
	put(p->file, GOOD "rfc8613_b_1_2,bool,false\n");
	open_good(&file, p->file);
	assert_true(copse_oscore_window(&file.context, &top, &seen));
	assert_int_equal(top, 0);
	oscore_file_close(&file);
}

/* The file of the numbers outlives its context: numbers go on, the window does not. */
static void test_other_context(void **state)
{
	const struct place *p = *state;
	struct oscore_file file;
	uint64_t top, seen;

	put(p->file, GOOD);
	open_good(&file, p->file);
	assert_int_equal(use(&file.context), 0);
	copse_oscore_restore_window(&file.context, 17, 0x1f);
	oscore_file_close(&file);
	put(p->file, SECRET IDS);
	open_good(&file, p->file);
	assert_int_equal(use(&file.context), 1);
	assert_false(copse_oscore_window(&file.context, &top, &seen));
	oscore_file_close(&file);
	put(p->file, GOOD);
	open_good(&file, p->file);
	assert_int_equal(use(&file.context), 2);
	oscore_file_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_context, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_mistakes, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_permissions, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_numbers_go_on, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_written_ahead, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_killed, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_cannot_be_kept, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_damaged, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_window, arrive, leave),
	    cmocka_unit_test_setup_teardown(test_other_context, arrive, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
