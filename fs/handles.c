#include "fs/handles.h"

#include <pthread.h>
#include <stdlib.h>

/* Numbers are given one after the other: they spread over the buckets by themselves. */
enum { BUCKETS = 4096 };

/* Of numbers that say whose they are: the flag, 31 bits of the counter, the user. */
#define OF_USER (1ULL << 63)
#define PASSED  (1ULL << 62)

struct entry {
	struct entry *next;
	uint64_t number;
	void *what;
};

struct handles {
	pthread_mutex_t lock; /* guards buckets */
	struct entry *buckets[BUCKETS];
};

struct handles *handles_new(void)
{
	struct handles *handles = calloc(1, sizeof(*handles));
	if (!handles)
		abort();
	pthread_mutex_init(&handles->lock, NULL);
	return handles;
}

void handles_free(struct handles *handles, void (*release)(void *what))
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *entry = handles->buckets[i], *next; entry; entry = next) {
			next = entry->next;
			release(entry->what);
			free(entry);
		}
	pthread_mutex_destroy(&handles->lock);
	free(handles);
}

uint64_t handles_number(_Atomic uint64_t *counter)
{
	return atomic_fetch_add(counter, 1) + 1;
}

uint64_t handles_number_of(_Atomic uint64_t *counter, uid_t uid)
{
	return OF_USER | (handles_number(counter) & 0x7fffffff) << 32 | uid;
}

uint64_t handles_number_passed(_Atomic uint64_t *counter)
{
	return PASSED | handles_number(counter);
}

bool handles_is_passed(uint64_t number)
{
	return (number & (OF_USER | PASSED)) == PASSED;
}

int64_t handles_uid(uint64_t number)
{
	return number & OF_USER ? (int64_t)(uint32_t)number : -1;
}

/* Where it is linked, or would be. */
static struct entry **find_locked(struct handles *handles, uint64_t number)
{
	struct entry **at = &handles->buckets[(number & OF_USER ? number >> 32 : number) % BUCKETS];
	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

void *handles_find(struct handles *handles, uint64_t number)
{
	pthread_mutex_lock(&handles->lock);
	struct entry *found = *find_locked(handles, number);
	void *what = found ? found->what : NULL;
	pthread_mutex_unlock(&handles->lock);
	return what;
}

void *handles_put(struct handles *handles, uint64_t number, void *what)
{
	struct entry *entry = malloc(sizeof(*entry));
	if (!entry)
		return NULL;
	*entry = (struct entry){ .number = number, .what = what };
	pthread_mutex_lock(&handles->lock);
	struct entry **at = find_locked(handles, number);
	if (!*at) {
		*at = entry;
		entry = NULL;
	}
	what = (*at)->what;
	pthread_mutex_unlock(&handles->lock);
	free(entry);
	return what;
}

void *handles_take(struct handles *handles, uint64_t number)
{
	pthread_mutex_lock(&handles->lock);
	struct entry **at = find_locked(handles, number), *found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&handles->lock);
	void *what = found ? found->what : NULL;
	free(found);
	return what;
}
