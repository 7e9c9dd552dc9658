/* Open files: offsets, append and other flags, duplicates, one that was deleted, one that was renamed; cwd
 * and umask. */
#include <sys/stat.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[256] = "", directory[256];
	struct stat stat;
	check(mkdir("here", 0755) == 0 && chdir("here") == 0 && getcwd(directory, sizeof(directory)));
	umask(027);
	int deleted = open("deleted", O_RDWR | O_CREAT, 0600);
	check(deleted >= 0 && write(deleted, "still here", 10) == 10 && unlink("deleted") == 0);
	int offset = open("offset", O_RDWR | O_CREAT, 0600), twin = dup(offset);
	check(offset >= 0 && twin >= 0 && write(offset, "0123456789", 10) == 10);
	int append = open("/tmp/survive-append", O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0600);
	int root = open("/survive-root", O_RDWR | O_CREAT, 0600);
	check(append >= 0 && write(append, "0\n", 2) == 2);
	check(root < 0 || write(root, "x", 1) == 1);
	int renamed = open("before", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
	    path = open(".", O_PATH | O_DIRECTORY);
	check(renamed >= 0 && path >= 0 && rename("before", "after") == 0 && lseek(twin, 4, SEEK_SET) == 4);
	while (survive_moved()) {
		int moves = (int)survive_moves;
		check(getcwd(text, sizeof(text)) && !strcmp(directory, text) && umask(027) == 027);
		check(fstat(deleted, &stat) == 0 && stat.st_nlink == 0 && access("deleted", F_OK) < 0);
		check(pread(deleted, text, 10, 0) == 10 && !memcmp(text, "still here", 10));
		check(write(deleted, "!", 1) == 1 && fstat(deleted, &stat) == 0 &&
		      stat.st_size == 10 + moves);
		/* A duplicate shares its offset. */
		check(read(offset, text, 3) == 3 && !memcmp(text, "456", 3) && lseek(twin, 0, SEEK_CUR) == 7);
		check(lseek(twin, 4, SEEK_SET) == 4);
		check(write(append, "n\n", 2) == 2 && fstat(append, &stat) == 0 &&
		      stat.st_size == 2 * (moves + 1));
		check((fcntl(append, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE)) ==
		      (O_APPEND | O_NONBLOCK | O_WRONLY));
		check(fcntl(renamed, F_GETFD) == FD_CLOEXEC && fcntl(offset, F_GETFD) == 0);
		check(pwrite(renamed, &moves, sizeof(moves), 0) == sizeof(moves));
		int again = openat(path, "after", O_RDONLY), seen = 0;
		check(again >= 0 && read(again, &seen, sizeof(seen)) == sizeof(seen) && seen == moves);
		close(again);
		again = open("new", O_WRONLY | O_CREAT | O_EXCL, 0666);
		check(again >= 0 && fstat(again, &stat) == 0 && (stat.st_mode & 0777) == 0640);
		check(close(again) == 0 && unlink("new") == 0);
	}
	survive_ok();
	return 0;
}
