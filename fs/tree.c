#include "fs/tree.h"

#include "fs/controls.h"
#include "fs/values.h"
#include "lib/cleanup.h"

#define SETTING(kind_, name_, help_)                                                                         \
	{                                                                                                    \
		.kind = kind_, .parent = TREE_JOB, .name = name_, .mode = 0600, .how = HOW_SETTING,          \
		.help = help_                                                                                \
	}
#define HOST_VALUE(kind_, name_, show_, help_)                                                               \
	{                                                                                                    \
		.kind = kind_, .parent = TREE_HOST, .name = name_, .mode = 0444, .how = HOW_VALUE,           \
		.show = show_, .help = help_                                                                 \
	}
#define SNAPSHOT_VALUE(kind_, name_, show_, help_)                                                           \
	{                                                                                                    \
		.kind = (kind_), .parent = TREE_SNAPSHOT, .name = (name_), .mode = 0400, .how = HOW_VALUE,   \
		.show = (show_), .help = (help_)                                                             \
	}
#define IMAGE_VALUE(kind_, name_, show_, help_)                                                              \
	{                                                                                                    \
		.kind = kind_, .parent = TREE_IMAGE_DIRECTORY, .name = name_, .mode = 0444,                  \
		.how = HOW_VALUE, .show = show_, .help = help_                                               \
	}
#define LIVE(kind_, name_, change_, help_)                                                                   \
	{                                                                                                    \
		.kind = kind_, .parent = TREE_JOB, .name = name_, .mode = 0400, .how = HOW_LIVE,             \
		.in_job = true, .poll = true, .change = change_, .help = help_                               \
	}

