"""The bundle of the studio's page: it is what the sources build, small, and runs under a strict policy."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "src" / "scenograph" / "studio" / "web"
DIST = WEB / "dist"
LARGEST = 110_000
"""Bytes of script and style as they travel."""


def test_the_page_needs_neither_inline_scripts_nor_styles():
    page = (DIST / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (DIST / name).is_file(), name


def test_the_bundle_asks_no_other_site():
    text = "".join((DIST / name).read_text() for name in ("studio.js", "index.css", "index.html"))
    sites = set(re.findall(r"https?://[\w.-]+", text))
    assert sites <= {"http://www.w3.org", "https://konvajs.org", "http://konvajs.org", "https://preactjs.com"}  # names
    assert not re.search(r"\beval\(|new Function\b", text)


def test_the_bundle_is_small():
    assert sum(len(gzip.compress((DIST / name).read_bytes())) for name in ("studio.js", "index.css")) < LARGEST


def test_the_licences_of_what_is_bundled_come_with_it():
    text = (DIST / "licenses.txt").read_text() + (DIST / "inter-license.txt").read_text()
    for name in ("preact", "@preact/signals", "konva", "perfect-freehand", "idb-keyval", "SIL Open Font License"):
        assert name.lower() in text.lower(), name


@pytest.mark.slow
def test_the_bundle_is_what_the_sources_build():
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node is not installed")
    if not (WEB / "node_modules").exists():
        installed = subprocess.run(
            ["npm", "ci", "--offline", "--ignore-scripts", "--no-audit"], check=False, cwd=WEB, capture_output=True
        )
        if installed.returncode:
            pytest.skip("the packages are not in npm's cache: npm ci in src/scenograph/studio/web")
    for command in (["npm", "run", "--silent", "check"], ["npm", "test", "--silent"]):
        done = subprocess.run(command, check=False, cwd=WEB, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
