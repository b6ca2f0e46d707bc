"""What README and the documentation tell a user to do."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from scenograph.cli.main import app
from scenograph.cli.search import FIND
from scenograph.models.registry import MODELS
from scenograph.training.objectives import OBJECTIVES
from scenograph.training.recipe import DataRecipe, OptimizerRecipe, TrainingRecipe, load_recipe, shipped_recipes

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("[CS]*.md")), *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN = r"--(?:out|sheet|save-scenes|annotations)[ =]([\w./$-]+)|save\(\"([^\"]+)\"\)|\bout(?:put)?=\"([^\"]+)\""
DEFAULTS = ("pictures", "layouts", "composed", "drawings", "renders", "packs/x", "downloads/x", "runs/x", "evaluation",
            "bench")  # fmt: skip
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


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command on a page, from blocks and from lines; of ``a | b`` the first."""
    text = page.read_text(encoding="utf-8").replace("\\|", "|")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    inline = re.findall(r"(?<!`)`(scenograph [^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line for line in blocks.splitlines() if line.startswith("scenograph ")] + inline
    return [shlex.split(re.split(r" \| | > | && ", line)[0], comments=True)[1:] for line in lines]


@cache
def all_commands() -> Any:
    """Building them takes a tenth of a second."""
    return typer.main.get_command(app)


def fault_of(words: list[str]) -> str | None:
    """What is wrong with a command: a name, an option, or a recipe that there is not."""
    command = all_commands()
    options, rest = {"--help"}, list(words)
    while True:
        options |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        below = getattr(command, "commands", {})
        if rest and rest[0] in below:
            command = below[rest.pop(0)]
        elif rest and FIND in below and not rest[0].startswith("-"):
            command = below[FIND]
        elif rest and below and rest[0].islower() and not rest[0].startswith("-"):
            return f"no command {rest[0]!r}"
        else:
            break
    wrong = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    if wrong:
        return f"no option {wrong[0]!r}"
    if words[0] == "train" and re.fullmatch(r"[a-z0-9-]+", "".join(rest[:1])):
        if rest[0] not in shipped_recipes():
            return f"no recipe {rest[0]!r}"
        load_recipe(rest[0], [word for word in rest[1:] if re.fullmatch(r"\w+(\.\w+)+=[^A-Z]+", word)])
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_documentation_exist(page):
    assert not [(words, fault) for words in commands_of(page) if (fault := fault_of(words))]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("scene chek x.json", "no command 'chek'"),
        ("import sg2im a.pt --vocab x", "no option '--vocab'"),
        ("train sg2im-coco", "no recipe 'sg2im-coco'"),
        ("generate cube --seeds 0-7 --out x", None),
    ],
)
def test_commands_that_do_not_exist_are_found(command, fault):
    assert fault_of(command.split()) == fault


def anchors_of(page: Path) -> set[str]:
    """What links to a page may end in, as GitHub names its headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_documentation_lead_somewhere(page):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


def test_files_that_contributors_are_sent_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {
        name for name in re.findall(r"`((?:src|tests|docs|\.ci)/[\w./-]+)`", text) if not re.search(r"[A-Z]{4}", name)
    }
    assert len(named) > 20 and not [name for name in sorted(named) if not (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_forms_for_issues_are_what_the_platform_takes(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert form["name"] and form["description"] and len({part["id"] for part in form["body"]}) == len(form["body"]) > 1
    assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in form["body"])
    assert name != "bug_report" or any("scenograph env" in part["attributes"]["label"] for part in form["body"])


ORIGINALS = {
    "sg2im": ("sg2im",), "Canonical Sg2Im": ("wsgc", "attspade"), "PasteGAN": ("pastegan",), "LostGAN": ("lostgan",),
    "LAMA": ("lama",), "Scene Designer": ("scene-designer",), "SPADE": ("spade",),
}  # fmt: skip


def has_setting(kinds: list[Any], path: str) -> bool:
    """Whether one of these sections of a recipe has a setting, or a section with the rest of it."""
    name, _, rest = path.partition(".")
    fields = [field for kind in kinds if (field := getattr(kind, "model_fields", {}).get(name)) is not None]
    return bool(fields) and (not rest or has_setting([field.annotation for field in fields], rest))


@pytest.mark.parametrize("original", ORIGINALS)
def test_settings_for_those_who_come_from_an_original_exist(original):
    page = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    names, rows = ORIGINALS[original], page.split(f"\n## {original}\n")[1].split("\n## ")[0].splitlines()
    sections = {
        "data": [DataRecipe], "training": [TrainingRecipe], "optimizer": [OptimizerRecipe],
        "model": [MODELS[name].Config for name in names], "objective": [OBJECTIVES[name].Config for name in names],
    }  # fmt: skip
    ours = " ".join(row.split(" | ", 1)[1] for row in rows if row.startswith("| "))
    found = set(re.findall(r"[`, ](data|training|optimizer|model|objective)\.([a-z_]+(?:\.[a-z_]+)*)", ours))
    assert ("training", "steps") in found or original == "PasteGAN"
    assert not [f"{section}.{path}" for section, path in found if not has_setting(sections[section], path)]
