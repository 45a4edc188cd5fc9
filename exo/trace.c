#include "trace.h"

#include "cpu.h"

void (*trace_idle)(struct cpu *cpu);
void (*trace_settled)(struct cpu *cpu);

void trace_put(struct cpu *cpu, enum exo_trace_event event, struct trace_words words)
{
    struct cpu_trace *trace = &cpu->trace;

    trace->ring->record[trace->next] = (struct exo_trace_record){.time = arch_time(),
                                                                 .event = (uint8_t)event,
                                                                 .cpu = (uint8_t)cpu->id,
                                                                 .what = words.what,
                                                                 .vcpu = words.vcpu,
                                                                 .a = words.a,
                                                                 .b = words.b};
    if (++trace->next == trace->nrecords)
        trace->next = 0;
    __atomic_store_n(&trace->ring->written, ++trace->written, __ATOMIC_RELEASE);
}

void trace_follow(struct cpu *cpu)
{
    struct cpu_trace *trace = &cpu->trace;

    if (cpu->traced == trace->wanted)
        return;
    cpu->traced = trace->wanted;
    trace->upcalls = cpu->info->upcalls;
    arch_trace_enable(cpu->traced);
}
