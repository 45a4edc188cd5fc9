"""The kernel alone: a first program that makes raw calls and prints what it finds (bare/). """
import re

import bundle
from suite import job

def build():
    return bundle.first_program("bare")


def checks(report, **how):
    with report.machine(bundle=build(), **how) as m:
        m.ended()
    text = m.text()
    for before, good, what, after in re.findall(r"((?:^#.*\n)*)^(ok|not ok) - (.*)\n((?: .*\n)*)", text, re.M):
        report.check(what, good == "ok", before + after)
    for line in re.findall(r"^# .*: .*$", text, re.M):
        report.lines.append(line)
    report.check("K5 K14 all checks ran to the end", "bare: done" in text and "panic" not in text)


@job("gicv3")
def gicv3(report):
    checks(report, gic=3, cpu="cortex-a76")


@job("gicv2-el2")
def gicv2(report):
    checks(report, gic=2, el2=True, cpu="cortex-a53", memory="64M")


DEVICES = ("-device", "edu", "-device", "e1000e,romfile=", "-smp", "4")


@job("msi-its")
def msi_its(report):
    """Messages of devices by an ITS."""
    checks(report, gic=3, append="msi", more=DEVICES)


@job("msi-gicv2m")
def msi_gicv2m(report):
    """Messages of devices by a GICv2m frame."""
    checks(report, gic=2, append="msi", more=DEVICES)


@job("msi-none")
def msi_none(report):
    """A controller that takes no messages."""
    checks(report, gic="3,its=off", append="msi-none")


def on_tree(report, text, said):
    """Boots with this tree: no messages, and what the log says of it."""
    tree = text.replace("chosen {", 'chosen {\nbootargs = "msi-none";', 1)
    how = bundle.by_hand(bundle.boot_tree(tree, bundle.read(build())), bundle.read(build()))
    with report.machine(gic=3 if "gic-v3" in text else 2, **how) as m:
        m.ended()
    report.check(f"B6 {said}", "ok - a machine without messages says so" in m.text() and "bare: done" in m.text()
                 and re.search(f"^# log: .*{said}", m.text(), re.M), m.text())


@job("msi-trees")
def msi_trees(report):
    """Nodes of MSI controllers that cannot be used: the boot goes on without messages, and the log says why."""
    its, frame = bundle.machine_tree(gic=3), bundle.machine_tree(gic=2)

    def with_reg(text, old, new):
        assert re.search(old, text), old
        return re.sub(old, new, text)

    its_reg, frame_reg = r"reg = <0x00 0x8080000 [^;]*;", r"reg = <0x00 0x8020000 [^;]*;"
    on_tree(report, with_reg(its, its_reg, ""), "interrupt translation: .*no usable reg entry")
    on_tree(report, with_reg(its, its_reg, "reg = <0x00 0x8080000 0x00 0x10000>;"), "interrupt translation: .*no usable reg entry")
    on_tree(report, with_reg(frame, frame_reg, ""), "GICv2m: .*no usable reg entry")
    on_tree(report, with_reg(frame, frame_reg, "reg = <0x00 0x8020000 0x00 0x800>;"), "GICv2m: .*no usable reg entry")
    for first, n in ((16, 8), (80, 0), (80, 4096), (0xffffffff, 2), (280, 9)):
        lines = f"arm,msi-base-spi = <{first}>; arm,msi-num-spis = <{n}>; "
        on_tree(report, with_reg(frame, frame_reg, lines + r"\g<0>"), "GICv2m: it names lines")


@job("msi-few")
def msi_few(report):
    """The tree narrows the lines of a frame: it is believed."""
    text = bundle.machine_tree(gic=2).replace("chosen {", 'chosen {\nbootargs = "msi-few";', 1)
    text = re.sub(r"reg = <0x00 0x8020000 ", r"arm,msi-base-spi = <100>; arm,msi-num-spis = <3>; \g<0>", text)
    with report.machine(gic=2, **bundle.by_hand(bundle.boot_tree(text, bundle.read(build())), bundle.read(build()))) as m:
        m.ended()
    report.check("B5 the tree says which lines", "ok - lines 100 to 102 are raised by messages" in m.text(), m.text())


@job("large")
def large(report):
    """Frames of far larger blocks; see worst.c."""
    checks(report, gic=3, cpu="cortex-a76", memory="8G")


@job("stride")
def stride(report):
    """Shares of time, where the host's other work takes none of it."""
    checks(report, append="stride", more=("-icount", "shift=0,sleep=off"))


@job("max")
def cpu_max(report):
    """PAN, 16-bit ASIDs, and every extension that QEMU knows (K17)."""
    checks(report, gic=3, cpu="max,pauth-impdef=on", memory="256M")
