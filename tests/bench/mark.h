/* Marks in a bench's code for the plugin that counts instructions (tests/plugin/profile.c): instructions without effect,
 * which the plugin knows by their encoding.  What runs between BENCH_BEGIN and BENCH_END, in any program and in the kernel,
 * belongs to the row whose BENCH_ROW comes next.  They stand outside of what a row measures. */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define BENCH_BEGIN() __asm__ volatile("movz xzr, #0xbe01" : : : "memory")
#define BENCH_END() __asm__ volatile("movz xzr, #0xbe02" : : : "memory")
#define BENCH_ROW() __asm__ volatile("movz xzr, #0xbe03" : : : "memory")

#endif
