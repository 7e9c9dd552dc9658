/*
 * Secrets: values that a job's env names by {secret:NAME}, and that nothing shows. Each is a file of its owner's,
 * STATE/secrets/SERIAL.NAME. Any thread, without fs->lock.
 */
#pragma once

#include "fs/fs.h"

enum { SECRET_LIMIT = 64 << 10 };

struct secret {
	uint64_t serial;
	char name[65];
	uid_t uid;
	gid_t gid;
	int64_t mtime_ns;
};

/* Before other threads run. */
int secrets_open(struct floatfs *fs, struct error *err);
void secrets_close(struct secrets *secrets);

/* An empty one of that name, the caller's. -EEXIST, -EINVAL. */
int secrets_create(struct floatfs *fs, const char *name, const struct caller *caller, struct error *err);
int secrets_remove(struct floatfs *fs, const char *name, struct error *err);

/* Copies; -ENOENT. The nth of those there are now. */
int secrets_find(struct floatfs *fs, const char *name, struct secret *secret);
int secrets_find_serial(struct floatfs *fs, uint64_t serial, struct secret *secret);
int secrets_get(struct floatfs *fs, size_t n, struct secret *secret);

/* To write its value: flags may hold O_TRUNC and O_APPEND. Caller closes; -errno. */
int secrets_open_value(struct floatfs *fs, uint64_t serial, int flags);

/*
 * A line of env with the values in place of their names (expanded, caller frees; NULL: only check). -EINVAL with a
 * sentence for a name that is no secret of that user's.
 */
int secrets_expand(struct floatfs *fs, const char *line, uid_t uid, char **expanded, struct error *err);
