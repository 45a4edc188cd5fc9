/* access ADDRESS r|w|x: touches an address, and says so if it may (K5). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uintptr_t at = argc == 3 ? strtoull(argv[1], NULL, 0) : 0;

    switch (argc == 3 ? argv[2][0] : 0) {
    case 'r':
        (void)*(volatile uint64_t *)at;
        break;
    case 'w':
        *(volatile uint64_t *)at = 0;
        break;
    case 'x':
        ((void (*)(void))at)();
        break;
    default:
        fputs("usage: access ADDRESS r|w|x\n", stderr);
        return 2;
    }
    printf("access: %s of %s is allowed\n", argv[2], argv[1]);
    return 0;
}
