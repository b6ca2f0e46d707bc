"""What is released: a source distribution, the wheel that it builds, and the command that the wheel installs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from scenograph.version import __version__

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
LARGEST = 100_000_000
"""Bytes of a file that PyPI accepts without asking."""
NEEDED = (
    "weights/mise-rendered-64/model.safetensors",
    "recipes/sg2im-coco-64.yaml",
    "data/tables/coco-stuff.json",
    "data/picture_book/atlas.zip",
    "data/picture_book/table.csv",
    "pipelines/citations.toml",
    "py.typed",
    "studio/web/dist/index.html",
)
NOT_RELEASED = {"tests", "node_modules", "__pycache__", ".git", ".venv", ".mypy_cache", "packs", "runs"}
SOURCES_OF_PAGES = {".ts", ".tsx", ".jsx", ".map", ".pyc"}


def build(kind: str, project: Path, out: Path) -> Path:
    """Build with the installed hatchling, without the environment of its own that pip would download."""
    out.mkdir()
    program = f"import hatchling.build as b; b.build_{kind}({str(out)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=project, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def ours() -> set[str]:
    """The files of the package; of the studio's page, what is built alone."""
    page = ROOT / "src" / "scenograph" / "studio" / "web"
    files = (path for path in (ROOT / "src" / "scenograph").rglob("*") if path.is_file())
    kept = (path for path in files if not path.is_relative_to(page) or path.is_relative_to(page / "dist"))
    return {path.relative_to(ROOT / "src").as_posix() for path in kept if "__pycache__" not in path.parts}


def check_names(names: set[str]) -> None:
    for name in map(PurePosixPath, names):
        assert not NOT_RELEASED & {*name.parts} and name.suffix not in SOURCES_OF_PAGES, name


def test_the_release_holds_what_it_should_and_runs(tmp_path):
    pytest.importorskip("hatchling")
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "unpacked", filter="data")
    check_names(names)
    assert names >= {
        "LICENSE",
        "NOTICE",
        "README.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "pyproject.toml",
        "docs/scenes.md",
    }
    assert {f"src/{name}" for name in ours()} <= names

    (source,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", source, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    check_names(names)
    about = f"scenograph-{__version__}.dist-info"
    assert {name for name in names if not name.startswith(about)} == ours() >= {f"scenograph/{one}" for one in NEEDED}
    assert {f"{about}/licenses/LICENSE", f"{about}/licenses/NOTICE"} <= names
    assert wheel.stat().st_size < LARGEST and sdist.stat().st_size < LARGEST

    target = tmp_path / "installed"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    there = {**os.environ, "PYTHONPATH": str(target)}
    program = "import scenograph; print(scenograph.__file__)"
    place = subprocess.run([sys.executable, "-c", program], env=there, cwd=tmp_path, capture_output=True, check=True)
    assert place.stdout.decode().startswith(str(target))
    for arguments, told in (
        (["--version"], f"scenograph {__version__}"),
        (["cite", "lama"], "@inproceedings{li2021lama"),
    ):
        command = [sys.executable, "-m", "scenograph", *arguments]
        result = subprocess.run(command, env=there, cwd=tmp_path, capture_output=True, check=True)
        assert result.stdout.decode().startswith(told)
