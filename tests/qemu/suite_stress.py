"""The kernel pressed from all processors at once (stress/), with every lock's order and owner checked and the invariants
audited meanwhile (K1, K3, K6, K8, K13, K18, K21, K27, K28, K29). `make soak` runs it for long.

    STRESS_SECONDS=600 STRESS_SEED=7 tests/qemu/run stress

makes each job that long. QEMU's processors are threads that the host runs in turn or at once ("turns", "threads"): in turn
they get through a hundred times as much, at once they meet anywhere.
"""
import os
import re

import bundle
from machine import OUT
from suite import job

AUDITED = OUT + "/audited/Image"
SECONDS = int(os.environ.get("STRESS_SECONDS", "5"))
SEED = int(os.environ.get("STRESS_SEED", "1"))
DONE = r"^ok - (stress: CPUs (\d+), .*\n#   ended: .*\n#   (killed while: .*))$"
# What everybody is killed at sooner or later; large pages and messages need some luck in a short run.
PHASES = "waiting calling called mapping faulting switching reclaiming parenting line tracing".split()


def how(cpus, gic, thread, seconds, seed, cpu="cortex-a76", iommu=False, devices=("-device", "edu")):
    """How a Machine starts: not metered, since how long a lock is waited for is the host's doing, whose processors are fewer."""
    more = ("-smp", str(cpus), "-accel", f"tcg,thread={thread}", *devices)
    return dict(bundle=bundle.first_program("stress"), kernel=AUDITED, gic=gic, cpu=cpu, memory="64M", iommu=iommu, more=more,
                metered=False, append=f"seconds={seconds} seed={seed}")


def press(report, cpus, gic, thread, seconds=SECONDS, **more):
    with report.machine(**how(cpus, gic, thread, seconds, SEED, **more)) as m:
        m.ended(seconds + 240)
    judge(report, m.text(), cpus, thread)


def judge(report, text, cpus, thread):
    done = re.search(DONE, text, re.M)
    report.check("K1 K13 K28 K29 " + (done.group(1) if done else "stress"), bool(done) and int(done.group(2)) == cpus)
    if thread == "multi":  # how far that comes is the host's doing
        return
    missing = [p for p in PHASES if not done or not re.search(rf"\b{p} [1-9]", done.group(3))]
    report.check("K29 somebody was killed in each phase", not missing, f"not in: {missing}\n{text}")
    lines = re.search(r"of the line (\d+)", done.group(1)) if done else None
    report.check("K18 a line interrupted all the time, whoever was killed with it", lines and int(lines.group(1)) > 50, text)


@job("turns-8")
def turns_8(report):
    press(report, 8, 3, "single")


@job("turns-4-gicv2")
def turns_4(report):
    press(report, 4, 2, "single", cpu="max,pauth-impdef=on")


@job("turns-4-iommu")
def turns_4_iommu(report):
    press(report, 4, 3, "single", seconds=max(SECONDS, 10), iommu=True)


@job("threads-2")
def threads_2(report):
    press(report, 2, 3, "multi")


@job("threads-8-gicv2")
def threads_8(report):
    press(report, 8, 2, "multi", cpu="cortex-a53")


@job("planted")
def planted(report):
    """That the audits see something: one reference too many."""
    wrong = how(2, 3, "single", 5, SEED)
    with report.machine(**{**wrong, "append": "planted"}) as m:
        m.ended(60)
    report.check("K8 K21 an audit on the machine finds a reference that nobody has",
                 re.search(r"corbel: kernel panic: audit: frame \d+ of kind 2: \d+ bindings, counted as \d+", m.text()))
