/*
 * What sort_big sorts: lines make COUNT | lines check COUNT FILE
 *
 * A line is 100 bytes: a key, the line's number, and a rest. The key follows from the number, and no two are the same. `check`
 * finds on its standard input each of them, once and in any order, and tells in the file how many it has seen.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 16, NUMBER = 8, LENGTH = 100, TELL_EVERY = 100000 };

/* splitmix64's last steps, each of which can be undone. */
static uint64_t key_of(uint64_t number)
{
	number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
	number = (number ^ number >> 27) * 0x94d049bb133111eb;
	return number ^ number >> 31;
}

static void put_hex(char *to, uint64_t value, int digits)
{
	while (digits-- > 0) {
		to[digits] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

/* KEY NUMBER REST */
static void write_line(char line[LENGTH], uint64_t number)
{
	memset(line, 'x', LENGTH);
	put_hex(line, key_of(number), KEY);
	line[KEY] = ' ';
	put_hex(line + KEY + 1, number, NUMBER);
	line[KEY + 1 + NUMBER] = ' ';
	line[LENGTH - 1] = '\n';
}

static int make(uint64_t count)
{
	char line[LENGTH];
	for (uint64_t number = 0; number < count; number++) {
		write_line(line, number + 1);
		if (fwrite(line, LENGTH, 1, stdout) != 1)
			return 1;
	}
	return fflush(stdout) != 0;
}

static bool tell(const char *path, uint64_t seen)
{
	char copy[4096];
	snprintf(copy, sizeof(copy), "%s.new", path);
	FILE *file = fopen(copy, "w");
	return file && fprintf(file, "%llu\n", (unsigned long long)seen) > 0 && fclose(file) == 0 &&
	       rename(copy, path) == 0;
}

static int check(uint64_t count, const char *path)
{
	unsigned char *found = calloc(1, count / 8 + 1);
	char line[LENGTH], wanted[LENGTH], number[NUMBER + 1] = "";
	uint64_t seen = 0;
	while (found && fread(line, LENGTH, 1, stdin) == 1) {
		memcpy(number, line + KEY + 1, NUMBER);
		uint64_t place = strtoull(number, NULL, 16) - 1;
		write_line(wanted, place + 1);
		if (place >= count || memcmp(line, wanted, LENGTH) != 0 ||
		    found[place / 8] & 1 << place % 8) {
			fprintf(stderr, "line %llu is none of them, or not new: %.*s",
				(unsigned long long)seen, LENGTH, line);
			return 1;
		}
		found[place / 8] |= (unsigned char)(1 << place % 8);
		if (++seen % TELL_EVERY == 0 && !tell(path, seen))
			return 1;
	}
	if (seen != count || !tell(path, seen))
		fprintf(stderr, "%llu of %llu lines came\n", (unsigned long long)seen,
			(unsigned long long)count);
	return seen != count;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	if (argc == 3 && !strcmp(argv[1], "make"))
		return make(count);
	if (argc == 4 && !strcmp(argv[1], "check"))
		return check(count, argv[3]);
	return 2;
}
