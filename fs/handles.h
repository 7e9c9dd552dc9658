/*
 * Handles: what an open(2) on the mount is called between the kernel and floatfs. They are numbers, not pointers, as the
 * kernel keeps them longer than a floatfs lives (holder.h): one that is not in the table was opened with a floatfs that is
 * gone, and its user is put there when it is used. Any thread may call.
 *
 * No references are counted: the kernel releases a handle when every other request with it has been answered.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct handles;

struct handles *handles_new(void);
/* Calls release with each that is left. */
void handles_free(struct handles *handles, void (*release)(void *what));

/*
 * A number that was never given before: counter is the last one's, kept as long as the mount lives. That of a node that
 * each user sees his own of says whose it is: who uses it later may be another.
 */
uint64_t handles_number(_Atomic uint64_t *counter);
uint64_t handles_number_of(_Atomic uint64_t *counter, uid_t uid);
/* That of a file which the kernel reads itself (fuse_through.h) says so. */
uint64_t handles_number_passed(_Atomic uint64_t *counter);
bool handles_is_passed(uint64_t number);
/* -1: it does not say. */
int64_t handles_uid(uint64_t number);

/* NULL: it is not known. */
void *handles_find(struct handles *handles, uint64_t number);
/* What stands under the number from now on: what, or what somebody else has put there already. NULL: no memory. */
void *handles_put(struct handles *handles, uint64_t number, void *what);
void *handles_take(struct handles *handles, uint64_t number);
