"""Processes and services in the whole system: tests/apps/proctest, and hostile clients."""
import re

from machine import SMP, TEST_BUNDLE
from suite import job
from suite_core import line


@job("self-test")
def self_test(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        said, status = line(m, "proctest")
        for good, what in re.findall(r"^(ok|not ok) - (.*?)\r*$", said, re.M):
            report.check(what, good == "ok")
        report.equal("proctest's status", status, 0)
        report.check("init says who may not reach what",
                     'init: proctest may not reach "secret": its manifest entry does not list it' in said, said)
        report.check("init says what is too large", "init: /bin/huge cannot be started: its memory limit" in said, said)


def virtual_processors(sh):
    """A line for each, behind two of headings."""
    return len(re.findall(r"^ *\d+ ", sh.run("exoinfo -v")[0], re.M))


@job("hostile-clients")
def hostile_clients(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        sh.run("proctest hostile 5000 1")
        before, vcpus = sh.free(), virtual_processors(sh)
        for seed in (2, 3, 4):
            sh.run(f"proctest hostile 5000 {seed}")
        said, status = sh.run("ls /bin | cat; ps")
        report.check("F6 K14 the servers live on", status == 0 and all(w in said for w in ("consoled", "fsd", "sh")), said)
        after, more = sh.free_again(before), virtual_processors(sh) - vcpus
        report.check("nothing is kept, but for virtual processors that servers took, one for each further CPU at most",
                     before - after <= 16 + 16 * more and more <= 3 * (int(SMP) - 1), f"before {before}, after {after} frames, {more} more vcpus")
