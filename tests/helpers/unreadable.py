"""Files that cannot be read, to see that nobody reads them again."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def unreadable(*paths: Path) -> Iterator[None]:
    """Inside, files hold zeros, with the size and the times that they had."""
    kept = {path: (path.read_bytes(), path.stat()) for path in paths}
    for path, (content, stat) in kept.items():
        path.write_bytes(bytes(len(content)))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        yield
    finally:
        for path, (content, stat) in kept.items():
            path.write_bytes(content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
