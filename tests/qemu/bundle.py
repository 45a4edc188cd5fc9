"""Bundles, ELF files and device trees, sound and unsound ones."""
import glob
import os
import struct
import subprocess
import tempfile

from machine import KERNEL, OUT, QEMU

PAGE = 4096
FILE = 0o100755


os.makedirs(OUT, exist_ok=True)
SCRATCH = tempfile.TemporaryDirectory(prefix="qemu-tests.", dir=OUT)


def write(name, data):
    """A scratch file, gone when the run ends."""
    handle, path = tempfile.mkstemp(prefix=name + ".", dir=os.path.relpath(SCRATCH.name))
    with os.fdopen(handle, "wb") as target:
        target.write(data)
    return os.path.relpath(path)


# ---- newc archives -------------------------------------------------------------------------

def record(name, data, mode=FILE, **fields):
    """One record; fields may lie: namesize, filesize, magic."""
    encoded = name.encode() + b"\0"
    namesize = fields.get("namesize", len(encoded))
    filesize = fields.get("filesize", len(data))
    numbers = (1, mode, 0, 0, 1, 0, filesize, 0, 0, 0, 0, namesize, 0)
    head = fields.get("magic", b"070701") + b"".join(b"%08X" % n for n in numbers)
    encoded += b"\0" * (-(len(head) + len(encoded)) % 4)
    return head + encoded + data + b"\0" * (-len(data) % 4)


def archive(files):
    """A whole archive of {name: bytes}."""
    return b"".join(record(n, d) for n, d in files.items()) + record("TRAILER!!!", b"", 0)


def unpack(data):
    """{name: bytes} of a sound archive."""
    files, at = {}, 0
    while True:
        field = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, namesize = field[6], field[11]
        name = data[at + 110:at + 110 + namesize].split(b"\0")[0].decode()
        start = (at + 110 + namesize + 3) & ~3
        if name == "TRAILER!!!":
            return files
        files[name] = data[start:start + size]
        at = (start + size + 3) & ~3


def read(path):
    with open(path, "rb") as source:
        return source.read()


# ---- ELF files -----------------------------------------------------------------------------

ELF_HEADER = "<16sHHIQQQIHHHHHH"
PROGRAM_HEADER = "<IIQQQQQQ"
RX, RW, RWX = 5, 6, 7


