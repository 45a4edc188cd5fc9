"""A machine in QEMU and its serial line.

    with Machine(bundle=PATH, gic=2) as m:
        m.expect(r"\\$ ")                  # waits; raises Silence with what was expected
        m.send("ls\n")
    m.text()                              # all that the console printed

The machine ends with the `with` block, whatever happens. All limits are generous: QEMU's interpreter may have to
share its processor with another machine and a compiler.
"""
import os
import re
import selectors
import subprocess
import time

import stretch

OUT = os.environ.get("CORBEL_OUT", "build/aarch64")
KERNEL = os.environ.get("CORBEL_KERNEL", OUT + "/exo/Image")
BUNDLE = os.environ.get("CORBEL_BUNDLE", OUT + "/bundle.cpio")
TEST_BUNDLE = os.environ.get("CORBEL_TEST_BUNDLE", OUT + "/test-bundle.cpio")
QEMU = os.environ.get("CORBEL_QEMU", "qemu-system-aarch64")
SMP = os.environ.get("SMP", "1")  # processors, where a suite does not say
SECONDS = 120
ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Silence(Exception):
    """What was waited for did not come."""


class Machine:
    def __init__(self, bundle=BUNDLE, memory="128M", gic=3, el2=False, cpu="cortex-a76", append="", kernel=KERNEL,
                 iommu=False, more=(), metered=True):
        shape = f"virt,gic-version={gic},virtualization={'on' if el2 else 'off'}" + (",iommu=smmuv3" if iommu else "")
        self.command = [QEMU, "-machine", shape,
                        "-cpu", cpu, "-m", memory, "-smp", SMP, "-nic", "none", "-display", "none", "-no-reboot", "-monitor", "none",
                        "-serial", "stdio"]
        for flag, value in (("-kernel", kernel), ("-initrd", bundle), ("-append", append)):
            if value:
                self.command += [flag, value]
        self.command += more
        self.meter = stretch.meter(kernel, QEMU) if metered else None
        self.measured = None  # with a meter: what it said, once the machine has ended
        self.raw = b""
        self.at = 0
        self.process = None

    def __enter__(self):
        command = self.command + (self.meter.words if self.meter else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self._read()
        self.process.stdout.close()
        if self.meter:
            self.measured = self.meter.result()

    def _read(self):
        """What has come; False at the end."""
        try:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        self.raw += data
        return bool(data)

    def _wait(self, done, seconds, what):
        """Reads until done() is not None, and returns that; None where QEMU ended first."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while (result := done()) is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise Silence(f"{what} did not come within {seconds} seconds")
                if selector.select(left) and not self._read():
                    return done()
        return result

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def expect(self, pattern, seconds=SECONDS):
        """Waits for a regular expression behind what was matched before; returns the match."""
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.M | re.S)
        match = self._wait(lambda: compiled.search(clean(self.raw), self.at), seconds, repr(pattern))
        if match is None:
            raise Silence(f"QEMU ended before {pattern!r} came")
        self.at = match.end()
        return match

    def quiet(self, seconds):
        """Reads for so long; returns what came behind the last match."""
        try:
            self._wait(lambda: None, seconds, "")
        except Silence:
            pass
        return clean(self.raw)[self.at:].decode(errors="replace")

    def ended(self, seconds=SECONDS):
        """Waits for QEMU to end by itself; its status."""
        self._wait(lambda: None if self.process.poll() is None else True, seconds, "the machine's end")
        return self.process.wait()

    def text(self):
        return clean(self.raw).decode(errors="replace")


def clean(raw):
    """A console's bytes without carriage returns before newlines, and without the line editor's cursor movements."""
    return ESCAPE.sub(b"", re.sub(rb"\r+\n", b"\n", raw))
