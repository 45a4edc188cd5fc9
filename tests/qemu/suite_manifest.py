"""Bundles whose manifest or programs are bad: what is wrong is said, with the place; then the machine stops, or only
that program is refused (B6, K24, P4)."""
import random
import re

import bundle
from bundle import PAGE, RW, RWX, RX
from machine import BUNDLE
from suite import job

CODE = (RX, 0x400000, None, 4, 4)


def files(path=BUNDLE):
    return bundle.unpack(bundle.read(path))


def with_manifest(edit, path=BUNDLE):
    """The bundle, its manifest's source edited."""
    sound = files(path)
    source = bundle.dtc(sound["manifest.dtb"], "dtb", "dts").decode()
    edited = edit(source)
    if edited == source:
        raise RuntimeError("the edit changes nothing")
    return bundle.archive({**sound, "manifest.dtb": bundle.dtc(edited.encode(), "dts", "dtb")})


def stops(report, what, said, data):
    """It is said, and the machine powers off with a status that is not 0."""
    with report.machine(bundle=bundle.write("bad.cpio", data)) as m:
        m.ended()
    text = m.text()
    report.check(what, re.search(said, text) and re.search(r"^corbel: power off, status [1-9]", text, re.M))


def goes_on(report, what, said, data):
    """It is said, and there is a shell all the same."""
    with report.shell(bundle=bundle.write("bad.cpio", data)) as sh:
        good = sh.run("echo alive") == ("alive\n", 0)
        report.check(what, good and re.search(said, sh.text()))


