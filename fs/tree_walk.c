/* Walking the tree: lookup, list, stat, render, command. What every row means together. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/feed.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/mirror.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/snapshots.h"
#include "fs/tree.h"
#include "fs/users.h"
#include "fs/values.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

enum { COMMAND_LIMIT = 4096 };

/* The file of the log directory behind an entry of the job's own directory. */
static const struct {
	enum tree_kind kind;
	const char *path;
} log_files[] = {
	{ TREE_OUTPUT, "output" },
	{ TREE_STDOUT, "stdout.autosave" },
	{ TREE_STDERR, "stderr.autosave" },
};

static const char *log_file_of(enum tree_kind kind)
{
	for (size_t i = 0; i < array_length(log_files); i++)
		if (log_files[i].kind == kind)
			return log_files[i].path;
	return NULL;
}

bool tree_is_below_job(const struct node *node)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	return node->kind == TREE_JOB || node->kind == TREE_LOG_ENTRY || node->kind == TREE_SNAPSHOT ||
	       (entry && (entry->parent == TREE_JOB || entry->parent == TREE_SNAPSHOT));
}

/* Find a log entry below a directory of the log ("" for the log directory itself). */
static int lookup_log(struct job *job, const char *directory, const char *name, struct node *node)
{
	struct mirror_entry entry;
	char path[sizeof(entry.path)];
	int length = snprintf(path, sizeof(path), "%s%s%s", directory, *directory ? "/" : "", name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENAMETOOLONG;
	int status = mirror_find(job->mirror, path, &entry);
	if (status == 0)
		*node = (struct node){ .kind = TREE_LOG_ENTRY,
				       .serial = job->serial,
				       .generation = (uint32_t)entry.generation };
	return status;
}

static struct node snapshot_node(struct job *job, const struct record_snapshot *snapshot)
{
	return (struct node){ .kind = TREE_SNAPSHOT,
			      .serial = job->serial,
			      .generation = (uint32_t)snapshot->number };
}

static int lookup_snapshot(struct floatfs *fs, const struct node *directory, const char *name,
			   struct node *node)
{
	struct record record;
	autojob struct job *job = job_find_serial(fs, directory->serial);
	if (!job)
		return -ENOENT;
	job_snapshot(job, &record);
	const struct record_snapshot *snapshot = snapshots_find(&record, snapshots_parse(name));
	if (!snapshot)
		return -ENOENT;
	*node = snapshot_node(job, snapshot);
	return 0;
}

/* Members that are not rows: they come from what there is. */
static int lookup_dynamic(struct floatfs *fs, const struct node *directory, const char *name,
			  struct node *node)
{
	if (directory->kind == TREE_JOBS) {
		autojob struct job *job = job_find(fs, name);
		if (!job)
			return -ENOENT;
		*node = (struct node){ .kind = TREE_JOB, .serial = job->serial };
		return 0;
	}
	if (directory->kind == TREE_HOSTS) {
		struct host_view host;
		if (values_find_host(fs, name, &host) < 0)
			return -ENOENT;
		*node = (struct node){ .kind = TREE_HOST, .serial = host.serial };
		return 0;
	}
	if (directory->kind == TREE_IMAGES) {
		struct image image;
		if (images_find(fs, name, &image) < 0)
			return -ENOENT;
		*node = (struct node){ .kind = TREE_IMAGE_DIRECTORY, .serial = image.serial };
		return 0;
	}
	if (directory->kind == TREE_SNAPSHOTS)
		return lookup_snapshot(fs, directory, name, node);
	if (directory->kind == TREE_SECRETS) {
		struct secret secret;
		if (secrets_find(fs, name, &secret) < 0)
			return -ENOENT;
		*node = (struct node){ .kind = TREE_SECRET, .serial = secret.serial };
		return 0;
	}
	if (directory->kind == TREE_INSTANCES) {
		size_t count;
		const struct cloud_type *types = fs->ops->types(fs->cloud, &count);
		for (size_t i = 0; i < count; i++) {
			if (strcmp(types[i].name, name))
				continue;
			*node = (struct node){ .kind = TREE_TYPE, .serial = i + 1 };
			return 0;
		}
	}
	return -ENOENT;
}

/* A row's node below a node; a snapshot's number goes with it. */
static struct node member_of(const struct node *directory, enum tree_kind kind)
{
	return (struct node){
		.kind = kind,
		.serial = directory->serial,
		.generation = directory->kind == TREE_SNAPSHOT ? directory->generation : 0,
	};
}

int tree_lookup(struct floatfs *fs, const struct node *directory, const char *name, struct node *node)
{
	if (directory->kind == TREE_LOG || directory->kind == TREE_LOG_ENTRY) {
		struct mirror_entry entry = { 0 };
		autojob struct job *job = job_find_serial(fs, directory->serial);
		if (!job)
			return -ENOENT;
		if (directory->kind == TREE_LOG_ENTRY &&
		    mirror_find_generation(job->mirror, directory->generation, &entry) < 0)
			return -ENOENT;
		return lookup_log(job, entry.path, name, node);
	}
	size_t count;
	const struct tree_entry *table = tree_table(&count);
	for (size_t i = 0; i < count; i++) {
		if (table[i].parent != directory->kind || !table[i].name || strcmp(table[i].name, name))
			continue;
		*node = member_of(directory, table[i].kind);
		return 0;
	}
	return lookup_dynamic(fs, directory, name, node);
}

int tree_resolve(struct floatfs *fs, const struct node *from, const char *path, struct node *node)
{
	autofree char *copy = strdup(path);
	char *rest = copy, *part;
	*node = *from;
	while (copy && (part = strsep(&rest, "/"))) {
		struct node next;
		int status = tree_lookup(fs, node, part, &next);
		if (status < 0)
			return status;
		*node = next;
	}
	return copy ? 0 : -ENOMEM;
}

struct list_context {
	int (*visit)(void *context, const char *name, const struct node *node);
	void *context;
	uint64_t serial;
};

static int visit_log(void *context, const char *name, const struct mirror_entry *entry)
{
	struct list_context *list = context;
	struct node node = { .kind = TREE_LOG_ENTRY,
			     .serial = list->serial,
			     .generation = (uint32_t)entry->generation };
	return list->visit(list->context, name, &node);
}

static int list_log(struct floatfs *fs, const struct node *directory, struct list_context *list)
{
	struct mirror_entry entry = { 0 };
	autojob struct job *job = job_find_serial(fs, directory->serial);
	if (!job)
		return -ENOENT;
	if (directory->kind == TREE_LOG_ENTRY &&
	    mirror_find_generation(job->mirror, directory->generation, &entry) < 0)
		return -ENOENT;
	return mirror_list(job->mirror, entry.path, visit_log, list);
}

/* A list of ids is copied first: visit may take its time, or locks. */
static int list_jobs(struct floatfs *fs, struct list_context *list)
{
	struct name {
		uint64_t serial;
		char id[JOB_ID_SIZE];
	};
	pthread_mutex_lock(&fs->lock);
	size_t count = fs->job_count;
	autofree struct name *names = calloc(count + 1, sizeof(*names));
	for (size_t i = 0; names && i < count; i++) {
		names[i].serial = fs->jobs[i]->serial;
		record_set(names[i].id, fs->jobs[i]->record.id);
	}
	pthread_mutex_unlock(&fs->lock);
	int status = names ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && status == 0; i++) {
		struct node node = { .kind = TREE_JOB, .serial = names[i].serial };
		status = list->visit(list->context, names[i].id, &node);
	}
	return status;
}

