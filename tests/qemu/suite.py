"""Suites, jobs and their results.

A suite is a module `suite_NAME.py`; its jobs are functions with the decorator @job("what"), each run with a Report. A
job has at most one machine at a time, and at most two jobs run at a time.

    @job("boots")
    def boots(report):
        with report.machine(gic=2) as m:
            m.expect("hello")
            report.check("B1 says hello", True)

A job that raises has failed; every failure prints what its last machine's console said.
"""
import concurrent.futures
import threading
import time

import stretch
from machine import Machine, Silence
from shell import Shell

JOBS_AT_ONCE = 2
JOBS = []


def job(name):
    def add(function):
        JOBS.append((function.__module__.removeprefix("suite_") + "." + name, function))
        return function
    return add


class Report:
    def __init__(self, name):
        self.name = name
        self.lines = []
        self.passed = self.failed = 0
        self.last = self.shown = None
        self.machines = []

    def machine(self, **how):
        self.last = Machine(**how)
        self.machines.append(self.last)
        return self.last

    def shell(self, **how):
        self.last = Shell(**how)
        self.machines.append(self.last)
        return self.last

    def ok(self, what):
        self.passed += 1
        self.lines.append(f"ok - {self.name}: {what}")

    def fail(self, what, detail=""):
        self.failed += 1
        self.lines.append(f"not ok - {self.name}: {what}")
        for line in str(detail).splitlines()[-60:]:
            self.lines.append("    " + line)

    def check(self, what, good, detail=None):
        if good:
            self.ok(what)
        else:
            self.fail(what, self.transcript() if detail is None else detail)
        return good

    def equal(self, what, got, wanted):
        return self.check(what, got == wanted, f"got    {shorten(got)}\nwanted {shorten(wanted)}")

    def transcript(self):
        """The last machine's console; once is enough."""
        if not self.last or self.shown is self.last:
            return ""
        self.shown = self.last
        return "$ " + " ".join(self.last.command) + "\n" + self.last.text()


def shorten(value):
    text = repr(value)
    return text if len(text) < 2000 else text[:1000] + " ... " + text[-1000:]


def run_job(name, function):
    report = Report(name)
    started = time.monotonic()
    try:
        function(report)
    except Silence as silence:
        report.fail(str(silence), report.transcript())
    except Exception as error:  # pylint: disable=broad-except
        report.fail(f"{type(error).__name__}: {error}", report.transcript())
    for machine in report.machines:
        if machine.measured:
            stretch.note(name.split(".")[0], machine.measured)
    return report, time.monotonic() - started


def run_all(jobs, timing, write_bounds=False):
    passed = failed = 0
    lock = threading.Lock()
    with concurrent.futures.ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run_job, *j) for j in jobs]):
            report, seconds = done.result()
            with lock:
                print("\n".join(report.lines), flush=True)
                if timing:
                    print(f"# {report.name}: {seconds:.1f} s", flush=True)
            passed += report.passed
            failed += report.failed
    if stretch.ON and jobs:
        lines, more_passed, more_failed = stretch.report(len(jobs) == len(JOBS), write_bounds)
        if lines:
            print("\n".join(lines), flush=True)
        passed += more_passed
        failed += more_failed
    return passed, failed
