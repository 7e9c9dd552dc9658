#include "fs/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/files.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/settings.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"

/* A copy of the record of the node's job. */
static int read_record(struct floatfs *fs, const struct node *node, struct record *record)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	job_snapshot(job, record);
	return 0;
}

int values_nothing(struct floatfs *fs, const struct node *node, FILE *out)
{
	(void)fs;
	(void)node;
	(void)out;
	return 0;
}

static void print_rows(FILE *out, enum tree_kind parent, int depth)
{
	size_t count;
	const struct tree_entry *table = tree_table(&count);
	for (size_t i = 0; i < count; i++) {
		if (table[i].parent != parent)
			continue;
		char name[40];
		snprintf(name, sizeof(name), "%*s%s%s", depth * 2, "", table[i].name ? table[i].name : "*",
			 table[i].how == HOW_DIRECTORY ? "/" : "");
		fprintf(out, "  %-22s %s\n", name, table[i].help);
		if (table[i].how == HOW_DIRECTORY)
			print_rows(out, table[i].kind, depth + 1);
	}
}

int values_readme(struct floatfs *fs, const struct node *node, FILE *out)
{
	(void)node;
	fprintf(out,
		"floatfs " FLOAT_VERSION ": every job is a directory.\n\n"
		"  mkdir jobs/hello                        a draft\n"
		"  cp job.sh jobs/hello/script             its settings are plain files\n"
		"  echo debian > jobs/hello/image\n"
		"  echo c5.large > jobs/hello/instance\n"
		"  echo start > jobs/hello/ctl             it runs\n"
		"  tail -f jobs/hello/output               its output, live\n"
		"  echo c5.2xlarge > jobs/hello/migrate    it moves to another machine, running\n"
		"  cat jobs/hello/wait                     returns its exit code when it has ended\n"
		"  rmdir jobs/hello                        forgets it, its volumes and its logs\n\n"
		"A write that is refused fails; `error` beside it says why in a sentence.\n"
		"Hosts come from the cloud `%s`.\n\n",
		fs->ops->name);
	print_rows(out, TREE_ROOT, 0);
	fprintf(out, "\nSee floatfs(5), floatfs(1) and float(1).\n");
	return 0;
}

int values_user_error(struct floatfs *fs, const struct node *node, FILE *out)
{
	/* Each user has one: fuse.c puts the asking one in the node. */
	pthread_mutex_lock(&fs->lock);
	const struct user *user = users_get_locked(fs, (uid_t)node->generation);
	if (user->error[0])
		fprintf(out, "%s\n", user->error);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

int values_target(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record record;
	int status = read_record(fs, node, &record);
	if (status == 0 && record.target[0])
		fprintf(out, "%s\n", record.target);
	return status;
}

int values_status(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record record;
	int status = read_record(fs, node, &record);
	if (status == 0)
		fprintf(out, "%s\n", record.status);
	return status;
}

int values_exit_code(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record record;
	char text[16];
	int status = read_record(fs, node, &record);
	if (status == 0) {
		notify_exit_text(&record, text);
		fputs(text, out);
	}
	return status;
}

int values_host_link(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record record;
	int status = read_record(fs, node, &record);
	if (status == 0)
		fprintf(out, "../../hosts/%s", record.host[0] ? record.host : "none");
	return status;
}

int values_job_error(struct floatfs *fs, const struct node *node, FILE *out)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	job_lock(job);
	if (job->error[0])
		fprintf(out, "%s\n", job->error);
	job_unlock(job);
	return 0;
}

static void add_text(json_object *info, const char *key, const char *value)
{
	if (value[0])
		json_set_string(info, key, value);
}

static void add_time(json_object *info, const char *key, int64_t ns)
{
	char text[CLOCK_TEXT_SIZE];
	if (!ns)
		return;
	clock_format(ns, 0, text);
	json_set_string(info, key, text);
}

/* A setting's lines as an array, where it has any. */
static void add_lines(struct job *job, json_object *info, const char *key, const char *setting)
{
	autolines char **lines = NULL;
	size_t count;
	if (settings_read_lines(job, setting, &lines, &count, NULL) < 0 || count == 0)
		return;
	json_object *array = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, json_object_new_string(lines[i]));
	json_object_object_add(info, key, array);
}

