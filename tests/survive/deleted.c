/* What was removed while in use: a file with a second name, an empty directory that is the cwd, a mapped
 * file. */
#include <sys/stat.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[16];
	struct stat stat;
	int linked = open("linked", O_RDWR | O_CREAT, 0600), mapped = open("mapped", O_RDWR | O_CREAT, 0600);
	check(linked >= 0 && write(linked, "linked", 6) == 6 && link("linked", "other") == 0 &&
	      unlink("linked") == 0);
	check(mapped >= 0 && ftruncate(mapped, 8192) == 0);
	char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
	check(memory != MAP_FAILED && unlink("mapped") == 0 && close(mapped) == 0);
	strcpy(memory + 4096, "mapped");
	int home = open(".", O_RDONLY | O_DIRECTORY), tmp = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	check(home >= 0 && mkdir("gone", 0755) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
	check(tmp < 0 || write(tmp, "nameless", 8) == 8);
	while (survive_moved()) {
		check(pread(linked, text, 6, 0) == 6 && !memcmp(text, "linked", 6) && !fstat(linked, &stat));
		check(stat.st_nlink == 1 && faccessat(home, "linked", F_OK, 0) < 0);
		int other = openat(home, "other", O_RDONLY);
		struct stat again;
		check(other >= 0 && fstat(other, &again) == 0 && again.st_ino == stat.st_ino &&
		      close(other) == 0);
		check(!strcmp(memory + 4096, "mapped"));
		check(open("new", O_WRONLY | O_CREAT, 0600) < 0 && errno == ENOENT);
		check(tmp < 0 || (pread(tmp, text, 8, 0) == 8 && !memcmp(text, "nameless", 8)));
	}
	survive_ok();
	return 0;
}
