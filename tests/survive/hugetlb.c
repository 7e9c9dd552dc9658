/* Huge pages, where the machine has some to give: private and shared mappings, a memfd and a SysV segment of them keep
 * their content, their size of a page and their sharing. */
#include <linux/memfd.h>
#include <sys/shm.h>

#include "tests/survive/survive.h"

/* In KiB, of /proc/self/smaps. */
static long page_size(const void *memory)
{
	char line[512], start[32];
	long size = 0;
	bool here = false;
	FILE *file = fopen("/proc/self/smaps", "r");
	check(file);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)memory);
	while (size == 0 && fgets(line, sizeof(line), file)) {
		here |= !strncmp(line, start, strlen(start));
		if (here && sscanf(line, "KernelPageSize: %ld", &size) != 1)
			size = 0;
	}
	fclose(file);
	return size;
}

static long machines_page_size(void)
{
	char line[128];
	long size = 0;
	FILE *file = fopen("/proc/meminfo", "r");
	check(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "Hugepagesize: %ld", &size) != 1)
		;
	fclose(file);
	return size;
}

static unsigned *map(int flags, int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static unsigned *map_memfd(size_t size, int *fd)
{
	*fd = memfd_create("huge", MFD_HUGETLB);
	return *fd >= 0 && ftruncate(*fd, (off_t)size) == 0 ? map(MAP_SHARED, *fd, size) : NULL;
}

static unsigned *attach_segment(size_t size, int *id)
{
	*id = shmget(IPC_PRIVATE, size, IPC_CREAT | SHM_HUGETLB | 0600);
	void *memory = *id < 0 ? (void *)-1 : shmat(*id, NULL, 0);
	return memory == (void *)-1 ? NULL : memory;
}

/* What is shared is written by a child. */
static void write_first(unsigned *memory, unsigned value, bool by_child)
{
	pid_t child = by_child ? fork() : 0;
	check(child >= 0);
	if (child) {
		survive_wait_child(child, 0);
		return;
	}
	memory[0] = value;
	if (by_child)
		_exit(0);
}

int main(void)
{
	enum { PRIVATE, SHARED, MEMFD, SEGMENT, KINDS };
	long wanted = machines_page_size();
	size_t size = (size_t)wanted << 10, words = size / sizeof(unsigned);
	int fd = -1, segment = -1, had = 0;
	unsigned *memory[KINDS] = { 0 };
	if (size) {
		memory[PRIVATE] = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, size);
		memory[SHARED] = map(MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, size);
		memory[MEMFD] = map_memfd(size, &fd);
		memory[SEGMENT] = attach_segment(size, &segment);
	}
	for (unsigned kind = 0; kind < KINDS; kind++) {
		had += memory[kind] != NULL;
		for (unsigned i = 0; memory[kind] && i < words; i++)
			memory[kind][i] = i * 7 + kind;
	}
	printf("this machine gives %d of %d\n", had, KINDS);
	fflush(stdout);
	while (survive_moved()) {
		unsigned moves = (unsigned)survive_moves;
		for (unsigned kind = 0; kind < KINDS; kind++) {
			if (!memory[kind])
				continue;
			check(page_size(memory[kind]) == wanted);
			for (unsigned i = 1; i < words; i++)
				check(memory[kind][i] == i * 7 + kind);
			write_first(memory[kind], moves, kind != PRIVATE);
			check(memory[kind][0] == moves);
		}
		unsigned seen = 0;
		check(!memory[MEMFD] || (pread(fd, &seen, sizeof(seen), 0) == sizeof(seen) && seen == moves));
	}
	check(segment < 0 || shmctl(segment, IPC_RMID, NULL) == 0);
	survive_ok();
	return 0;
}
