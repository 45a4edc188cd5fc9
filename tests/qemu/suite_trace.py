"""Traces: of the whole machine while a line runs, as a file that viewers open (T4)."""
import json
import os
import re
import subprocess

import bundle
import tracefile
from machine import BUNDLE, KERNEL, SMP, TEST_BUNDLE
from suite import job
from suite_boot import line_status
from suite_core import ENDS


def trace(line, name, **more):
    """What the line printed, its status, and where the file is."""
    path = bundle.write(name, b"")
    os.remove(path)
    said, status = line_status(["boards/tools/trace", path, line], KERNEL=KERNEL, BUNDLE=BUNDLE, **more)
    return said, status, path


def look(report, what, path):
    wrong, events = tracefile.problems(path)
    report.check(f"T4 {what}: phases, order, nesting, names, arrows", not wrong, "\n".join(wrong))
    return events


def slices(events, track=None):
    return [e["name"] for e in events if e["ph"] == "X" and (track is None or e["pid"] == track)]


def process(events, program):
    """The pids of environments of this program."""
    return [e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"
            and re.fullmatch(rf"{program} \(\d+\)", e["args"]["name"])]


@job("line")
def line(report):
    said, status, path = trace("echo 'a  b' | cat; ls /bin | head -n 1 | wc -l; exit 3", "line.json")
    report.equal("T4 the line's output and status", (said, status), ("a  b\n1\n", 3))
    events = look(report, "a line", path)
    with open(path, encoding="utf-8") as source:
        report.equal("T4 nothing was lost", json.load(source)["otherData"]["lost"], 0)
    counters = [e for e in events if e["ph"] == "C"]
    report.equal("T4 and a counter says so", [e["args"] for e in counters], [{"lost": 0}] * int(SMP))
    programs = ("init", "consoled", "fsd", "sh", "trace", "cat", "ls", "head")
    report.equal("T4 environments by name, also of those that are gone", [p for p in programs if not process(events, p)], [])
    on_cpu = set(slices(events, 1))
    report.equal("T4 the CPU's line shows who runs", [p for p in programs if p not in on_cpu], [])
    report.check("T4 calls within, interrupts, idleness", {"call", "reply_wait", "page_alloc", "page fault"} <= on_cpu
                 and any(re.match(r"irq \d+$|timer$", n) for n in on_cpu), sorted(on_cpu))
    (cat,), (init,) = process(events, "cat"), process(events, "init")
    report.check("T4 cat's own line has the calls that it must make", {"call", "env_exit"} <= set(slices(events, cat)),
                 sorted(set(slices(events, cat))))
    report.check("T4 init's has those that make and end processes",
                 {"env_create", "vcpu_create", "vcpu_start", "cap_grant", "reply_wait", "env_destroy"} <= set(slices(events, init)),
                 sorted(set(slices(events, init))))
    made = [e["name"] for e in events if e["ph"] == "i" and e["name"].endswith(" is made")]
    ended = {e["name"]: e["args"]["reason"] for e in events if e["ph"] == "i" and e["name"].endswith(" ends")}
    report.check("T4 lives and ends", {"sh is made", "cat is made", "ls is made"} <= set(made)
                 and ended.get("cat ends") == ended.get("ls ends") == "exit", (made, ended))
    report.check("T4 wakeups lead somewhere", sum(e["ph"] == "f" for e in events) > 10)
    results = [e["args"].get("result") for e in events if e["ph"] == "X" and e["pid"] == init and e["name"] == "env_create"]
    report.check("T4 results of calls", results and all(isinstance(r, int) and r > 0 for r in results), results)


@job("full")
def full(report):
    """More than the ring holds: the newest records, and the number of those that are lost."""
    with report.shell(bundle=TEST_BUNDLE) as sh:
        sh.run("trace -o /tmp/t true; rm /tmp/t")
        before = sh.free()
        said, status = sh.run(f"trace -n {2 * int(SMP)} -o /tmp/t sh -c 'ls /bin; cat /etc/motd; exit 4'")
        report.equal("T4 the command's status", status, 4)
        text, _ = sh.run("cat /tmp/t; rm /tmp/t")
        found = re.search(r"^~cpu 0 written (\d+) kept (\d+)$", text, re.M)
        written, kept = map(int, found.groups())
        report.check("T4 two pages hold 254 records", kept == 254 < written, found.group(0))
        convert(report, "a full ring", text)
        report.equal("T4 a command that is not there", sh.run("trace nosuch"), ("trace: nosuch: No such file or directory\n", 125))
        for wrong in ("trace", "trace -n 0 ls", "trace -n 1025 ls", "trace -x ls", "trace -o"):
            report.equal(f"P8 {wrong} is wrong use", sh.run(wrong)[1], 2)
        report.equal("K2 a copy of it is not granted the capability", sh.run("cp /bin/trace /tmp/trace; /tmp/trace true; rm /tmp/trace"),
                     ("trace: the trace capability: the manifest entry does not grant `trace`\n", 0))
        sh.run("trace sleep 2 & sleep 0.3; kill -9 $!; wait")
        report.equal("T4 one that was killed while it traced is in nobody's way", sh.run("trace true | grep -c '~end'"), ("1\n", 0))
        sh.run("trace -o /tmp/t sleep 2 & sleep 0.3")
        report.equal("T4 two at a time: the second is told", sh.run("trace true"),
                     ("trace: tracing: the object is in use in a way that excludes the request\n", 125))
        report.equal("T4 the first is not disturbed", sh.run("wait; grep -c '~end' /tmp/t; rm /tmp/t"), ("1\n", 0))
        report.equal("K8 free frames are as before", sh.free_again(before), before)