json_object *values_describe_job(struct job *job)
{
	struct floatfs *fs = job->fs;
	struct record record;
	char error[sizeof(job->error)];
	job_lock(job);
	record = job->record;
	record_set_text(error, sizeof(error), job->error);
	job_unlock(job);
	const struct cloud_type *type = cloud_find_type(fs->ops, fs->cloud, record.instance);
	json_object *info = json_object_new_object();
	add_text(info, "id", record.id);
	add_text(info, "name", record.name);
	add_text(info, "user", record.user);
	json_set_int(info, "owner", record.uid);
	add_text(info, "status", record.status);
	add_text(info, "image", record.image);
	add_text(info, "imageDigest", record.digest);
	add_text(info, "instance", record.instance);
	if (type) {
		json_set_int(info, "cpus", type->cpus);
		char gib[32];
		snprintf(gib, sizeof(gib), "%g", type->memory_mib / 1024.0);
		json_object_object_add(info, "memoryGiB",
				       json_object_new_double_s(type->memory_mib / 1024.0, gib));
	}
	add_text(info, "zone", record.zone);
	add_text(info, "market", record.market);
	add_text(info, "host", record.host);
	add_text(info, "hostAddress", record.host[0] ? record.address : "");
	add_text(info, "container", record.container);
	add_time(info, "submitTime", record.submit_ns);
	add_time(info, "startTime", record.start_ns);
	add_time(info, "endTime", record.end_ns);
	int64_t until = record.end_ns ? record.end_ns : clock_now_ns();
	if (record.start_ns)
		json_set_int(info, "durationSeconds",
			     until > record.start_ns ? (until - record.start_ns) / 1000000000 : 0);
	char cost[32];
	snprintf(cost, sizeof(cost), "%.4f", (double)job_cost_microusd(fs, &record) / 1e6);
	json_set_string(info, "costUSD", cost);
	if (job_has_ended(&record)) {
		char code[16];
		notify_exit_text(&record, code);
		json_set_int(info, "exitCode", strtol(code, NULL, 10));
	}
	if (record.freeze_us)
		json_set_int(info, "freeze_us", record.freeze_us);
	json_set_int(info, "migrations", record.migrations);
	json_set_int(info, "epoch", record.epoch);
	add_text(info, "target", record.target);
	add_text(info, "reason", record.reason);
	add_text(info, "error", error);
	add_lines(job, info, "args", "args");
	add_lines(job, info, "tags", "tags");
	add_lines(job, info, "volumes", "volumes");
	return info;
}

/* The same, a key and its value a line; each entry of a list is a line of its own. */
int values_info(struct floatfs *fs, const struct node *node, FILE *out)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	autojson json_object *info = values_describe_job(job);
	json_object_object_foreach(info, key, value)
	{
		if (!json_object_is_type(value, json_type_array)) {
			fprintf(out, "%s %s\n", key, json_object_get_string(value));
			continue;
		}
		for (size_t i = 0; i < json_object_array_length(value); i++)
			fprintf(out, "%s %s\n", key,
				json_object_get_string(json_object_array_get_idx(value, i)));
	}
	return 0;
}

