"""All processors start, by PSCI and from a spin table; those that cannot are told, and the others go on (C4, B5)."""
import os
import re
import subprocess

import bundle
from machine import BUNDLE
from suite import job

HERE = os.path.dirname(os.path.relpath(__file__))
CROSS = os.environ.get("CORBEL_CROSS", "aarch64-linux-gnu-")
RELEASE_AT = bundle.STUB_AT + 0x800  # in the shim's page, behind its code


class Seen:
    """What a running machine says of its processors."""

    def __init__(self, sh):
        said, _ = sh.run("exoinfo")
        self.log, _ = sh.run("exoinfo -l")
        self.count = int(re.search(r", (\d+) CPUs?,", said).group(1))
        self.kicks = {int(n): int(kicks) for n, kicks in re.findall(r"^ *(\d+) +\d+ +\d+ +(\d+) +\d+ +\d+ +\d+\.\d  ", said, re.M)}
        self.all = said + self.log

    def are(self, count):
        """So many are online, each has answered the boot CPU's interrupt, and the log says the same."""
        return (self.count == count and sorted(self.kicks) == list(range(count)) and all(self.kicks[n] for n in range(1, count))
                and re.search(rf"^{count} processors?$", self.log, re.M) is not None)


def look(report, what, count, *sentences, power=True, wait=0.0, **how):
    """That many processors, and exactly so many that stay off, as the sentences say."""
    with report.shell(**how) as sh:
        if wait:
            sh.quiet(wait)
        seen = Seen(sh)
        told = re.findall(r"^processor 0x\w+ stays off: .*$", seen.log, re.M)
        good = seen.are(count) and len(told) == len(sentences) and all(re.search(s, t) for s, t in zip(sentences, told))
        good &= sh.run("echo works | cat") == ("works\n", 0)
        if power:
            sh.send("exit 3\n")
            sh.expect(r"^corbel: power off, status 3\n")
            good &= sh.ended() == 0
        report.check(what, good, seen.all + report.transcript())


def smp(count):
    return ("-smp", str(count))


# ---- PSCI ----------------------------------------------------------------------------------

def shapes(report, gic):
    for cpu in ("cortex-a53", "max"):
        for count in (1, 2, 4, 8):
            look(report, f"C4 {count} processors, {cpu}, EL2", count, gic=gic, el2=True, cpu=cpu, more=smp(count))
    look(report, "C4 4 processors, EL1", 4, gic=gic, more=smp(4))


@job("gicv2")
def gicv2(report):
    shapes(report, 2)


@job("gicv3")
def gicv3(report):
    shapes(report, 3)


# ---- trees ---------------------------------------------------------------------------------

def cpu_node(source, number, change):
    """The tree's source, with the text of one processor's node changed."""
    changed, n = re.subn(rf"cpu@{number} \{{[^}}]*\}};", lambda m: change(m.group(0)), source)
    assert n == 1, f"cpu@{number} is {n} times in the tree"
    return changed


def add(line):
    return lambda node: node.replace("{", "{\n" + line, 1)


def method(name):
    return lambda node: node.replace('enable-method = "psci";', name)


def reg(value):
    return lambda node: re.sub(r"\breg = <[^>]*>;", value, node)


def started(source, count, stub=None, **how):
    """A machine whose boot loader hands over this tree."""
    started_by = bundle.by_hand(bundle.boot_tree(source, data()), data(), stub)
    return {**started_by, **how, "more": (*started_by["more"], *smp(count))}


def data():
    return bundle.read(BUNDLE)


@job("trees")
def trees(report):
    source = bundle.machine_tree(cpus=4)

    def case(what, count, text, *sentences, **more):
        look(report, what, count, *sentences, **started(text, 4), **more)

    case("C4 the tree as it is", 4, source)
    case("B6 no PSCI node: one processor", 1, bundle.without_node(source, "psci"), *["no PSCI node"] * 3, power=False)
    case("B6 an affinity that no processor has", 3, cpu_node(source, 2, reg("reg = <0x7f>;")),
         r"0x7f stays off: (PSCI CPU_ON answers INVALID_PARAMETERS|no redistributor)")
    case("B6 a reg that is no affinity", 3, cpu_node(source, 2, reg("reg = <0x82000002>;")), "0x82000002 stays off: its reg is no affinity")
    case("B6 a node without reg", 3, cpu_node(source, 2, reg("")), "its reg is no affinity")
    case("B6 two nodes with one affinity", 3, cpu_node(source, 2, reg("reg = <0x1>;")), "0x1 stays off: .*another processor's")
    case("B6 the boot processor described twice", 3, cpu_node(source, 2, reg("reg = <0x0>;")), "0x0 stays off: .*another processor's")
    case("B6 no enable-method", 3, cpu_node(source, 1, method("")), "0x1 stays off: the tree has no enable-method")
    case("B6 an unknown enable-method", 3, cpu_node(source, 3, method('enable-method = "smoke-signal";')),
         "0x3 stays off: its enable-method is neither")
    case("B5 an enable-method that stands in /cpus", 4,
         cpu_node(source, 1, method("")).replace("cpus {", 'cpus {\nenable-method = "psci";', 1))
    case("B5 a processor that the tree disables", 3, cpu_node(source, 1, add('status = "disabled";')))
    case("B6 no processors", 1, re.sub(r"cpu@", "other@", re.sub(r'device_type = "cpu";', "", source)))