def converted(text):
    """The converter's status, what it said, and its file; None: it made none."""
    source = bundle.write("trace.txt", text.encode())
    out = bundle.write("converted.json", b"")
    os.remove(out)
    done = subprocess.run(["boards/tools/trace2json", "-o", out, source], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, out if os.path.exists(out) else None


def convert(report, what, text):
    """What each CPU's ring lost is said, and is in the counters."""
    status, said, out = converted(text)
    lost = [int(written) - int(kept) for written, kept in re.findall(r"^~cpu \d+ written (\d+) kept (\d+)$", text, re.M)]
    report.check(f"T4 {what} is converted", status == 0 and (f"{sum(lost)} older ones were LOST" in said or not sum(lost)), said)
    events = look(report, what, out)
    report.equal(f"T4 {what}: the counter", [e["args"]["lost"] for e in events if e["ph"] == "C"], lost)
    report.equal(f"T4 {what}: a ring for each CPU", len(lost), int(SMP))


@job("programs")
def programs(report):
    """Whatever a program does, it does the same while the machine is traced: registers, faults, ends, random calls (K14)."""
    with report.shell(bundle=TEST_BUNDLE) as sh:
        said, status = sh.run("trace -o /tmp/t core")
        report.check("T4 core's own tests", status == 0 and "\nok - " in said and "not ok" not in said, said)
        for how, (words, wanted) in ENDS.items():
            said, status = sh.run(f"trace -n 8 -o /tmp/t core {how}")
            report.check(f"K30 T4 core {how} ends the same way", re.search(words, said) and (status == wanted if wanted else status > 128),
                         f"status {status}\n{said}")
        said, _ = sh.run("trace -o /tmp/t sh -c 'fpkeep 1 & fpkeep 2 & fpkeep 3; wait'")
        report.equal("T4 FP registers", len(re.findall(r"fpkeep \d: all is there after many rounds\n", said)), 3)
        said, status = sh.run("trace -n 64 -o /tmp/t sh -c 'callfuzz 1 3000; callfuzz 2 3000; echo alive'")
        report.check("K5 T4 random calls", status == 0 and said.endswith("alive\n"), said)
        text, _ = sh.run("cat /tmp/t; rm /tmp/t", 300)
        convert(report, "random calls", text)
        report.equal("T4 and the machine goes on", sh.run("echo hi"), ("hi\n", 0))


@job("damaged")
def damaged(report):
    """A trace that lost something on its way is refused, with a sentence and no file."""
    with report.shell() as sh:
        text, status = sh.run("trace true")
    report.equal("T4 a trace on the console", (status, converted(text)[0]), (0, 0))
    lines = text.splitlines(keepends=True)
    data = next(i for i, l in enumerate(lines) if l.startswith("~r "))
    first, last = lines[:data], lines[data + 1:]
    bad = {"no trace": ("hello\n", "there is no trace"),
           "its end missing": ("".join(lines[:-1]), "cut off"),
           "a line missing": ("".join(first + last), "checksum"),
           "a letter changed": ("".join(first + [lines[data].replace(lines[data][10], "A" if lines[data][10] != "A" else "B", 1)] + last), "checksum"),
           "half a line": ("".join(first + [lines[data][:301] + "\n"] + last), "line "),
           "somebody's words within": ("".join(first + [lines[data][:300] + "init: hello" + lines[data][300:]] + last), "line ")}
    for what, (broken, sentence) in bad.items():
        status, said, out = converted(broken)
        report.check(f"T4 {what}: refused", status == 1 and sentence in said and not out, said)


@job("machines")
def machines(report):
    for what, more in (("GICv2, EL2", {"QEMU_MACHINE": "virt,gic-version=2,virtualization=on", "QEMU_CPU": "cortex-a53"}),
                       ("four processors", {"SMP": "4"})):
        said, status, path = trace("cat /etc/motd", "machine.json", **more)
        report.equal(f"T4 {what}", (said.splitlines()[:1], status), (["Welcome to Corbel."], 0))
        events = look(report, what, path)
        report.check(f"T4 {what}: cat is there", len(process(events, "cat")) == 1)
        ran = {e["tid"] for e in events if e["ph"] == "X" and e["pid"] == 1}
        report.equal(f"T4 {what}: each CPU's track has something", len(ran), int(more.get("SMP", SMP)))
