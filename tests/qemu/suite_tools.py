"""The small programs, and those that show the kernel's tables (P8, T4)."""
import re
import time

import bundle
from machine import SMP, TEST_BUNDLE, Silence
from shell import PROMPT
from suite import job
from suite_manifest import SHELL, after, with_manifest

TEN = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done"
LINES = (
    ("echo one two > /tmp/a; echo three >> /tmp/a; wc /tmp/a", "2 3 14 /tmp/a\n", 0),
    ("wc < /tmp/a", "2 3 14\n", 0),
    ("wc -l /tmp/a; wc -w /tmp/a; wc -c /tmp/a", "2 /tmp/a\n3 /tmp/a\n14 /tmp/a\n", 0),
    ("echo -n no newline | wc -lw - /tmp/a", "0 2 -\n2 3 /tmp/a\n2 5 total\n", 0),
    ("cat -n - < /tmp/a | head -1; hexdump -n 1 - < /tmp/a | wc -l", "     1\tone two\n2\n", 0),
    ("wc /tmp/a -l; wc -l -- /tmp/a", "2 /tmp/a\n2 /tmp/a\n", 0),
    ("wc /nosuch /bin", "wc: /nosuch: No such file or directory\nwc: /bin: Is a directory\n0 0 0 total\n", 1),
    (TEN + " | head | wc -l", "10\n", 0),
    (TEN + " | head -n 2", "line 1\nline 2\n", 0),
    (TEN + " | head -1", "line 1\n", 0),
    (TEN + " | head -n 0", "", 0),
    ("head -c 5 /tmp/a; echo; head -c 100 /tmp/a", "one t\none two\nthree\n", 0),
    ("head -n 1 /tmp/a - < /tmp/a", "==> /tmp/a <==\none two\n\n==> standard input <==\none two\n", 0),
    ("head -n two /tmp/a", "head: two: not a count\n", 2),
    (TEN + " | tail | head -n 1", "line 3\n", 0),
    (TEN + " | tail -n 2", "line 11\nline 12\n", 0),
    (TEN + " | tail -2", "line 11\nline 12\n", 0),
    (TEN + " | tail -n +11", "line 11\nline 12\n", 0),
    ("tail -c 6 /tmp/a; tail -c +9 /tmp/a", "three\nthree\n", 0),
    (r"echo -ne 'a\nb\nc' | tail -n 2; echo; echo -ne 'a\nb\nc' | tail -n 0; tail -n 5 /tmp/a", "b\nc\none two\nthree\n", 0),
    ("tail /nosuch", "tail: /nosuch: No such file or directory\n", 1),
    ("grep two /tmp/a", "one two\n", 0),
    ("grep four /tmp/a", "", 1),
    ("grep -n e /tmp/a; grep -c e /tmp/a; grep -v two /tmp/a; grep -i TWO /tmp/a", "1:one two\n2:three\n2\nthree\none two\n", 0),
    ("grep -x three /tmp/a; grep -x thre /tmp/a", "three\n", 1),
    ("grep -e one -e three /tmp/a | wc -l; grep -l e /tmp/a /etc/motd; grep -q e /tmp/a && echo found", "2\n/tmp/a\n/etc/motd\nfound\n", 0),
    ("cp /tmp/a /tmp/b; grep three /tmp/a /tmp/b; grep -c three /tmp/a /tmp/b", "/tmp/a:three\n/tmp/b:three\n/tmp/a:1\n/tmp/b:1\n", 0),
    ("echo 'a.b axb' | grep a.b", "grep: a.b: regular expressions are not supported; -F takes it as text\n", 2),
    (r"echo -e 'axb\na.b' | grep -F a.b; echo 'a*' | grep '*'", "a.b\na*\n", 0),
    ("grep x /nosuch", "grep: /nosuch: No such file or directory\n", 2),
    ("grep -s three /nosuch /tmp/a", "/tmp/a:three\n", 2),
    ("cat /tmp/a | grep -q one", "", 0),
    ("touch /tmp/t /tmp/u; ls /tmp | cat; wc -c /tmp/t", "a\nb\nt\nu\n0 /tmp/t\n", 0),
    ("touch -c /tmp/none; ls /tmp/none", "ls: /tmp/none: No such file or directory\n", 1),
    ("touch /nosuch/x", "touch: /nosuch/x: No such file or directory\n", 1),
    ("mkdir -p /tmp/d/e/f; rmdir /tmp/d", "rmdir: /tmp/d: Directory not empty\n", 1),
    ("rmdir /tmp/d/e/f/; cd /tmp; rmdir -p d/e; cd /; ls /tmp | cat", "a\nb\nt\nu\n", 0),
    ("rmdir /tmp/a", "rmdir: /tmp/a: Not a directory\n", 1),
    ("date -u -d @951782400 '+%Y-%m-%d %H:%M:%S'; date -d @0 +", "2000-02-29 00:00:00\n\n", 0),
    ("date -u -d @0", "Thu Jan  1 00:00:00 GMT 1970\n", 0),
    ("date tomorrow", "date: takes one +FORMAT at most, and sets no clock\nusage: date [-u] [-d @SECONDS] [+FORMAT]\n", 2),
)
NEW = "wc head tail grep date touch rmdir top exoinfo"


