/*
 * A job that holds what cannot be carried: uncarried LOG-DIRECTORY KIND
 *
 * It says `holding`, and then counts, a line every 20 ms. On SIGTERM it lets go of it, checks that nothing of it was
 * lost and says `let go`; a second one ends it. Of a kind named KIND+ it lets go by itself, five seconds after it
 * has seen that it is being moved. 77: this kernel has none, nothing is to be tested.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ABSENT = 77, SIZE_OF_LARGE = 1100 << 20 };

static volatile sig_atomic_t terms;
static int held = -1, client = -1;
static pid_t child = -1;

static void count_term(int signal)
{
	(void)signal;
	terms++;
}

#define check(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			printf("does not hold: %s (%s)\n", #condition, strerror(errno));                     \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

/* ---- what is one descriptor */

static bool hold_vsock(void)
{
	return (held = socket(AF_VSOCK, SOCK_STREAM, 0)) >= 0;
}

static bool hold_alg(void)
{
	return (held = socket(AF_ALG, SOCK_SEQPACKET, 0)) >= 0;
}

/* Nobody's calls: a filter that asks for none. */
static bool hold_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	held = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return held >= 0;
}

static bool hold_thread(void)
{
	return (held = (int)syscall(SYS_pidfd_open, gettid(), O_EXCL)) >= 0;
}

static bool hold_packets(void)
{
	int ends[2];
	check(pipe2(ends, O_DIRECT) == 0);
	client = ends[0];
	held = ends[1];
	return true;
}

/* A socket with a message in it that has the credentials of its sender, which is itself. */
static bool hold_message(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(name.sun_family); /* the kernel finds a name */
	int one = 1;
	held = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (bind(held, (struct sockaddr *)&name, length) < 0)
		return false;
	length = sizeof(name);
	return getsockname(held, (struct sockaddr *)&name, &length) == 0 &&
	       setsockopt(held, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0 &&
	       sendto(held, "x", 1, 0, (struct sockaddr *)&name, length) == 1;
}

static void let_go(void)
{
	close(held);
	close(client);
}

static bool hold_semaphore(void)
{
	return (held = eventfd(2, EFD_SEMAPHORE)) >= 0;
}

static void check_semaphore(void)
{
	eventfd_t value;
	for (int i = 0; i < 2; i++)
		check(eventfd_read(held, &value) == 0 && value == 1);
	close(held);
}

static bool hold_count(void)
{
	return (held = eventfd(0, 0)) >= 0 && eventfd_write(held, 1ULL << 32) == 0;
}

static void check_count(void)
{
	eventfd_t value;
	check(eventfd_read(held, &value) == 0 && value == 1ULL << 32);
	close(held);
}

static bool hold_events(void)
{
	held = inotify_init1(IN_NONBLOCK);
	check(held >= 0 && inotify_add_watch(held, "/tmp", IN_CREATE) > 0);
	client = open("/tmp/made", O_WRONLY | O_CREAT, 0600);
	return client >= 0;
}

static void check_events(void)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	check(read(held, &buffer, sizeof(buffer)) > 0 && buffer.event.mask == IN_CREATE);
	check(strcmp(buffer.event.name, "made") == 0);
}

/* More than criu is told to put into an image. */
static bool hold_large(void)
{
	held = open("/tmp/large", O_RDWR | O_CREAT, 0600);
	return held >= 0 && fallocate(held, 0, 0, SIZE_OF_LARGE) == 0 && unlink("/tmp/large") == 0;
}

/* ---- connections */

static void listen_tcp(struct sockaddr_in *address, bool deferred)
{
	socklen_t length = sizeof(*address);
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int seconds = deferred ? 60 : 0;
	held = socket(AF_INET, SOCK_STREAM, 0);
	check(held >= 0);
	check(setsockopt(held, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) == 0);
	check(bind(held, (struct sockaddr *)address, sizeof(*address)) == 0 && listen(held, 5) == 0);
	check(getsockname(held, (struct sockaddr *)address, &length) == 0);
}

