# Corbel: exokernel, library OS, applications, bundle. `make help` tells targets and variables.
#
# The rules live in boards/mk/: toolchain (compilers, flags, newlib, libfdt), exo (kernel),
# libos, apps (programs and the bundle), host (the kernel and libOS inside a host process), tests.
# Everything made goes under build/.

# ---- What a user may set -------------------------------------------------------------------
BOARD   ?= virt
SMP     ?= 1
MEM     ?= 128M
TIMEOUT ?= 0
# CMD, APPEND, BUNDLE, EXTRA, QEMU_FLAGS, APP, GDB_FLAGS, SETUP, V: see `make help`.
SETUP   ?= install

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-builtin-variables --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# All cores unless -j says otherwise. (`make run CMD=...` ends abruptly and leaves the cores to the make that
# it calls: a job server of its own would stay behind.)
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS))$(and $(filter run,$(MAKECMDGOALS)),$(value CMD)),)
MAKEFLAGS += -j$(shell nproc)
endif

V ?=
Q := $(if $(V),,@)
# $(call say,VERB,what) prints one short line a file; V=1 prints the commands instead.
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

ifeq ($(wildcard boards/$(BOARD)/board.mk),)
$(error no board '$(BOARD)': there is $(patsubst boards/%/board.mk,%,$(wildcard boards/*/board.mk)))
endif
include boards/$(BOARD)/board.mk
include boards/mk/toolchain.mk
include boards/mk/exo.mk
include boards/mk/libos.mk
include boards/mk/apps.mk
include boards/mk/host.mk
include boards/mk/fuzz.mk
include boards/mk/tests.mk
include boards/mk/mutants.mk
include boards/mk/run.mk

.PHONY: all
all: kernel libos apps bundle wrapper

# ---- Cleaning ------------------------------------------------------------------------------
.PHONY: clean distclean
clean:
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name $(ARCH) ! -name linux -exec rm -rf {} + 2>/dev/null || true
	$(Q)find $(OUT) -mindepth 1 -maxdepth 1 ! -name newlib ! -name libfdt -exec rm -rf {} + 2>/dev/null || true
distclean:
	$(Q)rm -rf build

# ---- Help ----------------------------------------------------------------------------------
.PHONY: help
help:
	@cat boards/tools/help.txt
