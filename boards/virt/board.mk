# QEMU's `virt` machine. Interrupt controller, memory and devices are what the device tree says;
# GIC=2 and EL2=on choose other shapes of the machine.
ARCH    := aarch64
DEBARCH := arm64
GIC     ?= 3
EL2     ?= off
CPU     ?= cortex-a76

QEMU         := qemu-system-aarch64
QEMU_MACHINE := virt,gic-version=$(GIC),virtualization=$(EL2)
QEMU_CPU     := $(CPU)
