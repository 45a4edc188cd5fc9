"""Threads on several vcpus: tests/apps/threads, alone and with somebody else on the CPU."""
import re

from machine import TEST_BUNDLE
from suite import job
from suite_core import line


def verdicts(report, said, status, what):
    found = re.findall(r"^(ok|not ok) - (.*?)\r?$", said, re.M)
    for good, name in found:
        report.check(f"{name} ({what})", good == "ok", said)
    report.check(f"threads: {what}: all ran", len(found) > 25 and status == 0, f"status {status}\n{said}")


@job("vcpus")
def vcpus(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        for n in (1, 2, 4, 8):
            verdicts(report, *line(m, f"threads {n}"), f"{n} vcpus")


@job("crowd")
def crowd(report):
    """Another process takes the CPU at every slot's end, in the midst of whatever goes on."""
    with report.shell(bundle=TEST_BUNDLE) as sh:
        said, _ = sh.run("spin & threads 3 120 >/tmp/said; echo ended with $?; kill -9 $!; wait; cat /tmp/said")
        verdicts(report, said, 0 if "ended with 0\n" in said else 1, "3 vcpus in a crowd")


@job("ends")
def ends(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        said, status = line(m, "threads 4 exit")
        report.equal("K29 exit while other vcpus run", status, 7)
        said, status = line(m, "threads 4 fault")
        report.check("K30 a fault among other vcpus ends with a report",
                     status == 139 and re.search(r"\(threads\): page fault: write of 0x8 ", said), f"{status}\n{said}")
        for i in range(5):
            m.send("threads 4 forever &\n")
            m.expect(r"going on")
            said, status = line(m, "kill -9 $!; wait $!")
            report.equal(f"K29 killed in the midst, {i}", status, 137)
        report.check("K29 the shell lives on", "alive" in line(m, "echo alive")[0])
