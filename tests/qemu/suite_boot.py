"""Machines of every shape boot to a shell, do a little work, and power off (B1, B2, B5)."""
import os
import subprocess

from machine import BUNDLE
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
    """Memory of no round size; processors that stay asleep."""
    works(report, "B1 97 MiB", memory="97M")
    works(report, "C4 four processors, of which one is used so far", cpus=4)


def make_run(line, *settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", "run", "CMD=" + line.replace("$", "$$"), "SETUP=check", "TIMEOUT=100", "BUNDLE=" + BUNDLE, *settings],
                          env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@job("make-run")
def run_lines(report):
    """`make run CMD=...`: exactly the line's output, and its status."""
    for line, output, status in (("echo hi", "hi\n", 0), ("echo 'a  b' \"c\"; echo d", "a  b c\nd\n", 0), ("true", "", 0), ("false", "", 1),
                                 ("exit 42", "", 42), ("echo no newline | cat; exit 3", "no newline\n", 3),
                                 ("cat /nosuch", "cat: /nosuch: No such file or directory\n", 1), ("nosuch", "sh: nosuch: command not found\n", 127)):
        done = make_run(line)
        report.equal(f"P1 CMD='{line}'", (done.stdout, done.returncode), (output, status))
    done = make_run("uname", "GIC=2", "EL2=on", "MEM=64M", "SMP=2", "CPU=cortex-a53")
    report.equal("B1 make run takes the machine's shape", (done.stdout, done.returncode), ("Corbel\n", 0))
