/* Which of the controllers of messages this machine has: an ITS, else a GICv2m frame, else none. */
#include "cpu.h"
#include "gic.h"
#include "gicv2m.h"
#include "its.h"
#include "log.h"
#include "tree.h"

static struct arch_msi msi;

const struct arch_msi *arch_msi(void)
{
    return &msi;
}

/* No program maps their registers, whether the kernel uses them or not: an ITS writes memory, a frame raises lines. */
BOOT static void own_all(const char *const *compatible)
{
    struct tree_range reg;

    for (int node = tree_find(compatible); node >= 0; node = tree_find_next(node, compatible))
        if (tree_reg(node, 0, &reg))
            gic_own(reg.base, reg.len);
}

BOOT void arch_msi_init(unsigned n)
{
    static const char *const translation[] = {"arm,gic-v3-its", NULL};
    static const char *const frame[] = {"arm,gic-v2m-frame", NULL};
    int node = tree_find(translation);
    bool found;

    own_all(translation);
    own_all(frame);
    found = node >= 0 && gic_redistributor() && its_init(node, n, &msi);
    node = tree_find(frame);
    if (!found && node >= 0)
        found = gicv2m_init(node, &msi);
    if (found)
        klog("messages from devices raise lines %u to %u, written to 0x%lx by %s", msi.first,
             msi.first + msi.nlines - 1, (unsigned long)msi.doorbell.v,
             msi.by_device ? "devices that the kernel maps" : "any device");
}

void arch_msi_device(uint32_t device, paddr_t table, bool there)
{
    its_device(device, table, there);
}

void arch_msi_map(uint32_t line, uint32_t device, uint32_t event, const struct cpu *cpu)
{
    if (msi.by_device) {
        its_map(line, device, event, cpu->id);
        return;
    }
    arch_irq_route(line, cpu);
    gic_line_clear(line);
}

void arch_msi_unmap(uint32_t line)
{
    its_unmap(line);
}
