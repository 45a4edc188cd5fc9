"""A machine whose shell is talked to.

    with Shell(bundle=TEST_BUNDLE) as sh:
        output, status = sh.run("ls /bin")
        sh.free()                          # frames that nobody has, exactly

The end of a line's output is told by words that the echo of the typed line does not contain.
"""
import re
import time

from machine import Machine

PROMPT = r"corbel:[^\n]*[$#] \Z"


class Shell(Machine):
    number = 0

    def __enter__(self):
        super().__enter__()
        try:
            self.expect(PROMPT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def run(self, line, seconds=120):
        """Runs a line; its output and status."""
        self.number += 1
        n = self.number
        end = "" if line.endswith("&") else ";"
        self.send(f'echo "<""<{n}"; {line}{end} echo ">"">{n} $?"\n')
        found = self.expect(rf"<<{n}\n(.*?)>>{n} (\d+)\n", seconds)
        self.expect(PROMPT, seconds)
        return found.group(1).decode(errors="replace"), int(found.group(2))

    def status(self):
        """Of the last line, where that was typed by send()."""
        self.send('echo "status"" $?"\n')
        found = self.expect(r"^status (\d+)\n")
        self.expect(PROMPT)
        return int(found.group(1))

    def free_now(self):
        said, _ = self.run("free")
        return int(re.search(r"^\s*\d+\s+\d+\s+(\d+)", said, re.M).group(1)) // 4

    def free(self):
        """Frames that nobody has, once what ended before has been cleared away: three times the same."""
        seen = [self.free_now()]
        while len(seen) < 50 and seen[-3:] != [seen[-1]] * 3:
            time.sleep(0.05)
            seen.append(self.free_now())
        return seen[-1]

    def free_again(self, wanted, seconds=20):
        """The same, given a little time to come to what is wanted: ends are cleared away in the background."""
        end = time.monotonic() + seconds
        while (got := self.free_now()) != wanted and time.monotonic() < end:
            time.sleep(0.1)
        return got
