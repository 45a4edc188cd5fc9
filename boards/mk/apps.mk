# Programs and bundles.
#
# Each folder of apps/ with a *.c in it is one program; tests/apps/ holds those that only tests
# use, EXTRA names folders outside the tree. For each there is $(OUT)/<where>/<name>.elf with symbols
# and, stripped, $(OUT)/<where>/bin/<name>. An app.mk beside the sources may set
# APP_CFLAGS_<name> and APP_LIBS_<name>.

APP_LDS     := libos/arch/$(ARCH)/app.ld
APP_LDFLAGS := -static -nostdlib -no-pie -Wl,--build-id=none -Wl,--gc-sections -Wl,-z,max-page-size=4096 \
               -Wl,-z,separate-code -Wl,--no-warn-rwx-segments
APP_LIBS    := -Wl,--start-group $(LIBOS) $(NEWLIB)/lib/libc.a $(NEWLIB)/lib/libm.a $(LIBFDT)/lib/libfdt.a -lgcc \
               -Wl,--end-group

app_names = $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard $(1)/*/*.c)))))
APPS      := $(call app_names,apps)
TEST_APPS := $(call app_names,tests/apps)
EXTRA_DIRS := $(patsubst %/,%,$(EXTRA))
EXTRA_APPS := $(notdir $(EXTRA_DIRS))
$(foreach d,$(EXTRA_DIRS),$(if $(wildcard $(d)/*.c),,$(error EXTRA: no C source in '$(d)')))
$(foreach a,$(filter $(APPS),$(EXTRA_APPS)),$(error EXTRA: the tree has an application '$(a)' already))
-include $(wildcard apps/*/app.mk tests/apps/*/app.mk $(EXTRA_DIRS:%=%/app.mk))

$(eval $(call flags_rule,app.ldflags,$(APP_LDFLAGS)))

# Folders outside the tree get warnings, but not our rules.
OTHER_TASTE := $(patsubst -W%,-Wno-%,$(filter-out -Wall -Wextra,$(WARNINGS)))

# $(call app_rule,name,source folder,folder below $(OUT))
define app_rule
APP_OBJ_$(3)_$(1) := $(patsubst $(2)/%,$(OUT)/$(3)/obj/$(1)/%.o,$(call sources,$(2)))
$$(APP_OBJ_$(3)_$(1)): $(OUT)/$(3)/obj/$(1)/%.o: $(2)/% $(FLAGS)/app.cflags $(NEWLIB_STAMP) $(LIBFDT_STAMP)
	$$(call say,CC,$$<)
	$$(Q)mkdir -p $$(@D); $(CC) @$(FLAGS)/app.cflags $$(APP_CFLAGS_$(1)) $(if $(filter extra,$(3)),$(OTHER_TASTE)) -I$(2) -MD -MP -c -o $$@ $$<
$(OUT)/$(3)/$(1).elf: $$(APP_OBJ_$(3)_$(1)) $(CRT0) $(LIBOS) $(APP_LDS) $(FLAGS)/app.ldflags $(FLAGS)/$(3)-$(1).objs
	$$(call say,LD,$$@)
	$$(Q)$(CC) @$(FLAGS)/app.ldflags -Wl,-T,$(APP_LDS) -o $$@ $(CRT0) $$(APP_OBJ_$(3)_$(1)) $$(APP_LIBS_$(1)) $(APP_LIBS)
$(OUT)/$(3)/bin/$(1): $(OUT)/$(3)/$(1).elf
	$$(Q)mkdir -p $$(@D); $(STRIP) -o $$@ $$<
$(call flags_rule,$(3)-$(1).objs,$$(APP_OBJ_$(3)_$(1)))
-include $$(APP_OBJ_$(3)_$(1):.o=.d)
endef
$(foreach a,$(APPS),$(eval $(call app_rule,$(a),apps/$(a),apps)))
$(foreach a,$(TEST_APPS),$(eval $(call app_rule,$(a),tests/apps/$(a),test-apps)))
$(foreach d,$(EXTRA_DIRS),$(eval $(call app_rule,$(notdir $(d)),$(d),extra)))

APP_BINS   := $(APPS:%=$(OUT)/apps/bin/%)
TEST_BINS  := $(TEST_APPS:%=$(OUT)/test-apps/bin/%)
EXTRA_BINS := $(EXTRA_APPS:%=$(OUT)/extra/bin/%)

.PHONY: apps test-apps
apps: $(APP_BINS) $(EXTRA_BINS)
test-apps: $(TEST_BINS)

# ---- Bundles -------------------------------------------------------------------------------
# $(call bundle_rule,bundle name,manifest sources,programs,folders of plain files)
define bundle_rule
$(OUT)/$(1)/manifest.dtb: $(2) $(FLAGS)/$(1).manifest
	$$(call say,DTC,$$@)
	$$(Q)mkdir -p $$(@D); boards/tools/mkmanifest $(CC) $(2) >$$@
$(OUT)/$(1).cpio: $(OUT)/$(1)/manifest.dtb $(3) $(call plain_files,$(4)) boards/tools/mkbundle $(FLAGS)/$(1).list
	$$(call say,BUNDLE,$$@)
	$$(Q)boards/tools/mkbundle $$@ @$(FLAGS)/$(1).list
$(call flags_rule,$(1).manifest,$(2))
$(call flags_rule,$(1).list,manifest.dtb=$(OUT)/$(1)/manifest.dtb $(foreach b,$(3),bin/$(notdir $(b))=$(b)) \
    $(foreach d,$(4),$(foreach f,$(call plain_files,$(d)),$(patsubst $(d)/%,%,$(f))=$(f))))
endef
plain_files = $(sort $(foreach d,$(1),$(shell find $(d) -type f 2>/dev/null)))

BUNDLE_NAME := $(if $(EXTRA_DIRS),bundle-extra,bundle)
EXTRA_DTSI  := $(wildcard $(EXTRA_DIRS:%=%/manifest.dtsi))
BUNDLE_FILE := $(or $(BUNDLE),$(OUT)/$(BUNDLE_NAME).cpio)
TEST_BUNDLE := $(OUT)/test-bundle.cpio
$(eval $(call bundle_rule,$(BUNDLE_NAME),apps/manifest.dts $(EXTRA_DTSI),$(APP_BINS) $(EXTRA_BINS),apps/files))
$(eval $(call bundle_rule,test-bundle,$(firstword $(wildcard tests/apps/manifest.dts) apps/manifest.dts),$(APP_BINS) $(TEST_BINS),apps/files tests/apps/files))
# The tests' manifest includes the other one.
$(OUT)/test-bundle/manifest.dtb: apps/manifest.dts

.PHONY: bundle test-bundle
bundle: $(BUNDLE_FILE)
test-bundle: $(TEST_BUNDLE)

# ---- The compiler wrapper for programs outside the tree ------------------------------------
WRAPPER := $(OUT)/bin/$(ARCH)-corbel-gcc
.PHONY: wrapper
wrapper: $(WRAPPER) $(LIBOS) $(CRT0)
$(WRAPPER): boards/tools/corbel-gcc $(FLAGS)/app.cflags $(FLAGS)/app.ldflags | $(NEWLIB_STAMP) $(LIBFDT_STAMP)
	@mkdir -p $(@D); install -m 755 $< $@
