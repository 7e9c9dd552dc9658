/* What is asked of an agent about files, and how FUSE is told the answer (agent/API.md, An ended job's files). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/files_inside.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/utf8.h"

/* They do not change; but a job may be taken up again, or forgotten, and then this much later nobody sees them. */
#define FILES_TIMEOUT 60.0

enum {
	DOTS = 2, /* entries . and .. come before the agent's */
	/* What an entry takes at least: struct fuse_dirent, struct fuse_direntplus (linux/fuse.h), a name. */
	DIRENT_BYTES = 32,
	DIRENTPLUS_BYTES = 160,
};

/* ---- parsing ---- */

static struct timespec get_time(json_object *entry, const char *key)
{
	json_object *pair = json_get_array(entry, key);
	if (!pair || json_object_array_length(pair) != 2)
		return (struct timespec){ 0 };
	return (struct timespec){ json_object_get_int64(json_object_array_get_idx(pair, 0)),
				  json_object_get_int64(json_object_array_get_idx(pair, 1)) };
}

int files_parse_entry(json_object *entry, uint64_t serial, struct node *node, struct stat *st)
{
	int64_t volume = json_get_int(entry, "volume", -1), inode = json_get_int(entry, "inode", -1),
		mode = json_get_int(entry, "mode", -1);
	if (volume < 0 || volume > 31 || inode <= 0 || mode < 0 || mode > 0177777)
		return -EPROTO;
	*st = (struct stat){ .st_mode = (mode_t)mode,
			     .st_nlink = (nlink_t)json_get_int(entry, "nlink", 1),
			     .st_uid = (uid_t)json_get_int(entry, "uid", 0),
			     .st_gid = (gid_t)json_get_int(entry, "gid", 0),
			     .st_rdev = makedev((unsigned)json_get_int(entry, "major", 0),
						(unsigned)json_get_int(entry, "minor", 0)),
			     .st_size = json_get_int(entry, "size", 0),
			     .st_blocks = json_get_int(entry, "blocks", 0),
			     .st_blksize = 4096,
			     .st_atim = get_time(entry, "atime"),
			     .st_mtim = get_time(entry, "mtime"),
			     .st_ctim = get_time(entry, "ctime") };
	if (inode > UINT32_MAX)
		return -EOVERFLOW;
	*node = (struct node){ .kind = TREE_FILES_ENTRY,
			       .serial = serial,
			       .generation = (uint32_t)inode,
			       .volume = (uint8_t)volume };
	st->st_ino = tree_id(node);
	return 0;
}

static int parse_fuse_entry(const struct ask *ask, json_object *from, struct fuse_entry_param *entry)
{
	struct node node;
	*entry = (struct fuse_entry_param){ .attr_timeout = FILES_TIMEOUT, .entry_timeout = FILES_TIMEOUT };
	int status = files_parse_entry(from, ask->job->serial, &node, &entry->attr);
	if (status == 0)
		entry->ino = tree_id(&node);
	return status;
}

/* ---- the kinds ---- */

static void describe_lookup(const struct ask *ask, json_object *body)
{
	autofree char *text = utf8_escape(ask->name, '\\');
	json_set_string(body, "name", text);
}

static void reply_lookup(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	struct fuse_entry_param entry;
	if (!json_object_object_length(result->answer)) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	int status = parse_fuse_entry(ask, result->answer, &entry);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_entry(request, &entry);
}

static void reply_stat(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	struct fuse_entry_param entry;
	int status = parse_fuse_entry(ask, result->answer, &entry);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_attr(request, &entry.attr, FILES_TIMEOUT);
}

static void reply_readlink(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	(void)ask;
	autofree char *target = strdup(json_get_string(result->answer, "target", ""));
	if (!target) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	utf8_unescape(target);
	fuse_reply_readlink(request, target);
}

static void describe_read(const struct ask *ask, json_object *body)
{
	json_set_int(body, "offset", ask->offset);
	json_set_int(body, "size", (int64_t)ask->size);
}

static void reply_read(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	(void)ask;
	fuse_reply_buf(request, result->data, result->length);
}

static void describe_seek(const struct ask *ask, json_object *body)
{
	json_set_int(body, "offset", ask->offset);
	json_set_string(body, "whence", ask->hole ? "hole" : "data");
}

static void reply_seek(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	(void)ask;
	fuse_reply_lseek(request, json_get_int(result->answer, "offset", 0));
}

/* As many as could fit, and no more: what does not is asked for again. */
static void describe_list(const struct ask *ask, json_object *body)
{
	size_t least = ask->plus ? DIRENTPLUS_BYTES : DIRENT_BYTES;
	json_set_int(body, "after", ask->offset > DOTS ? ask->offset - DOTS : 0);
	json_set_int(body, "limit", (int64_t)(ask->size / least) + 1);
}

struct page {
	fuse_req_t request;
	char *text;
	size_t used, size;
	bool plus;
};

