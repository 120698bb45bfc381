"""The progress bar that a command shows while it works, and links to the files that it wrote."""

import sys
from pathlib import Path

from tqdm import tqdm

# Seconds before a step shows that it takes long.
_DELAY = 1.0


class ProgressBar(tqdm):
    """A bar with the time left in a terminal; elsewhere, e.g. in a log file, one line for each tenth."""

    _last_tenth = 0

    def __init__(self, *args, **kwargs):
        self._is_piped = not sys.stderr.isatty()
        # Every update counts where lines are written; the display decides.
        often = {"mininterval": 0, "miniters": 1} if self._is_piped else {"dynamic_ncols": True}
        super().__init__(*args, **{"delay": _DELAY, **often, **kwargs})

    def display(self, msg=None, pos=None):
        """Draws the bar, or writes a line where another tenth is done."""
        if not self._is_piped:
            return super().display(msg, pos)
        tenth = 10 * self.n // self.total if self.total else 0
        done = self.n - self.initial
        if not done:
            self._last_tenth = tenth
        if tenth > self._last_tenth:
            self._last_tenth = tenth
            spent = self.format_dict["elapsed"]
            left = self.format_interval(spent / done * (self.total - self.n))
            more = f", {self.postfix}" if self.postfix else ""
            when = f"{left} left" if self.n < self.total else f"took {self.format_interval(spent)}"
            self.fp.write(f"{self.desc or 'done'}: {self.n} of {self.total} {self.unit}s, {when}{more}\n")
            self.fp.flush()
        return True

    def clear(self, *args, **kwargs):
        """Makes room for a line of text."""
        if not self._is_piped:
            super().clear(*args, **kwargs)

    def close(self):
        """Ends the bar; lines end by themselves."""
        if self._is_piped:
            self.disable = True
        super().close()


def link(path) -> str:
    """A path as text that a terminal opens when it is clicked."""
    path = Path(path)
    return f"\033]8;;{path.resolve().as_uri()}\033\\{path}\033]8;;\033\\" if sys.stdout.isatty() else str(path)
