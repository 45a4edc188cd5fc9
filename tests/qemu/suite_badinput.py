"""Bad, missing or hostile bundles, programs, manifests and device trees (B6, K24).

Each machine must say what is wrong and where, and then power off by itself; none may hang without a word.
"""
import random
import re

import bundle
from bundle import PAGE, RW, RWX, RX
from suite import job

CODE = (RX, 0x400000, None, 4, 4)
SPIN = bundle.elf([CODE])


def stops(report, what, said, **how):
    """The machine says it and ends."""
    with report.machine(**how) as m:
        m.ended()
    text = m.text()
    report.check(what, re.search("corbel: .*" + said, text) and "panic" not in text)


def stops_with(report, what, said, data):
    stops(report, what, said, bundle=bundle.write("bad.cpio", data))


# ---- the archive ---------------------------------------------------------------------------

def loop_archive():
    """A record whose length fields wrap: a reader that adds before it checks goes round for ever."""
    return bundle.record("a", b"", namesize=0xFFFFFF92) + bundle.record("b", b"", filesize=0xFFFFFFFC)


@job("bundle")
def bundles(report):
    sound = bundle.archive({"manifest.dtb": b"x" * 100, "bin/init": SPIN, "etc/a": b"hello"})
    stops(report, "B6 no bundle", "no bundle", bundle=None)
    for what, said, data in (
            ("B6 one byte", "bundle: at byte 0x0: .*past the end", b"0"),
            ("B6 a page of zeros", "bundle: at byte 0x0: .*magic", bytes(PAGE)),
            ("B6 text", "bundle: at byte 0x0: .*magic", b"This is no archive.\n" * 100),
            ("B6 an old cpio format", "bundle: at byte 0x0: .*magic", b"070707" + sound[6:]),
            ("B6 a number that is none", "bundle: at byte 0x0: .*hexadecimal", sound[:20] + b"zz" + sound[22:]),
            ("B6 no trailer", "bundle: at byte 0x.*trailer|bundle: at byte 0x.*past the end", bundle.record("a", b"abc")),
            ("B6 only a trailer", "bundle: holds no bin/init", bundle.archive({})),
            ("B6 no bin/init", "bundle: holds no bin/init", bundle.archive({"bin/sh": SPIN})),
            ("B6 an empty name", "bundle: at byte 0x0: .*name", bundle.record("", b"abc", namesize=0)),
            ("B6 a name without its end", "bundle: at byte 0x0: .*name", bundle.record("abcdef", b"", namesize=4)),
            ("B6 a name of 4 GiB", "bundle: at byte 0x0", bundle.record("a", b"", namesize=0xFFFFFFFF)),
            ("B6 a file of 4 GiB", "bundle: at byte 0x0: .*past the end", bundle.record("a", b"", filesize=0xFFFFFFFF)),
            ("B6 lengths that wrap", "bundle: at byte 0x0", loop_archive())):
        stops_with(report, what, said, data)