static const struct tree_entry table[] = {
	{ .kind = TREE_ROOT, .mode = 0755, .how = HOW_DIRECTORY, .help = "" },
	{ .kind = TREE_README,
	  .parent = TREE_ROOT,
	  .name = "README",
	  .mode = 0444,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .show = values_readme,
	  .help = "how to use this tree" },
	{ .kind = TREE_ERROR,
	  .parent = TREE_ROOT,
	  .name = "error",
	  .mode = 0444,
	  .how = HOW_VALUE,
	  .per_user = true,
	  .show = values_user_error,
	  .help = "the sentence behind your last refusal, where no job has one" },
	{ .kind = TREE_FEED,
	  .parent = TREE_ROOT,
	  .name = "events",
	  .mode = 0444,
	  .how = HOW_LIVE,
	  .per_user = true,
	  .poll = true,
	  .help = "live: the events of all your jobs, a JSON object a line" },

	{ .kind = TREE_JOBS,
	  .parent = TREE_ROOT,
	  .name = "jobs",
	  .mode = 01777,
	  .how = HOW_DIRECTORY,
	  .help = "mkdir makes a draft, rmdir forgets a draft or an ended job" },
	{ .kind = TREE_JOB, .parent = TREE_JOBS, .mode = 0700, .how = HOW_DIRECTORY, .help = "a job" },
	SETTING(TREE_NAME, "name", "what the job is called"),
	SETTING(TREE_IMAGE, "image", "a name in images: the job's root file system"),
	SETTING(TREE_INSTANCE, "instance", "an instance type, or cpu=2 mem=4"),
	SETTING(TREE_SCRIPT, "script", "the program that is the job: a script with #!, or a binary"),
	SETTING(TREE_ARGS, "args", "arguments after the log directory, one a line"),
	SETTING(TREE_ENV, "env", "NAME=VALUE, one a line"),
	SETTING(TREE_VOLUMES, "volumes", "data volumes, one a line: [size=10]:/data (GB, mount point)"),
	SETTING(TREE_TAGS, "tags", "tags, one a line: key:value, or a word"),
	{ .kind = TREE_POLICY,
	  .parent = TREE_JOB,
	  .name = "policy",
	  .mode = 0600,
	  .how = HOW_SETTING,
	  .live = true,
	  .help = "policies, one a line: vmPolicy [onDemand=true], snapshots 3; also while it runs" },
	{ .kind = TREE_CTL,
	  .parent = TREE_JOB,
	  .name = "ctl",
	  .mode = 0200,
	  .how = HOW_CONTROL,
	  .in_job = true,
	  .show = values_nothing,
	  .write = controls_job,
	  .help = "write start, cancel, suspend, resume [SNAP], checkpoint, abort or signal NAME" },
	{ .kind = TREE_MIGRATE,
	  .parent = TREE_JOB,
	  .name = "migrate",
	  .mode = 0600,
	  .how = HOW_CONTROL,
	  .in_job = true,
	  .show = values_target,
	  .write = controls_migrate,
	  .help = "write c5.2xlarge, or cpu=8 mem=16: the job moves there; reads as the last target" },
	{ .kind = TREE_STATUS,
	  .parent = TREE_JOB,
	  .name = "status",
	  .mode = 0400,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .poll = true,
	  .show = values_status,
	  .help = "one word: Draft, Initializing, Executing, Floating, Completed, ..." },
	LIVE(TREE_OUTPUT, "output", CHANGE_LOGS, "live: the file output of the log directory"),
	LIVE(TREE_STDOUT, "stdout.autosave", CHANGE_LOGS, "live: what the job wrote to its standard output"),
	LIVE(TREE_STDERR, "stderr.autosave", CHANGE_LOGS, "live: what it wrote to its standard error"),
	LIVE(TREE_EVENTS, "job.events", CHANGE_EVENTS, "live: what happened to the job, one line an event"),
	{ .kind = TREE_LOG,
	  .parent = TREE_JOB,
	  .name = "log",
	  .mode = 0500,
	  .how = HOW_DIRECTORY,
	  .help = "every file of the job's log directory, live" },
	{ .kind = TREE_LOG_ENTRY,
	  .parent = TREE_LOG,
	  .mode = 0400,
	  .how = HOW_LOG_ENTRY,
	  .poll = true,
	  .change = CHANGE_LOGS,
	  .help = "a file, directory or link of the log directory" },
	{ .kind = TREE_INFO,
	  .parent = TREE_JOB,
	  .name = "info",
	  .mode = 0400,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .poll = true,
	  .show = values_info,
	  .help = "all of it, a key and its value a line" },
	{ .kind = TREE_INFO_JSON,
	  .parent = TREE_JOB,
	  .name = "info.json",
	  .mode = 0400,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .poll = true,
	  .show = values_info_json,
	  .help = "the same as one JSON object" },
	{ .kind = TREE_EXIT_CODE,
	  .parent = TREE_JOB,
	  .name = "exit_code",
	  .mode = 0400,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .poll = true,
	  .show = values_exit_code,
	  .help = "empty until the job has ended; 128 and more: a signal" },
	{ .kind = TREE_WAIT,
	  .parent = TREE_JOB,
	  .name = "wait",
	  .mode = 0400,
	  .how = HOW_WAIT,
	  .in_job = true,
	  .help = "a read returns when the job has ended, with its exit code" },
	{ .kind = TREE_HOST_LINK,
	  .parent = TREE_JOB,
	  .name = "host",
	  .mode = 0777,
	  .how = HOW_LINK,
	  .in_job = true,
	  .show = values_host_link,
	  .help = "the host that it runs on" },
	{ .kind = TREE_JOB_ERROR,
	  .parent = TREE_JOB,
	  .name = "error",
	  .mode = 0400,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .show = values_job_error,
	  .help = "the sentence behind the last refusal" },
	{ .kind = TREE_SNAPSHOTS,
	  .parent = TREE_JOB,
	  .name = "snapshots",
	  .mode = 0500,
	  .how = HOW_DIRECTORY,
	  .help = "what the job was at the instants of its checkpoints: write resume N to ctl" },
	{ .kind = TREE_SNAPSHOT,
	  .parent = TREE_SNAPSHOTS,
	  .mode = 0500,
	  .how = HOW_DIRECTORY,
	  .help = "a snapshot: its number" },
	SNAPSHOT_VALUE(TREE_SNAPSHOT_TIME, "time", values_snapshot_time, "its instant"),
	SNAPSHOT_VALUE(TREE_SNAPSHOT_SIZE, "size", values_snapshot_size, "bytes of its process image"),
	SNAPSHOT_VALUE(TREE_SNAPSHOT_HOST, "host", values_snapshot_host,
		       "the host that the job ran on, and its instance type"),
	/* After the rest: `rm -r` of the job comes to it last (files.h). */
	{ .kind = TREE_FILES,
	  .parent = TREE_JOB,
	  .name = "files",
	  .mode = 0500,
	  .how = HOW_DIRECTORY,
	  .help = "the files of an ended job: what it wrote in its root, /tmp and data volumes" },
	{ .kind = TREE_FILES_ENTRY,
	  .parent = TREE_FILES,
	  .mode = 0400,
	  .how = HOW_FILES,
	  .help = "files/data/result is what the job knew as /data/result" },

	{ .kind = TREE_HOSTS,
	  .parent = TREE_ROOT,
	  .name = "hosts",
	  .mode = 0555,
	  .how = HOW_DIRECTORY,
	  .help = "the hosts that there are now" },
	{ .kind = TREE_HOST, .parent = TREE_HOSTS, .mode = 0555, .how = HOW_DIRECTORY, .help = "a host" },
	HOST_VALUE(TREE_HOST_STATUS, "status", values_host_status, "new, running or leaving"),
	HOST_VALUE(TREE_HOST_INSTANCE, "instance", values_host_instance, "its instance type"),
	HOST_VALUE(TREE_HOST_ZONE, "zone", values_host_zone, "where it is"),
	HOST_VALUE(TREE_HOST_MARKET, "market", values_host_market, "Spot or OnDemand"),
	HOST_VALUE(TREE_HOST_ADDRESS, "address", values_host_address, "its agent's address"),
	{ .kind = TREE_HOST_JOB,
	  .parent = TREE_HOST,
	  .name = "job",
	  .mode = 0777,
	  .how = HOW_LINK,
	  .show = values_host_job,
	  .help = "the job that it is for" },
	{ .kind = TREE_HOST_CTL,
	  .parent = TREE_HOST,
	  .name = "ctl",
	  .mode = 0200,
	  .how = HOW_CONTROL,
	  .show = values_nothing,
	  .write = controls_host,
	  .help = "root: write reclaim (its job moves away) or terminate (it is gone at once)" },

	{ .kind = TREE_INSTANCES,
	  .parent = TREE_ROOT,
	  .name = "instances",
	  .mode = 0555,
	  .how = HOW_DIRECTORY,
	  .help = "the instance types that can be had" },
	{ .kind = TREE_TYPE,
	  .parent = TREE_INSTANCES,
	  .mode = 0444,
	  .how = HOW_VALUE,
	  .in_job = true,
	  .show = values_type,
	  .help = "cpu, memory (GiB), prices (USD an hour), zone" },

	{ .kind = TREE_IMAGES,
	  .parent = TREE_ROOT,
	  .name = "images",
	  .mode = 0755,
	  .how = HOW_DIRECTORY,
	  .help = "root file systems for jobs; root: mkdir adds one, rmdir removes it" },
	{ .kind = TREE_IMAGE_DIRECTORY,
	  .parent = TREE_IMAGES,
	  .mode = 0555,
	  .how = HOW_DIRECTORY,
	  .help = "an image" },
	IMAGE_VALUE(TREE_IMAGE_DIGEST, "digest", values_image_digest, "sha256 of what is kept"),
	IMAGE_VALUE(TREE_IMAGE_SIZE, "size", values_image_size, "bytes kept"),
	IMAGE_VALUE(TREE_IMAGE_STATUS, "status", values_image_status,
		    "empty, importing, ready, or failed and why"),
	{ .kind = TREE_IMAGE_CTL,
	  .parent = TREE_IMAGE_DIRECTORY,
	  .name = "ctl",
	  .mode = 0200,
	  .how = HOW_CONTROL,
	  .show = values_nothing,
	  .write = controls_image,
	  .help = "root: write import PATH, a directory or tar archive of a root file system" },

	{ .kind = TREE_SECRETS,
	  .parent = TREE_ROOT,
	  .name = "secrets",
	  .mode = 01777,
	  .how = HOW_DIRECTORY,
	  .help = "values that env names by {secret:NAME}: write a file to make one, rm removes it" },
	{ .kind = TREE_SECRET,
	  .parent = TREE_SECRETS,
	  .mode = 0200,
	  .how = HOW_SECRET,
	  .help = "a secret: its owner writes it, nobody reads it" },
};

