# floatfs. `make demo` shows it, `make check` tests it; both install what they need (as root, on Debian 12 or 13).
VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= cc
B ?= build

comma := ,
# SAN=1: address and undefined; SAN=thread: of floatfs alone, whose threads are many.
SAN_FLAGS := $(if $(SAN),-fno-omit-frame-pointer $(if $(filter thread,$(SAN)),-fsanitize=thread,-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined))
CFLAGS ?= -O2 -g
# The version in what the compiler sees: `floatfs -V` and the agent's state tell it.
ALL_CPPFLAGS := -I. -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DFLOAT_VERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -pthread $(CFLAGS) $(SAN_FLAGS)

lib_PKGS := json-c gnutls libcurl fuse3
fs_PKGS := $(lib_PKGS) mount
agent_PKGS := $(lib_PKGS) libmicrohttpd libseccomp libnftables
agent_LIBS := -linotifytools
# Expanded where a recipe uses them: `make deps` runs on a machine that has no pkg-config yet.
pkg_cflags = $(shell pkg-config --cflags $(agent_PKGS))

lib_SRC := $(wildcard lib/*.c)
cloud_SRC := $(wildcard cloud/*.c cloud/local/*.c)
fs_SRC := $(wildcard fs/*.c)
agent_SRC := $(wildcard agent/*.c)
guest_SRC := $(wildcard cloud/guest/*.c)

objects = $(patsubst %.c,$(B)/%.o,$(1))
# A program that a provider runs on its own.
BOOT_SRC := cloud/local/boot.c

all: $(B)/floatfs $(B)/float-agent $(B)/float-job-init $(B)/float-criu.so $(B)/float-criu-restore.so $(B)/float-local-boot $(B)/float-init $(B)/float

$(B)/floatfs: $(call objects,$(fs_SRC) $(filter-out $(BOOT_SRC),$(cloud_SRC)) $(lib_SRC))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(fs_PKGS))

$(B)/float-agent: $(call objects,$(agent_SRC) $(lib_SRC))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(agent_PKGS)) $(agent_LIBS)

$(B)/float-local-boot: $(call objects,$(BOOT_SRC) cloud/local/net.c cloud/local/process.c lib/error.c lib/log.c lib/file.c lib/json.c lib/utf8.c lib/rtnl.c)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs json-c)

$(B)/float-init: $(call objects,$(guest_SRC) lib/error.c lib/log.c lib/file.c lib/json.c lib/utf8.c lib/clock.c)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs json-c)

# Static, and never with sanitizers: it runs in any image, and travels with the job.
$(B)/float-job-init: agent/init/init.c agent/init/init.h
	@mkdir -p $(@D)
	$(CC) -I. -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -Os -static -s -o $@ $<

# Never with sanitizers: criu has none.
PRELOAD_BOTH := $(wildcard agent/preload_both/*.c)
$(B)/float-criu.so: $(wildcard agent/preload/*.[ch]) $(PRELOAD_BOTH) agent/again.c agent/calls.c agent/again.h agent/calls.h agent/dump_shared.h
$(B)/float-criu-restore.so: $(wildcard agent/preload_restore/*.c) $(PRELOAD_BOTH) agent/spent.h lib/error.h
$(B)/float-criu.so $(B)/float-criu-restore.so:
	@mkdir -p $(@D)
	$(CC) -I. -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror $(CFLAGS) -fPIC -shared -s -o $@ $(filter %.c,$^)

$(B)/float: fs/float
	@mkdir -p $(@D)
	install -m 755 $< $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(pkg_cflags) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(lib_SRC) $(cloud_SRC) $(fs_SRC) $(agent_SRC) $(guest_SRC)))

# From Debian packages, kept in FLOAT_CACHE (/var/cache/float); the agent is compiled in a root made the same way.
image:
	B=$(B) SAN=$(filter-out thread,$(SAN)) cloud/image/build

job-image:
	B=$(B) cloud/image/build job-image $(B)/job-image.tar

test-image:
	B=$(B) cloud/image/build test-image $(B)/test-image.tar

# ---- tests

.SECONDEXPANSION:

# Two programs, as the agent and floatfs have names in common: the files test_agent_* are about the agent. All objects but
# the mains' stand in an archive, so that a test takes what it needs.
UNIT_SRC := $(wildcard tests/unit/*.c)
unit_agent_TEST := $(wildcard tests/unit/test_agent_*.c)
unit_fs_TEST := $(filter-out $(unit_agent_TEST),$(UNIT_SRC))
unit_agent_SRC := $(filter-out %/main.c,$(agent_SRC)) $(lib_SRC)
unit_fs_SRC := $(filter-out %/main.c $(BOOT_SRC),$(fs_SRC) $(cloud_SRC)) $(lib_SRC)
UNIT := $(B)/unit-fs $(B)/unit-agent
SURVIVE := $(patsubst tests/survive/%.c,$(B)/survive/%,$(wildcard tests/survive/*.c))
JOB_PROGRAMS := $(patsubst tests/jobs/%.c,$(B)/jobs/%,$(wildcard tests/jobs/*.c))
STRESS := $(B)/stress/clients
BENCH := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))

$(UNIT): $(B)/unit-%: $$(call objects,$$(unit_$$*_TEST) $$(unit_$$*_SRC))
	rm -f $@.a && ar qcs $@.a $(call objects,$(unit_$*_SRC))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(call objects,$(unit_$*_TEST)) $@.a -lcriterion \
		$$(pkg-config --libs $(sort $(fs_PKGS) $(agent_PKGS))) $(agent_LIBS)

# Static: a job's script may be any program, and an image need not have its libraries.
$(B)/survive/%: tests/survive/%.c $(wildcard tests/survive/*.h)
	@mkdir -p $(@D)
	$(CC) -I. -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O2 -pthread -static -o $@ $<

$(BENCH) $(STRESS): $(B)/%: tests/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O2 -static -o $@ $<

$(B)/jobs/%: tests/jobs/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -O2 -static -o $@ $<

# Fuzz targets (tests/fuzz/fuzz.h) are libFuzzer's and so clang's: all that they are made of is made again below $(B)/fuzz.
# The archives are as those of the unit tests, with what else is parsed of a host.
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ_SECONDS ?= 600
fuzz_agent_SRC := $(unit_agent_SRC)
fuzz_fs_SRC := $(unit_fs_SRC) cloud/guest/enrolment.c agent/spec.c

fuzz-targets:
	@$(MAKE) --no-print-directory B=$(B)/fuzz CC=clang CFLAGS='-O1 -g -fno-omit-frame-pointer' \
		SAN_FLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzz-programs

.SECONDARY: $(call objects,$(FUZZ_SRC)) $(B)/fuzz-fs.a $(B)/fuzz-agent.a

fuzz-programs: $(patsubst tests/fuzz/%.c,$(B)/bin/%,$(FUZZ_SRC))

$(B)/fuzz-%.a: $$(call objects,$$(fuzz_$$*_SRC))
	rm -f $@ && ar qcs $@ $^

$(B)/bin/agent_%: $(B)/tests/fuzz/agent_%.o $(B)/fuzz-agent.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(agent_PKGS)) $(agent_LIBS)

$(B)/bin/%: $(B)/tests/fuzz/%.o $(B)/fuzz-fs.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(fs_PKGS))

fuzz: deps
	@.ci/deps $(CHECK_DEPS)
	@$(MAKE) --no-print-directory fuzz-targets
	@B=$(B) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz.

-include $(patsubst %.o,%.d,$(call objects,$(UNIT_SRC) $(FUZZ_SRC)))

check: deps
	@.ci/deps $(CHECK_DEPS)
	@$(MAKE) --no-print-directory all image job-image test-image lint $(UNIT) $(SURVIVE) $(JOB_PROGRAMS) $(STRESS) fuzz-targets
	@B=$(B) tests/run

# For a minute; `make check` does it for some seconds. SAN=1 or SAN=thread is what it is for.
stress: deps
	@.ci/deps $(CHECK_DEPS)
	@$(MAKE) --no-print-directory all image job-image test-image $(STRESS)
	@B=$(B) STRESS_SECONDS=60 tests/run stress.

# Everything that can go wrong before each step: an hour and more. SAMPLE=60 for a part, FAULTS=migrate for those of one kind.
torture: deps
	@.ci/deps $(CHECK_DEPS)
	@$(MAKE) --no-print-directory all image
	@B=$(B) tests/torture/run $(FAULTS)

bench: deps
	@.ci/deps $(CHECK_DEPS)
	@$(MAKE) --no-print-directory all image $(BENCH)
	@B=$(B) tests/bench/run

demo: deps
	@$(MAKE) --no-print-directory all image job-image
	@B=$(B) tests/demo

SHELL_FILES = fs/float cloud/image/build tests/run tests/demo tests/e2e/worker tests/bench/run tests/fuzz/run tests/torture/run tests/torture/list tests/survive/stage tests/survive/list .ci/run .ci/deps $(wildcard tests/*/*.sh)
C_FILES = $(shell find lib fs agent cloud tests -name '*.[ch]')