static int list_snapshots(struct floatfs *fs, const struct node *directory, struct list_context *list)
{
	struct record record;
	autojob struct job *job = job_find_serial(fs, directory->serial);
	int status = 0;
	if (!job)
		return -ENOENT;
	job_snapshot(job, &record);
	for (int64_t i = 0; i < record.snapshot_count && status == 0; i++) {
		char name[24];
		struct node node = snapshot_node(job, &record.snapshots[i]);
		snprintf(name, sizeof(name), "%lld", (long long)record.snapshots[i].number);
		status = list->visit(list->context, name, &node);
	}
	return status;
}

static int list_dynamic(struct floatfs *fs, const struct node *directory, struct list_context *list)
{
	int status = 0;
	if (directory->kind == TREE_JOBS)
		return list_jobs(fs, list);
	if (directory->kind == TREE_HOSTS) {
		autofree struct host_view *hosts = NULL;
		size_t count;
		values_list_hosts(fs, &hosts, &count);
		for (size_t i = 0; i < count && status == 0; i++) {
			struct node node = { .kind = TREE_HOST, .serial = hosts[i].serial };
			status = list->visit(list->context, hosts[i].id, &node);
		}
	}
	if (directory->kind == TREE_IMAGES) {
		struct image image;
		for (size_t i = 0; status == 0 && images_get(fs, i, &image) == 0; i++) {
			struct node node = { .kind = TREE_IMAGE_DIRECTORY, .serial = image.serial };
			status = list->visit(list->context, image.name, &node);
		}
	}
	if (directory->kind == TREE_SNAPSHOTS)
		return list_snapshots(fs, directory, list);
	if (directory->kind == TREE_SECRETS) {
		struct secret secret;
		for (size_t i = 0; status == 0 && secrets_get(fs, i, &secret) == 0; i++) {
			struct node node = { .kind = TREE_SECRET, .serial = secret.serial };
			status = list->visit(list->context, secret.name, &node);
		}
	}
	if (directory->kind == TREE_INSTANCES) {
		size_t count;
		const struct cloud_type *types = fs->ops->types(fs->cloud, &count);
		for (size_t i = 0; i < count && status == 0; i++) {
			struct node node = { .kind = TREE_TYPE, .serial = i + 1 };
			status = list->visit(list->context, types[i].name, &node);
		}
	}
	return status;
}

