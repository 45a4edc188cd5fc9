/* uname: the system's names. */
#include <stdio.h>
#include <sys/utsname.h>

#include "os/exo.h"

int uname(struct utsname *name)
{
    *name =
        (struct utsname){.sysname = "Corbel", .nodename = "corbel", .release = "0.1", .machine = "aarch64"};
    snprintf(name->version, sizeof(name->version), "exo ABI %u", (unsigned)os_system()->abi_version);
    return 0;
}
