/* What first programs of raw calls share (bare/, stress/): the console, time, the machine's description. */
#ifndef FIRST_H
#define FIRST_H

#include "os/exo.h"

#define UART_VA 0x3000000000ull
#define RW ((uint64_t)EXO_PROT_READ | EXO_PROT_WRITE)

extern const struct exo_system *machine;
extern uint64_t uart_at; /* physical */
extern volatile uint32_t *uart;

/* Finds the machine and the UART, and binds its registers; where there is none, the machine stops. */
void first_begin(void);
/* The first address of a node's registers, and an interrupt line of its own; 0: there is none. */
uint64_t tree_reg(const char *compatible);
uint32_t tree_line(const char *compatible);
/* The kernel's command line. */
const char *tree_words(void);

void put(char c);
void print(const char *text);
void print_hex(uint64_t n);
void print_number(uint64_t n);

struct exo_vcpu_page *my_page(void);
uint64_t now(void);
uint64_t after_ms(uint64_t ms);

#endif
