"""One mistake in the kernel, and what finds it.

`build` compiles a source that was changed and links the kernel with it; `kill` runs suites, the fuzzers' kept inputs and the
exhaustive checker on that kernel, until one fails. Time is counted in seconds of the processor, which load does not change.
"""
import glob
import hashlib
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = "build/mutants"
HOST = f"{BASE}/host"
SHARED = f"{HOST}/shared"
CHECK = "build/check"
CHECKER = "checker"
SPLIT = ("boot", "calls", "fast", "frames", "large", "smp", "spaces")  # suites that take long, mostly in one part: each part is asked by itself
PATIENCE = (1, 2)  # seconds, and times what it takes on the kernel that is right: then it hangs
WALL_SECONDS = 1800
OUTPUT_MAX = 4 << 20


def words_of(path):
    return shlex.split(open(path, encoding="utf-8").read())


class Flags:
    """How make compiles: asked of it once (boards/mk/mutants.mk)."""
    def __init__(self):
        text = open(f"{BASE}/commands", encoding="utf-8").read()
        self.of = {name: shlex.split(rest) for name, rest in re.findall(r"^(\w+): (.*)$", text, re.M)}


def flags():
    if not hasattr(flags, "it"):
        flags.it = Flags().of
    return flags.it


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **more)


def place(where, file, text):
    """Writes a changed source; all paths in what it is compiled to are as if it stood in its folder."""
    path = f"{where}/{file}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def compile_to(where, file, words, suffix):
    out = f"{where}/{file}{suffix}"
    done = run(words + ["-w", f"-ffile-prefix-map={where}/=", "-c", "-o", out, f"{where}/{file}"])
    return out if done.returncode == 0 else None


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def original(file):
    """The object code of a source as it is, compiled like a mutant of it."""
    where = f"{BASE}/original"
    source = open(file, encoding="utf-8").read()
    if not os.path.exists(f"{where}/{file}") or open(f"{where}/{file}", encoding="utf-8").read() != source \
            or not os.path.exists(f"{where}/{file}.o") or os.path.getmtime(f"{where}/{file}.o") < newest():
        place(where, file, source)
        if not compile_to(where, file, flags()["host"], ".o"):
            raise SystemExit(f"{file} does not compile")
    return digest(f"{where}/{file}.o")


def newest():
    if not hasattr(newest, "it"):
        newest.it = os.path.getmtime(f"{HOST}/libexo.so")
    return newest.it


def compiled_from(file):
    """The portable sources that a header is part of, as the compiler told; a source: itself."""
    if file.endswith(".c"):
        return [file]
    sources = sorted(glob.glob("exo/*.c"))
    return [s for s in sources if file in open(f"{HOST}/{s}.d", encoding="utf-8").read().split()]


def mirror(where, file):
    """All of exo/ as it is, but for one header: quoted includes find that one."""
    folder = os.path.dirname(file)
    os.makedirs(f"{where}/{folder}", exist_ok=True)
    for name in os.listdir(folder):
        link = f"{where}/{folder}/{name}"
        if not os.path.lexists(link):
            os.symlink(os.path.abspath(f"{folder}/{name}"), link)
    os.remove(f"{where}/{file}")


class Mutant:
    """A kernel with one file changed, in a folder of its own."""
    def __init__(self, where, file, text):
        self.where, self.file, self.sources = where, file, compiled_from(file)
        if file.endswith(".h"):
            self.where = f"{where}.{os.path.basename(file)}"
            mirror(self.where, file)
        place(self.where, file, text)
        objects = {s: compile_to(self.where, s, flags()["host"], ".o") for s in self.sources}
        self.objects = objects if objects and all(objects.values()) else None

    def digest(self):
        """Of all that it is compiled to."""
        return hashlib.sha256("".join(digest(self.objects[s]) for s in self.sources).encode()).hexdigest()

    def is_same(self):
        return all(digest(self.objects[s]) == original(s) for s in self.sources)

    def link(self):
        mine = {f"{HOST}/{s}.o": o for s, o in self.objects.items()}
        objects = [mine.pop(o, o) for o in flags()["objects"]]
        assert not mine, self.file
        done = run(flags()["cc"] + ["-shared", "-Wl,-soname,libexo.so", "-o", f"{self.where}/libexo.so"] + objects + ["-lfdt"])
        return done.returncode == 0

    def link_checker(self):
        """The checker's kernel is one object that tells of each access to memory (tests/check/check.mk)."""
        told = {f"{CHECK}/{s}.o": compile_to(self.where, s, flags()["told"], ".told.o") for s in self.sources}
        if not all(told.values()):
            return None
        kernel = [told.get(o, o) for o in flags()["told_objects"]]
        one, both = f"{self.where}/kernel.o", f"{self.where}/check"
        rename = [w for f in ("memset", "memcpy", "memmove") for w in ("--redefine-sym", f"{f}=told_{f}")]
        steps = [flags()["cc"] + ["-nostdlib", "-no-pie", "-r", "-Wl,-T,tests/check/kernel.lds", "-o", one] + kernel,
                 ["objcopy"] + rename + [one],
                 flags()["cc"] + ["-no-pie", "-o", both, one] + flags()["check_rest"]]
        return both if all(run(s).returncode == 0 for s in steps) else None