def elf(segments, entry=0x400000, machine=183, kind=2, code=b"\x00\x00\x00\x14", version=2):
    """A small executable: segments are (flags, va, file offset or None, file bytes, memory bytes). The code is a
    branch to itself, so a program that is let run is noticed by its silence. Its note says that it was built for this
    version of the kernel's interface (None: no note)."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    note = b"" if version is None else struct.pack("<III8sI", 7, 4, 1, b"Corbel", version)
    count = len(segments) + bool(note)
    out = struct.pack(ELF_HEADER, ident, kind, machine, 1, entry, 64, 0, 0, 64, 56, count, 64, 0, 0)
    for flags, va, offset, in_file, in_memory in segments:
        offset = PAGE if offset is None else offset
        out += struct.pack(PROGRAM_HEADER, 1, flags, offset, va, va, in_file, in_memory, PAGE)
    if note:
        at = len(out) + 56
        out += struct.pack(PROGRAM_HEADER, 4, 4, at, 0, 0, len(note), len(note), 4) + note
    return out.ljust(PAGE, b"\0") + code.ljust(PAGE, b"\0")


# ---- first programs of raw calls -------------------------------------------------------------

HERE = os.path.dirname(os.path.relpath(__file__))
CROSS = os.environ.get("CORBEL_CROSS", "aarch64-linux-gnu-")
FLAGS = ("-std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -mgeneral-regs-only -march=armv8-a -mno-outline-atomics "
         "-fno-pic -fno-pie -fno-stack-protector -fno-optimize-sibling-calls -U__linux__ -static -nostdlib -no-pie "
         "-Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,separate-code -Wl,--no-warn-rwx-segments").split()


def compile_program(name, sources, *more):
    """A program linked as bare/bare.ld says; its path."""
    program = write(name, b"")
    command = [CROSS + "gcc", *FLAGS, "-Iinclude", f"-I{HERE}/first", "-isystem", OUT + "/newlib/include", "-isystem",
               OUT + "/libfdt/include", *more, f"-Wl,-T,{HERE}/bare/bare.ld", "-o", program, *sources,
               "libos/arch/aarch64/calls.c", OUT + "/libfdt/lib/libfdt.a", OUT + "/newlib/lib/libc.a", "-lgcc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} does not compile\n" + done.stderr[:3000])
    return program


FIRST = {}


def first_program(folder):
    """A bundle with what this folder has as its first program; built once a run."""
    if folder not in FIRST:
        sources = sorted(glob.glob(f"{HERE}/{folder}/*.[cS]") + glob.glob(HERE + "/first/*.c"))
        FIRST[folder] = write(folder + ".cpio", archive({"bin/init": read(compile_program(folder, sources))}))
    return FIRST[folder]


# ---- device trees --------------------------------------------------------------------------

def dtc(data, source, target):
    done = subprocess.run(["dtc", "-q", "-I", source, "-O", target], input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError("dtc: " + done.stderr.decode(errors="replace"))
    return done.stdout


def machine_tree(memory="128M", gic=3, el2=False, cpus=1, more=""):
    """The device tree source that QEMU makes for such a machine, with a bundle at BUNDLE_AT of BUNDLE_BYTES."""
    path = write("machine.dtb", b"")
    subprocess.run([QEMU, "-machine", f"virt,gic-version={gic},virtualization={'on' if el2 else 'off'}{more},dumpdtb={path}",
                    "-cpu", "cortex-a76", "-smp", str(cpus), "-m", memory, "-nic", "none", "-display", "none"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    source = dtc(read(path), "dtb", "dts").decode()
    return source.replace("chosen {", "chosen {\nlinux,initrd-start = <0x0 BUNDLE_AT>;\nlinux,initrd-end = <0x0 BUNDLE_END>;", 1)


def without_node(source, start):
    """The tree's source without the nodes whose line, stripped, starts so."""
    out, skip = [], 0
    for line in source.splitlines():
        if not skip and line.strip().startswith(start) and line.rstrip().endswith("{"):
            skip = 1
        elif skip:
            skip += line.rstrip().endswith("{") - line.strip().startswith("};")
        else:
            out.append(line)
    return "\n".join(out) + "\n"


# ---- a machine without QEMU's boot loader --------------------------------------------------
#
# `-kernel` rewrites parts of the tree (memory, /chosen) before the guest sees it. Here each thing lies where it is
# put, and a stub of four instructions is the boot loader.

RAM = 0x40000000
KERNEL_AT = RAM + 0x200000
STUB_AT = RAM + 0x3000000
TREE_AT = RAM + 0x3100000
BUNDLE_AT = RAM + 0x4000000
STUB = (0x58000080, 0x580000A4, 0xD61F0080, 0xD503201F)  # ldr x0, tree; ldr x4, kernel; br x4; nop


def boot_tree(source, bundle, start=BUNDLE_AT, end=None):
    """A blob of a source of machine_tree."""
    end = start + len(bundle) if end is None else end
    return dtc(source.replace("BUNDLE_AT", hex(start)).replace("BUNDLE_END", hex(end)).encode(), "dts", "dtb")


def by_hand(tree, bundle=b"", stub=None):
    """How a Machine starts with this tree and this bundle: keyword arguments."""
    stub = stub or struct.pack("<4I", *STUB) + struct.pack("<QQ", TREE_AT if tree else 0, KERNEL_AT)
    more = []
    for at, data, start in ((STUB_AT, stub, ",cpu-num=0"), (KERNEL_AT, read(KERNEL), ""), (TREE_AT, tree, ""),
                            (BUNDLE_AT, bundle, "")):
        if data:
            path = KERNEL if at == KERNEL_AT else write("loaded", data)
            more += ["-device", f"loader,file={path},addr={at:#x},force-raw=on{start}"]
    return {"kernel": None, "bundle": None, "more": more}

