/* Where an ended job's files are: its volumes, files by their numbers, and the places where mount points stand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/files_inside.h"
#include "agent/inode.h"
#include "lib/cleanup.h"
#include "lib/file.h"

/* ---- files by number ---- */

int files_open_inode(const struct files *files, struct files_place place, int flags)
{
	const struct files_volume *volume = &files->volumes[place.volume];
	return inode_open(volume->fd, volume->subvolume, place.inode, flags);
}

int files_open_place(const struct files *files, struct files_place place, struct stat *st)
{
	if (place.volume == FILES_MADE)
		return -ENOTDIR;
	autoclose int fd = files_open_inode(files, place, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return -errno;
	return take_fd(fd);
}

/* ---- the rows ---- */

const struct files_row *files_find_row(const struct files *files, struct files_place parent, const char *name)
{
	for (size_t i = 0; i < files->row_count; i++)
		if (files_same_place(files->rows[i].parent, parent) && strcmp(files->rows[i].name, name) == 0)
			return &files->rows[i];
	return NULL;
}

static void add_row(struct files *files, struct files_place parent, const char *name,
		    struct files_place child)
{
	struct files_row *rows = reallocarray(files->rows, files->row_count + 1, sizeof(*rows));
	if (!rows)
		abort();
	rows[files->row_count++] = (struct files_row){ parent, format_string("%s", name), child };
	files->rows = rows;
}

/* The directory of that name on the volume, or a made one. */
static struct files_place step_down(struct files *files, struct files_place parent, const char *name)
{
	const struct files_row *row = files_find_row(files, parent, name);
	if (row)
		return row->child;
	if (parent.volume != FILES_MADE) {
		const struct files_volume *volume = &files->volumes[parent.volume];
		autoclose int fd = files_open_inode(files, parent, O_RDONLY | O_DIRECTORY);
		struct stat st;
		if (fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		    st.st_dev == volume->device)
			return (struct files_place){ parent.volume, st.st_ino };
	}
	struct files_place made = { FILES_MADE, ++files->made_count };
	add_row(files, parent, name, made);
	return made;
}

/* path is one that spec.c accepted: absolute, without . and .. */
static void add_mount(struct files *files, const char *path, struct files_place root)
{
	autofree char *copy = format_string("%s", path + 1);
	struct files_place parent = files->top;
	char *name = copy;
	for (char *slash; (slash = strchr(name, '/')); name = slash + 1) {
		*slash = '\0';
		parent = step_down(files, parent, name);
	}
	add_row(files, parent, name, root);
}

static int open_volume(struct files *files, const struct layout *layout, const char *name, struct error *err)
{
	struct files_volume *volume = &files->volumes[files->volume_count];
	autofree char *path = layout_path(layout, name);
	struct stat st;
	volume->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (volume->fd < 0)
		return error_sys(err, errno, "cannot open %s", path);
	files->volume_count++;
	int status = fstat(volume->fd, &st) < 0 ? -errno : inode_subvolume(volume->fd, &volume->subvolume);
	volume->device = st.st_dev;
	return status < 0 ? error_sys(err, -status, "the volume at %s cannot be read by inode number", path)
			  : 0;
}

/* A directory of the work volume; its inode number, or 0. */
static uint64_t work_directory(const struct files *files, const char *name)
{
	struct stat st;
	return fstatat(files->volumes[FILES_WORK].fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       S_ISDIR(st.st_mode)
		   ? st.st_ino
		   : 0;
}

int files_open(const struct layout *layout, struct files **out, struct error *err)
{
	struct files *files = calloc(1, sizeof(*files));
	if (!files)
		return error_set(err, ENOMEM, "out of memory");
	int status = open_volume(files, layout, "work", err);
	for (size_t i = 0; status == 0 && i < layout->spec->data_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		status = open_volume(files, layout, name, err);
	}
	if (status == 0) {
		files->top = (struct files_place){ FILES_WORK, work_directory(files, "upper") };
		if (!files->top.inode)
			status = error_set(err, ENOENT, "the job never wrote to its volumes");
	}
	if (status < 0) {
		files_close(files);
		return status;
	}
	uint64_t tmp = work_directory(files, "tmp");
	if (tmp)
		add_mount(files, "/tmp", (struct files_place){ FILES_WORK, tmp });
	for (size_t i = 0; i < layout->spec->data_count; i++) {
		struct stat st;
		int volume = (int)i + 1;
		if (fstat(files->volumes[volume].fd, &st) == 0)
			add_mount(files, layout->spec->data[i].mount,
				  (struct files_place){ volume, st.st_ino });
	}
	*out = files;
	return 0;
}

void files_close(struct files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->volume_count; i++)
		close(files->volumes[i].fd);
	for (size_t i = 0; i < files->row_count; i++)
		free(files->rows[i].name);
	free(files->rows);
	free(files);
}
