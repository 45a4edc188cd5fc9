"""A kernel that does wrong when it is told to (hooks/): the guard page below its stack, and what keeps it from user memory."""
import re
import subprocess

import bundle
from machine import OUT
from suite import job

KERNEL = OUT + "/exo-hooks/Image"


def program(order, cpu, address):
    flags = [f"-DHOOK_ORDER=HOOK_{order}", f"-DHOOK_CPU={cpu}"] + ([f"-DHOOK_ADDRESS={address:#x}ull"] if address else [])
    path = bundle.compile_program("hook-" + order, [f"{bundle.HERE}/hooks/program.c"], *flags)
    return bundle.write(f"hook-{order}-{cpu}.cpio", bundle.archive({"bin/init": bundle.read(path)}))


def console(report, order, on=0, address=None, **how):
    with report.machine(kernel=KERNEL, bundle=program(order, on, address), metered=False, **how) as m:
        m.ended(60)
    return m.text()


def fault(text, cpu=0):
    """Syndrome and address of the exception that the kernel stopped at."""
    said = re.search(rf"kernel panic: exception in the kernel on CPU {cpu}: esr 0x(\w+), pc 0x\w+, address 0x(\w+)", text)
    return (int(said.group(1), 16), int(said.group(2), 16)) if said else (0, 0)


def symbols(*names):
    lines = subprocess.run(["aarch64-linux-gnu-nm", KERNEL.replace("Image", "exo.elf")], capture_output=True, text=True, check=True).stdout
    return [int(re.search(rf"^(\w+) . {name}$", lines, re.M).group(1), 16) for name in names]


def turned(text):
    return f"status {0x600d}," in text and "panic" not in text


@job("stack")
def stack(report):
    for on, how in ((0, {}), (0, {"gic": 2, "el2": True, "cpu": "cortex-a53"}), (1, {"more": ("-smp", "4")}), (3, {"more": ("-smp", "4")})):
        text = console(report, "DIG", on, **how)
        report.check(f"K19 the kernel's stack overflows into its guard page, and that is said, CPU {on} {how or ''}",
                     re.search(rf"corbel: kernel panic: kernel stack overflow on CPU {on}: sp 0x\w+, pc 0x\w+", text))


@job("callers")
def callers(report):
    """Below a panic stands who called whom; those of an exception in the kernel, too, though another stack is in use."""
    for on, how in ((0, {"cpu": "cortex-a76"}), (2, {"cpu": "cortex-a76", "more": ("-smp", "4")})):
        said = re.search(r"kernel panic: .*, pc (0x\w+), .*\ncorbel: called from((?: 0x\w+)+)", console(report, "TOUCH", on, **how))
        pcs = [said.group(1), *said.group(2).split()] if said else ["0"]
        named = subprocess.run(["aarch64-linux-gnu-addr2line", "-fie", KERNEL.replace("Image", "exo.elf"), *pcs], capture_output=True, text=True,
                               check=False).stdout.split()
        report.check(f"a panic tells who called whom, CPU {on}", {"touch", "obey", "log_append"} <= set(named), f"{pcs}: {named}\n{report.transcript()}")


@job("boot-code")
def boot_code(report):
    """What only boot calls is gone when programs run: data abort, translation fault of the last level, at its first and last word."""
    start, end, text = symbols("boot_start", "boot_end", "text_start")
    report.check("there is such code", text < start < end)
    for on, address in ((0, start), (0, end - 8), (1, start)):
        syndrome, at = fault(console(report, "TOUCH", on, address, more=("-smp", "2")), on)
        report.check(f"code of boot is not mapped any more ({address:#x}, CPU {on})",
                     syndrome >> 26 == 0x25 and syndrome & 0x3f == 0x07 and at == address, f"syndrome {syndrome:x}, address {at:x}\n{report.transcript()}")


@job("pan")
def pan(report):
    """Data abort in the kernel (class 0x25), permission fault, at the user's own word."""
    for cpu, el2 in (("cortex-a76", False), ("cortex-a76", True), ("max,pauth-impdef=on", False), ("neoverse-n1", True)):
        syndrome, address = fault(console(report, "TOUCH", cpu=cpu, el2=el2))
        where = f"{cpu}, {'EL2' if el2 else 'EL1'}"
        report.check(f"K17 a user's word is out of the kernel's reach ({where})",
                     syndrome >> 26 == 0x25 and syndrome & 0x3c == 0x0c and 0x7e00400000 < address < 0x7e00500000,
                     f"syndrome {syndrome:x}, address {address:x}\n{report.transcript()}")
    report.check("K17 it is PAN that keeps it out: without, the word changes",
                 turned(console(report, "TOUCH_UNPROTECTED", cpu="cortex-a76")))
    report.check("a processor that has no PAN does not: nothing but the kernel's own care does there",
                 turned(console(report, "TOUCH", cpu="cortex-a53", gic=2)))
