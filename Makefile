# floatfs. `make demo` shows it, `make check` tests it; both install what they need (as root, on Debian 12 or 13).
VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= cc
B ?= build

comma := ,
SAN_FLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
CFLAGS ?= -O2 -g
# The version in what the compiler sees: `floatfs -V` and the agent's state tell it.
ALL_CPPFLAGS := -I. -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DFLOAT_VERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -pthread $(CFLAGS) $(SAN_FLAGS)

lib_PKGS := json-c gnutls libcurl fuse3
fs_PKGS := $(lib_PKGS)
agent_PKGS := $(lib_PKGS) libmicrohttpd libseccomp
agent_LIBS := -linotifytools
# Expanded where a recipe uses them: `make deps` runs on a machine that has no pkg-config yet.
pkg_cflags = $(shell pkg-config --cflags $(sort $(fs_PKGS) $(agent_PKGS)))

lib_SRC := $(wildcard lib/*.c)
cloud_SRC := $(wildcard cloud/*.c cloud/local/*.c)
fs_SRC := $(wildcard fs/*.c)
agent_SRC := $(wildcard agent/*.c)
guest_SRC := $(wildcard cloud/guest/*.c)

objects = $(patsubst %.c,$(B)/%.o,$(1))
# A program that a provider or the guest runs on its own: one file each, linked with lib/.
BOOT_SRC := cloud/local/boot.c

all: $(B)/floatfs $(B)/float-agent $(B)/float-local-boot $(B)/float-init $(B)/float

$(B)/floatfs: $(call objects,$(fs_SRC) $(filter-out $(BOOT_SRC),$(cloud_SRC)) $(lib_SRC))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(fs_PKGS))

$(B)/float-agent: $(call objects,$(agent_SRC) $(lib_SRC))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs $(agent_PKGS)) $(agent_LIBS)

$(B)/float-local-boot: $(call objects,$(BOOT_SRC) lib/error.c lib/log.c lib/file.c)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs json-c)

$(B)/float-init: $(call objects,$(guest_SRC) lib/error.c lib/log.c lib/file.c)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs json-c)

$(B)/float: fs/float
	@mkdir -p $(@D)
	install -m 755 $< $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(pkg_cflags) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(lib_SRC) $(cloud_SRC) $(fs_SRC) $(agent_SRC) $(guest_SRC)))

clean:
	rm -rf $(B)

.PHONY: all clean