@job("lines")
def lines(report):
    with report.shell() as sh:
        for line, output, status in LINES:
            report.equal(f"P8 {line}", sh.run(line), (output, status))
        said, status = sh.run(f"for tool in {NEW}; do $tool --help | head -n 1; done")
        report.equal("P8 --help", [l.lower().split()[:2] for l in said.splitlines()], [["usage:", t] for t in NEW.split()])
        said, status = sh.run(f"for tool in {NEW}; do $tool -Z; echo $?; done")
        report.check("P8 an unknown option", said.count(": -Z: unknown option") == said.count("\n2\n") == len(NEW.split()), said)
        said, _ = sh.run("date -u +%s; touch -r /etc/motd /tmp/t; ls -l /tmp/t")
        report.check("P8 the time of day", abs(int(said.split()[0]) - time.time()) < 600, said)
        when = re.search(r"(\S+ \S+) /etc/motd", sh.run("ls -l /etc/motd")[0]).group(1)
        report.check("P8 touch -r takes the other's times", f"{when} /tmp/t" in said, said)
        sh.run("rm -r /tmp/a /tmp/b /tmp/t /tmp/u")
        all_of_them = f"{TEN} | grep -v 1 | tail > /tmp/a; head /tmp/a | wc; touch /tmp/b; mkdir /tmp/c; rmdir /tmp/c; date; rm /tmp/*"
        sh.run(all_of_them)
        before = sh.free()
        sh.run(all_of_them)
        report.equal("K8 free frames are as before", sh.free_again(before), before)


@job("long")
def long_files(report):
    """What does not fit a buffer."""
    with report.shell() as sh:
        sh.run("i=100; while [ $i -lt 300 ]; do echo 0123456789 line $i; i=$((i+1)); done > /tmp/short; cd /tmp")
        sh.run("cat short short short short short > long; cat long long long long long > longer; cat longer longer > long")
        sh.run("tail -c 4000 long > tail; cd /")
        report.equal("P8 wc", sh.run("wc /tmp/long; wc -c /tmp/tail")[0], "10000 30000 200000 /tmp/long\n4000 /tmp/tail\n")
        report.equal("P8 tail", sh.run("tail -n 9001 /tmp/long | head -n 1; tail -n 1 /tmp/tail")[0],
                     "0123456789 line 299\n0123456789 line 299\n")
        report.equal("P8 grep", sh.run("grep -c 'line 27' /tmp/long; cat /tmp/long | grep -n 'line 299' | tail -n 1")[0],
                     "500\n10000:0123456789 line 299\n")


CPUS = int(SMP)


def smp(count):
    """So many CPUs.  What waits for another CPU takes as long as the host lets it, so stretches are measured where there is one."""
    return {"more": ("-smp", str(count)), "metered": count == 1}


def set_name(first, last):
    return str(first) if first == last else f"{first} to {last}"


def all_free(first, last):
    return f"CPU{'s' if last > first else ''} {set_name(first, last)}: 64 of 64 slots go to whoever is ready\n"


def frames_by_kind(said):
    return {kind: int(n) for kind, n in re.findall(r"^(\w+) +(\d+) +\d+$", said, re.M)}


