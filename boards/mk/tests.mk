# What must hold. tests/run runs the suites, adds them up and prints the closing line.

.PHONY: test host-test qemu-test smp-test soak check-structure check-clang bench bench-table bench-linux bench-smp growth plots profile format

# The kernel with one source replaced by one that does wrong when it is told to (tests/qemu/hooks).
HOOKS     := $(OUT)/exo-hooks/Image
HOOKS_OBJ := $(OUT)/tests/qemu/hooks/kernel.c.o
HOOKS_ALL := $(filter-out $(OUT)/exo/log.c.o,$(EXO_OBJ)) $(HOOKS_OBJ)

$(HOOKS_OBJ): tests/qemu/hooks/kernel.c $(FLAGS)/exo.cflags $(LIBFDT_STAMP)
	$(call say,CC,$<)
	$(call compile,$(FLAGS)/exo.cflags)
$(OUT)/exo-hooks/exo.elf: $(HOOKS_ALL) $(EXO_LDS) $(FLAGS)/exo.ldflags $(LIBFDT_STAMP)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,-T,$(EXO_LDS) -o $@ $(HOOKS_ALL) $(LIBFDT)/lib/libfdt.a -lgcc
$(HOOKS): $(OUT)/exo-hooks/exo.elf
	$(Q)$(OBJCOPY) -O binary $< $@
-include $(HOOKS_OBJ:.o=.d)

# The checked kernel with an audit that a test can ask for.  Its notes on every frame put data further away than the linker's
# usual mend of the Cortex-A53's erratum 843419 (boards/mk/exo.mk) reaches.
AUDITED     := $(OUT)/audited/Image
AUDITED_OBJ := $(OUT)/tests/qemu/hooks/audit.c.o
AUDITED_ALL := $(filter-out $(OUT)/checked/exo/log.c.o,$(CHECKED_OBJ_checked)) $(AUDITED_OBJ)

$(AUDITED_OBJ): tests/qemu/hooks/audit.c $(FLAGS)/exo.cflags $(LIBFDT_STAMP)
	$(call say,CC,$<)
	$(call compile,$(FLAGS)/exo.cflags -DEXO_CHECKED)
$(OUT)/audited/exo.elf: $(AUDITED_ALL) $(EXO_LDS) $(FLAGS)/exo.ldflags $(LIBFDT_STAMP)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,--fix-cortex-a53-843419=full -Wl,-T,$(EXO_LDS) -o $@ $(AUDITED_ALL) $(LIBFDT)/lib/libfdt.a -lgcc
$(AUDITED): $(OUT)/audited/exo.elf
	$(Q)$(OBJCOPY) -O binary $< $@
-include $(AUDITED_OBJ:.o=.d)

include tests/check/check.mk

# What suites find in their environment. A make that they call is one of its own, without our job server.
test_env = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL CORBEL_OUT='$(OUT)' CORBEL_KERNEL='$(KERNEL)' CORBEL_BUNDLE='$(OUT)/bundle.cpio' \
           CORBEL_TEST_BUNDLE='$(TEST_BUNDLE)' CORBEL_CC='$(WRAPPER)' \
           CORBEL_HOST='$(HOST)' CORBEL_CHECKER='$(CHECK_BIN)'

test: all test-bundle checked-kernel host checker fuzz-programs $(HOOKS) $(AUDITED) | tools-test
	@$(test_env) tests/run structure tools clang host corpus bench qemu smp
host-test: host checker fuzz-programs | tools-test
	@$(test_env) tests/run host corpus
qemu-test: all test-bundle checked-kernel $(HOOKS) $(AUDITED) | tools-test
	@$(test_env) tests/run qemu
# On SMP=n CPUs, 4 where that is not said.
smp-test: all test-bundle checked-kernel | tools-test
	@$(test_env) tests/run smp
# SECONDS=n, SMP=n, SEED=n.
soak: kernel $(AUDITED) $(NEWLIB_STAMP) $(LIBFDT_STAMP) | tools-test
	@$(test_env) SECONDS='$(or $(SECONDS),60)' SEED='$(or $(SEED),1)' SMP='$(if $(filter file,$(origin SMP)),4,$(SMP))' tests/qemu/soak
