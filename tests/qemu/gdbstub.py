"""A machine's registers at a place in the kernel, by QEMU's gdb stub (the GDB Remote Serial Protocol, as little of it as
is used).

    with report.machine(more=gdbstub.where(path)) as m:     # does not run yet
        gdbstub.change(path, cpu=1, at=0x..., sp=0x...)     # runs; where CPU 1 comes there, it goes on with another sp
"""
import re
import socket
import time

SP = 31


def where(path):
    """QEMU's options for a stub at this socket, and for a machine that waits for it."""
    return ("-S", "-gdb", f"unix:{path},server=on,wait=off")


class Stub:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.said = b""
        for _ in range(600):  # QEMU needs a moment to make it
            if self.socket.connect_ex(path) == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"nobody listens at {path}")

    def packet(self, wanted):
        """The next of the stub's packets that begins as wanted; others are passed over."""
        while True:
            match = re.search(rb"\$([^#]*)#..", self.said)
            if match:
                self.said = self.said[match.end():]
                self.socket.sendall(b"+")
                if re.match(wanted, match.group(1)):
                    return match.group(1).decode()
                continue
            more = self.socket.recv(4096)
            if not more:
                raise RuntimeError("QEMU's gdb stub is gone")
            self.said += more

    def send(self, text):
        data = text.encode()
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 255))

    def do(self, text):
        self.send(text)
        self.packet(rb"OK$")

    def run(self, how):
        """Lets it run (c) or make one step (s); the CPU that it stops on."""
        self.send(how)
        return int(re.search(r"thread:0*(\w+);", self.packet(rb"T")).group(1), 16) - 1


def change(path, cpu, at, sp):
    stub = Stub(path)
    with stub.socket:
        stub.send("qXfer:features:read:target.xml:0,ffb")  # only then QEMU writes single registers
        stub.packet(rb"[lm]")
        while True:
            stub.do(f"Z1,{at:x},4")
            stopped = stub.run("c")
            stub.do(f"z1,{at:x},4")
            if stopped == cpu:
                break
            stub.run("s")
        stub.do(f"Hg{cpu + 1:x}")
        stub.do(f"P{SP:x}={sp.to_bytes(8, 'little').hex()}")
        stub.do("D")
