"""A session on the serial line: the shell's language, files, editing, signals from the keyboard (P8)."""
import re
import time

import bundle
from machine import TEST_BUNDLE, Silence
from shell import PROMPT
from suite import job

LINES = (
    ("echo a   b 'c   d' \"e   f\"", "a b c   d e   f\n", 0),
    ("echo \"it's\" 'a \"b\"' a\\ b", "it's a \"b\" a b\n", 0),
    ("x=5; echo $x ${x}y '$x' \"$x\"", "5 5y $x 5\n", 0),
    ("false; echo $?; true; echo $?", "1\n0\n", 0),
    ("true && echo yes || echo no; false && echo yes || echo no", "yes\nno\n", 0),
    ("false", "", 1),
    ("nosuch", "sh: nosuch: command not found\n", 127),
    ("echo one | cat | cat", "one\n", 0),
    ("echo b > /tmp/f; echo a >> /tmp/f; cat < /tmp/f; rm /tmp/f", "b\na\n", 0),
    ("cat /nosuch 2> /tmp/e; cat /tmp/e; rm /tmp/e", "cat: /nosuch: No such file or directory\n", 0),
    ("echo $(echo inner) $((6 * 7))", "inner 42\n", 0),
    ("for i in 1 2 3; do echo $i; done | cat", "1\n2\n3\n", 0),
    ("if test -f /bin/sh; then echo there; fi", "there\n", 0),
    ("echo /bin/tru*", "/bin/true\n", 0),
    ("mkdir /tmp/d; cd /tmp/d; pwd; cd /; rm -r /tmp/d", "/tmp/d\n", 0),
    ("cat /etc/motd | hexdump -n 5", "00000000  57 65 6c 63 6f                                    |Welco|\n00000005\n", 0),
)


@job("language")
def language(report):
    with report.shell() as sh:
        for line, output, status in LINES:
            report.equal(f"P8 {line}", sh.run(line), (output, status))


@job("files")
def files(report):
    """RAM files: what is written is what is read, and nothing stays behind."""
    with report.shell() as sh:
        sh.run("echo warm > /tmp/w; cat /tmp/w; cp /tmp/w /tmp/v; mv /tmp/v /tmp/u; mkdir /tmp/z; rm -r /tmp/*")
        before = sh.free()
        report.equal("cp", sh.run("mkdir /tmp/a; cp /etc/motd /tmp/a/m; cat /tmp/a/m")[0], sh.run("cat /etc/motd")[0])
        report.equal("mv", sh.run("mv /tmp/a/m /tmp/n; ls /tmp/a; cat /tmp/n | hexdump")[0], sh.run("hexdump /etc/motd")[0])
        report.equal("ls", sh.run("echo > /tmp/a/x; echo > /tmp/a/y; ls /tmp/a | cat")[0], "x\ny\n")
        report.check("rm of a directory that is not empty is refused", sh.run("rm /tmp/a")[1] != 0)
        report.equal("rm -r", sh.run("rm -r /tmp/a; ls /tmp"), ("n\n", 0))
        report.check("rm of what is not there", "No such file" in sh.run("rm /tmp/nosuch")[0])
        report.check("mkdir of what is there", "exists" in sh.run("mkdir /tmp/b /tmp/b")[0])
        sh.run("rm -r /tmp/b /tmp/n")
        report.equal("K8 free frames are as before", sh.free_again(before), before)
        whole = bundle.unpack(bundle.read(sh.command[sh.command.index("-initrd") + 1]))["bin/true"]
        sh.run("cp /bin/true /tmp/true; mv /tmp/true /tmp/copy")
        said, _ = sh.run("hexdump -v /tmp/copy")
        report.check("F1 a program's copy, dumped whole, is the program, and no output is lost", undump(said) == whole,
                     f"{len(undump(said))} bytes of {len(whole)}")
        report.equal("P4 and it runs", sh.run("/tmp/copy"), ("", 0))
        sh.run("rm /tmp/copy")
        report.equal("K8 free frames are as before, again", sh.free_again(before), before)


def undump(text):
    return b"".join(bytes.fromhex(re.sub(r"\s", "", line[8:60].split("|")[0])) for line in text.splitlines() if "|" in line)


