# What gdb needs to know before it attaches to a Corbel in QEMU. `make debug` reads it.
set confirm off
set pagination off
set architecture aarch64
set print pretty on
set disassemble-next-line auto
