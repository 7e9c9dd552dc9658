#include <criterion/criterion.h>
#include <string.h>

#include "agent/criu_reason.h"

Test(agent_criu, tells_the_first_error)
{
	char reason[300];
	criu_reason(
	    "Warn  (criu/config.c:1060): a word\n"
	    "Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n"
	    "(00.004) 12: Error (criu/files-reg.c:99): Can't open file x\n"
	    "Error (criu/cr-dump.c:2128): Dumping FAILED.\n",
	    reason, sizeof(reason));
	cr_expect_str_eq(reason, "criu: Can't open file x");
}

Test(agent_criu, says_what_it_means)
{
	char reason[300];
	criu_reason("Error (criu/page-xfer.c:1): write: No space left on device\n", reason, sizeof(reason));
	cr_expect(strstr(reason, "the volume for the process image is full"), "%s", reason);
	criu_reason("", reason, sizeof(reason));
	cr_expect_str_eq(reason, "criu gave no reason");
	criu_reason("Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self", reason,
		    sizeof(reason));
	cr_expect_str_eq(reason, "criu gave no reason");
}

Test(agent_criu, knows_what_passes)
{
	char reason[300];
	cr_expect(criu_reason("Error (criu/sk-inet.c:184): inet: In-flight connection (l) for 1f\n"
			      "Error (criu/sk-inet.c:185): inet: In-flight connections can be ignored\n",
			      reason, sizeof(reason)));
	cr_expect(strstr(reason, "waits to be accepted"), "%s", reason);
	cr_expect(criu_reason("Error (criu/cr-dump.c:1808): Timeout reached. Try to interrupt: 0\n", reason,
			      sizeof(reason)));
	cr_expect_not(criu_reason("Error (criu/page-xfer.c:1): write: No space left on device\n", reason,
				  sizeof(reason)));
	cr_expect_not(criu_reason("", reason, sizeof(reason)));
}