int values_info_json(struct floatfs *fs, const struct node *node, FILE *out)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	autojson json_object *info = values_describe_job(job);
	fprintf(
	    out, "%s\n",
	    json_object_to_json_string_ext(info, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static void view_host(const struct record *record, bool other, struct host_view *host)
{
	const struct record_op *op = &record->op;
	memset(host, 0, sizeof(*host));
	record_set(host->job, record->id);
	record_set(host->zone, record->zone);
	record_set(host->id, other ? op->host : record->host);
	record_set(host->address, other ? op->address : record->address);
	record_set(host->instance, other ? op->type : record->instance);
	record_set(host->market, other ? op->market : record->market);
	host->serial = (uint64_t)(other ? op->host_serial : record->host_serial);
	host->status = !other ? "running" : op->committed ? "leaving" : "new";
	if (other && !strcmp(op->name, op_files.name))
		host->status = op_files_host_status(op);
}

/* Calls visit with each host until it returns true; fs->lock is held. */
static int each_host(struct floatfs *fs, bool (*visit)(void *context, const struct host_view *host),
		     void *context)
{
	bool found = false;
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->hosted_count && !found; i++) {
		const struct record *record = &fs->hosted[i]->record;
		for (int other = 0; other < 2 && !found; other++) {
			struct host_view host;
			if (!(other ? record->op.host : record->host)[0])
				continue;
			view_host(record, other, &host);
			found = visit(context, &host);
		}
	}
	pthread_mutex_unlock(&fs->lock);
	return found ? 0 : -ENOENT;
}

struct host_search {
	const char *id; /* or NULL: by serial */
	uint64_t serial;
	struct host_view *host;
};

static bool match_host(void *context, const struct host_view *host)
{
	const struct host_search *search = context;
	if (search->id ? strcmp(host->id, search->id) != 0 : host->serial != search->serial)
		return false;
	*search->host = *host;
	return true;
}

int values_find_host(struct floatfs *fs, const char *id, struct host_view *host)
{
	return each_host(fs, match_host, &(struct host_search){ .id = id, .host = host });
}

int values_find_host_serial(struct floatfs *fs, uint64_t serial, struct host_view *host)
{
	return each_host(fs, match_host, &(struct host_search){ .serial = serial, .host = host });
}

struct host_list {
	struct host_view *hosts;
	size_t count, room;
};

static bool add_host(void *context, const struct host_view *host)
{
	struct host_list *list = context;
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 16;
		list->hosts = reallocarray(list->hosts, list->room, sizeof(*host));
		if (!list->hosts)
			abort();
	}
	list->hosts[list->count++] = *host;
	return false;
}

void values_list_hosts(struct floatfs *fs, struct host_view **hosts, size_t *count)
{
	struct host_list list = { 0 };
	each_host(fs, add_host, &list);
	*hosts = list.hosts;
	*count = list.count;
}

#define SHOW_HOST(name, format, member)                                                                      \
	int values_host_##name(struct floatfs *fs, const struct node *node, FILE *out)                       \
	{                                                                                                    \
		struct host_view host;                                                                       \
		int status = values_find_host_serial(fs, node->serial, &host);                               \
		if (status == 0)                                                                             \
			fprintf(out, format, host.member);                                                   \
		return status;                                                                               \
	}

SHOW_HOST(status, "%s\n", status)
SHOW_HOST(instance, "%s\n", instance)
SHOW_HOST(zone, "%s\n", zone)
SHOW_HOST(market, "%s\n", market)
SHOW_HOST(address, "%s\n", address)
SHOW_HOST(job, "../../jobs/%s", job)

int values_type(struct floatfs *fs, const struct node *node, FILE *out)
{
	size_t count;
	const struct cloud_type *types = fs->ops->types(fs->cloud, &count);
	if (node->serial < 1 || node->serial > count)
		return -ENOENT;
	const struct cloud_type *type = &types[node->serial - 1];
	fprintf(out, "cpu %d\nmemory %g\npriceOnDemand %g\npriceSpot %g\nzone %s\n", type->cpus,
		type->memory_mib / 1024.0, type->price_ondemand, type->price_spot, fs->ops->zone(fs->cloud));
	return 0;
}

#define SHOW_IMAGE(name, ...)                                                                                \
	int values_image_##name(struct floatfs *fs, const struct node *node, FILE *out)                      \
	{                                                                                                    \
		struct image image;                                                                          \
		int status = images_find_serial(fs, node->serial, &image);                                   \
		if (status == 0)                                                                             \
			fprintf(out, __VA_ARGS__);                                                           \
		return status;                                                                               \
	}

SHOW_IMAGE(digest, "%s%s", image.digest, image.digest[0] ? "\n" : "")
SHOW_IMAGE(size, "%lld\n", (long long)image.size)
SHOW_IMAGE(status, "%s\n", image.status)
