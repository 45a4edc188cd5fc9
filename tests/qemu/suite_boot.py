"""Machines of every shape boot to a shell, do a little work, and power off (B1, B2, B5)."""
import os
import subprocess

from machine import BUNDLE, KERNEL
from suite import job


def works(report, what, cpus=1, **how):
    more = ("-smp", str(cpus)) if cpus > 1 else ()
    with report.shell(more=more, **how) as sh:
        good = sh.run("echo 'it  works'") == ("it  works\n", 0)
        names, status = sh.run("ls /bin")
        good &= status == 0 and {"cat", "init", "ls", "sh"} <= set(names.split())
        info, status = sh.run("exoinfo")
        good &= status == 0 and "free" in info and "kernel" in info
        sh.send("exit 7\n")
        sh.expect(r"^corbel: power off, status 7\n")
        report.check(what, good and sh.ended() == 0)


@job("gicv2")
def gicv2(report):
    works(report, "B1 B5 GICv2, EL1, 64 MiB, Cortex-A53", gic=2, cpu="cortex-a53", memory="64M")
    works(report, "B2 GICv2, EL2, 4 GiB, Cortex-A72", gic=2, el2=True, cpu="cortex-a72", memory="4G")


@job("gicv3")
def gicv3(report):
    works(report, "B2 GICv3, EL2, 64 MiB, Cortex-A72", gic=3, el2=True, cpu="cortex-a72", memory="64M")
    works(report, "B1 B5 GICv3, EL1, 4 GiB, Cortex-A76", gic=3, cpu="cortex-a76", memory="4G")


@job("newest-cpu")
def newest(report):
    works(report, "K17 GICv3, EL1, every feature that QEMU knows", cpu="max,pauth-impdef=on")
    works(report, "B2 K17 GICv3, EL2, every feature that QEMU knows", cpu="max,pauth-impdef=on", el2=True)


@job("odd")
def odd(report):
    """Memory of no round size; processors that are idle."""
    works(report, "B1 97 MiB", memory="97M")
    works(report, "C4 four processors, of which one has work so far", cpus=4)


LINES = (("echo 'a  b' \"c\"; echo d", "a  b c\nd\n", 0), ("true", "", 0), ("false", "", 1), ("exit 42", "", 42),
         ("echo no newline | cat; exit 3", "no newline\n", 3), ("cat /nosuch", "cat: /nosuch: No such file or directory\n", 1),
         ("nosuch", "sh: nosuch: command not found\n", 127), ("sh -c 'kill -9 $$'", None, 137))


def line_status(command, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, env={**env, "TIMEOUT": "100", **more}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return done.stdout, done.returncode


@job("run-lines")
def run_lines(report):
    """A line's output, exactly, and its status (P1)."""
    for line, output, status in LINES:
        said, got = line_status(["boards/tools/run", "--line", line], KERNEL=KERNEL, BUNDLE=BUNDLE)
        report.equal(f"P1 {line}", (said if output is not None else None, got), (output, status))
    common = ["make", "run", "SETUP=check", "TIMEOUT=100", "BUNDLE=" + BUNDLE]
    report.equal("P1 make run CMD", line_status(common + ["CMD=echo hi; exit 5"]), ("hi\n", 5))
    report.equal("B1 make run takes the machine's shape",
                 line_status(common + ["CMD=uname", "GIC=2", "EL2=on", "MEM=64M", "SMP=2", "CPU=cortex-a53"]), ("Corbel\n", 0))
