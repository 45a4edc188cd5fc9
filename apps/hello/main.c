/* hello: a first program. It is ordinary C: nothing in it is Corbel's own but the words. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    printf("Hello from %s, process %d", argv[0], (int)getpid());
    for (int i = 1; i < argc; i++)
        printf("%s%s", i == 1 ? ". You said: " : " ", argv[i]);
    printf(".\n");
    return 0;
}