/* false: it is full. */
static bool add_entry(struct page *page, const char *name, const struct fuse_entry_param *entry, off_t next)
{
	char *at = page->text + page->used;
	size_t room = page->size - page->used;
	size_t more = page->plus ? fuse_add_direntry_plus(page->request, at, room, name, entry, next)
				 : fuse_add_direntry(page->request, at, room, name, &entry->attr, next);
	if (more > room)
		return false;
	page->used += more;
	return true;
}

static bool add_dots(const struct ask *ask, struct page *page)
{
	static const char *const dots[] = { ".", ".." };
	struct fuse_entry_param entry = { .attr = { .st_ino = tree_id(&ask->node), .st_mode = S_IFDIR } };
	for (off_t i = ask->offset; i < DOTS; i++)
		if (!add_entry(page, dots[i], &entry, i + 1))
			return false;
	return true;
}

static void add_page(const struct ask *ask, json_object *entries, struct page *page)
{
	size_t count = entries ? json_object_array_length(entries) : 0;
	for (size_t i = 0; i < count; i++) {
		json_object *from = json_object_array_get_idx(entries, i);
		int64_t next = json_get_int(from, "next", INT64_MAX);
		autofree char *name = strdup(json_get_string(from, "name", ""));
		struct fuse_entry_param entry;
		if (!name)
			return;
		utf8_unescape(name);
		/* A name whose file has no node id is shown: its lookup says why. */
		if (parse_fuse_entry(ask, from, &entry) == -EPROTO)
			continue;
		if (!add_entry(page, name, &entry, next > INT64_MAX - DOTS ? INT64_MAX : next + DOTS))
			return;
	}
}

static void reply_list(const struct ask *ask, fuse_req_t request, const struct ask_result *result)
{
	autofree char *text = malloc(ask->size);
	struct page page = { request, text, 0, ask->size, ask->plus };
	if (!text) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	if (add_dots(ask, &page) && result->answer)
		add_page(ask, json_get_array(result->answer, "entries"), &page);
	fuse_reply_buf(request, text, page.used);
}

static const struct ask_kind lookup_kind = { "lookup", describe_lookup, reply_lookup, false },
			     stat_kind = { "stat", NULL, reply_stat, false },
			     readlink_kind = { "readlink", NULL, reply_readlink, false },
			     read_kind = { "read", describe_read, reply_read, true },
			     seek_kind = { "seek", describe_seek, reply_seek, false },
			     list_kind = { "list", describe_list, reply_list, false };

json_object *files_describe_ask(const struct ask *ask)
{
	json_object *body = json_object_new_object();
	json_set_string(body, "op", ask->kind->op);
	json_set_int(body, "volume", ask->node.volume);
	json_set_int(body, "inode", ask->node.generation);
	if (ask->kind->describe)
		ask->kind->describe(ask, body);
	return body;
}

/* ---- FUSE's requests ---- */

static void submit(struct floatfs *fs, const struct ask *like)
{
	int status = files_check(fs, &like->node, 0);
	struct job *job = status == 1 ? job_find_serial(fs, like->node.serial) : NULL;
	struct ask *ask = job ? malloc(sizeof(*ask)) : NULL;
	char *name = ask && like->name ? strdup(like->name) : NULL;
	if (status == 0 && like->kind == &list_kind) {
		reply_list(like, like->request, &(struct ask_result){ 0 });
	} else if (!ask || (like->name && !name)) {
		fuse_reply_err(like->request, status < 0 ? -status : job ? ENOMEM : ENOENT);
		free(ask);
		if (job)
			job_put(job);
	} else {
		*ask = *like;
		ask->name = name;
		ask->job = job;
		files_park(fs, ask);
	}
}

void files_lookup(struct floatfs *fs, fuse_req_t request, const struct node *directory, const char *name)
{
	submit(fs, &(struct ask){
		       .request = request, .kind = &lookup_kind, .node = *directory, .name = (char *)name });
}

void files_stat(struct floatfs *fs, fuse_req_t request, const struct node *node)
{
	submit(fs, &(struct ask){ .request = request, .kind = &stat_kind, .node = *node });
}

void files_readlink(struct floatfs *fs, fuse_req_t request, const struct node *node)
{
	submit(fs, &(struct ask){ .request = request, .kind = &readlink_kind, .node = *node });
}

void files_read(struct floatfs *fs, fuse_req_t request, const struct node *node, size_t size, off_t offset)
{
	submit(fs,
	       &(struct ask){
		   .request = request, .kind = &read_kind, .node = *node, .size = size, .offset = offset });
}

void files_seek(struct floatfs *fs, fuse_req_t request, const struct node *node, off_t offset, int whence)
{
	submit(fs, &(struct ask){ .request = request,
				  .kind = &seek_kind,
				  .node = *node,
				  .offset = offset,
				  .hole = whence == SEEK_HOLE });
}

void files_list(struct floatfs *fs, fuse_req_t request, const struct node *node, size_t size, off_t offset,
		bool plus)
{
	submit(fs, &(struct ask){ .request = request,
				  .kind = &list_kind,
				  .node = *node,
				  .size = size,
				  .offset = offset,
				  .plus = plus });
}
