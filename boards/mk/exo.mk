# The kernel: $(OUT)/exo/exo.elf with symbols, $(OUT)/exo/Image to boot.
EXO_SRC  := $(sort $(wildcard exo/*.c)) $(call sources,exo/arch/$(ARCH))
EXO_OBJ  := $(EXO_SRC:%=$(OUT)/%.o)
EXO_LDS  := exo/arch/$(ARCH)/kernel.ld
KERNEL   := $(OUT)/exo/Image
EXO_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--gc-sections -Wl,-z,max-page-size=4096 \
               -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings

.PHONY: kernel
kernel: $(KERNEL)

# The kernel is optimized as one program (-flto in exo.cflags). The compiler calls lib.c's functions by itself,
# which link-time optimization does not see, so that file stays out of it.
$(OUT)/exo/arch/$(ARCH)/lib.c.o: EXO_NO_LTO := -fno-lto

$(EXO_OBJ): $(OUT)/%.o: % $(FLAGS)/exo.cflags $(LIBFDT_STAMP)
	$(call say,CC,$<)
	$(call compile,$(FLAGS)/exo.cflags $(EXO_NO_LTO))

$(eval $(call flags_rule,exo.ldflags,$(EXO_LDFLAGS)))
$(eval $(call flags_rule,exo.objs,$(EXO_OBJ)))

$(OUT)/exo/exo.elf: $(EXO_OBJ) $(EXO_LDS) $(FLAGS)/exo.ldflags $(FLAGS)/exo.objs $(LIBFDT_STAMP)
	$(call say,LD,$@)
	$(Q)$(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,-T,$(EXO_LDS) -Wl,-Map,$(@:.elf=.map) -o $@ $(EXO_OBJ) $(LIBFDT)/lib/libfdt.a -lgcc

# The same with every lock's owner and order checked (exo/lock.h): what the suites on several processors boot.
CHECKED_KERNEL := $(OUT)/checked/Image
CHECKED_OBJ    := $(EXO_SRC:%=$(OUT)/checked/%.o)

.PHONY: checked-kernel
checked-kernel: $(CHECKED_KERNEL)

$(OUT)/checked/exo/arch/$(ARCH)/lib.c.o: EXO_NO_LTO := -fno-lto
$(CHECKED_OBJ): $(OUT)/checked/%.o: % $(FLAGS)/exo.cflags $(LIBFDT_STAMP)
	$(call say,CC,$< (checked))
	$(call compile,$(FLAGS)/exo.cflags -DEXO_CHECKED $(EXO_NO_LTO))
$(OUT)/checked/exo.elf: $(CHECKED_OBJ) $(EXO_LDS) $(FLAGS)/exo.ldflags $(FLAGS)/exo.objs $(LIBFDT_STAMP)
	$(call say,LD,$@)
	$(Q)$(CC) @$(FLAGS)/exo.cflags @$(FLAGS)/exo.ldflags -Wl,-T,$(EXO_LDS) -o $@ $(CHECKED_OBJ) $(LIBFDT)/lib/libfdt.a -lgcc
$(CHECKED_KERNEL): $(OUT)/checked/exo.elf
	$(call say,IMAGE,$@)
	$(Q)$(OBJCOPY) -O binary $< $@
-include $(CHECKED_OBJ:.o=.d)

$(KERNEL): $(OUT)/exo/exo.elf
	$(call say,IMAGE,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

-include $(EXO_OBJ:.o=.d)
