/*
 * opendir, readdir, releasedir. A place in a directory is computed from what stands there, as node ids are: it means the
 * same to every listing of the directory, also that of a floatfs that did not open it (holder.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/files.h"
#include "fs/fuse_inside.h"
#include "lib/cleanup.h"

/* Places: the dots, then the rows of the tree's table by kind, then what there is by serial or generation. */
enum { PLACE_START, PLACE_SELF, PLACE_PARENT, PLACE_ROWS, PLACE_REST = 256 };

_Static_assert(PLACE_ROWS + TREE_KINDS <= PLACE_REST, "rows have room");

struct name {
	char *text;
	uint64_t inode;
	mode_t type;
	off_t place;
};

struct directory {
	struct node node;
	bool files;         /* an agent lists it; else it was listed when it was opened */
	struct name *names; /* by place */
	size_t count, room;
};

void fuse_dir_free(void *what)
{
	struct directory *directory = what;
	for (size_t i = 0; i < directory->count; i++)
		free(directory->names[i].text);
	free(directory->names);
	free(directory);
}

static int add_name(struct directory *directory, const char *text, const struct node *node, off_t place)
{
	if (directory->count == directory->room) {
		size_t room = directory->room ? directory->room * 2 : 32;
		struct name *larger = realloc(directory->names, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		directory->names = larger;
		directory->room = room;
	}
	/* What a log entry is, its lookup tells. */
	static const mode_t types[] = { [HOW_DIRECTORY] = S_IFDIR, [HOW_LINK] = S_IFLNK,
					[HOW_SETTING] = S_IFREG,   [HOW_VALUE] = S_IFREG,
					[HOW_CONTROL] = S_IFREG,   [HOW_LIVE] = S_IFREG,
					[HOW_WAIT] = S_IFREG,      [HOW_SECRET] = S_IFREG,
					[HOW_LOG_ENTRY] = 0,       [HOW_FILES] = 0 };
	const struct tree_entry *entry = tree_entry(node->kind);
	struct name *name = &directory->names[directory->count];
	*name = (struct name){ strdup(text), tree_id(node), entry ? types[entry->how] : 0, place };
	if (!name->text)
		return -ENOMEM;
	directory->count++;
	return 0;
}

static int add_member(void *context, const char *text, const struct node *node)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	/* Those of one job differ by that. */
	bool by_generation = node->kind == TREE_LOG_ENTRY || node->kind == TREE_SNAPSHOT;
	off_t place = entry && entry->name
			  ? PLACE_ROWS + (off_t)node->kind
			  : PLACE_REST + (off_t)(by_generation ? node->generation : node->serial);
	return add_name(context, text, node, place);
}

static int compare_places(const void *one, const void *other)
{
	off_t a = ((const struct name *)one)->place, b = ((const struct name *)other)->place;
	return a < b ? -1 : a > b;
}

static int list(struct floatfs *fs, struct directory *directory, pid_t pid)
{
	static const struct node root = { .kind = TREE_ROOT };
	int status = files_holds(&directory->node) ? files_check(fs, &directory->node, pid) : 0;
	if (status < 0)
		return status;
	directory->files = status > 0;
	status = add_name(directory, ".", &directory->node, PLACE_SELF);
	if (status == 0)
		status = add_name(directory, "..", &root, PLACE_PARENT);
	if (status == 0)
		status = tree_list(fs, &directory->node, add_member, directory);
	qsort(directory->names, directory->count, sizeof(*directory->names), compare_places);
	return status;
}

/* The directory as it is now, under that number. */
static int open_directory(fuse_req_t request, fuse_ino_t inode, uint64_t number, struct directory **out)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct directory *directory = calloc(1, sizeof(*directory));
	if (!directory)
		return -ENOMEM;
	directory->node = tree_node(inode);
	int status = list(mount->fs, directory, fuse_req_ctx(request)->pid);
	*out = status == 0 ? handles_put(mount->directories, number, directory) : NULL;
	if (*out != directory)
		fuse_dir_free(directory);
	return status < 0 ? status : *out ? 0 : -ENOMEM;
}

void fuse_dir_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct directory *directory;
	info->fh = handles_number(&holder_page(mount->holder)->last_handle);
	int status = open_directory(request, inode, info->fh, &directory);
	if (status < 0)
		fuse_reply_err(request, -status);
	else if (fuse_reply_open(request, info) < 0)
		fuse_dir_free(handles_take(mount->directories, info->fh));
}

/* The first name behind a place. */
static size_t find_behind(const struct directory *directory, off_t place)
{
	size_t low = 0, high = directory->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (directory->names[middle].place <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void read_directory(fuse_req_t request, fuse_ino_t inode, uint64_t number, size_t size, off_t offset,
			   bool plus)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct directory *directory = handles_find(mount->directories, number);
	/* It was opened with a floatfs that is gone. */
	int status = directory ? 0 : open_directory(request, inode, number, &directory);
	if (status < 0) {
		fuse_reply_err(request, -status);
		return;
	}
	if (directory->files) {
		files_list(mount->fs, request, &directory->node, size, offset, plus);
		return;
	}
	autofree char *page = malloc(size);
	size_t used = 0;
	if (!page) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	for (size_t i = find_behind(directory, offset); i < directory->count; i++) {
		struct name *name = &directory->names[i];
		/* Without attributes (ino 0): the kernel asks for those it wants. */
		struct fuse_entry_param entry = { .attr = { .st_ino = name->inode, .st_mode = name->type } };
		size_t more = plus ? fuse_add_direntry_plus(request, page + used, size - used, name->text,
							    &entry, name->place)
				   : fuse_add_direntry(request, page + used, size - used, name->text,
						       &entry.attr, name->place);
		if (more > size - used)
			break;
		used += more;
	}
	fuse_reply_buf(request, page, used);
}

void fuse_dir_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		   struct fuse_file_info *info)
{
	read_directory(request, inode, info->fh, size, offset, false);
}

void fuse_dir_read_plus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
			struct fuse_file_info *info)
{
	read_directory(request, inode, info->fh, size, offset, true);
}

void fuse_dir_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct directory *directory = handles_take(mount->directories, info->fh);
	(void)inode;
	if (directory)
		fuse_dir_free(directory);
	fuse_reply_err(request, 0);
}