def parts(program):
    """The names of a suite's test cases, if these are to be asked one by one."""
    suite = program.removeprefix("test_exo_")
    return re.findall(r'tcase_create\("(\w+)"\)', open(f"tests/host/{program}.c", encoding="utf-8").read()) if suite in SPLIT else []


def killers():
    """Name and command of each, in no order; a suite's part is named suite/part."""
    every = {CHECKER: None}
    for program in sorted(os.listdir(SHARED)):
        fuzz = program.removeprefix("fuzz-")
        every[program] = [f"{SHARED}/{program}"] + ([f"tests/fuzz/corpus/{fuzz}"] if fuzz != program else [])
        for part in parts(program):
            every[f"{program}/{part}"] = every[program]
        if parts(program):
            del every[program]
    return every


def limited(seconds):
    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.setpgid(0, 0)
    return limit


def what_failed(line):
    """The name of what a line of output says has failed, or None."""
    tap = re.match(r"not ok \d+ - [^:]*:[^:]*:(\w+):", line)
    if tap:
        return tap[1]
    told = re.match(r"not ok - (?:check: )?(.*)$", line)
    if told:
        return os.path.basename(told[1]) if "/" in told[1] else told[1]
    return None


def stop(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def judge(name, command, library, seconds):
    """None: all is well. Otherwise what fails first; nothing runs on after it."""
    environment = {**os.environ, "CK_TAP_LOG_FILE_NAME": "-", "CK_TIMEOUT_MULTIPLIER": "15", "CK_DEFAULT_TIMEOUT": "60"}
    if library:
        environment["LD_LIBRARY_PATH"] = library
    if "/" in name:
        environment["CK_RUN_CASE"] = name.split("/")[1]
    started, size, failed = time.monotonic(), 0, None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          errors="replace", env=environment, preexec_fn=limited(seconds)) as process:
        for line in process.stdout:
            failed = what_failed(line)
            size += len(line)
            if failed or size > OUTPUT_MAX or time.monotonic() - started > WALL_SECONDS:
                failed = failed or "does not end"
                break
        stop(process)  # those that it started, if it ended by itself
        status = process.wait()
    return failed or (None if status == 0 else f"status {status}")


def cpu_used():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Times(dict):
    """What each killer takes on the kernel as it is, found out when it is asked for; one that fails there is no judge."""
    def __init__(self):
        super().__init__()
        self.path = f"{BASE}/times"
        self.kept = json.load(open(self.path, encoding="utf-8")) if os.path.exists(self.path) else {}
        self.commands = killers()
        self.kernel = digest(f"{HOST}/libexo.so")
        self.no_kernel = f"{BASE}/empty"
        os.makedirs(self.no_kernel, exist_ok=True)
        if run(flags()["cc"] + ["-shared", "-Wl,-soname,libexo.so", "-o", f"{self.no_kernel}/libexo.so", "-x", "c",
                                "/dev/null"]).returncode:
            raise SystemExit(f"{self.no_kernel}/libexo.so cannot be made")

    def __missing__(self, name):
        command = self.commands[name]
        key = digest(command[0]) + self.kernel if command else digest(f"{CHECK}/check")
        if self.kept.get(name, [None])[0] != key:
            if command and not judge(name, command, self.no_kernel, 600):
                raise SystemExit(f"{name} does not take its kernel from where it is told")
            before = cpu_used()
            failed = judge(name, command or [f"{CHECK}/check", "--short"], None, 600)
            if failed:
                raise SystemExit(f"{name} fails on the kernel as it is: {failed}")
            self.kept[name] = [key, cpu_used() - before]
            with open(f"{self.path}.{os.getpid()}", "w", encoding="utf-8") as out:
                json.dump(self.kept, out)
            os.replace(f"{self.path}.{os.getpid()}", self.path)
        self[name] = self.kept[name][1]
        return self[name]

    def cheapest_first(self):
        return sorted(self.commands, key=lambda name: self[name])


def kill(mutant, order, times):
    """(killer, what failed) or None. The order may be a generator: nothing is measured before it is needed."""
    if not mutant.link():
        return "link", "does not link"
    for name in order:
        command, library = times.commands[name], mutant.where
        if name == CHECKER:
            checker = mutant.link_checker()
            if not checker:
                raise SystemExit(f"{mutant.file}: the checker cannot be built with it")
            command, library = [checker, "--short"], None
        failed = judge(name, command, library, int(PATIENCE[0] + PATIENCE[1] * times[name]))
        if failed:
            return name, failed
    return None
