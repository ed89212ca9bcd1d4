/* Stands in for libFuzzer where the compiler has none: hands every file of the folders or files given as arguments to the
 * target once. Owner: the tests.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define INPUT_MAX (1u << 20)

static unsigned inputs;

/* The input gets a block of exactly its size, so that a sanitizer sees any read past the end. */
static int replay_file(const char *path)
{
	static uint8_t input[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	size_t len = fread(input, 1, sizeof(input), file);
	fclose(file);
	uint8_t *exact = malloc(len ? len : 1);
	if (!exact)
		return -1;
	memcpy(exact, input, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	inputs++;
	return 0;
}

static int replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	if (!folder) {
		perror(path);
		return -1;
	}
	int err = 0;
	for (struct dirent *entry; !err && (entry = readdir(folder));) {
		char name[PATH_MAX];
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
			err = -1;
		else
			err = replay_file(name);
	}
	closedir(folder);
	return err;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat status;
		if (stat(argv[i], &status) < 0) {
			perror(argv[i]);
			return 1;
		}
		if ((S_ISDIR(status.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i])) < 0)
			return 1;
	}
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
