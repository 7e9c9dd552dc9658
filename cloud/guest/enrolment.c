#include "cloud/guest/enrolment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

int enrolment_write(const char *directory, struct error *err)
{
	autofree char *user_path = format_string("%s/user-data", directory);
	autofree char *meta_path = format_string("%s/meta-data", directory);
	autofree char *path = format_string("%s/enrolment.json", directory);
	autojson json_object *enrolment = NULL, *meta = NULL;
	int status = json_read_file(meta_path, &meta, err);
	if (status < 0)
		return status;
	const char *host = json_get_string(meta, "host", "");
	if (sethostname(host, strlen(host)) < 0)
		return error_sys(err, errno, "cannot set the host name");
	if (access(user_path, F_OK) < 0 && errno == ENOENT)
		return 0;
	status = json_read_file(user_path, &enrolment, err);
	if (status < 0)
		return status;
	json_set_string(enrolment, "host", host);
	json_set_string(enrolment, "address", json_get_string(meta, "address", ""));
	json_set_int(enrolment, "port", json_get_int(meta, "port", 0));
	status = json_write_file(path, enrolment, 0600);
	if (status < 0)
		return error_sys(err, -status, "cannot write %s", path);
	return unlink(user_path) < 0 ? error_sys(err, errno, "cannot remove %s", user_path) : 0;
}