@job("trees-gicv2")
def trees_gicv2(report):
    source = bundle.machine_tree(gic=2, cpus=4)
    look(report, "B6 an affinity that no processor has", 3, "0x7f stays off: PSCI CPU_ON answers INVALID_PARAMETERS",
         **started(cpu_node(source, 2, reg("reg = <0x7f>;")), 4, gic=2))


@job("many")
def many(report):
    source = bundle.machine_tree(cpus=20)
    with report.shell(**started(source, 20)) as sh:
        seen = Seen(sh)
        report.check("C4 of 20 processors 16 are used", seen.are(16) and "the device tree has 20 processors; no more than 16" in seen.log,
                     seen.all)
    for number in range(1, 17):
        source = cpu_node(source, number, add('status = "disabled";'))
    look(report, "C4 affinities of more than one level", 4, **started(source, 20))


@job("redistributors")
def redistributors(report):
    """Two regions, as machines with many processors have them."""
    source = bundle.machine_tree(cpus=4)
    split, n = re.subn(r"#redistributor-regions = <0x01>;", "#redistributor-regions = <2>;", source)
    split, m = re.subn(r"(intc@.*?\breg = <0x00 0x8000000 0x00 0x10000) 0x00 0x80a0000 0x00 0xf60000", r"\1 0 0x80a0000 0 0x40000 0 0x80e0000 0 0xf20000",
                       split, flags=re.S)
    assert n == m == 1, "QEMU's tree looks different"
    look(report, "B5 two regions of redistributors", 4, **started(split, 4))
    cut = source.replace("0x80a0000 0x00 0xf60000", "0x80a0000 0x00 0x60000", 1)
    look(report, "B6 a processor without a redistributor", 3, "0x3 stays off: no redistributor", **started(cut, 4))


# ---- spin tables ---------------------------------------------------------------------------

def shim(count, el2, stride=8, delayed=0):
    """The firmware of shim/, as bytes."""
    program = bundle.write("shim", b"")
    defines = {"CPUS": count, "CONDUIT": "smc" if el2 else "hvc", "KERNEL_AT": bundle.KERNEL_AT, "TREE_AT": bundle.TREE_AT,
               "RELEASE_AT": RELEASE_AT, "RELEASE_STRIDE": stride, "DELAYED": delayed}
    subprocess.run([CROSS + "gcc", "-nostdlib", "-static", "-Wl,--build-id=none", f"-Wl,-Ttext={bundle.STUB_AT:#x}", "-o", program,
                    *[f"-D{k}={v}" for k, v in defines.items()], HERE + "/shim/spin.S"], check=True, capture_output=True)
    subprocess.run([CROSS + "objcopy", "-O", "binary", program], check=True)
    return bundle.read(program)


def spin_tree(count, gic=3, el2=False, stride=8, reserved=True):
    source = bundle.machine_tree(gic=gic, el2=el2, cpus=count)
    for number in range(1, count):
        release = RELEASE_AT + number * stride
        source = cpu_node(source, number, method(f'enable-method = "spin-table"; cpu-release-addr = <0 {release:#x}>;'))
    reserve = f"\n/memreserve/ {bundle.STUB_AT:#x} 0x1000;" if reserved else ""
    return source.replace("/dts-v1/;", "/dts-v1/;" + reserve, 1)


@job("spin-table")
def spin_table(report):
    for gic, el2 in ((2, False), (3, False), (3, True)):
        look(report, f"C4 4 processors from a spin table, GICv{gic}, EL{1 + el2}", 4,
             **started(spin_tree(4, gic, el2), 4, shim(4, el2), gic=gic, el2=el2))
    look(report, "C4 one release address for all", 4, **started(spin_tree(4, stride=0), 4, shim(4, False, stride=0)))


@job("spin-table-bad")
def spin_table_bad(report):
    look(report, "B6 release addresses in memory that is not reserved", 1, *["does not reserve"] * 3,
         **started(spin_tree(4, reserved=False), 4, shim(4, False)))
    source = spin_tree(4)
    look(report, "B6 no release address, and an odd one", 2, "0x1 stays off: .*cpu-release-addr", "0x3 stays off: .*cpu-release-addr",
         **started(cpu_node(cpu_node(source, 1, lambda n: re.sub(r"cpu-release-addr = <[^>]*>;", "", n)), 3,
                            lambda n: re.sub(r"cpu-release-addr = <[^>]*>;", f"cpu-release-addr = <0 {RELEASE_AT + 4:#x}>;", n)),
                   4, shim(4, False)))
    look(report, "B6 nobody at the release address", 3, "0x3 stays off: it was started, and did not arrive",
         **started(source, 4, shim(3, False)))


@job("late")
def late(report):
    """A processor that comes after it was given up: its number is another's by then, and it does nothing."""
    look(report, "C4 a processor that arrives too late parks", 3, "0x1 stays off: it was started, and did not arrive", wait=4,
         **started(spin_tree(4), 4, shim(4, False, delayed=1)))
