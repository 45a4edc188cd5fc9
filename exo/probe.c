#include "probe.h"

#include "irq.h"
#include "panic.h"
#include "syscall.h"

static bool waits(const struct vcpu *vcpu)
{
    return vcpu->state == VCPU_WAITING || vcpu->state == VCPU_RECEIVING || vcpu->state == VCPU_SENDING ||
           vcpu->state == VCPU_CALLING;
}

static struct trace_look look_at(struct vcpu *vcpu, enum exo_trace_cause cause, uint64_t bits)
{
    if (!vcpu)
        return (struct trace_look){0};
    return (struct trace_look){.vcpu = vcpu,
                               .serial = frame_entry(vcpu_frame(vcpu))->serial,
                               .cause = cause,
                               .waited = waits(vcpu),
                               .bits = bits};
}

static struct vcpu *named(struct vcpu *by, uint64_t handle, enum exo_cap_type type)
{
    struct cap *cap;

    return cap_find(&by->env->owner, handle, type, 0, &cap) ? NULL : vcpu_of(cap);
}

static struct vcpu *caller_named(uint64_t token)
{
    pfn_t pfn = (pfn_t)token;

    return frame_is(pfn, EXO_FRAME_VCPU) ? frame_address(pfn) : NULL;
}

/* Whom a call is about to do something to. */
static struct trace_look look_before(struct vcpu *by, uint64_t number, const uint64_t *args)
{
    switch (number) {
    case EXO_CALL_signal:
        return look_at(named(by, args[0], EXO_CAP_EVENT), EXO_TRACE_BY_SIGNAL, args[1]);
    case EXO_CALL_call:
        return look_at(named(by, args[0] & UINT32_MAX, EXO_CAP_GATE), EXO_TRACE_BY_CALL, 0);
    case EXO_CALL_reply_wait:
        return look_at(caller_named(args[0]), EXO_TRACE_BY_REPLY, 0);
    default:
        return (struct trace_look){0};
    }
}

static void put_look(struct cpu *cpu, const struct trace_look *look, enum exo_trace_event event)
{
    trace_put(cpu, event,
              (struct trace_words){.what = (uint16_t)look->cause,
                                   .vcpu = vcpu_frame(look->vcpu),
                                   .a = env_frame(look->vcpu->env),
                                   .b = look->bits});
}

static void look_after(struct cpu *cpu, const struct trace_look *look)
{
    /* By where it was: what stands there may be another's now. */
    if (!look->vcpu ||
        !frame_is_object(paddr_to_pfn(virt_to_phys(look->vcpu)), EXO_FRAME_VCPU, look->serial) ||
        vcpu_ended(look->vcpu))
        return;
    if (look->waited && !waits(look->vcpu))
        put_look(cpu, look, EXO_TRACE_WAKE);
    else if (look->bits)
        put_look(cpu, look, EXO_TRACE_SIGNAL);
}

static void put_switch(struct cpu *cpu, const struct vcpu *vcpu)
{
    if (cpu->trace.last == vcpu)
        return;
    cpu->trace.last = vcpu;
    trace_put(cpu, EXO_TRACE_SWITCH,
              (struct trace_words){.vcpu = vcpu_frame(vcpu), .a = env_frame(vcpu->env)});
}

static void put_entry(struct cpu *cpu, struct vcpu *vcpu, enum exo_trace_event event,
                      struct trace_words words)
{
    words.vcpu = vcpu_frame(vcpu);
    vcpu->traced = cpu->trace.session;
    trace_put(cpu, event, words);
}

static void put_return(struct cpu *cpu, struct vcpu *vcpu, uint64_t result)
{
    vcpu->traced = 0;
    trace_put(cpu, EXO_TRACE_RETURN, (struct trace_words){.vcpu = vcpu_frame(vcpu), .a = result});
}

static void put_call(struct cpu *cpu, struct vcpu *vcpu, uint64_t number, const uint64_t *args)
{
    put_entry(
        cpu, vcpu, EXO_TRACE_CALL,
        (struct trace_words){.what = (uint16_t)min_u64(number, UINT16_MAX), .a = args[0], .b = args[1]});
}

