"""What the structure checks share: the files of the tree, their includes, and how a check reports."""
import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.getcwd()
C_FOLDERS = ("include", "exo", "libos", "apps", "boards", "tests")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def files(*folders, ends=(".c", ".h", ".S")):
    """Paths below ROOT, relative and sorted, of the files in these folders whose names end so."""
    found = []
    for folder in folders:
        for where, folders_below, names in os.walk(os.path.join(ROOT, folder)):
            folders_below[:] = [f for f in folders_below if f != "__pycache__"]
            found += [os.path.relpath(os.path.join(where, n), ROOT) for n in names if n.endswith(tuple(ends))]
    return sorted(found)


def every_file():
    """Every file of the tree but what git and builds keep."""
    found = []
    for where, folders, names in os.walk(ROOT):
        if where == ROOT:
            folders[:] = [f for f in folders if f not in (".git", "build")]
        folders[:] = [f for f in folders if f != "__pycache__"]
        found += [os.path.relpath(os.path.join(where, n), ROOT) for n in names]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as source:
        return source.read()


def code(path):
    """The text with comments and strings blanked, line numbers kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, read(path), flags=re.S)


def includes(path):
    """(line, is_local, name) for each #include."""
    text = read(path)
    return [(text.count("\n", 0, m.start(2)) + 1, m.group(1) == '"', m.group(2)) for m in INCLUDE.finditer(text)]


def resolve(path, name, local=True):
    """The file of the tree that an #include of name in path means, or None; local: with quotes."""
    top = path.split("/")[0]
    places = [os.path.dirname(path)] if local else []
    places += ["include"] if top == "exo" else ["include", "include/libc"]
    places += [""]
    if top == "exo":
        arch = re.match(r"exo/arch/[^/]+", path)
        places += ["exo", arch.group(0) if arch else "exo/arch/aarch64"]
    elif top == "libos":
        places += ["libos", "libos/arch/aarch64"]
    elif top == "apps":
        places += ["/".join(path.split("/")[:2])]
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(ROOT, candidate)):
            return candidate
    return None


def report(what, problems):
    """One line for a rule; what broke it comes as indented lines behind."""
    print(("not ok" if problems else "ok") + " - " + what)
    for problem in problems:
        print("    " + problem)
    sys.stdout.flush()
    if problems:
        report.failed = True


report.failed = False


def finish():
    sys.exit(1 if report.failed else 0)
