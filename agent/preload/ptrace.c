/* Preloaded into criu's dump: criu and libcompel call libc's ptrace(), and find this one. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/preload/preload.h"

long (*preload_ptrace)(enum __ptrace_request request, ...);
struct dump_shared *preload_shared;

__attribute__((constructor)) static void find_shared(void)
{
	const char *text = getenv(DUMP_SHARED_VARIABLE);
	int fd = text ? atoi(text) : -1;
	preload_ptrace = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(*preload_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	preload_shared = map == MAP_FAILED ? NULL : map;
	close(fd);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	va_start(list, request);
	pid_t thread = va_arg(list, pid_t);
	void *address = va_arg(list, void *), *data = va_arg(list, void *);
	va_end(list);
	again_note(request, thread);
	long result = preload_ptrace(request, thread, address, data);
	if (request == PTRACE_PEEKSIGINFO)
		late_note(thread, address, result);
	return result;
}
