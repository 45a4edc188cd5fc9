/* The kernel's calls: the one list that makes numbers, dispatch, stubs, names and documentation.
 *
 * AArch64: the number goes in x8, arguments in x0 to x7, then `svc #0`.  The result comes in x0, further
 * results in x1 to x7 where the call says so.  x0 to x18 are clobbered by contract (those that carry no
 * result come back as zero); x19 to x30 and sp are kept.  No argument is a pointer that the kernel follows.
 *
 * `EXO_SWITCH_CALLS` may hand the CPU to somebody else, so their entry saves the caller's registers;
 * `EXO_PLAIN_CALLS` never do.
 *
 * X(name, number of arguments, "arguments", "what it does")
 */
#ifndef EXO_CALLS_H
#define EXO_CALLS_H

#define EXO_SWITCH_CALLS(X)                                                                                  \
    X(resume, 0, "", "load the context in the vcpu page and unmask upcalls")                                 \
    X(call, 8, "gate, m0, m1, m2, m3, m4, m5, deadline",                                                     \
      "send six words through a gate, lend the slice, and wait for the reply")                               \
    X(reply_wait, 8, "token, m0, m1, m2, m3, m4, m5, deadline",                                              \
      "answer the caller that the token names (0: nobody) and wait for the next call or event")              \
    X(wait, 2, "mask, deadline",                                                                             \
      "sleep until an event bit of the mask is set or the counter reaches the deadline")                     \
    X(yield, 1, "vcpu", "give the rest of the slice to a virtual processor (0: to whoever is next)")         \
    X(env_exit, 1, "status", "end this environment; never returns")                                          \
    X(env_stop, 1, "env", "stop all virtual processors of an environment")                                   \
    X(env_destroy, 1, "env", "take an environment down; returns 1 while something is left, 0 when done")     \
    X(space_switch, 1, "space", "run in another address space of this environment from now on")              \
    X(machine_stop, 2, "machine, how", "power the machine off or reset it; never returns on success")

#define EXO_PLAIN_CALLS(X)                                                                                   \
    X(null, 0, "", "do nothing")                                                                             \
    X(page_alloc, 5, "space, va, n, want, flags", "bind n newly allocated, zeroed frames at va")             \
    X(page_map, 6, "dst, va, src, sva, n, prot", "copy n bindings from one space to another")                \
    X(page_protect, 4, "space, va, n, prot", "change what the n bindings at va allow")                       \
    X(page_unmap, 4, "space, va, n, flags",                                                                  \
      "end the n bindings at va; the last binding of a frame frees it")                                      \
    X(tlb_sync, 3, "space, va, n", "let no TLB hold what n pages at va were before they changed lazily")     \
    X(space_create, 0, "", "make an address space in this environment")                                      \
    X(space_destroy, 1, "space",                                                                             \
      "take an address space down; returns 1 while something is left, 0 when done")                          \
    X(asid_pin, 1, "space", "let a space keep the ASID that it has or gets, whoever runs meanwhile")         \
    X(asid_unpin, 1, "space", "end that")                                                                    \
    X(env_create, 3, "limit, event, bits",                                                                   \
      "make an environment with an account of limit frames; event's bits are set when it ends")              \
    X(env_status, 2, "env, field", "tell an environment's state, or what ended it")                          \
    X(vcpu_create, 4, "env, cpu, space, va",                                                                 \
      "make a virtual processor whose shared page is the one bound at va")                                   \
    X(vcpu_start, 2, "vcpu, arg", "enter a new virtual processor at its upcall entry with reason START")     \
    X(slice_bind, 3, "slice, slot, vcpu", "give a slot of a CPU's vector to a virtual processor")            \
    X(slice_release, 2, "slice, slot", "give a slot of a CPU's vector back to whoever is ready")             \
    X(gate_create, 2, "vcpu, badge", "make a gate into a virtual processor")                                 \
    X(event_create, 2, "vcpu, mask", "make a capability to set the event bits of the mask")                  \
    X(signal, 2, "event, bits", "set event bits")                                                            \
    X(cap_grant, 5, "env, cap, rights, a, b",                                                                \
      "derive a capability with fewer rights into an environment's table")                                   \
    X(cap_drop, 1, "cap", "give up one capability; returns 1 while something is left to do, 0 when done")    \
    X(cap_revoke, 1, "cap",                                                                                  \
      "take away all that was derived from a capability; returns 1 while something is left, 0 when done")    \
    X(irq_bind, 4, "irq, line, vcpu, bit", "deliver an interrupt line as an event bit (vcpu 0: unbind)")     \
    X(irq_ack, 2, "irq, line", "unmask a line after its interrupt was handled")                              \
    X(mmio_map, 6, "mmio, space, va, pa, n, prot", "bind n pages of device registers at va")                 \
    X(info_map, 5, "info, table, first, space, va", "bind one read-only page of the kernel's tables at va")  \
    X(log_write, 7, "len, w0, w1, w2, w3, w4, w5", "append len bytes, at most 48, to the CPU's log ring")    \
    X(msi_bind, 7, "irq, line, dma, device, event, vcpu, bit",                                               \
      "let a device's message raise a line that is delivered as an event bit; returns the word to write")    \
    X(env_limit, 3, "env, frames, deadline",                                                                 \
      "change a child's limit; returns how many frames it has to give back yet")                             \
    X(page_reclaim, 4, "space, va, n, deadline", "ask all others to let go of n pages, then make them")      \
    X(dma_open, 2, "dma, stream", "make a domain: what the device of this stream may reach")                 \
    X(dma_bind, 6, "domain, iova, space, va, n, prot",                                                       \
      "let the device reach the n pages bound at va in a space at its address iova, and pin them")           \
    X(dma_unbind, 3, "domain, iova, n", "end that, when the device cannot reach them any more")              \
    X(dma_address, 2, "domain, iova", "tell the address that the device has to use for iova")                \
    X(dma_status, 2, "domain, field", "tell a domain's state, or what its device was kept from")             \
    X(dma_close, 1, "domain", "take a domain down; returns 1 while something is left, 0 when done")          \
    X(trace_bind, 5, "trace, cpu, space, va, n",                                                             \
      "make the n pages at va, pinned, part of a CPU's trace ring")                                          \
    X(trace_control, 3, "trace, cpu, how",                                                                   \
      "trace a CPU or no longer, or give its ring up; returns 1 while something is left, 0 when done")

#define EXO_CALLS(X) EXO_SWITCH_CALLS(X) EXO_PLAIN_CALLS(X)

#ifndef __ASSEMBLER__
enum exo_call {
#define EXO_CALL_ENUM(name, nargs, args, what) EXO_CALL_##name,
    EXO_SWITCH_CALLS(EXO_CALL_ENUM) EXO_NSWITCH,
    EXO_CALL_BEFORE_PLAIN = EXO_NSWITCH - 1,
    EXO_PLAIN_CALLS(EXO_CALL_ENUM) EXO_NCALLS
#undef EXO_CALL_ENUM
};
#endif

#endif
