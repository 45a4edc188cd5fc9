# The kernel with one mistake in it, against what checks it (docs/mutants.md). The suites are linked once, with the kernel as
# a shared object, so that for each mutant one source is compiled and one object linked.

MUTANTS       := build/mutants
MUTANTS_BUILD := HOST=$(MUTANTS)/host HOST_SANITIZE=-fPIC HOST_EXO_CFLAGS='-O2 -g0'
MUTANTS_FUZZ  := calls tree bundle
MUTANTS_RUNS  := $(patsubst tests/host/%.c,$(HOST)/shared/%,$(sort $(wildcard tests/host/test_exo_*.c)) tests/host/test_mock.c) \
                 $(MUTANTS_FUZZ:%=$(HOST)/shared/fuzz-%)

mutants_link = $(Q)mkdir -p $(@D); $(HOSTCC) $(HOST_SANITIZE) -o $@ $(filter %.o,$^) -Wl,--enable-new-dtags,-rpath,'$$ORIGIN/..' -Wl,--defsym=__gcov_dump=0,--defsym=__real__exit=0 \
               -Wl,--start-group $(HOST)/libhelp.a $(HOST)/libos.a -Wl,--end-group $(HOST)/libexo.so $(HOST_LDLIBS)
$(HOST)/libexo.so: $(HOST_EXO_OBJ)
	$(call say,HOSTLD,$@)
	$(Q)$(HOSTCC) -shared -Wl,-soname,libexo.so -o $@ $^ -lfdt
$(filter %/test_mock,$(MUTANTS_RUNS)) $(filter $(HOST)/shared/test_exo_%,$(MUTANTS_RUNS)): \
    $(HOST)/shared/%: $(HOST)/tests/host/%.c.o $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.so
	$(call say,HOSTLD,$@)
	$(mutants_link)
$(MUTANTS_FUZZ:%=$(HOST)/shared/fuzz-%): $(HOST)/shared/fuzz-%: $(HOST)/tests/fuzz/%.c.o $(FUZZ_MAIN) \
    $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.so
	$(call say,HOSTLD,$@)
	$(mutants_link)

.PHONY: mutants-programs mutants-commands mutants-base check-mutants mutate
mutants-programs: $(MUTANTS_RUNS)

# How one source is compiled, and what it is linked with: for tests/mutants/killers.py.
mutants-commands: mutants-programs
	@{ echo 'cc: $(HOSTCC)'; \
	echo "host: $(HOSTCC) $$(tr '\n' ' ' <$(HOST)/flags/cflags) $(HOST_EXO_CFLAGS)"; \
	echo 'objects: $(HOST_EXO_OBJ)'; \
	echo "told: $(HOSTCC) $(CHECK_CFLAGS) $(CHECK_TOLD) $$(pkg-config --cflags check)"; \
	echo 'told_objects: $(filter $(CHECK)/exo/%.c.o,$(filter-out $(CHECK)/exo/arch/%,$(CHECK_KERNEL_OBJ)))'; \
	echo "check_rest: $(CHECK)/machine.o $(CHECK_OBJ) $$(pkg-config --libs check) -lfdt"; } >$(MUTANTS)/commands
mutants-base: | tools-test
	@$(MAKE) MUTANT= checker
	@$(MAKE) MUTANT= $(MUTANTS_BUILD) mutants-commands

# All of tests/mutants/seeded, or MUTANT='name ...'.
check-mutants: mutants-base
	@tests/mutants/run seeded $(MUTANT)
mutate: mutants-base
	@tests/mutants/run mutate $(if $(FILE),'FILE=$(FILE)') $(if $(SAMPLE),SAMPLE=$(SAMPLE)) $(if $(SEED),SEED=$(SEED)) \
	    $(if $(QUICK),QUICK=1) $(if $(SECONDS),SECONDS=$(SECONDS)) $(if $(JOBS),JOBS=$(JOBS))
