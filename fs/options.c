#include "fs/options.h"

#include <ctype.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/cloud.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { KEY_IGNORED };
enum { FILES_IDLE_SECONDS = 30, HOLD_SECONDS = 60, LOST_SECONDS = 600, UP_SECONDS = 120 };

#define OPTION(template, member)                                                                             \
	{                                                                                                    \
		template, offsetof(struct options, member), 1                                                \
	}

static const struct fuse_opt option_table[] = {
	OPTION("cloud=%s", cloud),
	OPTION("state=%s", state),
	OPTION("machine=%s", machine),
	OPTION("agent=%s", agent),
	OPTION("network=%s", network_word),
	OPTION("fault=%s", faults),
	OPTION("files_idle=%u", files_idle),
	OPTION("hold=%u", hold),
	OPTION("private", private_mount),
	OPTION("root_jobs", root_jobs),
	OPTION("quota_jobs=%u", quota_jobs),
	OPTION("quota_size=%u", quota_size),
	OPTION("keep=%s", keep_word),
	OPTION("lost=%s", lost_word),
	OPTION("up=%s", up_word),
	OPTION("-f", foreground),
	OPTION("-d", debug),
	OPTION("debug", debug),
	OPTION("-h", show_help),
	OPTION("--help", show_help),
	OPTION("--faults", show_faults),
	OPTION("-V", show_version),
	OPTION("--version", show_version),
	/* What mount(8) passes to every helper (mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS). */
	FUSE_OPT_KEY("rw", KEY_IGNORED),
	FUSE_OPT_KEY("suid", KEY_IGNORED),
	FUSE_OPT_KEY("nosuid", KEY_IGNORED),
	FUSE_OPT_KEY("dev", KEY_IGNORED),
	FUSE_OPT_KEY("nodev", KEY_IGNORED),
	FUSE_OPT_KEY("exec", KEY_IGNORED),
	FUSE_OPT_KEY("noexec", KEY_IGNORED),
	FUSE_OPT_KEY("auto", KEY_IGNORED),
	FUSE_OPT_KEY("noauto", KEY_IGNORED),
	FUSE_OPT_KEY("_netdev", KEY_IGNORED),
	FUSE_OPT_KEY("nofail", KEY_IGNORED),
	FUSE_OPT_KEY("allow_other", KEY_IGNORED), /* the default: see -o private */
	FUSE_OPT_END,
};

/* fuse_opt_parse writes members at their offset from this: options stands first. */
struct parse {
	struct options options;
	char *words[3];
	int count;
	struct error *err;
};

static int take_word(void *data, const char *word, int key, struct fuse_args *out)
{
	struct parse *parse = data;
	(void)out;
	if (key == KEY_IGNORED)
		return 0;
	if (key == FUSE_OPT_KEY_NONOPT && parse->count < 3) {
		parse->words[parse->count++] = strdup(word);
		return 0;
	}
	error_set(parse->err, EINVAL, "unknown option %s (floatfs -h lists them)", word);
	return -1;
}

static char *absolute_path(const char *path)
{
	if (path[0] == '/')
		return strdup(path);
	char current[PATH_MAX];
	if (!getcwd(current, sizeof(current)))
		return NULL;
	return format_string("%s/%s", current, path);
}

static int make_absolute(char **path, struct error *err)
{
	if (!*path)
		return 0;
	char *absolute = absolute_path(*path);
	if (!absolute)
		return error_sys(err, errno, "cannot find the current directory");
	free(*path);
	*path = absolute;
	return 0;
}

