"""The page on PyPI: with PROJECT_URL every link and picture of the README leads to the project."""

import os
import re
import subprocess
import sys

from tests.helpers.imports import ROOT

URL = "https://example.org/owner/name"


def test_links_lead_to_the_project(tmp_path):
    words = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "PROJECT_URL": f"{URL}/"}, capture_output=True, check=True)
    (metadata,) = tmp_path.glob("*/PKG-INFO")
    text = metadata.read_text(encoding="utf-8")
    assert f"\nProject-URL: Source, {URL}\n" in text
    pictures = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))
    links = set(re.findall(r"\]\(([^)]*)\)", text)) - pictures
    assert f"{URL}/raw/main/docs/example_described.jpg" in pictures and f"{URL}/blob/main/docs/datasets.md" in links
    for found, start in ((pictures, f"{URL}/raw/main/"), (links, f"{URL}/blob/main/")):
        assert found and all(link.startswith(start) and (ROOT / link.removeprefix(start)).exists() for link in found)
