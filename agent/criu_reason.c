#include "agent/criu_reason.h"

#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"

/* Does it pass by itself? */
enum lasts { STAYS, PASSES };

/* What criu says, and what that means for whom it concerns. The first that fits counts. */
static const struct {
	const char *said;
	enum lasts lasts;
	const char *means;
} known[] = {
	{ "No space left on device", STAYS, "the volume for the process image is full" },
	{ "Can't lookup mount", STAYS, "the job has a file open that does not belong to its container" },
	{ "Can't dump ghost file", STAYS,
	  "a deleted file that the job holds open is too large to be carried" },
	/* Its parent sleeps until a vfork's child goes on, or it waits for a disk. */
	{ "Timeout reached", PASSES, "a process of the job did not stop in time" },
	{ "Unseizable non-zombie", STAYS,
	  "a process of the job is being traced by another one, strace or a debugger, and cannot be "
	  "carried" },
	{ "Zombies with threads", STAYS,
	  "a process of the job goes on in other threads after its first one has ended, which cannot be "
	  "carried" },
	{ "Zombie thread not supported", PASSES, "a thread of the job was just ending" },
	{ "Individually stopped threads", PASSES, "a process of the job was just being stopped" },
	{ "io_uring", STAYS, "the job uses io_uring, which cannot be carried" },
	{ "Can't dump half of pipe", STAYS,
	  "the job has a pipe open whose other end is outside of its container" },
	{ "External socket", STAYS, "the job has a socket connected to a process outside of its container" },
	/* A connection in a listener's queue is nobody's yet: criu cannot get at what it has received. */
	{ "In-flight connection", PASSES, "a connection waits to be accepted by the job" },
	{ "Non-empty write queue on an in-flight socket", PASSES,
	  "a connection to a unix socket, on which its client has written already, waits to be accepted by "
	  "the job" },
	{ "Found a closed in-flight socket", PASSES,
	  "a connection to a unix socket, which its client has closed already, waits to be accepted by the "
	  "job" },
	{ "The socket has data to read", PASSES,
	  "the job has a netlink socket open with messages that it has not read yet" },
	{ "Control messages in queue", PASSES,
	  "the job has a unix socket open with a message that it has not read yet, which says who has sent "
	  "it" },
	{ "Can't dump corked dgram socket", PASSES, "the job is about to send a datagram of several parts" },
	{ "packetized mode for pipes", STAYS,
	  "the job has a pipe open that keeps messages apart (O_DIRECT), which cannot be carried" },
	{ "PIDFD_THREAD", STAYS,
	  "the job has a pidfd of a single thread open (PIDFD_THREAD), which cannot be carried" },
	{ "Unsupported proto", STAYS,
	  "the job has a network socket open of a protocol that cannot be carried" },
	{ "Unknown socket collected (family 40)", STAYS,
	  "the job has a socket to a virtual machine (AF_VSOCK) open, which cannot be carried" },
	{ "Unknown socket collected", STAYS, "the job has a socket open of a kind that cannot be carried" },
	{ " of that type [", STAYS, "the job has a file or device open of a kind that cannot be carried" },
	{ "cpu: ", STAYS, "the CPU of the other host lacks something that the job's has" },
	{ "CPU instruction capabilities do not match", STAYS,
	  "the CPU of the other host lacks something that the job's has" },
	{ "Can't get 1:16 opt", STAYS,
	  "the job has a network socket open, which this criu cannot carry on this kernel" },
	{ "mapping with 0xfffffffffffffff4", STAYS, /* -ENOMEM */
	  "the host has no memory to give for a mapping of the job, such as huge pages" },
	{ "Can't get rlimit", STAYS,
	  "a process of the job runs as another user, and this host may not ask for its limits" },
};

/* Said at level error, but harmless. */
static const char *const harmless[] = { "RLIMIT_NOFILE", "Unable to create tun", "Dumping FAILED",
					"Restoring FAILED", "Unable to open the log" };

static bool mentions(const char *line, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

bool criu_reason(const char *log, char *sentence, size_t size)
{
	autofree char *copy = format_string("%s", log);
	const char *first = NULL;
	char *rest = copy;
	snprintf(sentence, size, "criu gave no reason");
	/* The first error is the cause; the later ones are its consequences. */
	for (char *line; !first && (line = strsep(&rest, "\n"));) {
		const char *error = strstr(line, "Error (");
		const char *text = error ? strstr(error, "): ") : NULL;
		if (text && !mentions(text, harmless, array_length(harmless)))
			first = text + strlen("): ");
	}
	if (!first)
		return false;
	for (size_t i = 0; i < array_length(known); i++)
		if (strstr(first, known[i].said)) {
			snprintf(sentence, size, "%s (criu: %s)", known[i].means, first);
			return known[i].lasts == PASSES;
		}
	snprintf(sentence, size, "criu: %s", first);
	return false;
}
