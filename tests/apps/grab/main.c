/* grab: tries to get at what nobody gave it, by every handle that it might have (K5, K18). */
#include <stdio.h>

#include "os/exo.h"
#include "os/start.h"

#define SPARE 0x5000000000ull
#define HANDLES 512u

static unsigned got;

static void try(const char *what, uint64_t handle, int64_t rc)
{
    if (rc < 0)
        return;
    printf("grab: %s by handle %u: %d\n", what, (unsigned)handle, (int)rc);
    got++;
}

static void by_handle(uint64_t h)
{
    try("the machine's end", h, exo_machine_stop(h, EXO_STOP_OFF));
    try("the UART", h, exo_mmio_map(h, EXO_SELF_SPACE, SPARE, 0x09000000, 1, EXO_PROT_READ));
    try("the interrupt controller", h, exo_mmio_map(h, EXO_SELF_SPACE, SPARE, 0x08000000, 1, EXO_PROT_READ));
    try("memory as a device", h, exo_mmio_map(h, EXO_SELF_SPACE, SPARE, 0x40200000, 1, EXO_PROT_READ));
    try("the UART's interrupt", h, exo_irq_bind(h, 33, OS_HANDLE_VCPU, 40));
    try("a device's messages", h, exo_msi_bind(h, 8192, h, 8, 0, OS_HANDLE_VCPU, 40));
    try("somebody's acknowledgement", h, exo_irq_ack(h, 33));
    try("a slice", h, exo_slice_bind(h, 0, OS_HANDLE_VCPU));
    try("a device's stream", h, exo_dma_open(h, 8));
    try("a stream that nothing checks", h, exo_dma_open(h, EXO_DMA_DIRECT));
    try("a place in a domain", h, exo_dma_bind(h, 0, EXO_SELF_SPACE, 0x400000, 1, EXO_PROT_READ));
    try("the frame table", h, exo_info_map(h, EXO_INFO_FRAMES, 0, EXO_SELF_SPACE, SPARE));
    if (h == EXO_SELF_SPACE)
        return;
    try("another's memory", h, exo_page_map(EXO_SELF_SPACE, SPARE, h, 0x400000, 1, EXO_PROT_READ));
    try("a place in another's memory", h, exo_page_map(h, SPARE, EXO_SELF_SPACE, 0x400000, 1, EXO_PROT_READ));
    try("another's pages", h, exo_page_unmap(h, 0x400000, 1, 0));
    if (h == EXO_SELF_ENV)
        return;
    try("another's end", h, exo_env_stop(h));
    try("another's state", h, exo_env_status(h, EXO_ENV_STATE));
    try("a capability in another's table", h, exo_cap_grant(h, EXO_SELF_SPACE, 1, 0, 0));
}

int main(void)
{
    for (uint64_t h = 0; h < HANDLES; h++)
        by_handle(h);
    for (uint64_t generation = 1; generation < 4; generation++)
        for (uint64_t h = 1; h < 32; h++)
            by_handle(generation << EXO_HANDLE_INDEX_BITS | h);
    /* Tokens that nobody gave it. */
    for (uint64_t frame = os_system()->first_frame; frame < os_system()->first_frame + os_system()->nframes;
         frame += 7)
        for (uint64_t serial = 1; serial < 3; serial++)
            try("somebody's call", frame,
                exo_reply_wait(serial << 32 | frame, &(struct exo_words){.w = {1}}, 0));
    printf("grab: got %u\n", got);
    return got != 0;
}
