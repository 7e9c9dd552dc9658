#include "fs/fuse_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/files.h"
#include "fs/fuse.h"
#include "fs/tree.h"
#include "lib/cleanup.h"

struct name {
	char *text;
	uint64_t inode;
	mode_t type;
};

struct directory {
	struct node node;
	bool files; /* an agent lists it; else it was listed when it was opened */
	struct name *names;
	size_t count, room;
};

static void directory_free(struct directory *directory)
{
	for (size_t i = 0; i < directory->count; i++)
		free(directory->names[i].text);
	free(directory->names);
	free(directory);
}

static int add_name(void *context, const char *text, const struct node *node)
{
	struct directory *directory = context;
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
	*name = (struct name){ strdup(text), tree_id(node), entry ? types[entry->how] : 0 };
	if (!name->text)
		return -ENOMEM;
	directory->count++;
	return 0;
}

void fuse_dir_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct node node = tree_node(inode), root = { .kind = TREE_ROOT };
	struct directory *directory = calloc(1, sizeof(*directory));
	struct floatfs *fs = fuse_mount_fs(fuse_req_userdata(request));
	int status = directory ? 0 : -ENOMEM;
	if (status == 0) {
		directory->node = node;
		if (files_holds(&node))
			status = files_check(fs, &node, fuse_req_ctx(request)->pid);
		directory->files = status > 0;
	}
	if (status == 0)
		status = add_name(directory, ".", &node);
	if (status == 0)
		status = add_name(directory, "..", &root);
	if (status == 0)
		status = tree_list(fs, &node, add_name, directory);
	info->fh = (uint64_t)(uintptr_t)directory;
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		status = fuse_reply_open(request, info);
	if (status < 0 && directory)
		directory_free(directory);
}

static void read_directory(fuse_req_t request, struct directory *directory, size_t size, off_t offset,
			   bool plus)
{
	if (directory->files) {
		files_list(fuse_mount_fs(fuse_req_userdata(request)), request, &directory->node, size, offset,
			   plus);
		return;
	}
	autofree char *page = malloc(size);
	size_t used = 0;
	if (!page) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	for (size_t i = (size_t)offset; i < directory->count; i++) {
		struct name *name = &directory->names[i];
		/* Without attributes (ino 0): the kernel asks for those it wants. */
		struct fuse_entry_param entry = { .attr = { .st_ino = name->inode, .st_mode = name->type } };
		size_t more = plus ? fuse_add_direntry_plus(request, page + used, size - used, name->text,
							    &entry, (off_t)i + 1)
				   : fuse_add_direntry(request, page + used, size - used, name->text,
						       &entry.attr, (off_t)i + 1);
		if (more > size - used)
			break;
		used += more;
	}
	fuse_reply_buf(request, page, used);
}

void fuse_dir_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		   struct fuse_file_info *info)
{
	(void)inode;
	read_directory(request, (struct directory *)(uintptr_t)info->fh, size, offset, false);
}

void fuse_dir_read_plus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
			struct fuse_file_info *info)
{
	(void)inode;
	read_directory(request, (struct directory *)(uintptr_t)info->fh, size, offset, true);
}

void fuse_dir_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	directory_free((struct directory *)(uintptr_t)info->fh);
	fuse_reply_err(request, 0);
}
