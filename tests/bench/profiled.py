"""What the plugin that counts instructions (tests/plugin/profile.c) wrote, by row, program and function."""
import os
import re
import struct

import lib

PAGE = 4096
LOADED = re.compile(r"^\s*LOAD\s+(\S+)\s+(\S+)\s+\S+\s+(\S+)\s+\S+\s+(...)", re.M)


def plain(name):
    """A function's name without what the compiler adds to that of a part or a variant."""
    return re.sub(r"\.(lto_priv|isra|part|constprop|cold).*", "", name)


class Program:
    """An ELF file: its symbols, and its pages of code."""
    def __init__(self, path, kernel=False):
        self.path, self.name = path, "kernel" if kernel else os.path.basename(path).replace(".elf", "")
        with open(path, "rb") as file:
            self.data = file.read()
        self.segments = [tuple(int(w, 16) for w in found[:3]) for found in LOADED.findall(lib.tool("readelf", "-lW", path))
                         if "E" in found[3]]
        self.symbols = sorted((int(w[0], 16), w[2]) for w in map(str.split, lib.tool("nm", path).splitlines())
                              if len(w) == 3 and w[1] in "tTwW" and not w[2].startswith("$"))

    def has(self, address, code):
        """Whether a page of code is this program's: what the file has of it."""
        for offset, start, size in self.segments:
            first, last = max(start, address), min(start + size, address + PAGE)
            if first < last and self.data[offset + first - start:offset + last - start] == code[first - address:last - address]:
                return True
        return False

    def place(self, code):
        """Where a page of code lies that ran elsewhere, as the kernel does before its MMU is on; or None."""
        for offset, start, size in self.segments:
            at = self.data.find(code, offset, offset + size)
            if at >= 0 and (at - offset + start) % PAGE == 0:
                return at - offset + start
        return None

    def function(self, address):
        low, high = 0, len(self.symbols)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.symbols[middle][0] <= address else (low, middle)
        return plain(self.symbols[low - 1][1]) if low else "?"

    def innermost(self, addresses):
        """{address: the function that it was written in}, inlined ones too."""
        words = [f"{a:x}" for a in addresses]
        lines = []
        for i in range(0, len(words), 2000):
            lines += lib.tool("addr2line", "-f", "-e", self.path, *words[i:i + 2000]).splitlines()[::2]
        return {a: self.function(a) if name == "??" else plain(name) for a, name in zip(addresses, lines)}


class Counts:
    """What the plugin wrote, for one row: {(program, address): how often}."""
    def __init__(self, path, programs, kernel):
        self.rows = {}
        with open(path, "rb") as file:
            data = file.read()
        at = 0
        while at < len(data):
            address, nrows = struct.unpack_from("<2Q", data, at)
            code = data[at + 16:at + 16 + PAGE]
            at += 16 + PAGE
            owner = kernel if address >> 63 else next((p for p in programs if p.has(address, code)), None)
            if not owner and kernel.place(code):
                owner, address = kernel, kernel.place(code)
            for _ in range(nrows):
                row, *counts = struct.unpack_from(f"<{1 + PAGE // 4}Q", data, at)
                at += 8 + 8 * (PAGE // 4)
                into = self.rows.setdefault(row, {})
                for word, n in enumerate(counts):
                    if n:
                        into[owner, address + 4 * word] = into.get((owner, address + 4 * word), 0) + n


def kernel_program():
    return Program(os.path.join(os.path.dirname(lib.KERNEL), "exo.elf"), kernel=True)


def take(which):
    """Runs the benches under the plugin: (rows, counts)."""
    kernel = kernel_program()
    with lib.scratch() as folder:
        words = ["-plugin", f"{lib.plugin('profile')},out={folder}/out"]
        if which == "raw":
            rows, programs = lib.raw_run(words=words), [Program(f"{lib.OUT}/bench/raw/bin/init")]
        else:
            folders = (lib.OUT + "/test-apps", lib.OUT + "/apps")
            programs = [Program(os.path.join(f, name)) for f in folders for name in sorted(os.listdir(f)) if name.endswith(".elf")]
            rows = [("", 0, 0)] + lib.libos_run(words=words)
        return rows, Counts(f"{folder}/out", programs, kernel)


def named(counts, inline):
    """{(program's name, function): n}"""
    table, wanted = {}, {}
    for (program, address), n in counts.items():
        wanted.setdefault(program, {})[address] = n
    for program, of in wanted.items():
        if program is None:
            names = {a: "?" for a in of}
        elif inline:
            names = program.innermost(sorted(of))
        else:
            names = {a: program.function(a) for a in of}
        for address, n in of.items():
            key = (program.name if program else "?", names[address])
            table[key] = table.get(key, 0) + n
    return table


def all_rows():
    """{key: (what the clock says, {(program's name, function): instructions of one operation})}"""
    found = {}
    for which in ("raw", "libos"):
        rows, counts = take(which)
        for i, (key, number, operations) in enumerate(rows):
            if key:
                found[key] = (number, {name: n / operations for name, n in named(counts.rows.get(i, {}), False).items()})
    return found