/* ---- plain calls ------------------------------------------------------------------------------------------ */

static int64_t plain(const uint64_t a[8], uint64_t number)
{
    if (number - EXO_NSWITCH >= EXO_NCALLS - EXO_NSWITCH)
        return -EXO_ENOCALL;
    return syscall_plain_table[number - EXO_NSWITCH](a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
}

static void put_env_new(struct cpu *cpu, struct vcpu *maker, uint64_t handle)
{
    struct cap *cap;

    if (!cap_find(&maker->env->owner, handle, EXO_CAP_ENV, 0, &cap))
        trace_put(cpu, EXO_TRACE_ENV_NEW,
                  (struct trace_words){.a = env_frame(env_of(cap)), .b = env_frame(maker->env)});
}

static void put_start(struct cpu *cpu, struct vcpu *by, uint64_t handle)
{
    const struct trace_look look = {.vcpu = named(by, handle, EXO_CAP_VCPU), .cause = EXO_TRACE_BY_START};

    if (look.vcpu)
        put_look(cpu, &look, EXO_TRACE_WAKE);
}

/* Calls that make something; what they make exists afterwards only. */
static void put_made(struct cpu *cpu, struct vcpu *vcpu, uint64_t number, const uint64_t *args,
                     int64_t result)
{
    if (result < 0)
        return;
    if (number == EXO_CALL_env_create)
        put_env_new(cpu, vcpu, (uint64_t)result & UINT32_MAX);
    else if (number == EXO_CALL_vcpu_start)
        put_start(cpu, vcpu, args[0]);
}

static void plain_end(struct cpu *cpu, const struct trace_look *look, uint64_t number, const uint64_t *args,
                      int64_t result)
{
    struct vcpu *vcpu = cpu->current;

    if (!cpu->traced) {
        vcpu->traced = 0;
        return;
    }
    if (result >= 0)
        look_after(cpu, look);
    put_made(cpu, vcpu, number, args, result);
    if (!cpu->resched)
        put_return(cpu, vcpu, (uint64_t)result);
}

/* The call itself takes the lock and drops it, so there are three sections. */
int64_t probe_plain(const uint64_t args[8], uint64_t number)
{
    struct cpu *cpu = cpu_this();
    struct trace_look look;
    int64_t result;

    local_enter();
    look = look_before(cpu->current, number, args);
    put_call(cpu, cpu->current, number, args);
    local_leave();
    result = plain(args, number);
    local_enter();
    plain_end(cpu, &look, number, args, result);
    local_leave();
    return result;
}

/* ---- everything else --------------------------------------------------------------------------------------- */

static void put_upcall(struct cpu *cpu, const struct vcpu *vcpu)
{
    cpu->trace.upcalls = cpu->info->upcalls;
    trace_put(cpu, EXO_TRACE_UPCALL,
              (struct trace_words){.what = (uint16_t)vcpu->regs.x[0],
                                   .vcpu = vcpu_frame(vcpu),
                                   .a = vcpu->regs.x[1],
                                   .b = vcpu->regs.x[2]});
}

void probe_switch(struct vcpu *current, uint64_t number)
{
    struct cpu *cpu = cpu_this();
    struct trace_look look;
    struct vcpu *next;

    local_enter();
    look = look_before(current, number, current->regs.x);
    put_call(cpu, current, number, current->regs.x);
    local_leave();
    next = syscall_switch_table[number](current);
    ASSERT(!next); /* on a CPU that is traced no path is fast */
    if (cpu->traced)
        look_after(cpu, &look);
}

/* What its upcall's registers say, or those of its end, where it could take none. */
static void put_trap(struct cpu *cpu, struct vcpu *vcpu)
{
    const struct env *env = vcpu->env;
    bool upcalled = cpu->trace.upcalls != cpu->info->upcalls;
    uint64_t reason = upcalled ? vcpu->regs.x[0] : 0;
    struct trace_words words = {.vcpu = vcpu_frame(vcpu), .a = vcpu->regs.x[1]};

    if (upcalled && reason == EXO_UPCALL_FAULT) {
        words.what = (uint16_t)vcpu->regs.x[2];
        trace_put(cpu, EXO_TRACE_FAULT, words);
    } else if (upcalled) {
        words.what = (uint16_t)words.a;
        words.a = vcpu->regs.x[2];
        trace_put(cpu, EXO_TRACE_EXCEPTION, words);
    } else if (vcpu_ended(vcpu)) {
        bool fault =
            env->reason == EXO_END_FAULT || (env->reason == EXO_END_UPCALL && env->code == EXO_UPCALL_FAULT);

        words.what = (uint16_t)(env->reason == EXO_END_UPCALL ? 0 : env->code);
        words.a = env->address;
        trace_put(cpu, fault ? EXO_TRACE_FAULT : EXO_TRACE_EXCEPTION, words);
    } else {
        words.a = 0;
        trace_put(cpu, EXO_TRACE_FP, words);
    }
    if (upcalled)
        put_upcall(cpu, vcpu);
}

void probe_trap(struct vcpu *(*handle)(uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current, *next;

    local_enter();
    put_entry(cpu, vcpu, EXO_TRACE_TRAP, (struct trace_words){.a = vcpu->regs.pc});
    local_leave();
    next = handle(a, b);
    ASSERT(!next);   /* as above */
    if (cpu->traced) /* unless it was its owner that ended by this */
        put_trap(cpu, vcpu);
}

void probe_interrupt(void)
{
    local_enter();
    arch_irq_dispatch();
}

static void irq_close(struct cpu *cpu)
{
    if (!cpu->trace.line_open)
        return;
    cpu->trace.line_open = false;
    look_after(cpu, &cpu->trace.irq);
    trace_put(cpu, EXO_TRACE_IRQ_END, (struct trace_words){.what = cpu->trace.line});
}

void probe_irq(uint32_t line, bool timer)
{
    struct cpu *cpu = cpu_this();

    irq_close(cpu);
    cpu->trace.line_open = true;
    cpu->trace.line = (uint16_t)line;
    cpu->trace.irq = look_at(timer ? NULL : irq_holder(line), EXO_TRACE_BY_IRQ, irq_bits(line));
    trace_put(cpu, EXO_TRACE_IRQ, (struct trace_words){.what = (uint16_t)line, .a = timer});
}

/* The call's own result: where an upcall came behind it, that stands in what was interrupted.  (Its user may change that
 * word meanwhile, and then sees in the trace what it wrote.) */
static uint64_t result_of(const struct vcpu *vcpu, bool upcalled)
{
    return upcalled ? ((const volatile struct exo_vcpu_page *)vcpu->page)->regs.x[0] : vcpu->regs.x[0];
}

/* The current vcpu is about to be back in user mode. */
static void put_back(struct cpu *cpu)
{
    struct cpu_trace *trace = &cpu->trace;
    struct vcpu *current = cpu->current;
    bool upcalled = trace->upcalls != cpu->info->upcalls;

    irq_close(cpu);
    trace->idle = false;
    put_switch(cpu, current);
    if (current->traced == trace->session)
        put_return(cpu, current, result_of(current, upcalled));
    if (upcalled)
        put_upcall(cpu, current);
}

/* The last moment where a CPU that was told to look begins or ends; it may have come in by the entries that do not trace. */
static void settled(struct cpu *cpu)
{
    trace_follow(cpu);
    if (cpu->traced)
        put_back(cpu);
}

static void idle(struct cpu *cpu)
{
    trace_follow(cpu);
    if (!cpu->traced)
        return;
    irq_close(cpu);
    if (cpu->trace.idle)
        return;
    cpu->trace.idle = true;
    cpu->trace.last = NULL;
    trace_put(cpu, EXO_TRACE_IDLE, (struct trace_words){0});
}

struct vcpu *probe_leave(struct vcpu *current)
{
    struct cpu *cpu = cpu_this();

    local_enter();
    if (cpu->traced)
        put_back(cpu);
    local_leave();
    return current;
}

void probe_init(void)
{
    trace_idle = idle;
    trace_settled = settled;
}
