"""What README and the documentation tell a user to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN = r"--(?:out|sheet|save-scenes|annotations)[ =]([\w./$-]+)|save\(\"([^\"]+)\"\)|out(?:put)?=\"([^\"]+)\""
DEFAULTS = ("pictures", "layouts", "drawings", "renders", "packs/x", "downloads/x", "runs/x", "evaluation", "bench")
"""Where commands write without ``--out``."""


def named_outputs() -> set[str]:
    """Every file and folder that a command in the documentation names to be written; capitals stand for the user's."""
    found = {name for page in PAGES for groups in re.findall(WRITTEN, page.read_text()) for name in groups if name}
    return {name for name in found if not re.fullmatch(r"(\w+/)*[A-Z]+", name)}


def test_commands_of_the_documentation_leave_nothing_untracked():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout")
    paths = sorted({*named_outputs(), *DEFAULTS, "scenes.json"})
    assert {"cube.png", "sheet.png", "packs/coco"} <= set(paths)
    # A folder is ignored by what is in it, a file by its name.
    asked = [path if Path(path).suffix else f"{path}/file" for path in paths]
    command = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *asked]
    ignored = set(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())
    assert set(asked) - ignored == set()


def test_the_notebook_snippet_of_the_scenes_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "scenes.md").read_text()
    code = page.split("## In a notebook", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, object] = {}
    exec(compile(code, "docs/scenes.md", "exec"), names)
    scene, result = names["scene"], names["result"]
    assert len(scene.objects) == 3 and [r.predicate for r in scene.relations] == ["left of", "behind"]
    assert len(result.images) == 3 and result.seeds == [0, 1, 2]
    assert scene._repr_svg_().startswith("<svg") and result._repr_png_().startswith(b"\x89PNG")
    assert (tmp_path / "cube.png").is_file()
