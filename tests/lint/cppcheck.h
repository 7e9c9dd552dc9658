/* For cppcheck, which does not read the system's headers: the macro of json-c that is a statement. */
#pragma once

#define json_object_object_foreach(object, key, value)                                                       \
	const char *key = 0;                                                                                 \
	json_object *value = 0;                                                                              \
	while (next_member(object, &key, &value))
