# QEMU's `virt` machine. Interrupt controller, memory and devices are what the device tree says;
# GIC=2, EL2=on and IOMMU=on choose other shapes of the machine.
ARCH    := aarch64
DEBARCH := arm64
GIC     ?= 3
EL2     ?= off
IOMMU   ?= off
CPU     ?= cortex-a76

comma        := ,
QEMU         := qemu-system-aarch64
QEMU_MACHINE := virt,gic-version=$(GIC),virtualization=$(EL2)$(if $(filter on,$(IOMMU)),$(comma)iommu=smmuv3)
QEMU_CPU     := $(CPU)
