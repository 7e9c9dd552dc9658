/* For cppcheck, which does not read the headers of libraries: their macros that are statements or
 * declarations. */
#pragma once

#define json_object_object_foreach(object, key, value)                                                       \
	const char *key = 0;                                                                                 \
	json_object *value = 0;                                                                              \
	while (next_member(object, &key, &value))

/* Criterion's, at file scope. */
#define TestSuite(...) struct test_suite_
