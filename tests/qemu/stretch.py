"""How long the kernel runs with interrupts off, and how deep its stacks are used: the plugin (tests/plugin/stretch.c),
loaded into every machine of a run.

    with Machine(...) as m: ...           # machine.py asks meter() for QEMU's words, and hands the result to note()
    report(BOUNDS)                        # at the end: what was worst, for each suite and over all

A stretch is the instructions from an entry into the kernel to the ERET that leaves it, to WFI, or to where the kernel
takes pending interrupts by itself. It is called by the call or the handler that it began with.

The table in docs/bounds.md is what a whole run measured: `tests/qemu/run -b` writes it anew, and a run whose numbers are
far from it fails. PLUGIN= (nothing) leaves the plugin out.
"""
import os
import re
import struct
import subprocess
import tempfile
import threading

LIMIT = 20000  # instructions: no call may have a longer stretch
CROSS = os.environ.get("CORBEL_CROSS", "aarch64-linux-gnu-")
HOSTCC = os.environ.get("HOSTCC", "gcc")
SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "plugin/stretch.c")
ERET, WFI = 0xd69f03e0, 0xd503207f
TAKES_INTERRUPTS = "arch_irq_dispatch"
WAITS = "lock_wait"
HANDLERS = {"trap_user": "(fault)", "trap_serror": "(serror)", "user_irq": "(interrupt)"}
OTHERS = {TAKES_INTERRUPTS: "(interrupt while idle or ending)", "vectors": "(unknown call)", "trap_leave": "(idle)", "secondary_main": "(idle)"}
BOUNDS = "docs/bounds.md"
ROW = re.compile(r"^\| `?([^|`]+?)`? \| (\d+) \| (.*) \|$", re.M)
ON = os.environ.get("PLUGIN", "stretch") == "stretch"

lock = threading.Lock()
worst = {}   # suite -> {name: (instructions, its hottest function, of that one)}
boots = {}   # suite -> instructions
depths = {}  # suite -> bytes of a stack
maps = {}    # the kernel's ELF file -> Map


class Map:
    """The kernel's functions and stacks, as the plugin wants them."""
    def __init__(self, elf, folder):
        self.names, lines = [], []
        symbols = {}
        for line in tool("nm", "-n", elf):
            address, kind, name = (line.split() + [""])[:3]
            symbols[name] = address
            if kind in "tT" and int(address, 16) >> 63 and (not lines or lines[-1][0] != address):
                letter = "p" if name == TAKES_INTERRUPTS else "l" if name == WAITS else "c" if name.startswith("call_") or name in HANDLERS else "f"
                lines.append((address, letter))
                self.names.append(name)
        lines += self.instructions(elf)
        self.stack_bytes = int(symbols["stack_top"], 16) - int(symbols["stack_guard"], 16) - 4096
        lines += [(f"{int(symbols['stack_top'], 16) - self.stack_bytes:x}", "s"), (symbols["stack_top"], "s")]
        self.path = os.path.join(folder, "kernel.map")
        with open(self.path, "w", encoding="ascii") as out:
            out.writelines(f"{address} {letter}\n" for address, letter in lines)

    @staticmethod
    def instructions(elf):
        """Every ERET and WFI, and what writes by the stack pointer."""
        for line in tool("objdump", "-d", elf):
            found = re.match(r"([0-9a-f]{16}):\t([0-9a-f]{8}) \t(.*)", line.strip())
            if not found or not int(found.group(1), 16) >> 63:
                continue
            if int(found.group(2), 16) in (ERET, WFI):
                yield found.group(1), "e" if int(found.group(2), 16) == ERET else "w"
            elif re.match(r"st.*\[sp\b", found.group(3)):
                yield found.group(1), "k"

    def called(self, name):
        return HANDLERS.get(name) or OTHERS.get(name) or re.sub(r"^call_|\.(lto_priv|isra|part|constprop).*", "", name)


def tool(name, *words):
    return subprocess.run([CROSS + name, *words], capture_output=True, text=True, check=True).stdout.splitlines()


def plugin(folder, qemu):
    """Its shared object. QEMU 9 and later wants plugins that know version 2 of the interface."""
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    version = 2 if int(re.search(r"version (\d+)", said).group(1)) >= 9 else 1
    path = os.path.join(folder, "stretch.so")
    subprocess.run([HOSTCC, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    f"-DPLUGIN_VERSION={version}", "-o", path, SOURCE], check=True)
    return path


def elf_of(kernel):
    return os.path.join(os.path.dirname(kernel), "exo.elf")