const struct tree_entry *tree_table(size_t *count)
{
	*count = array_length(table);
	return table;
}

const struct tree_entry *tree_entry(enum tree_kind kind)
{
	for (size_t i = 0; i < array_length(table); i++)
		if (table[i].kind == kind)
			return &table[i];
	return NULL;
}

/* FNV-1a. */
static uint32_t hash(uint32_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	return hash;
}

void tree_describe_kinds(uint32_t meanings[TREE_MEANINGS])
{
	for (size_t i = 0; i < TREE_MEANINGS; i++)
		meanings[i] = 0;
	for (size_t i = 0; i < array_length(table); i++) {
		const struct tree_entry *entry = &table[i];
		uint32_t where = 2166136261U ^ (uint32_t)entry->parent << 8 ^ (uint32_t)entry->how;
		meanings[entry->kind] = hash(where, entry->name ? entry->name : "");
	}
}

static bool is_of_snapshot(enum tree_kind kind)
{
	return kind >= TREE_SNAPSHOT && kind <= TREE_SNAPSHOT_HOST;
}

/*
 * serial << 8 | kind, of a snapshot number << 45 | serial << 8 | kind; for a log entry the generation stands between:
 * 1 << 63 | serial << 40 | generation << 8 | kind; a file on a volume is 1 << 62 | serial << 37 | volume << 32 | inode. A
 * volume's inode numbers start at 257 and are never reused (btrfs), so that 32 bits last. Made up otherwise they are
 * another HOLDER_VERSION.
 */
