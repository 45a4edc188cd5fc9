# The kernel and the portable libOS inside a host process, for the Check suites: ASan and UBSan are
# always on. build/host/libexo.a is the kernel with exo/arch/host as its machine, build/host/libos.a
# every libOS module but libos/arch and libos/libc (libos/arch/host comes along where it is).
#
# Each tests/host/test_*.c is a program of its own; the other sources there are a library, libhelp.a, from
# which each takes what it uses. tests/host/host.mk may say what one suite needs beyond that:
#     HOST_SRC_test_NAME := apps/sh/lex.c        HOST_CFLAGS_test_NAME := -Iapps/sh

# Others of the same build say on make's command line where theirs lies (HOST), what instruments all of it
# (HOST_SANITIZE), what the portable kernel (HOST_EXO_CFLAGS), and how it is linked (HOST_LDFLAGS): boards/mk/fuzz.mk.

# MUTANT=name: with that mistake of tests/mutants/seeded in the kernel, in a folder of its own (docs/mutants.md).
MUTANT_IN := $(if $(filter check-mutants,$(MAKECMDGOALS)),,$(MUTANT))
HOST := build/$(if $(MUTANT_IN),mutants/named/$(MUTANT_IN)/)host
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_EXO_CFLAGS :=
HOST_LDFLAGS  :=
HOST_CFLAGS   := -std=gnu17 -O1 -g $(HOST_SANITIZE) -fno-omit-frame-pointer -Iinclude -Iexo -Iexo/arch/host \
                 -DEXO_CHECKED -Ilibos -Ilibos/arch/host -Itests/host -I. -DOS_LAYOUT_BASE=0x200000000000ull $(WARNINGS)
HOST_LDLIBS    = $$(pkg-config --libs check) -lfdt

HOST_EXO_PORTABLE := $(sort $(wildcard exo/*.c))
HOST_AUDIT_SRC := $(filter exo/audit.c exo/audit_%.c,$(HOST_EXO_PORTABLE))
HOST_EXO_SRC   := $(HOST_EXO_PORTABLE) $(call sources,exo/arch/host)
HOST_LIBOS_SRC := $(filter-out libos/arch/% libos/libc/% %.S,$(call sources,libos)) $(call sources,libos/arch/host)
HOST_TEST_SRC  := $(sort $(wildcard tests/host/test_*.c))
HOST_HELP_SRC  := $(filter-out $(HOST_TEST_SRC),$(call sources,tests/host))
-include $(wildcard tests/host/host.mk)
HOST_MORE_SRC  := $(sort $(foreach t,$(HOST_TEST_SRC),$(HOST_SRC_$(basename $(notdir $(t))))))

HOST_EXO_OBJ   := $(HOST_EXO_SRC:%=$(HOST)/%.o)
HOST_LIBOS_OBJ := $(HOST_LIBOS_SRC:%=$(HOST)/%.o)
HOST_HELP_OBJ  := $(HOST_HELP_SRC:%=$(HOST)/%.o)
HOST_ALL_OBJ   := $(HOST_EXO_OBJ) $(HOST_LIBOS_OBJ) $(HOST_HELP_OBJ) $(HOST_TEST_SRC:%=$(HOST)/%.o) $(HOST_MORE_SRC:%=$(HOST)/%.o)
HOST_TESTS     := $(HOST_TEST_SRC:tests/host/%.c=$(HOST)/tests/%)

define host_flags_rule
$(HOST)/flags/$(1): FORCE | tools-test
	@mkdir -p $$(@D); printf '%s\n' $(2) >$$@.$$$$$$$$; \
	if cmp -s $$@.$$$$$$$$ $$@; then rm $$@.$$$$$$$$; else mv $$@.$$$$$$$$ $$@; fi
endef
$(eval $(call host_flags_rule,cflags,$(HOST_CFLAGS) $$$$(pkg-config --cflags check)))
$(eval $(call host_flags_rule,libexo.objs,$(HOST_EXO_OBJ)))
$(eval $(call host_flags_rule,libos.objs,$(HOST_LIBOS_OBJ)))
$(eval $(call host_flags_rule,libhelp.objs,$(HOST_HELP_OBJ)))

$(HOST_EXO_PORTABLE:%=$(HOST)/%.o): host_more = $(HOST_EXO_CFLAGS)
ifneq ($(MUTANT_IN),)
$(if $(wildcard tests/mutants/seeded/$(MUTANT_IN)),,$(error no mutant '$(MUTANT_IN)': there is $(notdir $(wildcard tests/mutants/seeded/*))))
MUTANT_FILE   := $(shell sed -n 's/^file: //p' tests/mutants/seeded/$(MUTANT_IN))
$(if $(filter %.h,$(MUTANT_FILE)),$(error $(MUTANT_IN) is in a header: that is for `make check-mutants MUTANT=$(MUTANT_IN)` alone))
MUTANT_SOURCE := $(or $(shell tests/mutants/run source $(MUTANT_IN)),$(error MUTANT=$(MUTANT_IN) fits the kernel no more))
$(HOST)/$(MUTANT_FILE).o: host_source = $(MUTANT_SOURCE)
$(HOST)/$(MUTANT_FILE).o: tests/mutants/seeded/$(MUTANT_IN)
endif
$(HOST_ALL_OBJ): $(HOST)/%.o: % $(HOST)/flags/cflags
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D); $(HOSTCC) @$(HOST)/flags/cflags $(HOST_CFLAGS_$(basename $(notdir $<))) $(host_more) -MMD -MP -c -o $@ $(if $(host_source),-w $(host_source),$<)

$(HOST)/libexo.a: $(HOST_EXO_OBJ)
$(HOST)/libos.a: $(HOST_LIBOS_OBJ)
$(HOST)/libhelp.a: $(HOST_HELP_OBJ)
$(HOST)/lib%.a: $(HOST)/flags/lib%.objs
	$(call say,AR,$@)
	$(Q)rm -f $@; ar crsD $@ @$<

define host_test_rule
$(HOST)/tests/$(1): $(HOST)/tests/host/$(1).c.o $(HOST_SRC_$(1):%=$(HOST)/%.o) $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.a
	$$(call say,HOSTLD,$$@)
	$$(Q)mkdir -p $$(@D); $(HOSTCC) $(HOST_SANITIZE) $(HOST_LDFLAGS) -o $$@ $$(filter %.o,$$^) \
	    -Wl,--start-group $(HOST)/libhelp.a $(HOST)/libos.a $(HOST)/libexo.a -Wl,--end-group $$(HOST_LDLIBS)
endef
$(foreach t,$(HOST_TEST_SRC),$(eval $(call host_test_rule,$(basename $(notdir $(t))))))

.PHONY: host
host: $(HOST_TESTS) $(HOST)/libexo.a $(HOST)/libos.a

-include $(HOST_ALL_OBJ:.o=.d)
