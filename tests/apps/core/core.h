/* Ways to end badly, by name: does what `how` says and does not return, or answers 2 for a name it does not know. */
#ifndef CORE_H
#define CORE_H

int fatal(const char *how);

#endif