@job("blob")
def blobs(report):
    """Not a sound device tree blob."""
    sound = files()
    blob = sound["manifest.dtb"]
    missing = {n: d for n, d in sound.items() if n != "manifest.dtb"}
    stops(report, "B6 no manifest", 'init: the bundle has no file "manifest.dtb"', bundle.archive(missing))
    for what, data in (("an empty manifest", b""), ("a manifest of text", b"/dts-v1/; / { };\n"), ("of zeros", bytes(4096)),
                       ("cut in its header", blob[:20]), ("cut in the middle", blob[:len(blob) // 2]),
                       ("cut at its end", blob[:-4]), ("that claims to be larger", blob[:4] + b"\x7f\xff\xff\xff" + blob[8:]),
                       ("of another version", blob[:20] + b"\0\0\0\x63" + b"\0\0\0\x63" + blob[28:])):
        stops(report, "B6 " + what, "init: manifest: not a sound device tree blob", bundle.archive({**sound, "manifest.dtb": data}))
    random.seed(4)
    for round_ in range(6):
        data = bytearray(blob)
        for _ in range(3):
            data[random.randrange(len(data))] = random.randrange(256)
        with report.machine(bundle=bundle.write("bad.cpio", bundle.archive({**sound, "manifest.dtb": bytes(data)}))) as m:
            m.expect(r"init: .*\n|corbel:/\S* ?[$#] ")
            report.check(f"B6 a manifest with damage {round_}: a word, or a shell", "panic" not in m.text())


SHELL = "shell {"


def after(node, line):
    return lambda source: source.replace(node, node + "\n" + line, 1)


def instead(old, new):
    return lambda source: source.replace(old, new, 1)


@job("properties")
def properties(report):
    for what, said, edit in (
            ("an unknown property", "manifest: /shell: property 'colour' is unknown", after(SHELL, 'colour = "red";')),
            ("a number where text belongs", "manifest: /shell: property 'path'", instead('path = "/bin/sh"', "path = <0x12345678>")),
            ("text where a number belongs", "manifest: /shell: property 'start'", instead("start = <0x03>", 'start = "three"')),
            ("a flag with a value", "manifest: /shell: property 'command-line'", instead("command-line;", "command-line = <1>;")),
            ("a path that is not absolute", "manifest: /shell: property 'path'", instead('"/bin/sh"', '"bin/sh"')),
            ("no path", "manifest: /shell: property 'path' is missing", instead('path = "/bin/sh";', "")),
            ("no memory limit", "manifest: /shell: property 'memory'", lambda s: re.sub(r'(shell \{.*?)memory = <[^>]*>;', r"\1", s, flags=re.S)),
            ("a memory limit of nothing", "manifest: /template: property 'memory' is out of range",
             lambda s: re.sub(r"(template \{.*?memory = )<[^>]*>", r"\1<0>", s, flags=re.S)),
            ("no template", "manifest: /template: is missing", lambda s: re.sub(r"template \{.*?\};", "", s, count=1, flags=re.S)),
            ("a node within a node", "manifest: /shell: has nodes",
             lambda s: re.sub(r"(shell \{.*?)\};", r"\1 inner { }; };", s, count=1, flags=re.S)),
            ("a version of the future", "corbel-manifest", instead("corbel-manifest = <0x01>", "corbel-manifest = <2>")),
            ("no version", "corbel-manifest", instead("corbel-manifest = <0x01>;", "")),
            ("an unknown way to end", "is none of", instead('on-exit = "power-off"', 'on-exit = "explode"')),
            ("a service that nobody offers", 'service "fs" is offered by no', instead('provides = "fs";', "")),
            ("a service that two offer", "more than one", after(SHELL, 'provides = "fs";')),
            ("a service without a name", "service name|empty string", after(SHELL, 'provides = "";')),
            ("slices beyond all bounds", "manifest: /shell: property 'slices'", after(SHELL, "slices = <0xffffffff 0xffffffff 0xffffffff>;")),
            ("half a slice", "manifest: /shell: property 'slices'", after(SHELL, "slices = <0 0>;")),
            ("slices that overlap", "manifest: /shell: property 'slices' overlaps", after(SHELL, "slices = <0 0 4>, <0 2 4>;")),
            ("a variable without =", "NAME=VALUE", instead("HOME=/", "HOME")),
            ("too many processes", "manifest: /shell: property 'processes'", instead("processes = <0x40>", "processes = <0x10000>")),
            ("a variable without a name", "NAME=VALUE", instead("HOME=/", "=/"))):
        stops(report, "B6 " + what, "init: .*" + said, with_manifest(edit))


@job("grants")
def grants(report):
    """What cannot be granted is refused with a sentence."""
    stops(report, "B6 a program that is not in the bundle", 'init: the bundle has no file "/bin/nosuch"',
          with_manifest(instead('path = "/bin/sh"', 'path = "/bin/nosuch"')))
    stops(report, "B6 more memory than the machine has", "init: /bin/sh cannot be started: .*memory",
          with_manifest(lambda s: re.sub(r"(shell \{.*?memory = )<[^>]*>", r"\1<0x8000000>", s, flags=re.S)))
    stops(report, "B6 a device that the machine does not have", "init: .*(/bin/sh|shell).*nosuch|init: .*nosuch",
          with_manifest(after(SHELL, 'devices = "/nosuch";')))
    stops(report, "C1 slices of a processor that is not there", "init: .*/bin/sh .*slices of CPU 77",
          with_manifest(after(SHELL, "slices = <77 0 4>;")))
    goes_on(report, "B6 one program of several that is not in the bundle", 'init: the bundle has no file "/bin/more"',
            with_manifest(instead(SHELL, 'more { path = "/bin/more"; start = <9>; memory = <0x400>; };\n' + SHELL)))


BAD_PROGRAMS = (
    ("of zeros", "not an ELF", bytes(PAGE)),
    ("cut in its header", "shorter than an ELF", bundle.elf([CODE])[:50]),
    ("without a note", "no ABI note", bundle.elf([CODE], version=None)),
    ("of another version", "version 99", bundle.elf([CODE], version=99)),
    ("cut", "outside the file", bundle.elf([CODE])[:PAGE + 1]),
    ("for another processor", "not an ELF file for AArch64", bundle.elf([CODE], machine=62)),
    ("writable and executable", "both writable and executable", bundle.elf([(RWX, 0x400000, None, 4, 4)])),
    ("of overlapping segments", "share a page", bundle.elf([CODE, (RW, 0x400000, None, 4, 4)])),
    ("with its entry outside", "entry point", bundle.elf([CODE], entry=0x900000)),
    ("in the kernel's half", "outside the addresses", bundle.elf([(RX, 0xFFFFFF8000000000, None, 4, 4)], entry=0xFFFFFF8000000000)),
    ("in the libOS's own place", "outside the addresses|outside", bundle.elf([(RX, 0x7E00200000, None, 4, 4)], entry=0x7E00200000)),
)


@job("programs")
def programs(report):
    """P4: a program that is bad is refused by itself."""
    sound = files()
    bad = {f"bin/bad{i}": data for i, (_, _, data) in enumerate(BAD_PROGRAMS)}
    bad["bin/huge"] = bundle.elf([CODE, (RW, 0x800000, None, 4, 0x30000000)])
    bad["bin/spins"] = bundle.elf([CODE])
    bad["bin/faults"] = bundle.elf([CODE], code=b"\0\0\0\0")
    with report.shell(bundle=bundle.write("bad.cpio", bundle.archive({**sound, **bad}))) as sh:
        sh.run("bad0; bad1; bad2; huge; faults; spins & sleep 1; kill -9 $!; wait")
        before = sh.free()
        for i, (what, words, _) in enumerate(BAD_PROGRAMS):
            said, status = sh.run(f"bad{i}")
            report.check(f"P4 a program {what}", status == 126 and re.search(f"/bin/bad{i}: .*({words})", said), f"status {status}\n{said}")
        said, status = sh.run("huge")
        report.check("P4 a program larger than its limit", status == 126 and "huge: " in said, f"status {status}\n{said}")
        said, status = sh.run("faults")
        report.check("K30 a program that knows no libOS and faults at once", status >= 128 and "(faults)" in said, f"status {status}\n{said}")
        sh.run("spins & sleep 1; kill -9 $!; wait")
        report.equal("P4 free frames are as before", sh.free_again(before), before)


@job("servers")
def servers(report):
    """The programs that everything hangs on: a sentence, never silence."""
    sound = files()
    for name, words in (("sh", "init: /bin/sh: not an ELF"), ("consoled", "init: /bin/consoled: not an ELF")):
        with report.machine(bundle=bundle.write("bad.cpio", bundle.archive({**sound, "bin/" + name: b"nothing " * 20}))) as m:
            m.expect(words, 30)
            report.ok(f"B6 a bad {name}: it is said")
            if name == "sh":
                m.expect("^corbel: power off, status 126")
                report.equal("B6 and the machine stops", m.ended(), 0)
    with report.machine(bundle=bundle.write("bad.cpio", bundle.archive({**sound, "bin/fsd": b"nothing " * 20}))) as m:
        m.expect("init: /bin/fsd: not an ELF", 30)
        report.ok("B6 a bad fsd: it is said")
    with report.machine(bundle=bundle.write("bad.cpio", bundle.archive({**sound, "bin/fsd": bundle.elf([CODE], code=b"\0\0\0\0")}))) as m:
        m.expect("init: .*fsd.* is not started again", 20)
        report.ok("B6 an fsd that ends at once is given up, with a sentence")
