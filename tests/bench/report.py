"""The written parts of docs/performance.md: what stands between <!-- NAME --> and <!-- end --> is a tool's, the rest is not."""
import re

import grown
import lib
import svg
import together

PAGE = "docs/performance.md"
PLOTS = "docs/plots"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
CHARTS = {  # file: (title, x axis, series, a limit)
    "boot": ("Boot, from reset to the first program", "MiB of memory", ("boot",)),
    "memory": ("A page allocated, and freed", "MiB of memory", ("alloc", "free")),
    "environments": ("A call and its answer", "environments", ("call", "call.turn")),
    "pages": ("Binding pages, a page", "pages", ("map", "unmap")),
    "capabilities": ("A signal", "capabilities in the table", ("lookup",)),
    "waiting": ("Waking one, which waits again", "waiting virtual processors", ("wake", "wake.deadline")),
}


def section(name):
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)


def read():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def get(name):
    found = section(name).search(read())
    return found[0].split("\n", 1)[1].rsplit("\n", 1)[0] + "\n" if found else ""


def put(name, body):
    text = read()
    if not section(name).search(text):
        lib.fail(f"{PAGE} has no place for '{name}'")
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(section(name).sub(lambda found: found[1] + body + found[2], text))


def stale(name, body, tolerance=0.25):
    """Whether the page's numbers are others, and by more than that."""
    old, new = (list(map(float, NUMBER.findall(text))) for text in (get(name), body))
    return len(old) != len(new) or any(abs(a - b) > max(tolerance * b, 5) for a, b in zip(old, new))


def table(head, rows):
    """Columns of numbers are set right."""
    right = [all(re.match(r"[\d.]*(?: \(|$)|within", str(row[i])) for row in rows) for i in range(len(head))]
    lines = [head, ["--:" if r else "---" for r in right]] + rows
    return "".join("| " + " | ".join(str(word) for word in line) + " |\n" for line in lines)


# ---- sections -----------------------------------------------------------------------------------------------------------

def versions():
    said = lib.asked("--version").splitlines()[0]
    gcc = lib.tool("gcc", "--version").splitlines()[0]
    return f"{said}, `-cpu {lib.CPU}`; {gcc}.\n"


def rows(numbers, peers):
    def times(number, of):
        return f"{of} ({of / number:.1f})" if of else ""

    lines = []
    for key, number in numbers.items():
        peer = peers.get(key)
        if peer:
            over = f"{number / peer['budget']:.2f}" if number > peer["budget"] else "within"
            lines.append([f"`{key}`", number, peer["budget"], over, times(number, peer.get("linux")), times(number, peer.get("sel4"))])
    return table(["row", "Corbel", "budget", "over it", "Linux (times as much)", "seL4 (times as much)"], lines)


def where(profiled, peers, most=6):
    """profiled: {key: (instructions, {(program, function): instructions})}"""
    lines = []
    for key, (number, counts) in profiled.items():
        if key not in peers or not counts:
            continue
        total = sum(counts.values())
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
        names = ", ".join(f"`{function}`{'' if program in ('kernel', 'init') else f' of {program}'} {n:.0f}" for (program, function), n in top)
        kernel = sum(n for (program, _), n in counts.items() if program == "kernel")
        lines.append([f"`{key}`", number, f"{100 * kernel / total:.0f} %", names])
    return table(["row", "instructions", "in the kernel", "most of them in"], lines)


def growth(found):
    out = []
    for name, (title, x_title, names) in CHARTS.items():
        out.append(f"\n![{title}](plots/{name}.svg)\n\n")
        sizes = sorted(found[names[0]])
        extra = [n for n in names if n != names[0]]
        out.append(table([x_title, *(f"`{n}`" for n in names)],
                         [[size, *(found[n].get(size, "") for n in [names[0], *extra])] for size in sizes]))
    return "".join(out) + "\n" + table(["series", "what", "by", "from", "to"], [
        [f"`{name}`", what, unit, min(found[name].values()), max(found[name].values())] for name, (unit, what, _) in grown.SERIES.items()])


def plots(found, smp):
    for name, (title, x_title, names) in CHARTS.items():
        limit = ("128 MiB + 10 %", found["boot"][128] * 1.1) if name == "boot" else None
        with open(f"{PLOTS}/{name}.svg", "w", encoding="utf-8") as file:
            file.write(svg.chart(title, x_title, "instructions", {n: found[n] for n in names}, limit))
    series = {row: {n: plain.rows[row][0] for n, (plain, _) in smp.items() if row in plain.rows} for row in
              ("alloc", "map", "call", "call.far")}
    with open(f"{PLOTS}/processors.svg", "w", encoding="utf-8") as file:
        file.write(svg.chart("On several CPUs at once, an operation", "CPUs", "instructions of all CPUs", series))


def smp(found):
    cpus = sorted(found)
    lines = []
    for name, (what, _, _) in together.ROWS.items():
        costs = [found[n][0].rows[name][0] if name in found[n][0].rows else "" for n in cpus]
        many = found[cpus[-1]]
        lines.append([f"`{name}`", what, *costs, together.locks(many[0].locks.get(name, {})), together.locks(many[1].waits.get(name, {}))])
    return "![On several CPUs at once](plots/processors.svg)\n\n" + table(
        ["row", "one operation", *(f"{n} CPU{'s' * (n > 1)}" for n in cpus), "shared locks", "waits"], lines)


def linux(name, column, ours, theirs, peers):
    lines = [[f"`{key}`", number, f"{theirs[peers[key]['row']]:.0f}", f"{theirs[peers[key]['row']] / number:.1f}", f"`{peers[key]['row']}`"]
             for key, number in ours.items() if "row" in peers.get(key, {})]
    return f"Debian's `{name}`, {column}.\n\n" + table(["row", "Corbel", "Linux", "times as much", "row of `tests/bench/linux`"], lines)