# It does not know cleanup attributes, and sees leaks everywhere.
CPPCHECK := -I. -D_GNU_SOURCE --std=c11 --include=tests/lint/cppcheck.h --suppress=missingIncludeSystem \
	--suppress=memleak --suppress=resourceLeak --suppress=returnDanglingLifetime

format:
	clang-format -i $(C_FILES)

lint:
	@echo "lint: shellcheck"
	@shellcheck -x $(SHELL_FILES)
	@echo "lint: clang-format"
	@clang-format --dry-run -Werror $(C_FILES)
	@echo "lint: cppcheck"
	@cppcheck --quiet --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j 2 $(CPPCHECK) \
		$(filter-out tests/unit/% tests/survive/% tests/fuzz/%,$(filter %.c,$(C_FILES)))
	@echo "lint: clang -Werror"
	@$(MAKE) --no-print-directory --silent B=$(B)/clang CC=clang all
	@$(MAKE) --no-print-directory --silent fuzz-targets

# ---- what must be there

# The same names on Debian 12 and 13: to build, to make the images, to run.
DEPS := gcc libc6-dev make pkg-config libfuse3-dev fuse3 libcurl4-gnutls-dev libgnutls28-dev libjson-c-dev \
	libmicrohttpd-dev libseccomp-dev libnftables-dev libinotifytools0-dev libmount-dev mmdebstrap squashfs-tools squashfs-tools-ng ca-certificates iproute2 procps \
	slirp4netns nftables
CHECK_DEPS := clang libclang-rt-dev clang-format cppcheck shellcheck libcriterion-dev busybox curl openssl python3 rsync less

deps:
	@.ci/deps $(DEPS)

# ---- install

BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib/float
MAN = $(DESTDIR)$(PREFIX)/share/man

install: all image
	install -D -m 755 -t $(BIN) $(B)/floatfs $(B)/float
	install -D -m 755 -t $(LIB) $(B)/float-local-boot
	install -D -m 644 -t $(LIB) $(B)/machine.sqfs $(B)/agent.sqfs
	install -D -m 644 -t $(MAN)/man1 man/floatfs.1 man/float.1
	install -D -m 644 -t $(MAN)/man5 man/floatfs.5

uninstall:
	rm -f $(BIN)/floatfs $(BIN)/float $(MAN)/man1/floatfs.1 $(MAN)/man1/float.1 $(MAN)/man5/floatfs.5
	rm -rf $(LIB)

clean:
	rm -rf $(B)

.PHONY: all image job-image test-image check bench stress torture fuzz fuzz-targets fuzz-programs demo format lint deps install uninstall clean
