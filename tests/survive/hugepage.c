/* Memory for which large pages were asked by madvise keeps its content and the advice; a wipe-on-fork range
 * too. */
#include "tests/survive/survive.h"

enum { SIZE = 8 << 20 };

/* The mapping's flags, of /proc/self/smaps. */
static int has_flag(const void *memory, const char *flag)
{
	char line[512], start[32];
	int here = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	check(file);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)memory);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, start, strlen(start)))
			here = 1;
		if (here && !strncmp(line, "VmFlags:", 8))
			break;
	}
	fclose(file);
	return here && strstr(line, flag) != NULL;
}

int main(void)
{
	unsigned *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned *wiped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED && wiped != MAP_FAILED);
	check(madvise(memory, SIZE, MADV_HUGEPAGE) == 0 && madvise(memory, SIZE, MADV_DONTDUMP) == 0);
	check(madvise(wiped, 4096, MADV_WIPEONFORK) == 0);
	for (unsigned i = 0; i < SIZE / sizeof(*memory); i++)
		memory[i] = i * 7;
	*wiped = 55;
	while (survive_moved()) {
		for (unsigned i = 0; i < SIZE / sizeof(*memory); i++)
			check(memory[i] == i * 7);
		check(has_flag(memory, " hg") && has_flag(memory, " dd") && *wiped == 55);
		pid_t child = fork();
		check(child >= 0);
		if (child == 0)
			_exit(*wiped == 0 ? 0 : 1);
		survive_wait_child(child, 0);
	}
	survive_ok();
	return 0;
}