@job("bundle-truncated")
def truncated(report):
    """K20: cut at every sort of place."""
    sound = bundle.archive({"a": b"x" * 100, "bin/init": SPIN})
    for length in (1, 6, 109, 110, 113, 150, 300, 340, len(sound) // 2):
        stops_with(report, f"B6 a bundle cut to {length} bytes", "bundle: at byte 0x.*(past the end|trailer)", sound[:length])


@job("bundle-garbage")
def garbage(report):
    random.seed(1)
    sound = bundle.archive({"a": b"x" * 100, "bin/init": b"no program"})
    for round_ in range(8):
        data = bytearray(sound)
        for _ in range(1 + round_):
            data[random.randrange(len(data))] = random.randrange(256)
        stops_with(report, f"B6 damage {round_}", "bundle: ", bytes(data))
    stops_with(report, "B6 noise", "bundle: at byte 0x0: .*magic", random.randbytes(100000))


# ---- the first program ---------------------------------------------------------------------

@job("init-elf")
def init_elf(report):
    """P4: every offset and size is checked before anything is bound."""
    good = SPIN
    for what, said, data in (
            ("empty", "shorter than an ELF", b""),
            ("text", "shorter than an ELF|not an ELF", b"#!/bin/sh\necho hi\n" * 10),
            ("cut in its header", "shorter than an ELF", good[:40]),
            ("cut in its program headers", "program headers", good[:80]),
            ("cut in its code", "content lies outside", good[:PAGE + 2]),
            ("32 bits", "not a 64-bit", good[:4] + b"\x01" + good[5:]),
            ("big-endian", "not a 64-bit", good[:5] + b"\x02" + good[6:]),
            ("for x86-64", "another processor", bundle.elf([CODE], machine=62)),
            ("an object file", "not an executable", bundle.elf([CODE], kind=1)),
            ("a shared object", "not an executable", bundle.elf([CODE], kind=3)),
            ("without segments", "no loadable|program headers", bundle.elf([])),
            ("writable and executable", "both writable and executable", bundle.elf([(RWX, 0x400000, None, 4, 4)])),
            ("with the entry outside", "entry point", bundle.elf([CODE], entry=0x500000)),
            ("with the entry in data", "entry point", bundle.elf([CODE, (RW, 0x401000, None, 4, 4)], entry=0x401000)),
            ("with overlapping segments", "share a page", bundle.elf([CODE, (RW, 0x400000, None, 4, 4)])),
            ("with segments that share a page", "share a page",
             bundle.elf([CODE, (RW, 0x400800, PAGE + 0x800, 4, 4)])),
            ("at address 0", "outside the addresses", bundle.elf([(RX, 0, None, 4, 4)], entry=0)),
            ("in the kernel's half", "outside the addresses",
             bundle.elf([(RX, 0xFFFFFF8000000000, None, 4, 4)], entry=0xFFFFFF8000000000)),
            ("whose size wraps", "outside the addresses|exceeds", bundle.elf([(RX, 0x400000, None, 4, 2**64 - 0x300000)])),
            ("whose file offset wraps", "outside the file", bundle.elf([(RX, 0x400000, 2**64 - PAGE, 8192, 8192)])),
            ("with more file than memory", "exceeds", bundle.elf([(RX, 0x400000, None, 4, 2)])),
            ("out of step with its file", "disagree", bundle.elf([(RX, 0x400000, PAGE + 2, 2, 2)])),
            ("larger than the machine", "error 8|error 9|memory", bundle.elf([CODE, (RW, 0x800000, None, 4, 0x40000000)]))):
        stops_with(report, "P4 an init " + what, "bin/init: .*(" + said + ")", bundle.archive({"bin/init": data}))


@job("init-elf-noise")
def init_noise(report):
    """P4: a header with noise in it is refused, or starts a program that faults; the kernel stays sound."""
    random.seed(2)
    for round_ in range(8):
        data = bytearray(bundle.elf([CODE], code=b"\0\0\0\0"))  # an undefined instruction
        for _ in range(3):
            data[random.randrange(4, 120)] = random.randrange(256)
        stops_with(report, f"P4 an init with noise {round_}", "bin/init|first program ended",
                   bundle.archive({"bin/init": bytes(data)}))


@job("init-ends")
def init_ends(report):
    """K30: what the first program does wrong is told as its end, with the place."""
    for what, code in (("an undefined instruction", 0x00000000), ("a breakpoint", 0xD4200000), ("hvc", 0xD4000002),
                       ("smc", 0xD4000003), ("eret", 0xD69F03E0), ("msr daifset", 0xD50342DF),
                       ("a read of address 0", 0xF94003FF), ("mrs from sctlr_el1", 0xD5381000)):
        stops_with(report, f"K30 an init that begins with {what}", "first program ended .*0x400000",
                   bundle.archive({"bin/init": bundle.elf([CODE], code=code.to_bytes(4, "little"))}))


# ---- the device tree -----------------------------------------------------------------------

TINY = bundle.archive({"bin/sh": SPIN})  # the complaint about it is the sign that the tree was good enough


@job("tree")
def trees(report):
    source = bundle.machine_tree()
    cut = bundle.without_node

    def case(what, said, text, **how):
        stops(report, what, said, **bundle.by_hand(bundle.boot_tree(text, TINY, **how), TINY))

    case("B6 a sound tree, for comparison", "holds no bin/init", source)
    case("B6 no memory", "device tree: no memory", cut(source, "memory@"))
    case("B6 no timer", "device tree: .*timer", cut(source, "timer"))
    case("B6 no interrupt controller", "device tree: .*interrupt controller", cut(source, "intc@"))
    case("B6 no initial RAM disk", "no bundle", source.replace("linux,initrd-start", "other"))
    case("B6 a bundle beyond memory", "bundle: .*not all in memory", source, end=0x60000000)
    case("B6 a bundle outside memory", "bundle: .*not all in memory", source, start=0x10000000, end=0x10001000)
    case("B6 a bundle that ends before it starts", "ends before it starts", source, end=bundle.BUNDLE_AT - PAGE)
    case("B6 a bundle of no bytes", "ends before it starts|bundle", source, end=bundle.BUNDLE_AT)
    case("B6 a bundle over the kernel", "bundle: .*overlap", source, start=bundle.KERNEL_AT)
    case("B6 a bundle not on a page", "bundle: .*page aligned|bundle: ", source, start=bundle.BUNDLE_AT + 4)
    case("B6 memory that wraps", "memory", re.sub(r"(memory@.*?reg = <)[^>]*", r"\g<1>0xffffffff 0xfffff000 0x0 0x8000000",
                                                   source, flags=re.S))
    case("B6 less than 2 MiB of memory", "memory", re.sub(r"(memory@.*?reg = <)[^>]*", r"\g<1>0x0 0x40000000 0x0 0x100000",
                                                          source, flags=re.S))
    case("B6 memory without reg", "memory", re.sub(r"(memory@[^}]*?)reg = <[^>]*>;", r"\1", source, flags=re.S))
    case("B6 an interrupt controller without reg", "interrupt controller",
         re.sub(r"(intc@.*?)\breg = <[^>]*>;", r"\1", source, count=1, flags=re.S))
    stdout = 'stdout-path = "/pl011@9000000"'
    source = re.sub(r"aliases \{[^}]*\};", "", source)  # newer QEMU has some
    case("B5 the console by an alias, with options", "holds no bin/init",
         source.replace(stdout, 'stdout-path = "uart:115200n8"').replace("chosen {", 'aliases { uart = "/pl011@9000000"; };\nchosen {', 1))
    case("B6 a console alias that names itself", "holds no bin/init",
         source.replace(stdout, 'stdout-path = "a"').replace("chosen {", 'aliases { a = "a"; };\nchosen {', 1))
    case("B6 an interrupt controller that is nowhere", "no device answers at 0x7000000000",
         re.sub(r"(intc@[^}]*?)reg = <0x00 0x8000000 ", r"\1reg = <0x70 0x0 ", source, count=1, flags=re.S))
    case("B6 a console that is nowhere", "holds no bin/init", source.replace(stdout, 'stdout-path = "/nosuch"'))
    case("B6 a timer without interrupts", "timer", re.sub(r"(timer \{[^}]*?)interrupts = <[^>]*>;", r"\1", source, flags=re.S))


@job("tree-no-console")
def no_console(report):
    """Without a console there is nobody to tell; the machine still ends."""
    source = bundle.machine_tree()
    text = bundle.without_node(source, "pl011@").replace("stdout-path", "other")
    text = re.sub(r"^\s*serial\d* = .*$", "", text, flags=re.M)
    with report.machine(**bundle.by_hand(bundle.boot_tree(text, TINY), TINY)) as m:
        report.check("B6 no console: the machine ends by itself", m.ended() == 0)


@job("tree-damaged")
def damaged(report):
    """Where the header is sound the console can still be found, so there is a sentence. Other trees cannot be read: they
    name no console and no way to power off, and the processor stands still. No tree makes the kernel panic."""
    blob = bundle.boot_tree(bundle.machine_tree(), TINY)
    size = len(blob)
    for what, data in (("no tree at all", b""), ("a tree cut to 4 bytes", blob[:4]), ("to 40 bytes", blob[:40]),
                       ("to 1000 bytes", blob[:1000]), ("in the middle", blob[:size // 2])):
        quiet(report, "B6 " + what, data)
    rest = int.from_bytes(blob[8:12], "big") + 16  # behind the beginning of the structure block
    for what, data in (("damage behind the console's node", blob.replace(b"arm,primecell", b"\xff" * 13)),
                       ("an end that is missing", blob.replace(b"\0\0\0\x02\0\0\0\x09", b"\0\0\0\x02\0\0\0\x02"))):
        stops(report, "B6 " + what, "device tree|holds no bin/init", **bundle.by_hand(data, TINY))
    random.seed(3)
    for round_ in range(6):
        data = bytearray(blob)
        for _ in range(4):
            data[random.randrange(rest, size)] = random.randrange(256)
        quiet(report, f"B6 a tree with damage {round_}", bytes(data))
    quiet(report, "B6 a tree of noise", random.randbytes(4096))


def quiet(report, what, blob):
    with report.machine(**bundle.by_hand(blob, TINY)) as m:
        text = m.quiet(0.7)
    report.check(what, "panic" not in text and (not text or "corbel: " in text))