int options_parse_duration(const char *text, int64_t *seconds)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	int64_t number = strtoll(text, &end, 10);
	for (size_t i = 0; i < array_length(units); i++)
		if (*end == units[i].unit && end[1] == '\0' && errno == 0 && number > 0 &&
		    number <= INT32_MAX) {
			*seconds = number * units[i].seconds;
			return 0;
		}
	return -EINVAL;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	struct parse parse = { .err = err,
			       .options.files_idle = FILES_IDLE_SECONDS,
			       .options.hold = HOLD_SECONDS,
			       .options.lost_seconds = LOST_SECONDS,
			       .options.up_seconds = UP_SECONDS };
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	err->code = 0;
	int status = fuse_opt_parse(&args, &parse, option_table, take_word);
	fuse_opt_free_args(&args);
	*options = parse.options;
	/* With two words the first is mount(8)'s source, which says nothing here. */
	if (parse.count > 0)
		options->mountpoint = parse.words[parse.count - 1];
	for (int i = 0; i < parse.count - 1; i++)
		free(parse.words[i]);
	if (status < 0)
		return err->code
			   ? -err->code
			   : error_set(err, EINVAL, "the options cannot be read (floatfs -h lists them)");
	if (options->show_help || options->show_version || options->show_faults)
		return 0;
	if (parse.count < 1 || parse.count > 2)
		return error_set(err, EINVAL,
				 "give one directory to mount on: floatfs -o cloud=local,state=DIR /float");
	if (!options->cloud)
		options->cloud = strdup("local");
	if (!options->state)
		options->state = strdup("/var/lib/float");
	if (!cloud_find(options->cloud))
		return error_set(err, EINVAL, "there is no cloud named %s: cloud= takes one of: %s",
				 options->cloud, cloud_names());
	options->network = !options->network_word || !strcmp(options->network_word, "on");
	if (!options->network && strcmp(options->network_word, "off"))
		return error_set(err, EINVAL, "network=%s: it is on or off", options->network_word);
	if (options->keep_word && options_parse_duration(options->keep_word, &options->keep_seconds) < 0)
		return error_set(err, EINVAL, "keep=%s: write a time such as 30d, 12h, 90m or 45s",
				 options->keep_word);
	if (options->lost_word && options_parse_duration(options->lost_word, &options->lost_seconds) < 0)
		return error_set(err, EINVAL, "lost=%s: write a time such as 10m or 90s", options->lost_word);
	if (options->up_word && options_parse_duration(options->up_word, &options->up_seconds) < 0)
		return error_set(err, EINVAL, "up=%s: write a time such as 2m or 90s", options->up_word);
	status = make_absolute(&options->state, err);
	if (status == 0)
		status = make_absolute(&options->mountpoint, err);
	if (status == 0)
		status = make_absolute(&options->machine, err);
	if (status == 0)
		status = make_absolute(&options->agent, err);
	return status;
}

void options_free(struct options *options)
{
	free(options->mountpoint);
	free(options->state);
	free(options->cloud);
	free(options->machine);
	free(options->agent);
	free(options->network_word);
	free(options->keep_word);
	free(options->lost_word);
	free(options->up_word);
	free(options->faults);
}

void options_print_help(void)
{
	printf(
	    "Usage: floatfs [-f] [-d] [-o OPTION=VALUE,...] MOUNTPOINT\n"
	    "Mounts the file system of jobs. `umount MOUNTPOINT` stops it; the jobs run on.\n\n"
	    "  -f               stay in the foreground, log to the terminal\n"
	    "  -d               log more\n"
	    "  -V, -h           version, this help\n"
	    "  -o cloud=NAME    where hosts come from: %s (default: local)\n"
	    "  -o state=DIR     records, logs and volumes (default: /var/lib/float)\n"
	    "  -o machine=FILE  the machine image (default: found beside the program)\n"
	    "  -o agent=FILE    the agent's layer over the machine image (likewise)\n"
	    "  -o network=off   jobs reach nothing but themselves (default: what the machine reaches)\n"
	    "  -o private       only the user who mounted may use the mount\n"
	    "  -o quota_jobs=N  at most so many jobs a user, ended ones too (default: no limit; root has "
	    "none)\n"
	    "  -o quota_size=GB at most so much in volumes a user (likewise)\n"
	    "  -o keep=TIME     forget a job so long after its end: 30d, 12h, 90m, 45s (default: never)\n"
	    "  -o lost=TIME     a host that does not answer for so long is given up, and its job recovered "
	    "(default: 10m)\n"
	    "  -o up=TIME       a new host that is not up after so long is given back, and another asked for "
	    "(default: 2m)\n"
	    "  -o root_jobs     jobs of every user may ask to be root in their containers\n"
	    "  -o files_idle=SECONDS  how long a host that files are read on is kept unused (default: %d)\n"
	    "  -o hold=SECONDS  how long the mount of a floatfs that died waits for the next one (default: "
	    "%d)\n"
	    "  -o fault=STEP:KIND  what goes wrong before a step, once, for tests; + separates several\n"
	    "  --faults         list those\n\n"
	    "See floatfs(1), and README in the mount.\n",
	    cloud_names(), FILES_IDLE_SECONDS, HOLD_SECONDS);
}
