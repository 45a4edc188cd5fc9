# The kernel: $(OUT)/exo/exo.elf with symbols, $(OUT)/exo/Image to boot.
EXO_SRC  := $(sort $(wildcard exo/*.c)) $(call sources,exo/arch/$(ARCH))
EXO_OBJ  := $(EXO_SRC:%=$(OUT)/%.o)
EXO_LDS  := exo/arch/$(ARCH)/kernel.ld
KERNEL   := $(OUT)/exo/Image
EXO_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--gc-sections -Wl,-z,max-page-size=4096 \
               -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings \
               -Wl,--fix-cortex-a53-843419=adr

.PHONY: kernel
kernel: $(KERNEL)

# The kernel is optimized as one program (-flto in exo.cflags). The compiler calls lib.c's functions by itself,
# which link-time optimization does not see, so that file stays out of it; and files that are for boot alone, which the
# linker puts where they are given back.
EXO_APART := exo/arch/$(ARCH)/lib.c exo/main.c exo/tree.c
$(EXO_APART:%=$(OUT)/%.o): EXO_NO_LTO := -fno-lto
$(eval $(call flags_rule,exo.apart,$(EXO_APART)))

$(EXO_OBJ): $(OUT)/%.o: % $(FLAGS)/exo.cflags $(FLAGS)/exo.apart $(LIBFDT_STAMP)
	$(call say,CC,$<)
	$(call compile,$(FLAGS)/exo.cflags $(EXO_NO_LTO))

$(eval $(call flags_rule,exo.ldflags,$(EXO_LDFLAGS)))
$(eval $(call flags_rule,exo.objs,$(EXO_OBJ)))

$(OUT)/exo/exo.elf: $(EXO_OBJ) $(EXO_LDS) $(FLAGS)/exo.ldflags $(FLAGS)/exo.objs $(LIBFDT_STAMP)
	$(call say,LD,$@)
	$(Q)$(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,-T,$(EXO_LDS) -Wl,-Map,$(@:.elf=.map) -o $@ $(EXO_OBJ) $(LIBFDT)/lib/libfdt.a -lgcc

# The same with every lock's owner and order checked (exo/lock.h): what the suites on several processors boot.  And that without
# fast paths (ARCH_FAST_PATHS): whatever they do, the long way does.
CHECKED_KERNEL := $(OUT)/checked/Image
LONG_KERNEL    := $(OUT)/checked-long/Image

.PHONY: checked-kernel
checked-kernel: $(CHECKED_KERNEL) $(LONG_KERNEL)

# $(call checked_kernel,folder,flags)
define checked_kernel
CHECKED_OBJ_$(1) := $(EXO_SRC:%=$(OUT)/$(1)/%.o)
$(EXO_APART:%=$(OUT)/$(1)/%.o): EXO_NO_LTO := -fno-lto
$$(CHECKED_OBJ_$(1)): $(OUT)/$(1)/%.o: % $(FLAGS)/exo.cflags $(FLAGS)/exo.apart $(LIBFDT_STAMP)
	$$(call say,CC,$$< ($(1)))
	$$(call compile,$(FLAGS)/exo.cflags -DEXO_CHECKED $(2) $$(EXO_NO_LTO))
$(OUT)/$(1)/exo.elf: $$(CHECKED_OBJ_$(1)) $(EXO_LDS) $(FLAGS)/exo.ldflags $(FLAGS)/exo.objs $(LIBFDT_STAMP)
	$$(call say,LD,$$@)
	$$(Q)$(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,-T,$(EXO_LDS) -o $$@ $$(CHECKED_OBJ_$(1)) $(LIBFDT)/lib/libfdt.a -lgcc
$(OUT)/$(1)/Image: $(OUT)/$(1)/exo.elf
	$$(call say,IMAGE,$$@)
	$$(Q)$(OBJCOPY) -O binary $$< $$@
-include $$(CHECKED_OBJ_$(1):.o=.d)
endef
$(eval $(call checked_kernel,checked))
$(eval $(call checked_kernel,checked-long,-DARCH_FAST_PATHS=false))

$(KERNEL): $(OUT)/exo/exo.elf
	$(call say,IMAGE,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

-include $(EXO_OBJ:.o=.d)