static bool hold_tcp(void)
{
	struct sockaddr_in address;
	listen_tcp(&address, false);
	client = socket(AF_INET, SOCK_STREAM, 0);
	check(client >= 0 && connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	return send(client, "waiting", 7, 0) == 7;
}

/* The client is connected; the server's end does not exist before it has sent something. */
static bool hold_deferred(void)
{
	struct sockaddr_in address;
	listen_tcp(&address, true);
	client = socket(AF_INET, SOCK_STREAM, 0);
	return client >= 0 && connect(client, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool hold_unix(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/tmp/listening" };
	held = socket(AF_UNIX, SOCK_STREAM, 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(held, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(held, 5) == 0);
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	return send(client, "waiting", 7, 0) == 7;
}

static bool hold_closed(void)
{
	bool good = hold_unix();
	close(client);
	client = -1;
	return good;
}

static void check_accept(void)
{
	char text[16];
	int server = accept(held, NULL, NULL);
	check(server >= 0 && recv(server, text, 7, MSG_WAITALL) == 7 && !memcmp(text, "waiting", 7));
	if (client >= 0)
		check(send(server, "answer", 6, 0) == 6 && recv(client, text, 6, MSG_WAITALL) == 6);
	close(server);
	let_go();
}

static void check_deferred(void)
{
	check(send(client, "waiting", 7, 0) == 7);
	check_accept();
}

/* ---- processes */

static void kill_child(void)
{
	check(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

/* As under strace. */
static bool hold_traced(void)
{
	int ends[2];
	char byte;
	pid_t traced = getpid();
	check(pipe(ends) == 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where there is Yama */
	child = fork();
	if (child == 0) {
		int status;
		if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) < 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		/* A signal that its tracer does not pass on is lost. */
		while (waitpid(traced, &status, 0) == traced && WIFSTOPPED(status))
			ptrace(PTRACE_CONT, traced, NULL, status >> 16 ? 0 : WSTOPSIG(status));
		_exit(0);
	}
	close(ends[1]);
	return read(ends[0], &byte, 1) == 1;
}

static void *sleep_on(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

static bool hold_headless(void)
{
	pthread_t thread;
	child = fork();
	if (child == 0) {
		check(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
		pthread_exit(NULL);
	}
	usleep(100000);
	return child > 0;
}

/* The parent of a vfork sleeps where nothing stops it, until its child has ended. */
static bool hold_vfork(void)
{
	int ends[2];
	check(pipe(ends) == 0);
	held = ends[1];
	child = fork();
	if (child == 0) {
		static char byte;
		static volatile int end;
		end = ends[0];
		close(ends[1]);
		if (vfork() == 0) {
			if (read(end, &byte, 1) < 0)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	close(ends[0]);
	usleep(100000);
	return child > 0;
}

static void check_vfork(void)
{
	int status;
	close(held);
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- */

static const struct kind {
	const char *name;
	bool (*hold)(void);
	void (*let_go)(void);
} kinds[] = {
	{ "vsock", hold_vsock, let_go },
	{ "alg", hold_alg, let_go },
	{ "seccomp", hold_seccomp, let_go },
	{ "thread", hold_thread, let_go },
	{ "packets", hold_packets, let_go },
	{ "message", hold_message, let_go },
	{ "semaphore", hold_semaphore, check_semaphore },
	{ "count", hold_count, check_count },
	{ "events", hold_events, check_events },
	{ "large", hold_large, let_go },
	{ "tcp", hold_tcp, check_accept },
	{ "deferred", hold_deferred, check_deferred },
	{ "unix", hold_unix, check_accept },
	{ "closed", hold_closed, check_accept },
	{ "traced", hold_traced, kill_child },
	{ "headless", hold_headless, kill_child },
	{ "vfork", hold_vfork, check_vfork },
};

static bool is_moving(void)
{
	char text[32] = "";
	int fd = open("/float/jobs/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	return length > 0 && strncmp(text, "Floating", 8) == 0;
}

static int64_t now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = count_term, .sa_flags = SA_RESTART };
	const struct kind *kind = NULL;
	const char *name = argc > 2 ? argv[2] : "";
	size_t length = strcspn(name, "+");
	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGTERM, &action, NULL);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, name, length) == 0)
			kind = &kinds[i];
	if (!kind || !kind->hold()) {
		perror("cannot get hold of it");
		return kind ? ABSENT : 2;
	}
	printf("holding\n");
	bool by_itself = name[length] == '+', holding = true;
	int64_t until = 0;
	for (unsigned long n = 1; terms < 2; n++) {
		printf("%lu\n", n);
		usleep(20000);
		if (by_itself && until == 0 && is_moving())
			until = now_ms() + 5000;
		if (holding && (terms == 1 || (until && now_ms() > until))) {
			kind->let_go();
			holding = false;
			printf("let go\n");
		}
	}
	return 0;
}
