# What single suites need beyond the kernel and the libOS.

HOST_SRC_test_sh := $(filter-out apps/sh/main.c,$(sort $(wildcard apps/sh/*.c)))
HOST_SRC_test_init := apps/init/manifest.c apps/init/devtree.c apps/init/table.c
HOST_CFLAGS_test_init := -Iapps/init
