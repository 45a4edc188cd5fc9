#include "syscall_impl.h"

#include "base/range.h"
#include "info.h"
#include "irq.h"
#include "log.h"
#include "msi.h"
#include "ring.h"

static int find_line(uint64_t handle, uint64_t line)
{
    struct cap *cap;
    int rc = cap_find_inline(&self()->owner, handle, EXO_CAP_IRQ, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    return range_inside(line, 1, cap->a, cap->b) && line <= UINT32_MAX ? 0 : -EXO_ERANGE;
}

/* Who is to get a line's interrupts, as this bit of his events. */
static int find_listener(uint64_t handle, uint64_t bit, struct vcpu **out)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    if (bit > 62)
        return -EXO_EINVAL;
    *out = vcpu_of(cap);
    return vcpu_ended(*out) ? -EXO_ESTATE : 0;
}

CALL4(world, irq_bind, handle, line, vcpu_handle, bit)
{
    struct vcpu *vcpu;
    int rc = find_line(handle, line);

    if (rc)
        return rc;
    if (vcpu_handle == 0)
        return irq_unbind((uint32_t)line, self());
    rc = find_listener(vcpu_handle, bit, &vcpu);
    return rc ? rc : irq_bind((uint32_t)line, vcpu, (unsigned)bit);
}

CALL2(local, irq_ack, handle, line)
{
    int rc = find_line(handle, line);

    return rc ? rc : irq_ack((uint32_t)line, self());
}

static int find_device(uint64_t handle, uint64_t device)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_DMA, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    return range_inside(device, 1, cap->a, cap->b) ? 0 : -EXO_ERANGE;
}

CALL7(world, msi_bind, handle, line, dma, device, event, vcpu_handle, bit)
{
    struct vcpu *vcpu;
    int rc = find_line(handle, line);

    if (!rc)
        rc = find_device(dma, device);
    if (!rc)
        rc = find_listener(vcpu_handle, bit, &vcpu);
    return rc ? rc : msi_bind((uint32_t)line, (uint32_t)device, event, vcpu, (unsigned)bit);
}

/* Neither RAM, nor what the kernel drives itself. */
static bool device_range_ok(uint64_t pa, uint64_t len)
{
    uint64_t ram = (uint64_t)system_info->first_frame << PAGE_SHIFT;
    uint64_t ram_len = (uint64_t)system_info->nframes << PAGE_SHIFT;

    return !range_overlaps(pa, len, ram, ram_len) && !arch_owns_device(pa, len);
}

CALL6(local, mmio_map, handle, space_handle, va, pa, n, prot)
{
    struct space *space;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_MMIO, EXO_RIGHT_USE, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, n, &space);
    if (rc)
        return rc;
    n = space_piece(n);
    if (prot & ~(uint64_t)(EXO_PROT_READ | EXO_PROT_WRITE))
        return -EXO_EINVAL;
    if (pa & PAGE_MASK || !range_inside(pa, n * PAGE_SIZE, cap->a, cap->b) ||
        !device_range_ok(pa, n * PAGE_SIZE))
        return -EXO_ERANGE;
    rc = space_bind_fixed(space, va, (paddr_t){pa}, n, (unsigned)prot, MEMORY_DEVICE);
    return rc ? rc : (int64_t)n;
}

static int find_domain(uint64_t handle, unsigned rights, struct domain **out)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_DOMAIN, rights, &cap);

    if (!rc)
        *out = frame_address(cap->object);
    return rc;
}

CALL2(world, dma_open, handle, stream)
{
    struct cap *cap, model;
    struct domain *domain;
    int64_t made;
    int rc = find(handle, EXO_CAP_DMA, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (!range_inside(stream, 1, cap->a, cap->b) || !dma_stream_ok(stream))
        return -EXO_ERANGE;
    if (!dma_is_translated(stream) && !(cap->rights & EXO_RIGHT_MANAGE))
        return -EXO_EUNTRUSTED;
    rc = domain_new(&self()->owner.account, stream, &domain);
    if (rc)
        return rc;
    list_add_tail(&self()->domains, &domain->in_env);
    model = object_cap(EXO_CAP_DOMAIN, domain);
    made = cap_insert(&self()->owner, &model, NULL);
    if (made < 0)
        while (!domain_end_step(domain)) /* as many entries as there are doorbells */
            ;
    return made;
}

CALL6(world, dma_bind, handle, iova, space_handle, va, n, prot)
{
    struct domain *domain;
    struct space *space;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && !domain_range_ok(iova, n))
        rc = -EXO_ERANGE;
    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_READ, va, n, &space);
    if (rc)
        return rc;
    if (prot != EXO_PROT_READ && prot != (EXO_PROT_READ | EXO_PROT_WRITE))
        return -EXO_EINVAL;
    n = min_u64(space_piece(n), DMA_RANGE_MAX);
    rc = domain_bind(domain, iova, space, va, n, (unsigned)prot);
    return rc ? rc : (int64_t)n;
}

