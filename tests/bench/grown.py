"""How costs grow: what tests/bench/raw/growth.c measures, and what must be flat."""
import lib

SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)  # MiB
FLAT = 0.05
BOOT = 0.10  # above that with 128 MiB
# series: (what grows, what it is, how it may grow)
SERIES = {
    "boot": ("MiB", "from reset to the first program", "boot"),
    "alloc": ("MiB", "`page_alloc` of one page, a thousand in a row", "flat"),
    "free": ("MiB", "`page_unmap` of these, one by one", "flat"),
    "alloc.again": ("MiB", "the same pages once more", "flat"),
    "free.again": ("MiB", "and back", "flat"),
    "map": ("pages", "`page_map` of so many, a page", "range"),
    "unmap": ("pages", "`page_unmap` of them, a page", "range"),
    "call": ("environments", "`call` to one of so many, and its answer", "flat"),
    "call.turn": ("environments", "the same to each in turn", "flat"),
    "lookup": ("capabilities", "`signal` by one of so many", "flat"),
    "cap": ("capabilities", "making one more", "steps"),
    "wake": ("waiting", "`signal` to one of so many waiting vcpus, which runs and waits again", "flat"),
    "wake.deadline": ("waiting", "the same, each waiting with a deadline", "heap"),
}
# What is not as it must be yet, and why. One that is, fails: its line is to go.
NOT_YET = {}


def measure():
    """{series: {size: instructions}}"""
    bundle, _ = lib.build("growth", "growth")
    found = {}
    for mib in SIZES:
        for key, number, _ in lib.rows("growth", "-initrd", bundle, memory=f"{mib}M"):
            name, _, size = key.rpartition(".")
            if key == "boot":
                name, size = "boot", mib
            found.setdefault(name, {})[int(size)] = number
    return found


def flat(values):
    low, high = min(values.values()), max(values.values())
    return [] if high <= low * (1 + FLAT) else [f"from {low} to {high}, over {FLAT:.0%}"]


def grows(how, values):
    """Sentences about a series that does not keep to what it is held to."""
    sizes = sorted(values)
    if how == "boot":
        return [f"{values[n]} with {n} MiB, over {BOOT:.0%} above the {values[128]} with 128 MiB" for n in sizes
                if values[n] > values[128] * (1 + BOOT)][-1:]
    if how == "range":  # few pages share the entry; from a whole call on, nothing more
        return flat({n: values[n] for n in sizes if n >= 64}) + \
            [f"{values[m]} for {m} pages, {values[n]} for {n}" for n, m in zip(sizes, sizes[1:]) if values[m] > values[n] * (1 + FLAT)]
    if how == "heap":  # logarithmic: no doubling adds more than that
        return [f"{values[n]} with {n}, {values[m]} with {m}: over {FLAT:.0%} a doubling" for n, m in zip(sizes, sizes[1:])
                if values[m] > values[n] * (1 + FLAT)]
    if how == "steps":  # a table takes another frame now and then
        return [f"{values[n]} with {n}, {values[sizes[0]]} with {sizes[0]}: over half more" for n in sizes
                if values[n] > values[sizes[0]] * 1.5]
    return flat(values)


def judge(found):
    """Sentences: what is not flat and must be; and what is not yet."""
    problems, later = [], []
    for name in SERIES:
        if len(found.get(name, {})) < 2:
            problems.append(f"{name}: was not measured")
            continue
        wrong = [f"{name}: {sentence}" for sentence in grows(SERIES[name][2], found[name])]
        if name in NOT_YET and wrong:
            later += [f"{sentence}: {NOT_YET[name]}" for sentence in wrong]
        elif name in NOT_YET:
            problems.append(f"{name} is as it must be: its line in NOT_YET (tests/bench/grown.py) is to go")
        problems += wrong if name not in NOT_YET else []
    return problems, later
