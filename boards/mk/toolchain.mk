# Compilers, flags, and the libraries for the target that are built once: newlib and libfdt.
#
# Flags are kept in response files, $(OUT)/flags/*, for three reasons: they are computed when
# they are needed (the compiler may have to be installed first), every object depends on its
# file so that a change of flags rebuilds it, and the wrapper for programs outside the tree reads
# the same ones.

OUT     := build/$(ARCH)
FLAGS   := $(OUT)/flags
TRIPLET := $(ARCH)-linux-gnu

CC      := $(TRIPLET)-gcc
AR      := $(TRIPLET)-ar
OBJCOPY := $(TRIPLET)-objcopy
STRIP   := $(TRIPLET)-strip
CLANG   ?= clang
HOSTCC  ?= gcc

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
            -Wpointer-arith -Wwrite-strings

NOT_LINUX := -U__linux__ -U__linux -Ulinux -U__gnu_linux__

# For every file that runs on the target.
TARGET_CFLAGS := -std=gnu17 -O2 -g -nostdinc $(NOT_LINUX) -fno-pic -fno-pie -fno-stack-protector -fno-common \
                 -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables \
                 -fno-strict-aliasing
TARGET_CFLAGS_aarch64 := -mno-outline-atomics -mcmodel=small

EXO_CFLAGS := -ffreestanding -fno-omit-frame-pointer -Iinclude -Iexo -Iexo/arch/$(ARCH) $(WARNINGS)
EXO_CFLAGS_aarch64 := -mgeneral-regs-only -march=armv8-a -mstrict-align
# gcc alone. One program; no padding; and what nobody calls inline comes there only if it is short (-O2: 15). What fast paths need
# says so itself (docs/decisions/0039-how-much-is-inlined.md).
EXO_GCC := -flto=auto -falign-functions=4 -falign-jumps=1 -falign-loops=1 -falign-labels=1 --param=max-inline-insns-auto=11 \
           -fno-shrink-wrap-separate

# Programs: our POSIX headers come before newlib's, and newlib's before the compiler's own.
NEWLIB   := $(OUT)/newlib
LIBFDT   := $(OUT)/libfdt
APP_INC  := -Iinclude -isystem include/libc -isystem $(NEWLIB)/include
USER_CFLAGS  := -D__corbel__ -D__DYNAMIC_REENT__ -fno-omit-frame-pointer
LIBOS_CFLAGS := $(USER_CFLAGS) $(APP_INC) -I. -Ilibos -Ilibos/arch/$(ARCH) $(WARNINGS)
# Servers put libOS modules to work, so programs of the tree see libos/; exo/'s insides are no program's business.
APP_CFLAGS   := $(USER_CFLAGS) $(APP_INC) -I. $(WARNINGS)

# ---- Packages ------------------------------------------------------------------------------
# A fast look at each build; apt only when something is missing.
.PHONY: setup tools tools-test tools-debug tools-fuzz
setup:
	@boards/tools/setup $(SETUP) build test debug
tools:
	@boards/tools/setup $(SETUP) build
tools-test:
	@boards/tools/setup $(SETUP) build test
tools-debug:
	@boards/tools/setup $(SETUP) build debug
tools-fuzz:
	@boards/tools/setup $(SETUP) build test fuzz

# ---- newlib and libfdt, once ---------------------------------------------------------------
# Two makes may run side by side in one tree: the second waits and finds the work done.
once = mkdir -p $(@D); exec 9>$(@D).lock; flock 9; [ $@ -nt $< ] || { $(1) 9>&-; touch $@; }
NEWLIB_STAMP := $(NEWLIB)/.stamp
LIBFDT_STAMP := $(LIBFDT)/.stamp

$(NEWLIB_STAMP): boards/tools/build-newlib | tools
	@$(call once,boards/tools/build-newlib $(TRIPLET) $(NEWLIB))
$(LIBFDT_STAMP): boards/tools/build-libfdt | tools
	@$(call once,boards/tools/build-libfdt $(DEBARCH) $(LIBFDT))

# ---- Response files ------------------------------------------------------------------------
# $(call flags_rule,name,flags): writes the file only when its content changes.
.PHONY: FORCE
define flags_rule
$(FLAGS)/$(1): FORCE | tools
	@mkdir -p $$(@D); printf '%s\n' $(2) >$$@.$$$$$$$$; \
	if cmp -s $$@.$$$$$$$$ $$@; then rm $$@.$$$$$$$$; else mv $$@.$$$$$$$$ $$@; fi
endef
GCC_INC   = -isystem "$$($(CC) -print-file-name=include)"
CLANG_INC = -isystem "$$($(CLANG) -print-resource-dir)/include"
FDT_INC  := -isystem $(LIBFDT)/include
TARGET    = $(TARGET_CFLAGS) $(TARGET_CFLAGS_$(ARCH))
EXO_ALL   = $(TARGET) $(EXO_CFLAGS) $(EXO_CFLAGS_$(ARCH)) $(FDT_INC)

$(eval $(call flags_rule,exo.cflags,$(EXO_ALL) $(EXO_GCC) $$(GCC_INC)))
$(eval $(call flags_rule,libos.cflags,$(TARGET) $(LIBOS_CFLAGS) $(FDT_INC) $$(GCC_INC)))
$(eval $(call flags_rule,app.cflags,$(TARGET) $(APP_CFLAGS) $(FDT_INC) $$(GCC_INC)))
# Clang is held to the same warnings; it only has no say in what gcc's flags mean.
CLANG_TARGET := --target=$(TRIPLET) -Wno-unknown-warning-option -Wno-unused-command-line-argument
$(eval $(call flags_rule,clang-exo.cflags,$(CLANG_TARGET) $(EXO_ALL) $$(CLANG_INC)))
$(eval $(call flags_rule,clang-libos.cflags,$(CLANG_TARGET) $(TARGET) $(LIBOS_CFLAGS) $(FDT_INC) $$(CLANG_INC)))
$(eval $(call flags_rule,clang-app.cflags,$(CLANG_TARGET) $(TARGET) $(APP_CFLAGS) $(FDT_INC) $$(CLANG_INC)))

# ---- One way to compile --------------------------------------------------------------------
# $(call compile,flags file): compiles $< to $@ and writes its dependency file.
compile = $(Q)mkdir -p $(@D); $(CC) @$(1) -MD -MP -c -o $@ $<
sources = $(sort $(shell find $(1) -name '*.[cS]' -type f 2>/dev/null))
objects = $(patsubst %,$(2)/%.o,$(basename $(1)))
