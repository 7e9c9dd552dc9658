/* Why a dump or a restore failed, in plain words, out of criu's log. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * One plain sentence; size > 0. True when the reason is a state that passes by itself as the job runs on: the same may
 * succeed a moment later.
 */
bool criu_reason(const char *log, char *sentence, size_t size);
