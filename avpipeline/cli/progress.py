"""The progress bar that a command shows while it works, and links to the files that it wrote."""

import sys
import threading
from pathlib import Path

from tqdm import tqdm

# Seconds before a step shows that it takes long; where lines are written, before one that is part of another step does.
_DELAY, _PART_DELAY = 1.0, 30.0


class ProgressBar(tqdm):
    """A bar with the time left in a terminal; elsewhere, e.g. in a log file, one line for each tenth.

    With `leave=False` nothing is left of a finished step: no bar, no last line.
    """

    _last_tenth, _first = 0, None

    def __init__(self, *args, **kwargs):
        self._is_piped = not sys.stderr.isatty()
        # Every update counts where lines are written; the display decides.
        often = {"mininterval": 0, "miniters": 1} if self._is_piped else {"dynamic_ncols": True}
        super().__init__(*args, **{"delay": _DELAY, **often, **kwargs})
        if self._is_piped and self.pos and not self.disable:
            self.delay = _PART_DELAY
        if not self._is_piped and not self.disable:
            self._first = threading.Timer(self.delay, self._begin)
            self._first.daemon = True
            self._first.start()

    def _begin(self):
        """Draws the bar of a step whose first part takes long."""
        with self.get_lock():
            if not self.disable:
                self.delay = 0
                self.display()

    def display(self, msg=None, pos=None):
        """Draws the bar, or writes a line where another tenth is done."""
        if not self._is_piped:
            return super().display(msg, pos)
        tenth, before = (10 * count // self.total if self.total else 0 for count in (self.n, self.initial))
        done = self.n - self.initial
        if msg is None and tenth > max(before, self._last_tenth) and (self.leave or self.n < self.total):
            self._last_tenth = tenth
            spent = self.format_dict["elapsed"]
            left = self.format_interval(spent / done * (self.total - self.n))
            more = f", {self.postfix}" if self.postfix else ""
            when = f"{left} left" if self.n < self.total else f"took {self.format_interval(spent)}"
            self.fp.write(f"{self.desc or 'done'}: {self.n} of {self.total} {self.unit}s, {when}{more}\n")
            self.fp.flush()
        return False

    def clear(self, *args, **kwargs):
        """Makes room for a line of text."""
        if not self._is_piped:
            super().clear(*args, **kwargs)

    def close(self):
        """Ends the bar; lines end by themselves."""
        if self._is_piped:
            self.leave = False
        elif self._first:
            self._first.cancel()
        super().close()

    @classmethod
    def write(cls, *args, **kwargs):
        """Prints a text above the bars, at once."""
        super().write(*args, **kwargs)
        sys.stdout.flush()


def link(path) -> str:
    """A path as text that a terminal opens when it is clicked."""
    path = Path(path)
    return f"\033]8;;{path.resolve().as_uri()}\033\\{path}\033]8;;\033\\" if sys.stdout.isatty() else str(path)
