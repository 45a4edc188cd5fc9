# Booting: `make run`, with and without CMD, `make trace` and `make debug`.

# The line as it was typed: make must not read its dollar signs.
override CORBEL_LINE := $(value CMD)
override CMD = $(CORBEL_LINE)
unexport CMD

# What tells boards/tools/run and debug about the machine.
run_env = QEMU='$(QEMU)' QEMU_MACHINE='$(QEMU_MACHINE)' QEMU_CPU='$(QEMU_CPU)' SMP='$(SMP)' MEM='$(MEM)' \
          KERNEL='$(KERNEL)' BUNDLE='$(BUNDLE_FILE)' OUT='$(OUT)' TIMEOUT='$(TIMEOUT)'
export QEMU_FLAGS APPEND GDB_FLAGS CORBEL_LINE

.PHONY: run debug trace print-machine
ifeq ($(CORBEL_LINE),)

run: kernel bundle
	@$(run_env) boards/tools/run

else

# With CMD, `make run` is to end with the line's own status, but make can end only with 0, 1 or 2.
# GNU make can load functions, and $(corbel_exit N), from boards/tools/make_exit.c, ends it with N.
# The build is a make of its own, silent unless it fails.
MAKE_EXIT := build/host/make_exit.so
$(MAKE_EXIT): boards/tools/make_exit.c
	@boards/tools/setup $(SETUP) build
	@mkdir -p $(@D); $(HOSTCC) -O2 -Wall -shared -fPIC -o $@ $<
ifneq ($(filter run,$(MAKECMDGOALS)),)
-load $(MAKE_EXIT)
endif

RUN_STATUS := build/host/run-status.$(shell echo $$PPID)
# With an explicit -j make keeps its job server in a file, and would remove it at the end.
job_server = $(patsubst --jobserver-auth=fifo:%,%,$(filter --jobserver-auth=fifo:%,$(MAKEFLAGS)))
# Not written $(MAKE) in the recipe, or `make -n` would run it.
itself := $(MAKE)
.PHONY: run-line
run-line:
	@mkdir -p build/host; log=$$(mktemp build/host/build-log.XXXXXX); \
	if MAKEFLAGS= $(itself) --no-print-directory BOARD='$(BOARD)' EXTRA='$(EXTRA)' $(if $(BUNDLE),BUNDLE='$(BUNDLE)') \
	    SETUP='$(SETUP)' kernel bundle >$$log 2>&1 </dev/null; then \
	    rm $$log; status=0; $(run_env) boards/tools/run --line "$$CORBEL_LINE" || status=$$?; \
	else cat $$log >&2; rm $$log; status=125; fi; \
	echo $$status >$(RUN_STATUS)
run: run-line
	@$(if $(findstring n,$(firstword -$(MAKEFLAGS))),,$(corbel_exit $(file <$(RUN_STATUS)),$(RUN_STATUS),$(job_server)))exit $$(cat $(RUN_STATUS))

endif

OUT_FILE ?= build/trace.json
trace: kernel bundle
	$(if $(CORBEL_LINE),,$(error trace: which line? CMD='ls /bin', for example))
	@$(run_env) boards/tools/trace '$(OUT_FILE)' "$$CORBEL_LINE"

debug: kernel bundle $(if $(APP),apps) | tools-debug
	@$(run_env) APP='$(APP)' boards/tools/debug
