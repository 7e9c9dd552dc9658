/*
 * What the local provider finds on disk: the name of a file in a line, then its content; more of them after a line `--`.
 * PID, START and BOOT stand for this process, so that a host can live.
 */
#include "cloud/local/local.h"

#include "cloud/local/process.h"
#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = { "host.json", "running.json", "attached", "volume" };

static char *path_of(const char *name)
{
	const char *state = fuzz_scratch();
	if (!strcmp(name, "volume"))
		return format_string("%s/volumes/vol-0123.json", state);
	if (!strcmp(name, "attached"))
		return format_string("%s/hosts/i-0123/attached/vol-0123", state);
	return format_string("%s/hosts/i-0123/%s", state, name);
}

static char *replace(char *text, const char *word, const char *value)
{
	char *at = strstr(text, word);
	if (!at)
		return text;
	char *longer = format_string("%.*s%s%s", (int)(at - text), text, value, at + strlen(word));
	free(text);
	return longer;
}

static char *fill_in(char *text)
{
	long long ticks;
	char number[32];
	autofree char *boot_id = NULL;
	fuzz_check(file_read("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL) == 0);
	boot_id[strcspn(boot_id, "\n")] = '\0';
	fuzz_check(process_start_time(getpid(), &ticks) == 0);
	text = replace(text, "BOOT", boot_id);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	text = replace(text, "PID", number);
	snprintf(number, sizeof(number), "%lld", ticks);
	return replace(text, "START", number);
}

static void make_state(void)
{
	static const char *const directories[] = { "hosts/i-0123/attached", "volumes" };
	file_remove_tree(fuzz_scratch());
	for (size_t i = 0; i < array_length(directories); i++) {
		autofree char *path = format_string("%s/%s", fuzz_scratch(), directories[i]);
		fuzz_check(file_make_directories(path, 0700) == 0);
	}
	autofree char *image = format_string("%s/volumes/vol-0123.img", fuzz_scratch());
	fuzz_write(image, "", 0);
}

static void write_files(char *text)
{
	for (char *file; (file = text);) {
		char *next = strstr(text, "\n--\n");
		if (next)
			*next = '\0';
		text = next ? next + 4 : NULL;
		char *content = file;
		const char *name = fuzz_line(&content);
		for (size_t i = 0; i < array_length(names); i++) {
			if (strcmp(names[i], name))
				continue;
			autofree char *path = path_of(name);
			fuzz_write(path, content, strlen(content));
		}
	}
}

static void forget(struct cloud *cloud)
{
	for (struct local_host *host; (host = cloud->hosts);) {
		cloud->hosts = host->next;
		fuzz_check(host->init_pidfd >= 0 || host->device_count == 0);
		local_host_free(host);
	}
	for (struct local_volume *volume; (volume = cloud->volumes);) {
		cloud->volumes = volume->next;
		free(volume);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cloud cloud = { .state = (char *)fuzz_scratch(), .id = "0123abcd", .lock_fd = -1 };
	struct error err = { 0 };
	autofree char *record = path_of("host.json");
	make_state();
	autofree char *text = fill_in(fuzz_text(data, size));
	write_files(text);
	fuzz_check(local_find_volumes(&cloud, &err) == 0 || err.text[0]);
	bool recorded = access(record, F_OK) == 0;
	int status = local_find_hosts(&cloud, &err);
	fuzz_check(status == 0 || err.text[0]);
	/* What cannot be read is not taken for what is not there: its processes and devices would be lost. */
	fuzz_check(!recorded || access(record, F_OK) == 0);
	fuzz_check((cloud.hosts != NULL) == (recorded && status == 0));
	forget(&cloud);
	return 0;
}
