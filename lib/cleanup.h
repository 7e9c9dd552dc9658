/* Cleanup attributes for what a scope owns. */
#pragma once

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_closedir_(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void cleanup_json_(json_object **json)
{
	json_object_put(*json);
}

#define autofree     __attribute__((cleanup(cleanup_free_)))
#define autoclose    __attribute__((cleanup(cleanup_close_)))
#define autofclose   __attribute__((cleanup(cleanup_fclose_)))
#define autoclosedir __attribute__((cleanup(cleanup_closedir_)))
#define autojson     __attribute__((cleanup(cleanup_json_)))

/* Hand what a scope owns to somebody else. */
#define take_pointer(p)                                                                                      \
	({                                                                                                   \
		__typeof__(p) taken_ = (p);                                                                  \
		(p) = NULL;                                                                                  \
		taken_;                                                                                      \
	})
#define take_fd(fd)                                                                                          \
	({                                                                                                   \
		int taken_ = (fd);                                                                           \
		(fd) = -1;                                                                                   \
		taken_;                                                                                      \
	})

#define array_length(a) (sizeof(a) / sizeof((a)[0]))
