/* A pseudo-terminal that is a session's controlling one: settings, size, foreground group, bytes in it,
 * Ctrl-C. */
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/survive/survive.h"

static int terminal;

static void interrupt(int signal)
{
	(void)signal;
	check(write(terminal, "interrupted\n", 12) == 12);
}

static void run_session(const char *name)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
	char line[64];
	ssize_t length;
	check(setsid() > 0);
	terminal = open(name, O_RDWR);
	check(terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) == 0 && tcgetpgrp(terminal) == getpid());
	check(sigaction(SIGINT, &action, NULL) == 0 && write(terminal, "ready\n", 6) == 6);
	while ((length = read(terminal, line, sizeof(line))) > 0) {
		check(tcgetpgrp(terminal) == getpid());
		check(write(terminal, line, (size_t)length) == length);
	}
	_exit(length == 0 ? 6 : 1);
}

static void expect(int master, const char *wanted)
{
	char text[128] = "";
	for (size_t got = 0; got < strlen(wanted); got++)
		check(read(master, text + got, 1) == 1);
	check(!strcmp(text, wanted));
}

int main(void)
{
	struct winsize size = { .ws_row = 33, .ws_col = 77 }, seen;
	struct termios settings, now;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	check(tcgetattr(master, &settings) == 0 && ioctl(master, TIOCSWINSZ, &size) == 0);
	settings.c_lflag &= ~(tcflag_t)(ECHO | ECHOCTL);
	settings.c_oflag &= ~(tcflag_t)ONLCR;
	check(tcsetattr(master, TCSANOW, &settings) == 0);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0)
		run_session(ptsname(master));
	expect(master, "ready\n");
	while (survive_moved()) {
		check(tcgetattr(master, &now) == 0 && now.c_lflag == settings.c_lflag);
		check(ioctl(master, TIOCGWINSZ, &seen) == 0 && seen.ws_row == 33 && seen.ws_col == 77);
		check(write(master, "hello\n", 6) == 6);
		expect(master, "hello\n");
		check(write(master, "\003", 1) == 1);
		expect(master, "interrupted\n");
	}
	check(write(master, "\004", 1) == 1);
	survive_wait_child(child, 6);
	survive_ok();
	return 0;
}
