"""Operations on several CPUs at once: what tests/bench/raw/smp.c measures, and which locks it may take."""
import re

import lib

CPUS = (1, 2, 4, 8)
FLAT = 0.05
# With turns of a thousand or two instructions. A nanosecond would be too short for an instruction: where all timers should be
# over at one moment, a turn lasts for 100 ms, which is few instructions this way.
SHORT_TURNS = ("-icount", "shift=8,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm")
# row: (what one operation is, the locks that there is one of that it may take, how often in a thousand; ranks waited for)
ROWS = {
    "null": ("the call that does nothing", {}, ()),
    "alloc": ("`page_alloc` of a page, and `page_unmap`, which frees it", {}, ()),
    "alloc.batch": ("the same for 512 pages, one after the other: more than a CPU's cache of frames", {"frames": 300}, ("frames",)),
    "map": ("`page_map` of a page, and `page_unmap`", {}, ()),
    "protect": ("`page_protect` of a page", {}, ()),
    "call": ("`call` to an environment on the same CPU, and its answer", {}, ()),
    "signal": ("`signal` to a vcpu of the same CPU that does not wait", {}, ()),
    "event": ("`signal` to one that waits, which signals back", {}, ()),
    "event.far": ("the same across CPUs, each to the next", {}, ("inbox",)),
    "call.far": ("`call` to an environment on the next CPU, and its answer", {"world": 2000}, ("world", "cpu", "inbox")),
}
COMMON = [row for row in ROWS if not row.endswith(".far") and row != "alloc.batch"]  # what must be flat
LINE = re.compile(r"^([a-z.]+?)(?:\.(lock|wait)\.([a-z]+)|\.(turns))?$")


class Run:
    """Of one number of CPUs: instructions, operations, locks taken and waited for."""
    def __init__(self, lines):
        self.rows, self.locks, self.waits, self.turns = {}, {}, {}, {}
        for key, number, n in lines:
            name, what, rank, turns = LINE.match(key).groups()
            if what:
                (self.locks if what == "lock" else self.waits).setdefault(name, {})[rank] = 1000 * number / n
            elif turns:
                self.turns[name] = number
            elif name in ROWS:
                self.rows[name] = (number, n)


def measure(cpus=CPUS):
    """{CPUs: (a run that counts instructions, one with short turns)}"""
    bundle, _ = lib.build("smp", "smp")
    more = {"memory": "512M", "machine": "virt,gic-version=3"}
    return {n: (Run(lib.rows(f"smp{n}", "-initrd", bundle, "-smp", str(n), **more)),
                Run(lib.rows(f"smp{n}.turns", "-initrd", bundle, "-smp", str(2 * n), "-append", "tickers", counting=SHORT_TURNS, **more)))
            for n in cpus}


def judge(found):
    """Sentences about what is not as ROWS says."""
    least = min(found)
    for n, (plain, turns) in sorted(found.items()):
        for name, (_, may, wait) in ROWS.items():
            if name.endswith(".far") and n == 1:
                continue
            if name not in plain.rows or name not in turns.rows:
                yield f"{name} on {n} CPUs: was not measured"
                continue
            if n > 1 and turns.turns.get(name, 0) < 50:
                yield f"{name} on {n} CPUs: {turns.turns.get(name, 0)} short turns, too few to say anything"
            for rank, taken in {**plain.locks.get(name, {}), **turns.locks.get(name, {})}.items():
                if taken > may.get(rank, 0) * (1 + FLAT):
                    yield f"{name} on {n} CPUs: takes the lock {rank} {taken:.0f} times in 1000"
            for rank in {**plain.waits.get(name, {}), **turns.waits.get(name, {})}:
                if rank not in wait:
                    yield f"{name} on {n} CPUs: waits for a lock of rank {rank}"
            if name in COMMON and plain.rows[name][0] > found[least][0].rows[name][0] * (1 + FLAT):
                yield f"{name}: {plain.rows[name][0]} on {n} CPUs, {found[least][0].rows[name][0]} on {least}"


def locks(counts):
    return ", ".join(f"{rank} {times:.0f}" for rank, times in sorted(counts.items())) or "0"
