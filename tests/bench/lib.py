"""What the benches share: building programs, a machine that counts, plugins, rows, tables.

From the environment (make sets it): CORBEL_OUT, CORBEL_KERNEL, CORBEL_TEST_BUNDLE, CORBEL_CROSS, HOSTCC, QEMU, BENCH_CPU, BENCH_MEM.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CROSS = os.environ.get("CORBEL_CROSS", "aarch64-linux-gnu-")
HOSTCC = os.environ.get("HOSTCC", "gcc")
QEMU = os.environ.get("QEMU", "qemu-system-aarch64")
CPU = os.environ.get("BENCH_CPU", "cortex-a72")
OUT = os.environ.get("CORBEL_OUT", "build/aarch64")
MEMORY = os.environ.get("BENCH_MEM", "128M")
KERNEL = os.environ.get("CORBEL_KERNEL", OUT + "/exo/Image")
BUNDLE = os.environ.get("CORBEL_TEST_BUNDLE", OUT + "/test-bundle.cpio")
SECONDS = int(os.environ.get("BENCH_TIMEOUT", "600"))
# One instruction is one nanosecond of the guest's time, and the machine sleeps no real time.
COUNTING = ("-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm")
ROW = re.compile(r"^([a-z][a-z0-9._]*) (\d+) (\d+)$", re.M)

CFLAGS = ("-std=gnu17 -O2 -Wall -Wextra -Werror -ffreestanding -mgeneral-regs-only -fno-pic -fno-pie -mno-outline-atomics "
          "-fno-tree-loop-distribute-patterns -fno-stack-protector -static -nostdlib -no-pie -Wl,--build-id=none "
          "-Wl,-z,max-page-size=4096 -Wl,-z,separate-code -Wl,--no-warn-rwx-segments").split()


def fail(text):
    sys.exit("bench: " + text)


def tool(name, *words):
    return subprocess.run([CROSS + name, *words], capture_output=True, text=True, check=True).stdout


def build(name, main):
    """A bundle whose first program is tests/bench/raw/MAIN.c with what all of them share."""
    out = f"{OUT}/bench/{name}/bin"
    raw = os.path.join(HERE, "raw")
    os.makedirs(out, exist_ok=True)
    done = subprocess.run([CROSS + "gcc", *CFLAGS, "-Iinclude", "-Iexo", "-Iexo/arch/aarch64", "-isystem", OUT + "/newlib/include",
                           "-isystem", OUT + "/libfdt/include",
                    f"-Wl,-T,{raw}/raw.ld", "-o", out + "/init", f"{raw}/{main}.c", raw + "/raw.c", raw + "/start.S",
                    "exo/arch/aarch64/lib.c", OUT + "/libfdt/lib/libfdt.a"], check=False)
    if done.returncode:
        fail(f"tests/bench/raw/{main}.c does not compile")
    bundle = f"{OUT}/bench/{name}.cpio"
    with open(bundle, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"bin/init\n", stdout=file, cwd=f"{OUT}/bench/{name}", check=True)
    return bundle, out + "/init"


def run(name, *words, memory=MEMORY, counting=COUNTING, kernel=None, machine="virt", done="bench: done"):
    """The console of one machine, which must say that it came to its end."""
    command = [QEMU, "-M", machine, "-cpu", CPU, "-m", memory, *counting, "-nodefaults",
               "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel or KERNEL, *words]
    try:
        end = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        fail(f"there is no {QEMU}")
    except subprocess.TimeoutExpired as late:
        print((late.stdout or b"").decode(errors="replace"), file=sys.stderr)
        fail(f"run {name} took over {SECONDS} s; its console is above")
    log = end.stdout.decode(errors="replace").replace("\r", "")
    os.makedirs(f"{OUT}/bench", exist_ok=True)
    with open(f"{OUT}/bench/{name}.log", "w", encoding="utf-8") as file:
        file.write(log)
    if not re.search("^" + re.escape(done), log, re.M):
        print(log, end.stderr.decode(errors="replace"), file=sys.stderr)
        fail(f"run {name} did not come to its end; its console is above")
    return log


def rows(name, *words, **more):
    """[(key, instructions, operations)] of one run. A loop of two instructions checks the clock: 2 a round, exactly."""
    found = [(key, int(number), int(n)) for key, number, n in ROW.findall(run(name, *words, **more))]
    for key, number, _ in found:
        if key == "loop2" and number != 2:
            fail(f"the clock does not count instructions: a loop of 2 takes {number}")
    return found


def raw_run(**more):
    bundle, _ = build("raw", "main")
    return rows("raw", "-initrd", bundle, *more.pop("words", ()), **more)


def libos_run(**more):
    return rows("libos", "-initrd", BUNDLE, "-append", "corbel.cmd=bench", *more.pop("words", ()), **more)


def asked(word):
    try:
        return subprocess.run([QEMU, word], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return fail(f"there is no {QEMU}")


def qemu_version():
    return re.search(r"version (\d+\.\d+)", asked("--version"))[1]


def has_plugins():
    return "-plugin" in asked("--help")


def plugin(name):
    """A plugin of tests/plugin as a shared object, for the QEMU that is here: 9 and later want version 2 of the interface."""
    if not has_plugins():
        fail(f"{QEMU} was built without plugins (it knows no -plugin)")
    version = 2 if float(qemu_version()) >= 9 else 1
    path = f"{OUT}/bench/{name}.so"
    os.makedirs(f"{OUT}/bench", exist_ok=True)
    subprocess.run([HOSTCC, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-DPLUGIN_VERSION={version}",
                    "-o", path, f"{ROOT}/tests/plugin/{name}.c"], check=True)
    return path


def scratch():
    return tempfile.TemporaryDirectory(prefix="bench.")
