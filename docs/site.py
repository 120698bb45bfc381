"""Builds the web site of the documents in build/site: `pip install -e ".[docs]" && python docs/site.py`.

The documents link each other by their places in the repository, so the site is built from a copy that keeps them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("*.md", "CITATION.cff", "LICENSE", "docs/*.md", "docs/*.jpg", "*/README.md", "results/*.png", "*/*.ipynb")


def main() -> int:
    """Copies the documents and runs mkdocs, which ends with an error where a link leads nowhere."""
    sources = ROOT / "build" / "site_sources"
    shutil.rmtree(sources, ignore_errors=True)
    for path in (path for pattern in DOCUMENTS for path in ROOT.glob(pattern)):
        target = sources / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    # Of the theme, about another program.
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    return subprocess.run(words, cwd=ROOT, env=quiet).returncode


if __name__ == "__main__":
    raise SystemExit(main())
