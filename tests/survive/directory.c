/* A directory that is being read is read on: each entry once. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/survive/survive.h"

enum { FILES = 2000 };

int main(void)
{
	static char seen[FILES];
	struct dirent *entry;
	char name[32];
	int total = 0;
	check(mkdir("many", 0755) == 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		check(fd >= 0 && close(fd) == 0);
	}
	DIR *directory = opendir("many");
	check(directory);
	do {
		/* A tenth of it, so that the kernel is asked in between. */
		for (int i = 0; i < FILES / 10 && (entry = readdir(directory)); i++) {
			if (entry->d_name[0] == '.')
				continue;
			int number = atoi(entry->d_name);
			check(!seen[number]);
			seen[number] = 1;
			total++;
		}
	} while (survive_moved());
	while ((entry = readdir(directory)))
		total += entry->d_name[0] != '.';
	check(total == FILES);
	survive_ok();
	return 0;
}