int tree_list(struct floatfs *fs, const struct node *directory,
	      int (*visit)(void *context, const char *name, const struct node *node), void *context)
{
	struct list_context list = { visit, context, directory->serial };
	if (directory->kind == TREE_LOG || directory->kind == TREE_LOG_ENTRY)
		return list_log(fs, directory, &list);
	size_t count;
	const struct tree_entry *table = tree_table(&count);
	for (size_t i = 0; i < count; i++) {
		if (table[i].parent != directory->kind || !table[i].name)
			continue;
		struct node node = member_of(directory, table[i].kind);
		int status = visit(context, table[i].name, &node);
		if (status)
			return status;
	}
	return list_dynamic(fs, directory, &list);
}

static void set_times(struct stat *st, int64_t ns)
{
	st->st_mtim = (struct timespec){ ns / 1000000000, ns % 1000000000 };
	st->st_atim = st->st_ctim = st->st_mtim;
}

static mode_t type_bits(enum tree_how how)
{
	return how == HOW_DIRECTORY ? S_IFDIR : how == HOW_LINK ? S_IFLNK : S_IFREG;
}

static int stat_log_entry(struct job *job, uint32_t generation, struct stat *st)
{
	static const mode_t types[] = {
		[MIRROR_FILE] = S_IFREG, [MIRROR_DIRECTORY] = S_IFDIR, [MIRROR_LINK] = S_IFLNK
	};
	struct mirror_entry entry;
	int status = mirror_find_generation(job->mirror, generation, &entry);
	if (status < 0)
		return status;
	st->st_mode = types[entry.type] | (entry.type == MIRROR_DIRECTORY ? 0500
					   : entry.type == MIRROR_LINK    ? 0777
									  : 0400);
	st->st_size = entry.type == MIRROR_LINK ? (off_t)strlen(entry.target) : entry.size;
	set_times(st, entry.mtime_ns);
	return 0;
}

