# The library OS: $(OUT)/libos/libos.a and the start file $(OUT)/libos/crt0.o.
LIBOS_SRC := $(filter-out libos/arch/%,$(call sources,libos)) $(call sources,libos/arch/$(ARCH))
LIBOS_OBJ := $(LIBOS_SRC:%=$(OUT)/%.o)
CRT0      := $(OUT)/libos/arch/$(ARCH)/crt0.S.o
LIBOS     := $(OUT)/libos/libos.a

.PHONY: libos
libos: $(LIBOS)

$(sort $(LIBOS_OBJ) $(CRT0)): $(OUT)/%.o: % $(FLAGS)/libos.cflags $(NEWLIB_STAMP) $(LIBFDT_STAMP)
	$(call say,CC,$<)
	$(call compile,$(FLAGS)/libos.cflags)

$(eval $(call flags_rule,libos.objs,$(filter-out $(CRT0),$(LIBOS_OBJ))))

$(LIBOS): $(filter-out $(CRT0),$(LIBOS_OBJ)) $(FLAGS)/libos.objs
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D); rm -f $@; $(AR) crsD $@ @$(FLAGS)/libos.objs

-include $(LIBOS_OBJ:.o=.d)
