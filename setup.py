"""setup.cfg has everything; with PROJECT_URL, for a release, PyPI's page gets links that lead there.

    PROJECT_URL=https://github.com/OWNER/NAME python -m build
"""

import os
import re
from pathlib import Path

from setuptools import setup


def release(url: str) -> dict:
    """What an upload needs beside setup.cfg: the project's address, and the README with absolute links and pictures."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?!https?://)", rf"\g<1>{url}/raw/main/", text)
    text = re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?://)", rf"\g<1>{url}/blob/main/", text)
    pages = {"Source": "", "Documentation": "/tree/main/docs", "Changelog": "/blob/main/CHANGELOG.md"}
    return {"long_description": text, "project_urls": {name: url + page for name, page in pages.items()}}


address = os.environ.get("PROJECT_URL", "").rstrip("/")
setup(**(release(address) if address else {}))