/* Size and time of the file behind it; a live file that is not there yet is empty. */
static void stat_fd(int fd, struct stat *st)
{
	struct stat real;
	if (fd >= 0 && fstat(fd, &real) == 0) {
		st->st_size = real.st_size;
		st->st_mtim = real.st_mtim;
		st->st_ctim = real.st_ctim;
		st->st_atim = real.st_atim;
	}
	if (fd >= 0)
		close(fd);
}

static int stat_in_job(struct floatfs *fs, const struct node *node, const struct tree_entry *entry,
		       struct stat *st)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	struct record record;
	job_snapshot(job, &record);
	st->st_uid = (uid_t)record.uid;
	st->st_gid = (gid_t)record.gid;
	set_times(st, record.end_ns ? record.end_ns : record.start_ns ? record.start_ns : record.submit_ns);
	if (entry->how == HOW_LOG_ENTRY)
		return stat_log_entry(job, node->generation, st);
	if (node->generation) {
		const struct record_snapshot *snapshot = snapshots_find(&record, node->generation);
		if (!snapshot)
			return -ENOENT;
		set_times(st, snapshot->taken_ns);
	}
	if (entry->how == HOW_SETTING) {
		autofree char *path = settings_path(job, entry->name);
		stat_fd(open(path, O_RDONLY | O_CLOEXEC), st);
		if (!settings_may_be_written(entry, &record))
			st->st_mode = S_IFREG | 0400;
	} else if (entry->how == HOW_LIVE) {
		stat_fd(tree_open_live(fs, node), st);
	}
	return 0;
}

/* Its size is nobody's business. */
static int stat_secret(struct floatfs *fs, const struct node *node, struct stat *st)
{
	struct secret secret;
	int status = secrets_find_serial(fs, node->serial, &secret);
	if (status < 0)
		return status;
	st->st_uid = secret.uid;
	st->st_gid = secret.gid;
	set_times(st, secret.mtime_ns);
	return 0;
}

int tree_stat(struct floatfs *fs, const struct node *node, struct stat *st)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	if (!entry)
		return -ENOENT;
	memset(st, 0, sizeof(*st));
	st->st_ino = tree_id(node);
	st->st_mode = type_bits(entry->how) | entry->mode;
	st->st_nlink = entry->how == HOW_DIRECTORY ? 2 : 1;
	st->st_blksize = 4096;
	set_times(st, clock_now_ns());
	if (tree_is_below_job(node)) {
		int status = stat_in_job(fs, node, entry, st);
		if (status < 0)
			return status;
	} else if (entry->how == HOW_LIVE) {
		stat_fd(tree_open_live(fs, node), st);
	} else if (entry->how == HOW_SECRET) {
		int status = stat_secret(fs, node, st);
		if (status < 0)
			return status;
	} else if (entry->how == HOW_DIRECTORY) {
		struct host_view host;
		struct image image;
		if (node->kind == TREE_HOST && values_find_host_serial(fs, node->serial, &host) < 0)
			return -ENOENT;
		if (node->kind == TREE_IMAGE_DIRECTORY && images_find_serial(fs, node->serial, &image) < 0)
			return -ENOENT;
	}
	if (entry->how == HOW_VALUE || entry->how == HOW_CONTROL || entry->how == HOW_LINK) {
		autofree char *text = NULL;
		size_t length;
		int status = tree_render(fs, node, &text, &length);
		if (status < 0)
			return status;
		st->st_size = (off_t)length;
	}
	st->st_blocks = (st->st_size + 511) / 512;
	return 0;
}

int tree_render(struct floatfs *fs, const struct node *node, char **text, size_t *length)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	if (node->kind == TREE_LOG_ENTRY) {
		struct mirror_entry link;
		autojob struct job *job = job_find_serial(fs, node->serial);
		if (!job || mirror_find_generation(job->mirror, node->generation, &link) < 0)
			return -ENOENT;
		*text = strdup(link.target);
		*length = strlen(link.target);
		return *text ? 0 : -ENOMEM;
	}
	if (!entry || !entry->show)
		return -EINVAL;
	char *buffer = NULL;
	FILE *out = open_memstream(&buffer, length);
	if (!out)
		return -ENOMEM;
	int status = entry->show(fs, node, out);
	if (fclose(out) != 0 && status == 0)
		status = -ENOMEM;
	if (status < 0) {
		free(buffer);
		return status;
	}
	*text = buffer;
	return 0;
}

