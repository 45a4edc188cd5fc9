"""Hostile programs. After each the shell still answers, and the count of free frames is what it was (K5, K14, K18, K20)."""
import re

from machine import TEST_BUNDLE, Silence
from suite import job
from suite_shell import warm

KERNEL_IMAGE, LINEAR_MAP, TABLES = "0xffffffff80000000", "0xffffff8040200000", "0x7fffffe000"


def survived(report, sh, what, before):
    said, status = sh.run("echo alive | cat")
    report.check(f"{what}: the shell answers", said == "alive\n" and status == 0, said)
    report.equal(f"{what}: free frames are as before", sh.free_again(before), before)


@job("access")
def access(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "access 0x10 r")
        for address in ("0x0", "0xff8", KERNEL_IMAGE, LINEAR_MAP, "0xffffff8000000000", "0xfffffffffffffff8", "0x8000000000",
                        "0x800000000000"):
            for way, word in (("r", "read"), ("w", "write"), ("x", "execution")):
                said, status = sh.run(f"access {address} {way}")
                report.check(f"K5 {word} of {address}", status == 139 and re.search(rf"{word} of {address} ", said), said)
        report.check("K5 write to the page tables", sh.run("access 0x7fffffeff8 w")[1] == 139)
        report.check("W^X: write to one's own code", sh.run("access 0x400000 w")[1] == 139)
        report.check("W^X: execution of the stack's pages", sh.run("access 0x6ffffff000 x")[1] == 139)
        report.check("K5 write to the system page", sh.run("access 0x7e00000000 w")[1] == 139)
        report.check("K5 write to the process table", sh.run("access 0x7e00100000 w")[1] == 139)
        survived(report, sh, "all of that", before)


@job("privileged")
def privileged(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "privileged brk")
        for name in ("hvc", "smc", "hlt", "eret", "daif", "sctlr", "ttbr", "vbar", "timer", "icache", "dcache", "translate", "undefined"):
            said, status = sh.run("privileged " + name)
            report.check(f"K5 {name}", status == 132 and "undefined instruction at pc 0x4" in said, said)
        report.equal("brk", sh.run("privileged brk")[1], 133)
        survived(report, sh, "all of that", before)


@job("hogs")
def hogs(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "hog gates")
        for kind in ("pages", "tables", "runs", "spaces", "envs", "vcpus", "gates", "chain", "heap"):
            said, status = sh.run("hog " + kind)
            report.check(f"K8 {kind} until no more: told so, inside the limit",
                         status == 0 and re.search(r"then EXO_E(QUOTA|FULL|NOMEM)\n", said), said)
            survived(report, sh, "hog " + kind, before)
        sh.run("hog pages & hog tables & hog envs & hog heap & wait")
        survived(report, sh, "four at a time", before)


@job("grab")
def grab(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "true")
        sh.run("grab > /tmp/g; rm /tmp/g")
        before = sh.free()
        report.equal("K5 K18 wild handles and forged tokens get nothing", sh.run("grab"), ("grab: got 0\n", 0))
        survived(report, sh, "grab", before)


@job("fp")
def fp_state(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "fpkeep 9")
        said, _ = sh.run("fpkeep 1 & fpkeep 2 & fpkeep 3 & fpkeep 4; wait")
        report.check("K5 four programs keep their FP registers to themselves",
                     len(re.findall(r"fpkeep \d: all is there after many rounds\n", said)) == 4, said)
        survived(report, sh, "fpkeep", before)


@job("calls")
def calls(report):
    """K14 K20: random calls, as the first thing that a program does and for a long time."""
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "callfuzz 1 10")
        for seed in range(1, 17):
            sh.send(f"callfuzz {seed} 3000\n")
            sh.expect(r"callfuzz[^\n]*\n")
            try:
                sh.expect(r"corbel:[^\n]*[$#] \Z", 3)
            except Silence:
                sh.send("\x03\x1c")  # it sleeps somewhere; that is its right
                sh.expect(r"corbel:[^\n]*[$#] \Z", 30)
            if seed % 8 == 0:
                survived(report, sh, f"random calls, seeds up to {seed}", before)
