/* spin [masked | deaf]: never ends, never waits; masked: with upcalls off; deaf: it ignores every signal. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "os/exo.h"

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    puts("spin: on and on");
    fflush(stdout);
    if (strcmp(how, "masked") == 0)
        os_vcpu()->upcall_masked = 1;
    for (int sig = 1; strcmp(how, "deaf") == 0 && sig < 32; sig++)
        signal(sig, SIG_IGN);
    for (;;)
        __asm__ volatile("");
}
