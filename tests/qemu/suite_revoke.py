"""Memory that is asked back, as seen from the shell: who gives, who is taken from, who refuses (K27)."""
import re

from machine import TEST_BUNDLE
from suite import job


def warm(sh):
    """The free frames after everything that is used below has run once."""
    sh.run("cache 8 > /tmp/c & sleep 0.3; limit $! 8192; kill $!; wait; cat /tmp/c > /tmp/d; rm /tmp/c /tmp/d; limit 1 1; ps")
    return sh.free()


def numbers(text, pattern):
    found = re.search(pattern, text, re.M)
    return [int(n) for n in found.groups()] if found else None


@job("gives")
def gives(report):
    with report.shell() as sh:
        before = warm(sh)
        sh.run("cache > /tmp/c &")
        sh.run("sleep 1")
        said, status = sh.run("limit $! 1200 5000")
        course = numbers(said, r"^\d+: gave back (\d+) KiB in (\d+) ms$")
        report.check("K27 it gives back what is asked, in time", status == 0 and course and course[0] > 400 and course[1] < 4000, said)
        pid = numbers(sh.run("echo pid $!")[0], r"pid (\d+)")[0]
        row = numbers(sh.run("ps")[0], rf"^ +{pid} +\d+ +\d+ R +(\d+) +(\d+)")
        report.check("and is within its limit", row and row[0] <= row[1] == 1200, row)
        sh.run("sleep 0.5")
        report.equal("room again", sh.run("limit $! 8192")[0], f"{pid}: had room enough\n")
        sh.run("sleep 1")
        report.equal("it ends well", sh.run("kill $!; wait $!")[1], 0)
        said, _ = sh.run("cat /tmp/c; rm /tmp/c")
        asked = numbers(said, r"asked for (\d+) pages, gave back (\d+)$")
        end = numbers(said, r"^cache: (\d+) pages, (\d+) made, (\d+) used, (\d+) wrong$")
        report.check("by its own choice", asked and asked[0] == asked[1] > 100, said)
        report.check("and makes them anew, all right", end and end[0] == 512 and end[1] >= 512 + asked[0] and end[3] == 0, said)
        report.equal("K3 free frames are as before", sh.free_again(before), before)


@job("taken")
def taken(report):
    with report.shell() as sh:
        before = warm(sh)
        sh.run("cache -l > /tmp/c &")
        sh.run("sleep 1")
        said, status = sh.run("limit $! 1200 300")
        course = numbers(said, r"^\d+: gave back (\d+) KiB, (\d+) KiB were taken$")
        report.check("K27 what it lists is taken", status == 0 and course and course[0] == 0 and course[1] > 400, said)
        sh.run("sleep 0.3; limit $! 8192; sleep 1")
        report.equal("it ends well", sh.run("kill $!; wait $!")[1], 0)
        said, _ = sh.run("cat /tmp/c; rm /tmp/c")
        told = numbers(said, r"^cache: (\d+) pages were taken$")
        end = numbers(said, r"^cache: (\d+) pages, (\d+) made, (\d+) used, (\d+) wrong$")
        report.check("it is told, and goes on", told and course and told[0] * 4 in (course[1], course[1] - 4, course[1] - 8), said)
        report.check("nothing that it read was wrong", end and end[0] == 512 and end[3] == 0, said)
        report.equal("K3 free frames are as before", sh.free_again(before), before)


@job("refuses")
def refuses(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh)
        sh.run("hoard > /tmp/h &")
        sh.run("sleep 1")
        said, status = sh.run("limit $! 1000 1500; echo status $?; wait $!")
        report.check("K27 who refuses is stopped", re.search(r"^\d+: stopped: gave back 0 of \d+ KiB\nstatus 1$", said, re.M), said)
        report.check("which init says", re.search(r"init: pid \d+ \(hoard\) ended: it did not give back \d+ KiB in time", said), said)
        report.equal("its parent hears of it", status, 137)
        said, _ = sh.run("cat /tmp/h; rm /tmp/h")
        report.check("it was asked before", re.search(r"^hoard: asked for \d+ pages: no$", said, re.M), said)
        for program in ("sleep 1000", "spin", "spin masked", "spin deaf"):
            sh.run(f"{program} &")
            sh.run("sleep 0.5")
            said, status = sh.run("limit $! 64 200; echo status $?; wait $!")
            report.check(f"{program} is stopped too", re.search(r"stopped: gave back \d+ of \d+ KiB\nstatus 1", said), said)
            report.equal(f"{program}: its parent hears of it", status, 137)
        report.equal("K3 free frames are as before", sh.free_again(before), before)


@job("unaware")
def unaware(report):
    """Programs that know nothing of it are asked while they wait in the file server or the kernel, and notice nothing."""
    with report.shell() as sh:
        before = warm(sh)
        sh.run("(sleep 3; echo late) | cat > /tmp/o &")
        sh.run("sleep 0.5")
        cat = numbers(sh.run("ps")[0], r"^ +(\d+) .* cat$")[0]
        sh.run(f"limit {cat} 64 600000 &")
        sh.run(f"sleep 0.5; kill $!; wait $!; limit {cat} 8192")
        report.equal("K27 a read goes on when its reader was asked", sh.run("wait; cat /tmp/o; rm /tmp/o"), ("late\n", 0))
        sh.run("sleep 5 &")
        sleeper = numbers(sh.run("echo pid $!")[0], r"pid (\d+)")[0]
        sh.run(f"limit {sleeper} 64 600000 &")
        sh.run(f"sleep 0.3; kill $!; wait $!; limit {sleeper} 8192")
        report.equal("and so does a sleep", sh.run(f"wait {sleeper}")[1], 0)
        report.equal("K3 free frames are as before", sh.free_again(before), before)


@job("errors")
def errors(report):
    with report.shell() as sh:
        for line, words, status in (
            ("limit 1 100", "limit: 1: Not owner\n", 1),
            ("limit 2 100", "limit: 2: Not owner\n", 1),
            ("limit 99 100", "limit: 99: No such process\n", 1),
            ("limit $$ 99999", "limit: 4: Invalid argument\n", 1),
            ("limit $$ 8192", "4: had room enough\n", 0),
            ("limit 5 x", "limit: x: not a number, or too large\n", 2),
            ("limit 5 99999999999", "limit: 99999999999: not a number, or too large\n", 2),
            ("limit 99999999999 5", "limit: 99999999999: not a number, or too large\n", 2),
            ("limit 5 5 1.5", "limit: 1.5: not a number, or too large\n", 2),
            ("limit 5", "limit: takes a process and a size\nusage: limit PID KIB [MILLISECONDS]\n", 2),
            ("cache x", "cache: x: not a number of pages\n", 2),
            ("cache 1 2", "cache: takes one size\nusage: cache [-l] [PAGES]\n", 2),
            ("hoard 0", "hoard: 0: not a number of pages\n", 2),
            ("hoard 99999999", "hoard: memory: Not enough space\n", 1),
            ("limit --help | head -n 1", "usage: limit PID KIB [MILLISECONDS]\n", 0),
            ("cache --help | head -n 1; hoard --help | head -n 1", "usage: cache [-l] [PAGES]\nusage: hoard [PAGES]\n", 0),
        ):
            report.equal(f"K24 {line}", sh.run(line), (words, status))
