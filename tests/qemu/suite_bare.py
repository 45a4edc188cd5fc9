"""The kernel alone: a first program that makes raw calls and prints what it finds (bare/). Builds it, too."""
import glob
import os
import re
import subprocess

import bundle
from machine import OUT
from suite import job

HERE = os.path.dirname(os.path.relpath(__file__))
CROSS = os.environ.get("CORBEL_CROSS", "aarch64-linux-gnu-")
FLAGS = ("-std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -mgeneral-regs-only -march=armv8-a -mno-outline-atomics "
         "-fno-pic -fno-pie -fno-stack-protector -fno-optimize-sibling-calls -U__linux__ -static -nostdlib -no-pie "
         "-Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,separate-code -Wl,--no-warn-rwx-segments")


def build():
    """The bundle with bare/ as its first program; built once a run."""
    if not hasattr(build, "path"):
        program = bundle.write("bare", b"")
        command = [CROSS + "gcc", *FLAGS.split(), "-Iinclude", "-isystem", OUT + "/newlib/include", "-isystem",
                   OUT + "/libfdt/include", f"-Wl,-T,{HERE}/bare/bare.ld", "-o", program]
        command += sorted(glob.glob(HERE + "/bare/*.[cS]")) + ["libos/arch/aarch64/calls.c"]
        command += [OUT + "/libfdt/lib/libfdt.a", OUT + "/newlib/lib/libc.a", "-lgcc"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError("bare does not compile\n" + done.stderr[:3000])
        build.path = bundle.write("bare.cpio", bundle.archive({"bin/init": bundle.read(program)}))
    return build.path


def checks(report, **how):
    with report.machine(bundle=build(), **how) as m:
        m.ended(60)
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


@job("max")
def cpu_max(report):
    """PAN, 16-bit ASIDs, and every extension that QEMU knows (K17)."""
    checks(report, gic=3, cpu="max,pauth-impdef=on", memory="256M")
