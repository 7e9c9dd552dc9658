/* The enrolment data of a cloud, as the neutral file that the agent reads. */
#pragma once

#include "lib/error.h"

/*
 * Below directory: user-data (the enrolment that floatfs gave) and meta-data (host, address, port) become
 * enrolment.json, mode 0600, and user-data is removed: its secret is good for one time. Done already is
 * success.
 */
int enrolment_write(const char *directory, struct error *err);
