"""Processes and services in the whole system: tests/apps/proctest, and hostile clients."""
import re

from machine import TEST_BUNDLE
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


def free_kib(m):
    said, _ = line(m, "free")
    return int(re.findall(r"^\s*\d+\s+\d+\s+(\d+)", said, re.M)[0])


@job("hostile-clients")
def hostile_clients(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        line(m, "proctest hostile 100 1")
        before = free_kib(m)
        for seed in (2, 3, 4):
            line(m, f"proctest hostile 5000 {seed}")
        said, status = line(m, "ls /bin | cat; ps")
        report.check("F6 K14 the servers live on", status == 0 and all(w in said for w in ("consoled", "fsd", "sh")), said)
        report.check("nothing is kept", before - free_kib(m) <= 64, f"before {before}, after {free_kib(m)} KiB")