def look(report, what, cpus=CPUS, **how):
    with report.shell(**how, **smp(cpus)) as sh:
        said, status = sh.run("exoinfo -a")
        first, last = map(int, re.search(r"frames (\d+) to (\d+);", said).groups())
        nframes = last - first + 1
        kinds = frames_by_kind(said.split("\n\n")[1])
        report.check(f"T4 {what}: the frames that are counted are those that the kernel counts", status == 0, said)
        report.equal(f"T4 {what}: and all there are", (kinds.pop("all"), sum(kinds.values())), (nframes, nframes))
        paid = re.findall(r"^(?:\d+ \S+|kernel)((?: +\d+){7})$", said, re.M)
        report.equal(f"T4 {what}: every frame in use is paid for by the kernel or somebody who lives",
                     [sum(int(row.split()[i]) for row in paid) for i in range(7)],
                     [kinds[k] for k in ("user", "table", "space", "env", "vcpu", "caps", "iotable")])
        per_letter = int(re.search(r"a letter is (\d+) frames", said).group(1))
        drawn = "".join(re.findall(r"^ *[0-9a-f]+  ([-.utsevciKI]+)$", said, re.M))
        report.equal(f"T4 {what}: the map has all of them", len(drawn), -(-nframes // per_letter))
        report.check(f"T4 {what}: tables, programs and free memory are on it", set("Iu.") <= set(drawn), drawn)
        report.check(f"T4 {what}: the log", re.search(rf"CPU 0, log: (\d+) bytes.*\ncorbel: ABI \d+, (.*\n)+{cpus} processors?\n", said), said)
        report.check(f"T4 {what}: slices", all_free(0, cpus - 1) in said, said)
        report.equal(f"T4 {what}: each CPU is there", [int(row[0]) for row in counters(said)], list(range(cpus)))
        objects(report, what, said, kinds, cpus)


def counters(said):
    """CPU, calls, interrupts, kicks among them, switches, upcalls, idle share, who runs."""
    return re.findall(r"^ *(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+\.\d)  (-|\d+ \S+)$", said, re.M)


def objects(report, what, said, kinds, cpus):
    spaces = re.findall(r"^ *\d+ +(\d+)  (-|[\d, to]*\d) +(\d+ \S+)$", said.split("TLBs of CPUs")[1].split("\n\n")[0], re.M)
    vcpus = re.findall(r"^ *\d+ +(\d+) +(\d+)  (runs|-) +(\d+ \S+)$", said.split("ran/ms")[1].split("\n\n")[0], re.M)
    mine = [s for s in spaces if s[2].endswith(" exoinfo")]
    runs = [v for v in vcpus if v[3].endswith(" exoinfo")]
    report.equal(f"T4 {what}: every space and vcpu is listed", (len(spaces), len(vcpus)), (kinds["space"], kinds["vcpu"]))
    report.check(f"T4 {what}: one's own space has an ASID, and is on the CPU where one runs, as one's vcpu says",
                 len(mine) == len(runs) == 1 and int(mine[0][0]) > 0 and mine[0][1] == runs[0][0] and runs[0][2] == "runs", said)
    asids = [s[0] for s in spaces if s[1] != "-"]
    report.check(f"T4 {what}: no two spaces share an ASID", len(set(asids)) == len(asids) > 3, said)
    running = {row[0]: row[7] for row in counters(said)}
    report.check(f"T4 {what}: the CPU says so too", running[runs[0][0]] == runs[0][3], said)
    report.check(f"T4 {what}: the boot CPU called and switched", int(counters(said)[0][1]) > 100 and int(counters(said)[0][4]) > 10, said)
    report.check(f"T4 {what}: others were kicked", all(int(row[3]) > 0 for row in counters(said)[1:]), said)
    locks = {name: (taken, int(contended)) for name, taken, contended in
             re.findall(r"^(\w+(?: \d+)?) +(\d+|-) +(\d+)(?:  all of them)?$", said.split(" contended\n")[1].split("\n\n")[0], re.M)}
    report.check(f"T4 {what}: locks: the world's, the CPUs', the frames' were taken",
                 all(int(locks[name][0]) > 0 for name in ("world", "cpu 0", "frames")), said)
    report.equal(f"T4 {what}: each CPU's lock", [n for n in locks if n.startswith("cpu ")], [f"cpu {i}" for i in range(cpus)])


@job("exoinfo")
def exoinfo(report):
    look(report, "64 MiB", memory="64M")
    look(report, "4 GiB", memory="4G")
    look(report, "8 CPUs", cpus=8)
    with report.shell() as sh:
        report.equal("T4 -s shows slices alone", sh.run("exoinfo -s")[0], all_free(0, CPUS - 1) + "\n")
        for option, head in (("-c", r" *CPU +calls .*"), ("-p", r" *space +ASID .*"), ("-v", r" *vcpu +CPU .*"), ("-k", r"lock +taken .*")):
            said, status = sh.run(f"exoinfo {option}")
            report.check(f"T4 {option} shows that alone", status == 0 and re.fullmatch(rf"{head}\n([^\n]+\n)+\n", said), said)
        said, status = sh.run("exoinfo -m -n 1 | grep -c u")
        report.check("T4 a map with a letter for each frame", status == 0 and int(said) > 5, said)
        said, status = sh.run("exoinfo -i")
        taken = re.search(r"^ +33 +(\d+)  \d+ consoled$", said, re.M)
        report.check("T4 the console's line, and how often it was taken", status == 0 and taken and int(taken.group(1)) > 0, said)
        report.check("T4 the lines that messages raise", "messages to 0x8090040 raise lines 8192 to 9215" in said, said)
        for line in ("exoinfo -n 0", "exoinfo x", "exoinfo -n"):
            report.equal(f"P8 {line} is wrong use", sh.run(line)[1], 2)
        sh.run("cp /bin/exoinfo /tmp/mine; cp /bin/top /tmp/top")
        report.equal("K2 a copy of it is not granted the tables", sh.run("/tmp/mine; /tmp/mine -l; /tmp/top"),
                     ("exoinfo: the kernel's tables: the manifest entry does not grant `info`\n" * 2
                      + "top: the kernel's tables: the manifest entry does not grant `info`\n", 1))


@job("slices")
def slices(report):
    owned = bundle.write("slices.cpio", with_manifest(after(SHELL, "slices = <0 0 4>, <0 8 1>, <0 62 2>;")))
    with report.shell(bundle=owned) as sh:
        said, status = sh.run("exoinfo -s")
        others = all_free(1, CPUS - 1) if CPUS > 1 else ""
        report.check("T4 slices by owner", status == 0 and re.fullmatch(
            r"CPU 0, slots by owner:\n  \d+ sh +0 to 3, 8, 62 to 63\n  57 of 64 slots go to whoever is ready\n" + others + "\n", said), said)
    # Slices of another CPU: the program begins there.  Those of a second one are its to bind, and nobody's yet.
    owned = bundle.write("slices.cpio", with_manifest(after(SHELL, "slices = <1 0 4>, <2 8 1>;")))
    with report.shell(bundle=owned, **smp(3)) as sh:
        said, status = sh.run("exoinfo -s; exoinfo -v")
        report.check("C1 slices of CPU 1", status == 0 and re.match(
            r"CPU 1, slots by owner:\n  \d+ sh +0 to 3\n  60 of 64 slots go to whoever is ready\nCPUs 0, 2: 64 of 64 slots", said), said)
        report.check("C1 who has them runs there", re.search(r"^ *\d+ +1 +\d+ .* \d+ sh$", said, re.M), said)


HEAD = (r"up \d+:\d\d:\d\d, (\d+) processes; frames: (\d+) free, (\d+) used, \d+ the kernel's\n"
        r"idle (\d+\.\d) %; a second: (\d+) calls, (\d+) interrupts, (\d+) switches; over (\d+\.\d) s\n"
        r"busy/%, by CPU:((?: +\d+)+)\n")
ROW = r"^ *\d+ +\d+ [NRZ] +(\d+\.\d) +(\d+\.\d\d) +(\d+) +[-+]\d+ +\d+ +\d+ (\S+)$"


def rows(said):
    """Of the last page: name, share of a CPU, seconds, KiB; in the page's order."""
    return [(n, float(c), float(t), int(k)) for c, t, k, n in re.findall(ROW, said.split("NAME\n")[-1], re.M)]


def busy(said):
    return [int(n) for n in re.findall(HEAD, said)[-1][8].split()]


@job("top-smp")
def top_smp(report):
    """One that runs all the time on a CPU of its own, never switched, has all of that CPU's time; and what it may use is counted once."""
    spin = "\n spin { path = \"/bin/spin\"; memory = <0x2000>; slices = <2 0 1>; reaches = \"console\", \"fs\"; };"
    data = with_manifest(lambda source: source.replace("template {", spin.strip() + "\n template {", 1), TEST_BUNDLE)
    with report.shell(bundle=bundle.write("spin.cpio", data), **smp(4)) as sh:
        said, status = sh.run("spin & top -b -n 3 -d 1; exoinfo -v; exoinfo -c; kill -9 $!; wait")
        share = {n: c for n, c, _, _ in rows(said.split("vcpu  CPU")[0])}
        first, last = (float(t) for t in re.findall(r" (\d+\.\d\d) .* spin$", said.split("vcpu  CPU")[0], re.M)[::2])
        report.check("T4 all of its CPU's time", share["spin"] > 95 and busy(said)[2] > 95, said)
        report.check("T4 two seconds in two", 1.8 < last - first < 3, said)
        report.check("T4 the CPUs that have nothing are idle", max(busy(said)[1], busy(said)[3]) < 20, said)
        ran = re.search(r"^ *\d+ +2 +(\d+)  runs +\d+ spin$", said, re.M)
        report.check("T4 exoinfo: it runs there, and for how long", ran and int(ran.group(1)) >= last * 1000, said)
        report.check("T4 exoinfo: so does the CPU, or exoinfo itself looks from there",
                     re.fullmatch(r"\d+ (spin|exoinfo)", counters(said)[2][7]), said)


@job("top")
def top(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        said, status = sh.run("top -b -n 3 -d 0.5")
        pages = re.findall(HEAD, said)
        report.equal("T4 so many pages, and the end", (len(pages), status), (3, 0))
        report.check("T4 without escape codes", b"\x1b[H" not in sh.raw and b"\x1b[2J" not in sh.raw)
        report.check("T4 a machine that waits is idle", float(pages[2][3]) > 50 and 0.4 < float(pages[2][7]), said)
        report.equal("T4 each CPU has its place", len(busy(said)), CPUS)
        report.check("T4 everybody is shown", {r[0] for r in rows(said)} >= {"init", "consoled", "fsd", "sh", "top"}, said)
        order = [(share, kib) for _, share, _, kib in rows(said)]
        report.equal("T4 by time, then by memory in use", order, sorted(order, reverse=True))
        report.check("T4 what a machine that waits spends is little", sum(share for share, _ in order) < 50 * CPUS, said)
        said, _ = sh.run("spin & top -b -n 2 -d 2; kill -9 $!; wait")
        report.check("T4 a machine that computes is not idle", max(busy(said)) > 95 and float(re.findall(HEAD, said)[1][3]) < 5 + 100 * (1 - 1 / CPUS), said)
        name, share, seconds, _ = rows(said)[0]
        report.check("T4 who computes is first, with most of a CPU", name == "spin" and 50 < share < 103 and seconds > 1, said)
        sums = sum(r[1] for r in rows(said))
        report.check("T4 what all had is what the CPUs were busy", abs(sums - sum(busy(said))) < 12, said)
        report.equal("T4 into a pipe", sh.run("top -n 1 | grep -c idle"), ("1\n", 0))
        for line in ("top -d 0", "top -d x", "top -n 0", "top x"):
            report.equal(f"P8 {line} is wrong use", sh.run(line)[1], 2)
        sh.run("top -b -n 1")
        before = sh.free()
        for what, keys, status in (("q", "q", 0), ("^C", "\x03", 130)):
            sh.send("top -d 1\n")
            for _ in range(2):
                sh.expect(HEAD)
            sh.expect(r" sh\n")
            for _ in range(5):
                sh.send(keys)
                try:
                    sh.expect(PROMPT, 20)
                    break
                except Silence:
                    pass
            report.equal(f"T4 {what} ends it", sh.status(), status)
        report.equal("T4 and the terminal is as before", sh.run("head -n 1 /etc/motd"), ("Welcome to Corbel.\n", 0))
        sh.send("top -d 600\n")
        sh.expect(HEAD)
        sh.send(" ")
        sh.expect(HEAD)
        sh.send("q")
        sh.expect(PROMPT)
        report.ok("T4 a key shows a new page at once")
        report.equal("K8 free frames are as before", sh.free_again(before), before)
