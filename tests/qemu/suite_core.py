"""The run time in a real process: tests/apps/core, its own verdicts and its bad ends."""
import re

from machine import TEST_BUNDLE
from suite import job

# how: what the report says, and the exit status
ENDS = {
    "overflow": (r"\(core\): (page fault|out of memory): write of 0x6f", 139),
    "thread": (r"\(core\): page fault: write of 0x", 139),
    "null": (r"\(core\): page fault: write of 0x0 at pc 0x", 139),
    "call-null": (r"\(core\): page fault: execution of 0x0 at pc 0x0", 139),
    "memory": (r"\(core\): out of memory: write of 0x", 139),
    "data": (r"\(core\): page fault: execution of 0x", 139),
    "trap": (r"\(core\): breakpoint at pc 0x", 133),
    "kernel": (r"\(core\): page fault: write of 0xffff", 139),
    "abort": ("", 134),
    "no-stack": ("", None),
    "no-entry": ("", None),
    "masked": ("", None),
}


def line(m, text):
    """Runs a line in the shell: its output and status."""
    m.send(text + "; echo status=$?=\n")
    m.expect(r"status=\$\?=\n")
    said = m.expect(r"(.*?)status=(\d+)=\n")
    return said.group(1).decode(errors="replace"), int(said.group(2))


@job("self-test")
def self_test(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        said, status = line(m, "core")
        for good, what in re.findall(r"^(ok|not ok) - (.*)$", said, re.M):
            report.check(what, good == "ok")
        report.equal("core's status", status, 0)


@job("bad-ends")
def bad_ends(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        for how, (words, wanted) in ENDS.items():
            said, status = line(m, "core " + how)
            good = re.search(words, said) and (status == wanted if wanted else status > 128)
            report.check(f"K30 core {how} ends with a report", good, f"status {status}\n{said}")
        said, status = line(m, "echo alive")
        report.check("the shell lives on", "alive" in said and status == 0, said)