#define FILE_ID (1ULL << 62)
#define LOG_ID  (1ULL << 63)

uint64_t tree_id(const struct node *node)
{
	if (node->kind == TREE_LOG_ENTRY)
		return LOG_ID | (node->serial & 0x7fffff) << 40 | (uint64_t)node->generation << 8 |
		       TREE_LOG_ENTRY;
	if (node->kind == TREE_FILES_ENTRY)
		return FILE_ID | (node->serial & 0x1ffffff) << 37 | (uint64_t)(node->volume & 0x1f) << 32 |
		       node->generation;
	if (is_of_snapshot(node->kind))
		return (uint64_t)(node->generation & 0xffff) << 45 | (node->serial & 0x1fffffffff) << 8 |
		       node->kind;
	return node->serial << 8 | node->kind;
}

struct node tree_node(uint64_t id)
{
	struct node node = { .kind = (enum tree_kind)(id & 0xff) };
	if ((id & (LOG_ID | FILE_ID)) == FILE_ID)
		return (struct node){ .kind = TREE_FILES_ENTRY,
				      .serial = id >> 37 & 0x1ffffff,
				      .generation = (uint32_t)id,
				      .volume = id >> 32 & 0x1f };
	if (node.kind == TREE_LOG_ENTRY) {
		node.serial = id >> 40 & 0x7fffff;
		node.generation = (uint32_t)(id >> 8);
	} else if (is_of_snapshot(node.kind)) {
		node.serial = id >> 8 & 0x1fffffffff;
		node.generation = id >> 45 & 0xffff;
	} else {
		node.serial = id >> 8;
	}
	if (node.kind >= TREE_KINDS)
		node.kind = TREE_NONE;
	return node;
}
