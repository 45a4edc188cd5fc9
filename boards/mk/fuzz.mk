# Fuzzing and coverage: the host's build over again, with other flags (host.mk), in folders of their own.
#
# Each tests/fuzz/NAME.c that is none of the helpers below is a target. build/host/fuzz/NAME runs files through it with gcc's
# sanitizers (replay.c); build/fuzz/fuzz/NAME is the same under clang's libFuzzer; build/coverage/fuzz/NAME counts what is
# executed. The programs below $(HOST)/fuzz are as $(HOST)/ says that everything is.
#
#     FUZZ_SRC_NAME := apps/sh/lex.c     what one target needs beyond kernel and libOS

FUZZ_HELPERS  := check replay reset
FUZZ_TARGETS  := $(filter-out $(FUZZ_HELPERS),$(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c))))
FUZZ_SRC_devices  := apps/init/devtree.c
FUZZ_SRC_manifest := apps/init/manifest.c
FUZZ_SRC_script   := $(filter-out apps/sh/main.c,$(sort $(wildcard apps/sh/*.c)))
FUZZ_MORE_SRC := $(filter-out $(HOST_MORE_SRC),$(sort $(foreach t,$(FUZZ_TARGETS),$(FUZZ_SRC_$(t)))))
FUZZ_OBJ      := $(FUZZ_TARGETS:%=$(HOST)/tests/fuzz/%.c.o) $(FUZZ_HELPERS:%=$(HOST)/tests/fuzz/%.c.o) $(FUZZ_MORE_SRC:%=$(HOST)/%.o)
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(HOST)/fuzz/%)

$(FUZZ_OBJ): $(HOST)/%.o: % $(HOST)/flags/cflags
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D); $(HOSTCC) @$(HOST)/flags/cflags -MMD -MP -c -o $@ $<

# The audit is the judge and not what is tried: fast, and its own branches are nobody's progress. Nor are comparisons in
# what it calls for each frame, or in the machine.
ifneq ($(FUZZ_LIBFUZZER),)
$(HOST)/exo/frame.c.o $(HOST)/exo/frame_table.c.o $(HOST)/exo/tlb.c.o: host_more = -fno-sanitize-coverage=trace-cmp
$(patsubst %,$(HOST)/%.o,$(call sources,exo/arch/host)): host_more = -fno-sanitize-coverage=trace-cmp
$(HOST_AUDIT_SRC:%=$(HOST)/%.o): host_more = -O2 -fno-sanitize=address,undefined,fuzzer-no-link
endif

# With libFuzzer (FUZZ_LIBFUZZER=1) the kernel and what is around it are one object, whose variables are in sections by
# themselves: reset.c puts them back.
FUZZ_LIBFUZZER :=
FUZZ_KERNEL_OBJ := $(HOST_EXO_OBJ) $(patsubst %,$(HOST)/tests/host/%.c.o,exo_machine exo_image exo_fuzz)
$(HOST)/kernel.o: $(FUZZ_KERNEL_OBJ)
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) -r -nostdlib -o $@.tmp $(FUZZ_KERNEL_OBJ); \
	$(OBJCOPY_HOST) --rename-section .data=fuzz_data --rename-section .bss=fuzz_bss $@.tmp $@; rm $@.tmp
OBJCOPY_HOST ?= objcopy
FUZZ_MAIN := $(HOST)/tests/fuzz/$(if $(FUZZ_LIBFUZZER),reset,replay).c.o $(HOST)/tests/fuzz/check.c.o \
             $(if $(FUZZ_LIBFUZZER),$(HOST)/kernel.o)

define fuzz_rule
$(HOST)/fuzz/$(1): $(HOST)/tests/fuzz/$(1).c.o $(FUZZ_SRC_$(1):%=$(HOST)/%.o) $(FUZZ_MAIN) $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.a
	$$(call say,HOSTLD,$$@)
	$$(Q)mkdir -p $$(@D); $(HOSTCC) $(HOST_SANITIZE) $(if $(FUZZ_LIBFUZZER),-fsanitize=fuzzer) $(HOST_LDFLAGS) -o $$@ $$(filter %.o,$$^) \
	    -Wl,--start-group $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.a -Wl,--end-group -lfdt
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rule,$(t))))

.PHONY: fuzz-programs fuzz fuzz-corpus coverage coverage-programs
fuzz-programs: $(FUZZ_PROGRAMS)
-include $(FUZZ_OBJ:.o=.d)

# ---- clang's libFuzzer -----------------------------------------------------------------------
FUZZ_BUILD := HOST=build/fuzz HOSTCC='$(CLANG)' FUZZ_LIBFUZZER=1 \
              HOST_SANITIZE='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'
fuzz fuzz-corpus: | tools-fuzz
	@$(MAKE) $(FUZZ_BUILD) $(if $(TARGET),$(TARGET:%=build/fuzz/fuzz/%),fuzz-programs)
	@tests/fuzz/run $@ '$(or $(SECONDS),60)' $(or $(TARGET),$(FUZZ_TARGETS))

# ---- gcov --------------------------------------------------------------------------------------
# The portable kernel alone is counted, without sanitizers; what it inlines always is counted once, as the function that it is.
COVERAGE_BUILD := HOST=build/coverage HOST_SANITIZE= HOST_EXO_CFLAGS='-O0 --coverage -Dalways_inline=' \
                  HOST_LDFLAGS='--coverage -Wl,--wrap=_exit -Wl,-u,__wrap__exit'
# Further programs that exercise the kernel, with their arguments, each one word in quotes; built by what COVERAGE_MAKE names.
COVERAGE_TARGETS := calls tree bundle # the others never enter the kernel
COVERAGE_MAKE ?=
COVERAGE_RUNS ?=
# The suites that have a kernel in them; but the dice of test_exo_fuzz take long and come nowhere where the kept inputs do not.
COVERAGE_TESTS := $(patsubst tests/host/%.c,build/coverage/tests/%,\
                  $(filter-out %/test_exo_fuzz.c,$(sort $(wildcard tests/host/test_exo_*.c))) tests/host/test_mock.c)
coverage: | tools-test
	@$(MAKE) $(COVERAGE_BUILD) host $(COVERAGE_TARGETS:%=build/coverage/fuzz/%) $(COVERAGE_MAKE)
	@find build/coverage -name '*.gcda' -delete
	@tests/coverage/run build/coverage $(COVERAGE_TESTS) \
	    $(foreach t,$(COVERAGE_TARGETS),'build/coverage/fuzz/$(t) tests/fuzz/corpus/$(t)') $(COVERAGE_RUNS)
