/* The first steps of a program, on the upcall stack with upcalls masked: what upcalls need, before the first. */
#include "rt/thread_impl.h"

#include "os/exo.h"
#include "os/layout.h"
#include "os/start.h"
#include "os/time.h"

struct os_thread rt_boot_thread; /* stands for the main thread until rt_enter_main has made that */
static uint64_t boot_tls[2];
static uint64_t start_info;

void rt_start(uint64_t info)
{
    struct exo_vcpu_page *page = os_vcpu();

    start_info = info;
    arch_tls_set_self((uint64_t)boot_tls, &rt_boot_thread);
    arch_tls_enter((uint64_t)boot_tls);
    rt.vcpu[0] = rt_vcpu();
    rt.vcpu[0]->handle = OS_HANDLE_VCPU;
    rt.nvcpus = 1;
    sched_init(&rt_boot_thread);
    rt_signals_init();
    page->upcall_sp = OS_UPCALL_STACK_TOP;
    page->upcall_entry = (uint64_t)arch_upcall_entry;
}

void rt_set_memory(const struct rt_memory *memory)
{
    rt_memory = memory;
}

const struct os_start *os_start_block(void)
{
    return start_info == OS_START_VA ? (const struct os_start *)OS_START_VA : NULL;
}

uint64_t os_start_info(void)
{
    return start_info;
}

struct exo_vcpu_page *os_vcpu(void)
{
    return arch_vcpu();
}

const struct exo_system *os_system(void)
{
    return arch_system();
}