CALL3(world, dma_unbind, handle, iova, n)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && !domain_range_ok(iova, n))
        rc = -EXO_ERANGE;
    return rc ? rc : domain_unbind(domain, iova, min_u64(space_piece(n), DMA_RANGE_MAX));
}

CALL2(world, dma_address, handle, iova)
{
    struct domain *domain;
    uint64_t address;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && iova >> ARCH_USER_BITS)
        rc = -EXO_ERANGE;
    if (rc)
        return rc;
    return domain_address(domain, iova, &address) ? (int64_t)address : -EXO_EUNBOUND;
}

CALL2(world, dma_status, handle, field)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_READ, &domain);

    if (rc)
        return rc;
    arch_iommu_poll();
    switch (field) {
    case EXO_DMA_STREAM:
        return (int64_t)domain->stream;
    case EXO_DMA_TRANSLATED:
        return domain->translated;
    case EXO_DMA_PAGES:
        return (int64_t)domain->nbound;
    case EXO_DMA_FAULTS:
        return (int64_t)(domain->fault.count & INT64_MAX);
    case EXO_DMA_FAULT_ADDRESS:
        return (int64_t)(domain->fault.address & INT64_MAX);
    case EXO_DMA_FAULT_ACCESS:
        return domain->fault.access;
    default:
        return -EXO_EINVAL;
    }
}

CALL1(world, dma_close, handle)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_MANAGE, &domain);

    return rc ? rc : !domain_end_step(domain);
}

CALL5(local, info_map, handle, table, first, space_handle, va)
{
    struct space *space;
    struct cap *cap;
    paddr_t pa;
    int rc = find(handle, EXO_CAP_INFO, EXO_RIGHT_READ, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, 1, &space);
    if (!rc)
        rc = info_page(table, first, &pa);
    if (rc)
        return rc;
    frame_need(paddr_to_pfn(pa));
    if (table == EXO_INFO_FRAMES)
        frame_need(frame_ram.first + (pfn_t)(first * FRAME_LEAF));
    return space_bind_fixed(space, va, pa, 1, EXO_PROT_READ, MEMORY_NORMAL);
}

/* The CPU's own ring: it takes no lock. */
int64_t call_log_write(uint64_t len, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
                       uint64_t w5)
{
    const uint64_t words[6] = {w0, w1, w2, w3, w4, w5};

    if (len > sizeof(words))
        return -EXO_ERANGE;
    log_append(cpu_this(), (const char *)words, len);
    return (int64_t)len;
}

/* A CPU that may be traced. */
static int find_traced(uint64_t handle, uint64_t id, struct cap **cap, struct cpu **out)
{
    int rc = find(handle, EXO_CAP_TRACE, EXO_RIGHT_READ, cap);

    *out = ring_cpu(id);
    return rc || *out ? rc : -EXO_EUNSUPPORTED;
}

CALL5(world, trace_bind, handle, cpu_id, space_handle, va, n)
{
    struct space *space;
    struct cap *cap;
    struct cpu *cpu;
    int rc = find_traced(handle, cpu_id, &cap, &cpu);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE | EXO_RIGHT_READ, va, n, &space);
    n = space_piece(n);
    if (!rc)
        rc = ring_bind(cpu, self(), space, va, n = min_u64(n, RING_RANGE_MAX));
    return rc ? rc : (int64_t)n;
}

CALL3(world, trace_control, handle, cpu_id, how)
{
    struct cap *cap;
    struct cpu *cpu;
    int rc = find_traced(handle, cpu_id, &cap, &cpu);

    if (!rc && how > EXO_TRACE_RELEASE)
        rc = -EXO_EINVAL;
    if (rc)
        return rc;
    if (how == EXO_TRACE_ON)
        return ring_start(cpu, self());
    if (cpu->trace.owner && cpu->trace.owner != self() && !(cap->rights & EXO_RIGHT_MANAGE))
        return -EXO_EBUSY;
    if (how == EXO_TRACE_RELEASE)
        return ring_release_step(cpu) ? 0 : 1;
    return ring_stop(cpu) ? 0 : 1;
}

SWITCH_CALL(local, machine_stop)
{
    struct cap *cap;
    uint64_t how = current->regs.x[1];
    int rc = cap_find(&current->env->owner, current->regs.x[0], EXO_CAP_MACHINE, EXO_RIGHT_USE, &cap);

    if (!rc && how > EXO_STOP_RESET)
        rc = -EXO_EINVAL;
    if (!rc)
        arch_stop((enum exo_stop_how)how);
    vcpu_result(current, rc);
    return 0;
}
