# The exhaustive checker (docs/checking.md): the kernel's portable C on exo/arch/host, linked so that all that it
# remembers can be copied, and with every access to memory told to the checker (points.c).

CHECK     := build/$(if $(MUTANT_IN),mutants/named/$(MUTANT_IN)/)check
CHECK_BIN := $(CHECK)/check
CHECK_CFLAGS  := -std=gnu17 -O2 -g -fno-omit-frame-pointer -fno-pie -Iinclude -Iexo -Iexo/arch/host -DEXO_CHECKED \
                 -Itests/host -Itests/check -I. $(WARNINGS)
# What tells of each access, without the library that GCC has for it: points.c is that library.
CHECK_TOLD    := -fsanitize=thread --param tsan-distinguish-volatile=1 --param tsan-instrument-func-entry-exit=0 -Wno-tsan \
                 -fno-builtin

CHECK_KERNEL_SRC := $(HOST_EXO_SRC)
# Not a part of what is copied: the audit changes nothing, and nobody touches the window.
CHECK_APART      := exo/arch/host/window.c $(HOST_AUDIT_SRC)
CHECK_SRC        := $(sort $(wildcard tests/check/*.c)) tests/host/exo_machine.c tests/host/exo_image.c \
                    tests/host/exo_small.c tests/host/exo_oracle.c
CHECK_KERNEL_OBJ := $(patsubst %,$(CHECK)/%.o,$(filter-out $(CHECK_APART),$(CHECK_KERNEL_SRC)))
CHECK_OBJ        := $(CHECK_APART:%=$(CHECK)/%.o) $(CHECK_SRC:%=$(CHECK)/%.o)

$(CHECK_KERNEL_OBJ) $(CHECK)/tests/host/exo_machine.c.o $(CHECK)/tests/host/exo_small.c.o \
    $(CHECK)/tests/check/ops.c.o: CHECK_MORE := $(CHECK_TOLD)
$(CHECK)/tests/check/points.c.o: CHECK_MORE := -fomit-frame-pointer -fcf-protection=none
ifneq ($(MUTANT_IN),)
$(CHECK)/$(MUTANT_FILE).o: host_source = $(MUTANT_SOURCE)
$(CHECK)/$(MUTANT_FILE).o: tests/mutants/seeded/$(MUTANT_IN)
endif
$(CHECK_KERNEL_OBJ) $(CHECK_OBJ): $(CHECK)/%.o: % tests/check/check.mk | tools-test
	$(call say,CHECKCC,$<)
	$(Q)mkdir -p $(@D); $(HOSTCC) $(CHECK_CFLAGS) $(CHECK_MORE) $$(pkg-config --cflags check) -MMD -MP -c -o $@ $(if $(host_source),-w $(host_source),$<)
# The kernel, and apart from it the machine: what that does is no access of the kernel's (race.h).
$(CHECK)/kernel.o: $(filter $(CHECK)/exo/%.c.o,$(filter-out $(CHECK)/exo/arch/%,$(CHECK_KERNEL_OBJ)))
$(CHECK)/machine.o: $(filter $(CHECK)/exo/arch/%,$(CHECK_KERNEL_OBJ))
$(CHECK)/kernel.o $(CHECK)/machine.o: $(CHECK)/%.o: tests/check/%.lds
	$(Q)$(HOSTCC) -nostdlib -no-pie -r -Wl,-T,$< -o $@.all $(filter %.c.o,$^)
	$(Q)objcopy $(foreach f,memset memcpy memmove,--redefine-sym $f=told_$f) $@.all $@
$(CHECK_BIN): $(CHECK)/kernel.o $(CHECK)/machine.o $(CHECK_OBJ)
	$(call say,CHECKLD,$@)
	$(Q)$(HOSTCC) -no-pie -o $@ $^ $(HOST_LDLIBS)

.PHONY: checker check-exhaustive
checker: $(CHECK_BIN)
# DEPTH, FRAMES, CPUS, CALLS, SECONDS, PAIRS, SWITCHES, ASIDS, LONG_WAY=1: `build/check/check --help`.
CHECK_WORDS = $(if $(DEPTH),--depth $(DEPTH)) $(if $(FRAMES),--frames $(FRAMES)) $(if $(CPUS),--cpus $(CPUS)) \
              $(if $(CALLS),--calls $(CALLS)) $(if $(filter-out 0,$(SECONDS)),--seconds $(SECONDS)) \
              $(if $(PAIRS),--pairs $(PAIRS)) $(if $(LONG_WAY),--long-way) $(if $(SWITCHES),--switches $(SWITCHES)) \
              $(if $(ASIDS),--asids $(ASIDS))
check-exhaustive: $(CHECK_BIN)
	$(CHECK_BIN) $(CHECK_WORDS)

-include $(CHECK_KERNEL_OBJ:.o=.d) $(CHECK_OBJ:.o=.d)