/* A refusal's sentence: to the job's `error`, or to the user's at the top. */
static void note_refusal(struct floatfs *fs, const struct node *node, const struct caller *caller,
			 const char *sentence)
{
	autojob struct job *job = tree_is_below_job(node) ? job_find_serial(fs, node->serial) : NULL;
	if (!job) {
		users_set_error(fs, caller->uid, sentence);
		return;
	}
	job_lock(job);
	record_set(job->error, sentence);
	job_unlock(job);
}

static int check_command(const void *data, size_t length, char text[COMMAND_LIMIT + 1], struct error *err)
{
	if (length > COMMAND_LIMIT)
		return error_set(err, EINVAL, "a command has at most %d bytes", COMMAND_LIMIT);
	memcpy(text, data, length);
	if (length > 0 && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	if (strlen(text) != length)
		return error_set(err, EINVAL, "a command holds no NUL byte");
	if (strchr(text, '\n'))
		return error_set(err, EINVAL, "one write is one command: write one line");
	if (text[strspn(text, " \t")] == '\0')
		return error_set(err, EINVAL, "the command is empty");
	return 0;
}

int tree_command(struct floatfs *fs, const struct node *node, const struct caller *caller, const void *data,
		 size_t length)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	char text[COMMAND_LIMIT + 1];
	struct error err = { 0 };
	if (!entry || !entry->write)
		return -EACCES;
	int status = check_command(data, length, text, &err);
	if (status == 0)
		status = entry->write(fs, node, caller, text, &err);
	if (status < 0)
		note_refusal(fs, node, caller, err.text);
	return status;
}

bool tree_is_final(struct floatfs *fs, const struct node *node)
{
	if (node->kind != TREE_LOG_ENTRY && node->kind != TREE_FILES_ENTRY && !log_file_of(node->kind))
		return false;
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return false;
	job_lock(job);
	/* Its last byte was here before its end was shown. */
	bool ended = job_has_ended(&job->record);
	job_unlock(job);
	return ended;
}

uint64_t tree_change(struct floatfs *fs, const struct node *node)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	if (node->kind == TREE_FEED) {
		pthread_mutex_lock(&fs->lock);
		uint64_t change = users_get_locked(fs, node->generation)->feed_change;
		pthread_mutex_unlock(&fs->lock);
		return change;
	}
	autojob struct job *job = entry && entry->poll ? job_find_serial(fs, node->serial) : NULL;
	/* Of a job that is gone there is something new: that it is gone. */
	if (!job)
		return UINT64_MAX;
	job_lock(job);
	uint64_t change = job->changes[entry->change];
	job_unlock(job);
	return change;
}

int tree_open_live(struct floatfs *fs, const struct node *node)
{
	if (node->kind == TREE_FEED)
		return feed_open_file(fs, node->generation);
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	if (node->kind == TREE_EVENTS) {
		autofree char *path = job_path(job, "job.events");
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	uint64_t generation = node->generation;
	const char *path = log_file_of(node->kind);
	if (path) {
		struct mirror_entry entry;
		int status = mirror_find(job->mirror, path, &entry);
		if (status < 0)
			return status;
		generation = entry.generation;
	}
	return mirror_open_content(job->mirror, generation);
}

int tree_hold(struct floatfs *fs, const struct node *node)
{
	if (node->kind != TREE_LOG_ENTRY)
		return 0;
	autojob struct job *job = job_find_serial(fs, node->serial);
	return job ? mirror_hold(job->mirror, node->generation) : -ENOENT;
}

void tree_let_go(struct floatfs *fs, const struct node *node)
{
	autojob struct job *job = node->kind == TREE_LOG_ENTRY ? job_find_serial(fs, node->serial) : NULL;
	if (job)
		mirror_let_go(job->mirror, node->generation);
}
