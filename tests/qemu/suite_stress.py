"""The kernel pressed from all processors at once (stress/), with every lock's order and owner checked (K1, K6, K13, K28, K29).

    STRESS_SECONDS=600 STRESS_SEED=7 tests/qemu/run stress

makes each job that long. QEMU's processors are threads that the host runs in turn or at once ("turns", "threads"): in turn
they get through a hundred times as much, at once they meet anywhere.
"""
import glob
import os
import re
import subprocess

import bundle
from machine import OUT
from suite import job
from suite_bare import CROSS, FLAGS

HERE = os.path.dirname(os.path.relpath(__file__))
CHECKED = OUT + "/checked/Image"
SECONDS = int(os.environ.get("STRESS_SECONDS", "5"))
SEED = int(os.environ.get("STRESS_SEED", "1"))


def build():
    """The bundle with stress/ as its first program; built once a run."""
    if not hasattr(build, "path"):
        program = bundle.write("stress", b"")
        command = [CROSS + "gcc", *FLAGS.split(), "-Iinclude", "-isystem", OUT + "/newlib/include", "-isystem",
                   OUT + "/libfdt/include", f"-Wl,-T,{HERE}/bare/bare.ld", "-o", program]
        command += sorted(glob.glob(HERE + "/stress/*.[cS]")) + ["libos/arch/aarch64/calls.c"]
        command += [OUT + "/libfdt/lib/libfdt.a", OUT + "/newlib/lib/libc.a", "-lgcc"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError("stress does not compile\n" + done.stderr[:3000])
        build.path = bundle.write("stress.cpio", bundle.archive({"bin/init": bundle.read(program)}))
    return build.path


def press(report, cpus, gic, thread, cpu="cortex-a76"):
    more = ("-smp", str(cpus), "-accel", f"tcg,thread={thread}")
    # Not metered: how long a lock is waited for is the host's doing, whose processors are fewer.
    with report.machine(bundle=build(), kernel=CHECKED, gic=gic, cpu=cpu, more=more, metered=False,
                        append=f"seconds={SECONDS} seed={SEED}") as m:
        m.ended(SECONDS + 240)
    done = re.search(r"^ok - (stress: CPUs (\d+), rounds (\d+), .*)$", m.text(), re.M)
    report.check("K1 K13 K28 K29 " + (done.group(1) if done else "stress"), bool(done) and int(done.group(2)) == cpus)


@job("turns-8")
def turns_8(report):
    press(report, 8, 3, "single")


@job("turns-4-gicv2")
def turns_4(report):
    press(report, 4, 2, "single", "max,pauth-impdef=on")


@job("threads-2")
def threads_2(report):
    press(report, 2, 3, "multi")


@job("threads-8-gicv2")
def threads_8(report):
    press(report, 8, 2, "multi", "cortex-a53")
