"""Devices that reach memory: a virtio entropy device behind an SMMUv3, and without one (K18, K3)."""
import re

import bundle
from machine import TEST_BUNDLE
from suite import job
from suite_shell import warm

# So slow that there are always orders that it has not done.
SLOW = "disable-legacy=on,max-bytes=512,period=100"
BEHIND = dict(bundle=TEST_BUNDLE, iommu=True, more=["-device", "virtio-rng-pci,iommu_platform=on," + SLOW])
DIRECT = dict(bundle=TEST_BUNDLE, more=["-device", "virtio-rng-pci," + SLOW])


def checks(report, sh, command):
    said, status = sh.run(command)
    for good, what in re.findall(r"^(ok|not ok) - (.*)$", said, re.M):
        report.check(what, good == "ok", said)
    report.check(f"{command}: all of it", status == 0, f"status {status}\n{said}")


def log(sh):
    return sh.run("exoinfo -l")[0]


@job("smmu")
def smmu(report):
    with report.shell(**BEHIND) as sh:
        before = warm(sh, "dma")
        report.check("the log says which IOMMU is used", "iommu: SMMUv3" in log(sh), log(sh))
        checks(report, sh, "dma")
        report.equal("K3 free frames are as before", sh.free_again(before), before)
        report.check("K18 the log tells what was blocked", re.search(r"iommu: stream \d+ was kept from a write of 0x5000[01]", log(sh)), log(sh))


@job("end")
def end(report):
    """Killed in the midst of transfers."""
    with report.shell(**BEHIND) as sh:
        before = warm(sh, "dma end")
        for _ in range(3):
            checks(report, sh, "dma end")
            report.equal("K18 K3 free frames are as before", sh.free_again(before), before)
        # Nobody asked: the IOMMU's interrupt told.
        report.check("K18 the log tells what the device tried then", "which is nobody's, was kept from" in log(sh), log(sh))


@job("gicv2")
def gicv2(report):
    with report.shell(gic=2, el2=True, cpu="cortex-a53", **BEHIND) as sh:
        checks(report, sh, "dma")


@job("trees")
def trees(report):
    """What a device tree may say of an IOMMU (B6)."""
    source = bundle.machine_tree(more=",iommu=smmuv3")
    programs = bundle.read(TEST_BUNDLE)

    def smmu_node(old, new):
        return re.sub(r"smmuv3@[^}]*\}", lambda node: re.sub(old, new, node.group(0)), source, count=1)

    def boots(what, text, says, *commands):
        how = bundle.by_hand(bundle.boot_tree(text, programs), programs)
        how["more"] += BEHIND["more"]
        with report.shell(iommu=True, **how) as sh:
            said = log(sh)
            report.check(f"B6 an IOMMU {what}: the log says so", says in said, said)
            for command in commands:
                checks(report, sh, command)

    boots("without interrupts", smmu_node(r"\binterrupts = <[^>]*>;", ""), "iommu: SMMUv3", "dma")
    boots("that is disabled", smmu_node(r"reg = ", 'status = "disabled"; reg = '), "iommu: none", "dma refused", "dmatrusted")
    boots("without registers", smmu_node(r"reg = <[^>]*>;", ""), "does not give, not used", "dma refused", "dmatrusted")
    boots("with few registers", smmu_node(r"0x20000>", "0x1000>"), "does not give, not used", "dma refused", "dmatrusted")
    boots("that no device stands behind", re.sub(r"iommu-map = <[^>]*>;", "", source), "iommu: SMMUv3", "dma refused")


@job("none")
def none(report):
    with report.shell(**DIRECT) as sh:
        before = warm(sh, "dmatrusted")
        report.check("the log says that there is no IOMMU", "iommu: none" in log(sh), log(sh))
        checks(report, sh, "dma refused")
        checks(report, sh, "dmatrusted")
        report.equal("K3 free frames are as before", sh.free_again(before), before)
