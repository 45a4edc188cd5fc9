"""All rows of `make bench`, and what they are held against."""
import os
import re

import lib

TABLE = "tests/bench/table"
PEERS = "tests/bench/peers.tsv"
RISE = 0.03
OTHER_TOOLS = 1.0  # what rows may rise by with tools that the table does not know


def text_bytes():
    """Rows of code in bytes: what stays in memory, and what is given back when boot is over (exo/arch/aarch64/kernel.ld)."""
    sections = {}
    for line in lib.tool("size", "-A", os.path.join(os.path.dirname(lib.KERNEL), "exo.elf")).splitlines():
        words = line.split()
        if len(words) == 3 and words[0].startswith("."):
            sections[words[0]] = int(words[1])
    if not {".head", ".text", ".boot"} <= set(sections):
        lib.fail("the kernel has not the sections .head, .text and .boot")
    return {"text": sections[".head"] + sections[".text"], "text.boot": sections[".boot"]}


def sources():
    for folder, folders, files in os.walk("exo"):
        if folder == "exo/arch":
            folders.remove("host")
        yield from (os.path.join(folder, f) for f in files if re.search(r"\.[chS]$", f) and not re.match(r"audit(_|\.c)", f))


def sloc():
    """Lines that hold something besides comments."""
    count = 0
    for path in sources():
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m[0].count("\n"), file.read(), flags=re.S)
        count += sum(1 for line in text.splitlines() if line.strip())
    return count


def measure():
    rows = lib.raw_run() + lib.libos_run()
    found = {key: number for key, number, _ in rows if key != "loop2"}
    return {**found, **text_bytes(), "sloc": sloc()}


def read_peers():
    """{key: {column: number, "row": the line of Linux's bench}}; - is unknown."""
    with open(PEERS, encoding="ascii") as file:
        head, *lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return {key: {name: int(word) if word.isdigit() else word for name, word in zip(head[1:], words) if word != "-"} for key, *words in lines}


def tools():
    """What counts depend on beside the tree: the compiler, and QEMU's device tree."""
    return f"gcc {lib.tool('gcc', '-dumpversion').strip()}, QEMU {lib.qemu_version()}"


def read_table():
    """(the tools it is for, {key: number})"""
    with open(TABLE, encoding="ascii") as file:
        lines = file.read().splitlines()
    return lines[0][2:], {key: int(number) for key, number in (line.split() for line in lines[1:])}


def compare(rows, known, table, refresh):
    """Sentences about rows that moved. A budget is what one wants to reach; this is what one has."""
    limit = RISE if known == tools() else OTHER_TOOLS
    for key in sorted(set(rows) | set(table)):
        if key not in table or key not in rows:
            yield f"{key}: not in {'the table' if key in rows else 'what was measured'}: {refresh}"
        elif rows[key] > table[key] * (1 + limit):
            yield f"{key}: {rows[key]}, which was {table[key]}: over {limit:.0%} more"
        elif limit == RISE and rows[key] < table[key] * (1 - limit):
            yield f"{key}: {rows[key]}, which was {table[key]}: better, so it is to stay: {refresh}"
