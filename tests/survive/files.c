/* Open files: the current directory, offsets, append mode, a lock, and a file that was deleted while open. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[64] = "", directory[256];
	check(mkdir("/data/here", 0755) == 0 && chdir("/data/here") == 0);

	int deleted = open("deleted", O_RDWR | O_CREAT, 0600);
	check(deleted >= 0 && write(deleted, "still here", 10) == 10 && unlink("deleted") == 0);

	int offset = open("offset", O_RDWR | O_CREAT, 0600);
	check(offset >= 0 && write(offset, "0123456789", 10) == 10 && lseek(offset, 4, SEEK_SET) == 4);

	int append = open("/root-file", O_WRONLY | O_CREAT | O_APPEND, 0600);
	check(append >= 0 && write(append, "one\n", 4) == 4);

	int locked = open("locked", O_RDWR | O_CREAT, 0600);
	check(locked >= 0 && flock(locked, LOCK_EX) == 0);

	survive_move();

	check(getcwd(directory, sizeof(directory)) && !strcmp(directory, "/data/here"));
	struct stat stat;
	check(fstat(deleted, &stat) == 0 && stat.st_nlink == 0 && access("deleted", F_OK) < 0);
	check(pread(deleted, text, sizeof(text), 0) == 10 && !memcmp(text, "still here", 10));
	check(write(deleted, "!", 1) == 1 && fstat(deleted, &stat) == 0 && stat.st_size == 11);
	check(read(offset, text, 3) == 3 && !memcmp(text, "456", 3));
	check(write(append, "two\n", 4) == 4);
	int again = open("/root-file", O_RDONLY);
	check(again >= 0 && read(again, text, sizeof(text)) == 8 && !memcmp(text, "one\ntwo\n", 8));
	int other = open("locked", O_RDWR);
	check(other >= 0 && flock(other, LOCK_EX | LOCK_NB) < 0);
	survive_ok();
	return 0;
}