check-structure: $(NEWLIB_STAMP) $(LIBFDT_STAMP) $(FLAGS)/exo.cflags $(FLAGS)/app.cflags $(FLAGS)/libos.cflags | tools-test
	@$(test_env) tests/run structure
bench: all test-bundle | tools-test
	@$(test_env) tests/bench/run
bench-table: all test-bundle | tools-test
	@$(test_env) tests/bench/run table
growth: kernel $(LIBFDT_STAMP) | tools-test
	@$(test_env) tests/bench/growth
bench-smp: kernel $(LIBFDT_STAMP) | tools-test
	@$(test_env) tests/bench/smp
# LINUX=lean, off, default or kpti.
bench-linux: all test-bundle | tools-test
	@$(test_env) tests/bench/linux/run $(LINUX) $(if $(WRITE),write)
# What docs/performance.md tells, measured and written.
plots: all test-bundle | tools-test
	@$(test_env) tests/bench/plots
# `make profile BENCH=call`, and in words after the row: INLINE=1, LIST=function, TOP=n.
profile: all test-bundle | tools-test
	$(if $(BENCH),,$(error profile: which row? BENCH=call, for example; `make bench` has their names))
	@$(test_env) tests/bench/profile '$(BENCH)' $(if $(INLINE),inline) $(if $(TOP),'top=$(TOP)') $(if $(LIST),'list=$(LIST)')

# ---- Clang: every source of the target compiles with it too --------------------------------
CLANG_OUT := $(OUT)/clang
CLANG_EXO_OBJ   := $(EXO_SRC:%=$(CLANG_OUT)/%.o)
CLANG_LIBOS_OBJ := $(LIBOS_SRC:%=$(CLANG_OUT)/%.o)
CLANG_APP_SRC   := $(foreach a,$(APPS),$(call sources,apps/$(a))) $(foreach a,$(TEST_APPS),$(call sources,tests/apps/$(a)))
CLANG_APP_OBJ   := $(CLANG_APP_SRC:%=$(CLANG_OUT)/%.o)

check-clang: $(CLANG_EXO_OBJ) $(CLANG_LIBOS_OBJ) $(CLANG_APP_OBJ)
clang_compile = $(Q)mkdir -p $(@D); $(CLANG) @$(1) $(2) -MD -MP -c -o $@ $<
# An application's own flags and folder: the word behind apps/.
clang_app = $(word 2,$(subst /, ,$(patsubst tests/%,%,$<)))

$(CLANG_EXO_OBJ): $(CLANG_OUT)/%.o: % $(FLAGS)/clang-exo.cflags $(LIBFDT_STAMP) | tools-test
	$(call say,CLANG,$<)
	$(call clang_compile,$(FLAGS)/clang-exo.cflags)
$(CLANG_LIBOS_OBJ): $(CLANG_OUT)/%.o: % $(FLAGS)/clang-libos.cflags $(NEWLIB_STAMP) $(LIBFDT_STAMP) | tools-test
	$(call say,CLANG,$<)
	$(call clang_compile,$(FLAGS)/clang-libos.cflags)
$(CLANG_APP_OBJ): $(CLANG_OUT)/%.o: % $(FLAGS)/clang-app.cflags $(NEWLIB_STAMP) $(LIBFDT_STAMP) | tools-test
	$(call say,CLANG,$<)
	$(call clang_compile,$(FLAGS)/clang-app.cflags,$(APP_CFLAGS_$(clang_app)) -I$(patsubst %/$(clang_app)/,%,$(dir $<))/$(clang_app))
$(FLAGS)/clang-exo.cflags $(FLAGS)/clang-libos.cflags $(FLAGS)/clang-app.cflags: | tools-test

-include $(CLANG_EXO_OBJ:.o=.d) $(CLANG_LIBOS_OBJ:.o=.d) $(CLANG_APP_OBJ:.o=.d)

# ---- Formatting ----------------------------------------------------------------------------
format: | tools-test
	@find include exo libos apps tests boards -name '*.[ch]' -type f -print0 2>/dev/null | xargs -0 -r clang-format -i
