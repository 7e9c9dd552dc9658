/* The job's own /float: the cwd in it, files open in it, one half read, and directories; all work on. */
#include <dirent.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[4096], directory[256];
	check(chdir("/float/jobs/self") == 0 && getcwd(directory, sizeof(directory)));
	int status = open("status", O_RDONLY), output = open("output", O_RDONLY),
	    migrate = open("migrate", O_RDWR);
	int here = open(".", O_RDONLY | O_DIRECTORY);
	check(status >= 0 && output >= 0 && migrate >= 0 && here >= 0 && read(output, text, 3) == 3);
	while (survive_moved()) {
		check(getcwd(text, sizeof(text)) && !strcmp(text, directory));
		check(pread(status, text, sizeof(text), 0) > 5);
		check(lseek(output, 0, SEEK_CUR) == 3 && pread(output, text, sizeof(text), 0) > 5);
		check(write(migrate, "c5.gigantic\n", 12) < 0 && errno == EINVAL);
		check(faccessat(here, "info", R_OK, 0) == 0);
		int again = open("status", O_RDONLY);
		check(again >= 0 && read(again, text, sizeof(text)) > 5 && close(again) == 0);
		check(!memcmp(text, "Executing\n", 10) || !memcmp(text, "Floating\n", 9));
		DIR *list = opendir(".");
		check(list && readdir(list) && closedir(list) == 0);
	}
	survive_ok();
	return 0;
}
