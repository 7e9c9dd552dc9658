/* What the nodes of the job's own /float show. */
#include <errno.h>
#include <string.h>

#include "agent/jobfs_inside.h"
#include "agent/logdir.h"
#include "lib/cleanup.h"

size_t jobfs_number(const struct jobfs *fs, const struct jobtree_node *node)
{
	return (size_t)(node - fs->tree->nodes);
}

bool jobfs_is_live(const struct jobtree_node *node)
{
	return node->kind == JOBTREE_LOG_FILE || node->kind == JOBTREE_ASKED_LIVE;
}

int jobfs_open_log_file(struct jobfs *fs, const struct jobtree_node *node, struct stat *st)
{
	autoclose int root = logdir_open(fs->log_dir);
	return root < 0 ? -ENOENT : logdir_open_file(root, node->leaf, st);
}

int64_t jobfs_live_size(struct jobfs *fs, const struct jobtree_node *node)
{
	int64_t *known = &fs->sizes[jobfs_number(fs, node)];
	if (node->kind == JOBTREE_ASKED_LIVE)
		return *known < 0 ? 0 : *known;
	if (fs->held)
		return *known < 0 ? -ENOENT : *known;
	struct stat st;
	autoclose int fd = jobfs_open_log_file(fs, node, &st);
	if (fd < 0)
		*known = -1;
	else
		*known = st.st_size;
	return fd < 0 ? fd : *known;
}

int jobfs_fill_attributes(struct jobfs *fs, const struct jobtree_node *node, struct stat *st)
{
	static const mode_t types[] = {
		[JOBTREE_DIRECTORY] = S_IFDIR,  [JOBTREE_VALUE] = S_IFREG,      [JOBTREE_CONTROL] = S_IFREG,
		[JOBTREE_ASKED_LINK] = S_IFLNK, [JOBTREE_FIXED_LINK] = S_IFLNK, [JOBTREE_LOG_FILE] = S_IFREG,
		[JOBTREE_ASKED_LIVE] = S_IFREG, [JOBTREE_WAIT] = S_IFREG,
	};
	*st = (struct stat){
		.st_ino = jobfs_number(fs, node) + 1,
		.st_mode = types[node->kind] | (types[node->kind] == S_IFLNK ? 0777 : node->mode),
		.st_nlink = node->kind == JOBTREE_DIRECTORY ? 2 : 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_blksize = 4096,
	};
	if (node->kind == JOBTREE_VALUE || node->kind == JOBTREE_CONTROL || node->kind == JOBTREE_WAIT)
		st->st_size = JOBFS_VALUE_SIZE;
	if (node->kind == JOBTREE_FIXED_LINK)
		st->st_size = (off_t)strlen(node->target);
	if (jobfs_is_live(node)) {
		int64_t size = jobfs_live_size(fs, node);
		if (size < 0)
			return (int)size;
		st->st_size = size;
	}
	st->st_blocks = (st->st_size + 511) / 512;
	return 0;
}
