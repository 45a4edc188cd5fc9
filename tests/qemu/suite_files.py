"""Files and console on the real servers: POSIX's file functions, pipes, editing, Ctrl-C, and pressure both ways."""
import re
import threading
import time

from machine import TEST_BUNDLE
from suite import job


def line(m, text):
    """Runs a line in the shell: its output and status."""
    m.send(text + "; echo status=$?=\n")
    m.expect(r"status=\$\?=\n")
    said = m.expect(r"(.*?)status=(\d+)=\n")
    return said.group(1).decode(errors="replace"), int(said.group(2))


def start(m, text):
    """Types a line, and waits until the shell has given the terminal to the program: what comes earlier is the
    line editor's, which takes the bytes as they are."""
    m.send(text + "\n")
    m.expect(re.escape(text) + r"\n")
    time.sleep(2)


@job("posix")
def posix(report):
    with report.machine(bundle=TEST_BUNDLE) as m:
        m.expect(r"\$ ")
        said, status = line(m, "posixfiles")
        report.check("P6 P7 F1 the file functions", status == 0 and ", 0 failed" in said, said)


@job("memory")
def memory(report):
    """What files and pipes took comes back: to the page."""
    with report.shell() as sh:
        sh.run("cat /bin/sh | cat | cat > /tmp/x; rm /tmp/x")
        before = sh.free()
        for _ in range(10):
            sh.run("cat /bin/sh | cat | cat > /tmp/x; echo more >> /tmp/x; rm /tmp/x")
        report.equal("free memory after files and pipes", sh.free_again(before), before)
        said, status = sh.run("while cat /bin/sh >> /tmp/big; do true; done")
        report.check("a full file system says so", "No space left on device" in said, said)
        said, status = sh.run("rm /tmp/big; echo fits > /tmp/y; cat /tmp/y; rm /tmp/y")
        report.check("and has room again", "fits" in said and status == 0, said)
        report.equal("free memory after it was full", sh.free_again(before), before)


@job("console")
def console(report):
    with report.machine() as m:
        m.expect(r"\$ ")
        start(m, "cat; echo status=$?=")
        m.send("hello wor\x7f\x7f\x7fthere\n")
        report.check("P8 erase", m.expect(r"\nhello there\n"))
        m.send("\x04")
        report.check("end of file", m.expect(r"status=0=\n"))
        start(m, "sleep 100")
        m.send("\x03")
        report.check("P2 Ctrl-C", m.expect(r"\^C.*\$ \Z"))
        report.equal("its status", line(m, "echo $?")[0], "130\n")
        line(m, "hexdump /bin/sh > /tmp/out")
        m.send("cat /tmp/out /tmp/out /tmp/out\n")
        m.expect(r"00000[0-9a-f]{3}  ")
        m.send("\x03")
        report.check("Ctrl-C gets through a flood of output", m.expect(r"\^C"))
        report.check("its status", line(m, "echo $?")[0].endswith("130\n"))


@job("pressure")
def pressure(report):
    """Far more than all buffers hold, as fast as the line takes it, and not a byte is lost."""
    lines = 500
    with report.machine() as m:
        m.expect(r"\$ ")
        start(m, "cat > /tmp/in; echo status=$?=")
        text = "".join(f"line {i:05} {'x' * 40}\n" for i in range(lines))
        feeder = threading.Thread(target=m.send, args=(text + "\x04",), daemon=True)
        feeder.start()
        m.expect(r"status=0=\n")
        feeder.join()
        said, _ = line(m, "cat /tmp/in")
        report.check("typed text arrives whole and leaves whole", said.endswith(text), said[-400:])