@job("editing")
def editing(report):
    with report.shell() as sh:
        def typed(what, keys, output):
            """Keys and Return: the output between the line and the next prompt."""
            sh.send(keys + "\r")
            sh.expect(r"\n")
            said = sh.expect(r"(.*?)" + PROMPT).group(1).decode()
            report.equal("P8 " + what, said, output)

        typed("a carriage return ends a line", "echo one", "one\n")
        typed("backspace", "echo twi\x7fo", "two\n")
        typed("left, and inserting there", "echo tree\x1b[D\x1b[D\x1b[Dh", "three\n")
        typed("beginning and end of line", "ho four\x01ec\x05!", "four!\n")
        typed("^U takes back what was typed", "rubbish\x15echo five", "five\n")
        typed("^W takes back a word", "echo six seven\x17", "six\n")
        typed("up: the line before", "\x1b[A", "six\n")
        typed("up and up, and down", "\x1b[A\x1b[A\x1b[A\x1b[B", "five\n")
        typed("a line of history, changed", "\x1b[A\x7f\x7f\x7f\x7fseven", "seven\n")
        sh.send("echo never\x03")
        sh.expect(r"\^C\n" + PROMPT)
        report.equal("P8 ^C gives the line up", sh.status(), 130)
        typed("tab completes a command", "unam\t", "Corbel\n")
        typed("tab completes a path", "cat /etc/mo\t | hexdump -n 2", "00000000  57 65" + " " * 45 + "|We|\n00000002\n")
        typed("a long line, longer than the screen", "echo " + "x" * 200, "x" * 200 + "\n")
        typed("an empty line", "", "")
        typed("a line of spaces", "   ", "")
        sh.send("\x04")
        sh.expect(r"corbel: power off, status 0\n")
        report.check("P8 ^D on an empty line leaves the shell", sh.ended() == 0)


@job("interrupts")
def interrupts(report):
    with report.shell(bundle=TEST_BUNDLE) as sh:
        before = warm(sh, "sleep 0; spin & kill -9 $!; wait")

        def interrupted(line, sign, keys, status, what):
            sh.send(line + "\n")
            sh.expect(sign)
            for _ in range(5):  # until the program has the terminal, the keys are the shell's
                time.sleep(0.5)
                sh.send(keys)
                try:
                    sh.expect(PROMPT, 10)
                    break
                except Silence:
                    pass
            report.equal(what, sh.status(), status)

        interrupted("sleep 1000", r"sleep 1000\n", "\x03", 130, "P2 ^C ends a sleeping program")
        interrupted("spin", r"on and on\n", "\x03", 130, "P2 ^C ends a program that spins")
        interrupted("cat", r"cat\n", "\x03", 130, "P2 ^C ends a program that reads")
        interrupted("cat | cat | cat", r"cat\n", "\x03", 130, "P2 ^C ends a pipeline")
        interrupted("spin", r"on and on\n", "\x1c", 131, "P2 ^\\ ends a program")
        sh.send("cat > /tmp/typed\n")
        sh.expect(r"typed\n")
        time.sleep(0.5)
        sh.send("first\nsecond\n\x04")
        sh.expect(PROMPT)
        report.equal("P8 ^D ends the input", sh.run("cat /tmp/typed; rm /tmp/typed")[0], "first\nsecond\n")
        report.equal("K29 free frames are as before", sh.free_again(before), before)


def warm(sh, line):
    """Runs a line once or twice, so that caches are filled; then the count of free frames is what it stays."""
    sh.run(line)
    sh.run(line)
    return sh.free()


@job("burst")
def burst(report):
    """What is typed ahead, faster than anybody reads, is not lost."""
    with report.shell() as sh:
        lines = [f"line-{i}-{'y' * (i % 50)}\n" for i in range(200)]
        sh.send("".join(f"echo {line[:-1]} >> /tmp/log\n" for line in lines) + "echo 'the' end\n")
        sh.expect(r"the end\n")
        sh.expect(PROMPT)
        report.equal("P8 200 lines typed at once are run, all of them", sh.run("cat /tmp/log; rm /tmp/log")[0], "".join(lines))
        sh.send("sleep 2\n" + "echo typed while it slept\n" * 20)
        for _ in range(20):
            sh.expect(r"^typed while it slept\n")
        report.ok("P8 what is typed while a program sleeps comes later")
