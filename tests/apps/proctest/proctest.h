#ifndef PROCTEST_H
#define PROCTEST_H

/* Sends n random messages to init, the file server and the console server.  Returns the exit status. */
int hostile(unsigned long n, unsigned long seed);

#endif
