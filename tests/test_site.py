"""The site: every page is in it, it builds without a warning, and what its pages tell a reader to run runs."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.pack import write_pack
from scenograph.data.source import Sample, Samples
from scenograph.retrieval.scene_build import build_index
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}
BLOCK = re.compile(r"(^<!-- run -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
"""A block of code, and whether a comment, which readers do not see, has it run."""


def pages_of(nav: Any) -> Iterator[str]:
    """The pages that a navigation names."""
    for entry in nav if isinstance(nav, list) else nav.values():
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages_of(entry)


def test_every_page_is_in_the_navigation_once():
    named = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    ours = [page for page in named if not page.startswith("repository/")]
    assert sorted(ours) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    others = {page.removeprefix("repository/").replace(".ipynb.md", ".ipynb") for page in {*named} - {*ours}}
    assert {f"examples/notebooks/{path.name}" for path in ROOT.glob("examples/notebooks/*.ipynb")} < others
    assert all((ROOT / page).is_file() for page in others)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_all_links_lead_somewhere(tmp_path):
    pytest.importorskip("mkdocs")
    site = tmp_path.resolve() / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    anchors = {path: {*re.findall(r'\bid="([^"]+)"', text)} for path, text in pages.items()}
    assert len(pages) > 60
    for path, text in pages.items():
        for target in re.findall(r'(?:href|src)="([^"]+)"', text.split("<body", 1)[1]):
            if path.name == "404.html" or re.match(r"\w+:|//", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            file = file / "index.html" if file.is_dir() else file
            assert file.is_file(), (path.name, target)
            assert not anchor or file.suffix != ".html" or anchor in anchors[file], (path.name, target)
        # What docstrings' roles would leave behind, and Markdown that was not read as such.
        article = text.split("<article", 1)[1].split("</article>")[0]
        prose = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", article, flags=re.DOTALL)
        assert not re.findall(r":(?:class|meth|func|attr|mod|data):|^\| |^<p>- ", prose, re.MULTILINE), path.name
        # Where GitHub's readers follow a link to the original's commands, the site has them on the page.
        assert "Its commands beside ours" not in article or "<table" in article.split("Its commands beside ours")[1]


def snippets() -> list[tuple[str, int, str, str, bool]]:
    """Of every block: its page, number, language and text, and whether it is to be run."""
    return [
        (page, number, language, text, bool(marked))
        for page, path in PAGES.items()
        for number, (marked, language, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize(
    ("page", "text"),
    [pytest.param(page, text, id=f"{page}-{number}") for page, number, kind, text, _ in snippets() if kind == "python"],
)
def test_python_on_the_pages_compiles_and_imports_what_there_is(page, text):
    for node in ast.walk(ast.parse(text, page)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scenograph"):
            module = import_module(str(node.module))
            assert not [name.name for name in node.names if not hasattr(module, name.name)], page


def with_index() -> dict[str, Any]:
    scene = Scene((SceneObject("dog", box=(0.1, 0.5, 0.3, 0.8)), SceneObject("tree", box=(0.5, 0.1, 0.9, 0.9))))
    rows = [Sample("1", scene, Image.new("RGB", (32, 32), "green"))]
    write_pack(Path("book"), Samples(Vocabulary(("dog", "tree"), ("left of",)), {"train": rows}))
    build_index(Path("book.index"), Path("book"))
    return {}


def with_label_maps() -> dict[str, Any]:
    tiny("spade").save_pretrained(Path("spade-coco"))
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    return {"labels": labels, "instances": labels, "photographs": torch.zeros(1, 3, 32, 32)}


def with_a_picture() -> dict[str, Any]:
    Image.new("RGB", (8, 8)).save("cat.png")
    return {"picture_path": Path("cat.png"), "pack_folder": Path("cats")}


NEEDED: dict[str, Callable[[], dict[str, Any]]] = {
    "docs/data/README.md": with_a_picture,
    "docs/search.md": with_index,
    "docs/systems/spade.md": with_label_maps,
}
"""What stands in a reader's folder before a page's code runs, and the names that the code takes as given."""


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({page for page, *_, marked in snippets() if marked}))
def test_what_a_page_tells_to_run_runs(page, scenograph, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = NEEDED[page]() if page in NEEDED else {}
    for other, _, language, text, marked in snippets():
        if other != page or not marked:
            continue
        if language == "python":
            exec(compile(text, page, "exec"), names)
        else:
            for line in text.replace("\\\n", " ").splitlines():
                if line.startswith("scenograph "):
                    succeed(scenograph(*shlex.split(line, comments=True)[1:]))
