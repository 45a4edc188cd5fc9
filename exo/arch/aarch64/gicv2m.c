#include "gicv2m.h"

#include "base/mmio.h"
#include "base/range.h"
#include "gic.h"
#include "log.h"
#include "mmu.h"
#include "tree.h"

enum v2m {
    V2M_MSI_TYPER = 0x008,    /* RO 32: first line in bits 25:16, how many in bits 9:0 */
    V2M_MSI_SETSPI_NS = 0x040 /* WO 32: a line's number */
};

BOOT static bool refuse(const char *why)
{
    klog("GICv2m: %s: no messages from devices", why);
    return false;
}

BOOT bool gicv2m_init(int node, struct arch_msi *out)
{
    struct tree_range reg;
    uint32_t typer, first, n;
    mmio_t regs;

    if (!tree_reg(node, 0, &reg) || reg.len < PAGE_SIZE)
        return refuse("its device tree node has no usable reg entry");
    regs.base = (uintptr_t)mmu_map_device(reg.base, PAGE_SIZE);
    if (!regs.base)
        return refuse("its registers do not fit in");
    typer = mmio_read32(regs, V2M_MSI_TYPER);
    if (!tree_cell(node, "arm,msi-base-spi", 0, &first))
        first = typer >> 16 & 0x3ff;
    if (!tree_cell(node, "arm,msi-num-spis", 0, &n))
        n = typer & 0x3ff;
    if (n == 0 || !arch_irq_usable(first) || !range_inside(first, n, 0, arch_irq_count()))
        return refuse("it names lines that are not the controller's shared ones");
    for (uint32_t line = first; line < first + n; line++)
        gic_line_trigger(line, true);
    *out = (struct arch_msi){
        .first = first, .nlines = n, .ndevices = UINT32_MAX, .doorbell = {reg.base + V2M_MSI_SETSPI_NS}};
    return true;
}