class Meter:
    def __init__(self, kernel, qemu):
        self.folder = tempfile.TemporaryDirectory(prefix="stretch.")
        elf = elf_of(kernel)
        with lock:
            if "" not in maps:
                maps[""] = tempfile.TemporaryDirectory(prefix="stretch.")
                maps["so"] = plugin(maps[""].name, qemu)
            if elf not in maps:
                where = os.path.join(maps[""].name, str(len(maps)))
                os.mkdir(where)
                maps[elf] = Map(elf, where)
        self.map = maps[elf]
        self.out = os.path.join(self.folder.name, "out")
        self.words = ["-plugin", f"{maps['so']},map={self.map.path},out={self.out}"]

    def result(self):
        """The longest boot of a CPU, the bytes used and had of a stack, and for each call or handler (instructions, hottest
        function, of that one)."""
        with open(self.out, "rb") as out:
            data = out.read()
        self.folder.cleanup()
        ncpus, nstacks, nfunctions = struct.unpack_from("<3Q", data)
        boot = max(struct.unpack_from(f"<{ncpus}Q", data, 24))
        depth = max(struct.unpack_from(f"<{nstacks}Q", data, 24 + 8 * ncpus))
        first = 24 + 8 * (ncpus + nstacks)
        found = {}
        for cpu in range(ncpus):
            for function in range(nfunctions):
                n, times, hot, hot_n = struct.unpack_from("<4Q", data, first + 32 * (cpu * nfunctions + function))
                name = self.map.called(self.map.names[function])
                if times and n > found.get(name, (0,))[0]:
                    found[name] = (n, self.map.called(self.map.names[hot]), hot_n)
        return boot, (depth, self.map.stack_bytes), found


def has_plugins(qemu):
    return "-plugin" in subprocess.run([qemu, "--help"], capture_output=True, text=True, check=False).stdout


def meter(kernel, qemu):
    """None for the checked kernel, too: what it does beside its work is not what ships."""
    if not ON or not kernel or "checked" in kernel or not os.path.exists(elf_of(kernel)):
        return None
    return Meter(kernel, qemu)


def note(suite, result):
    boot, depth, found = result
    with lock:
        depths[suite] = max(depths.get(suite, (0, 0)), depth)
        boots[suite] = max(boots.get(suite, 0), boot)
        rows = worst.setdefault(suite, {})
        for name, row in found.items():
            rows[name] = max(rows.get(name, (0, "", 0)), row)


def over_all():
    """Waits for locks, which are no stretches, apart."""
    rows = {}
    for some in worst.values():
        for name, row in some.items():
            rows[name] = max(rows.get(name, (0, "", 0)), row)
    return rows, rows.pop(WAITS, (0, "", 0))[0]


def say(row):
    return f"{row[0]} instructions, {row[2]} of them in {row[1]}"


def far(rows, whole):
    """Sentences about what docs/bounds.md says and is not so: what is measured may be a quarter and 300 instructions more,
    and in a whole run half, less 300."""
    with open(BOUNDS, encoding="utf-8") as text:
        table = {name: int(n) for name, n, _ in ROW.findall(text.read())}
    for name, row in sorted(rows.items()):
        if name not in table:
            yield f"{BOUNDS} has no row for {name} ({say(row)})"
        elif name.startswith("(interrupt"):
            continue  # which devices and deadlines come together is chance
        elif row[0] > table[name] * 5 / 4 + 300:
            yield f"{BOUNDS} has {table[name]} for {name}, which took {say(row)}"
        elif whole and row[0] < table[name] / 2 - 300:
            yield f"{BOUNDS} has {table[name]} for {name}, which took no more than {row[0]}"
    if whole:
        yield from (f"{BOUNDS} has a row for {name}, which was not seen" for name in sorted(set(table) - set(rows)))


def write_table(rows):
    with open(BOUNDS, encoding="utf-8") as text:
        old = text.read()
    first, last = ROW.search(old), list(ROW.finditer(old))[-1]
    lines = [f"| {name if name[0] == '(' else f'`{name}`'} | {row[0]} | `{row[1]}`, {row[2]} |"
             for name, row in sorted(rows.items(), key=lambda item: -item[1][0])]
    with open(BOUNDS, "w", encoding="utf-8") as text:
        text.write(old[:first.start()] + "\n".join(lines) + old[last.end():])


def judge(rows, whole):
    """(what holds, sentences if it does not)"""
    yield f"no stretch with interrupts off is over {LIMIT} instructions", \
        [f"{name}: {say(row)}" for name, row in sorted(rows.items()) if row[0] > LIMIT] or \
        ([] if rows else ["nothing was measured"])
    yield "K19 at least half of each kernel stack is never used", \
        [f"suite {suite}: {used} of {had} bytes" for suite, (used, had) in sorted(depths.items()) if not 0 < used <= had / 2]
    yield f"K8 K23 {BOUNDS} says what was measured", list(far(rows, whole))


def report(whole, write):
    """Lines, and how many of them passed and failed."""
    (rows, waited), lines, counts = over_all(), [], [0, 0]
    if not rows and not whole:
        return [], 0, 0  # no machine had a meter
    for suite in sorted(worst):
        if worst[suite]:
            name, row = max(((n, r) for n, r in worst[suite].items() if n != WAITS), key=lambda item: item[1],
                            default=("nothing", (0, "", 0)))
            lines.append(f"# stretch: the longest of suite {suite} is {name}, {say(row)}; boot: {boots[suite]}; "
                         f"stack: {depths[suite][0]} of {depths[suite][1]} bytes")
    for name, row in sorted(rows.items(), key=lambda item: -item[1][0])[:None if whole else 5]:
        lines.append(f"# stretch: {name}, {say(row)}")
    lines.append(f"# stretch: the longest wait for another processor's lock, which is not counted in: {waited} instructions")
    if write and rows:
        write_table(rows)
    for what, problems in judge(rows, whole):
        counts[bool(problems)] += 1
        lines.append(f"{'not ok' if problems else 'ok'} - stretch: {what}")
        lines += ["    " + problem for problem in problems]
    return lines, *counts
