"""Processes, seen from the shell: counts, ps, kill, ends of every kind (K2, P1, P4)."""
import re

from machine import SMP, TEST_BUNDLE
from suite import job
from suite_shell import warm


@job("spawns")
def spawns(report):
    with report.shell() as sh:
        many = "i=0; while [ $i -lt 200 ]; do true || echo bad; i=$((i+1)); done; echo $i"
        pipelines = "i=0; while [ $i -lt 20 ]; do ls /bin | cat | cat > /tmp/x; i=$((i+1)); done; rm /tmp/x"
        sh.run(many)
        sh.run(pipelines)
        before = sh.free()
        report.equal("P4 200 programs, one after the other", sh.run(many), ("200\n", 0))
        report.equal("P4 free frames are as before", sh.free_again(before), before)
        sh.run(pipelines)
        report.equal("I7 free frames after 20 pipelines are as before", sh.free_again(before), before)


def processes(sh):
    """{pid: (ppid, state, name)}"""
    said, _ = sh.run("ps")
    return {int(f[0]): (int(f[1]), f[3], " ".join(f[7:])) for f in map(str.split, said.splitlines()[1:]) if len(f) >= 8}


@job("kill")
def kills(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "sleep 0; spin & kill -9 $!; wait; ps")
        for line in ("kill 1", "kill -9 1", "kill -9 2", "kill -9 3"):
            said, status = sh.run(line)
            report.check(f"K2 {line} is refused", status != 0 and "kill:" in said, said)
        report.check("K2 nobody has ended", {1, 2, 3} <= set(processes(sh)))
        report.check("kill of a process that is none", "No such process" in sh.run("kill 999")[0])
        sh.run("sleep 1000 &")
        sh.run("spin & spin masked & spin deaf &")
        there = processes(sh)
        mine = [p for p, (_, _, name) in there.items() if name in ("sleep", "spin")]
        report.equal("ps shows them", len(mine), 4)
        said, status = sh.run("kill " + " ".join(map(str, mine)))
        report.equal("kill of all four", status, 0)
        sh.run("sleep 1")
        left = [name for p, (_, state, name) in processes(sh).items() if p in mine and state != "Z"]
        report.equal("P2 SIGTERM ends those that listen", left, ["spin", "spin"])
        sh.run("kill -9 " + " ".join(map(str, mine)))
        sh.run("wait")
        left = [p for p in processes(sh) if p in mine]
        report.equal("K29 SIGKILL ends also who masks upcalls, or hears nothing", left, [])
        report.equal("K29 free frames are as before", sh.free_again(before), before)


@job("ends")
def ends(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "access 0x10 r; privileged brk; true")
        said, status = sh.run("access 0x123450 w")
        report.check("K24 a crash is told with its address", re.search(r"\(access\).*write of 0x123450 at pc 0x4", said), said)
        report.equal("P1 and its status is that of SIGSEGV", status, 139)
        report.equal("P1 statuses go through", sh.run("sh -c 'exit 77'; echo $?")[0], "77\n")
        report.equal("P1 a pipeline's status is its last program's", sh.run("false | true; echo $?; true | false; echo $?")[0], "0\n1\n")
        sh.run("sh -c 'sleep 3 & true'")
        orphan = [f for f in processes(sh).values() if f[2] == "sleep"]
        report.check("P1 an orphan is adopted by init", len(orphan) == 1 and orphan[0][0] == 1, orphan)
        sh.run("sleep 4")
        report.check("P1 and is gone when it ends", not [f for f in processes(sh).values() if f[2] == "sleep"])
        report.equal("K29 free frames are as before", sh.free_again(before), before)


def bombed(report, sh):
    """Starts a fork bomb and kills all of it; the count of free frames afterwards."""
    hold = 8 if SMP == "1" else 30  # more processors than the host has are slow
    sh.run(f"sleep {hold} &")  # keeps the room for one program until no bomb tries any more, also on a busy host
    sh.run("bomb 3 &")
    sh.quiet(hold + 1)
    report.equal("K29 the shell answers in the middle of it", sh.run("echo still here")[0], "still here\n")
    most = 0
    for _ in range(30):
        bombers = [p for p, (_, state, name) in processes(sh).items() if name == "bomb" and state != "Z"]
        if not bombers:
            break
        most = max(most, len(bombers))
        sh.run("kill -9 " + " ".join(map(str, bombers)))
    report.check(f"P1 as many as are allowed were made, here {most}, and all could be killed", not bombers and most > 5)
    sh.run("wait")


@job("fork-bomb")
def bombs(report):
    with report.shell(bundle=TEST_BUNDLE, memory="256M") as sh:
        bombed(report, sh)
        sh.run("sleep 1")
        before = sh.free()
        bombed(report, sh)
        report.equal("P4 free frames are as after the first time", sh.free_again(before), before)
