"""``scenograph train``, and what can be done with all that the tiny recipes train."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from helpers import TEXT, succeed
from scenograph.files import reserved
from scenograph.training.recipe import load_recipe, shipped_recipes


@pytest.mark.slow
def test_the_tiny_run(scenograph, tmp_path, painted):
    """Training and evaluating every tiny recipe, a few steps each, on ready-made data."""
    (tmp_path / "packs").mkdir()
    for name in ("tiny", "picture-book"):
        (tmp_path / "packs" / name).symlink_to(painted)
    for recipe in (name for name in shipped_recipes() if name.startswith("tiny-")):
        output = succeed(
            scenograph(
                "train",
                recipe,
                "training.steps=4",
                "training.validate_every=2",
                "training.validation_scenes=8",
                "--device",
                "cpu",
            )
        )
        assert f"wrote runs/{recipe}/model" in output
    pair = ["--layout", "runs/tiny-mise-layout/model", "--image", "runs/tiny-mise/model"]
    succeed(scenograph("generate", TEXT, *pair, "--steps", "1"))
    measured = ["--classifier", "runs/tiny-object-classifier/model", "--pack", "packs/tiny", "--scenes", "4"]
    with reserved(tmp_path / "evaluation"):
        code, _, errors = scenograph("evaluate", *pair, *measured)
    assert code == 2 and "evaluation: another command is at work there" in errors
    output = succeed(scenograph("evaluate", *pair, *measured, "--steps", "1", "--run", "runs/tiny-mise"))
    assert "wrote evaluation/report.html" in output
    code, _, errors = scenograph("evaluate", *pair, *measured, "--run", "runs/tiny-lama", "--out", "other")
    assert code == 2 and "--run runs/tiny-lama: made none of the models that are measured" in errors
    succeed(scenograph("scene", "from-results", "evaluation/results.csv", "--out", "placed.json"))
    assert len(json.loads((tmp_path / "placed.json").read_text())) == 4
    figures = {row["name"] for row in json.loads((tmp_path / "evaluation" / "report.json").read_text())["figures"]}
    assert {"relations", "category", "color", "all", "fd_classifier", "probe_move", "box_iou_equivalent"} <= figures
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<polyline" in page and "data:image/png;base64" in page
    succeed(scenograph("evaluate", "--model", "runs/tiny-sg2im/model", *measured, "--out", "sg2im"))
    assert "| relations |" in succeed(scenograph("evaluate", "compare", "evaluation", "sg2im"))
    succeed(scenograph("evaluate", *pair[2:], *measured, "--steps", "1", "--given", "masks", "--out", "masks"))
    code, _, errors = scenograph("evaluate", "compare", "evaluation", "masks")
    assert code == 2 and "given: graph against masks: a model that is told boxes" in errors and "--force" in errors
    assert "unlike: given" in succeed(scenograph("evaluate", "compare", "evaluation", "masks", "--force"))
    measured[measured.index("4")] = "8"
    bench = ["bench", "quality", "tiny-sg2im", "tiny-lama", "--minutes", "0.02", *measured, "--device", "cpu"]
    table = succeed(scenograph(*bench))
    assert "| tiny-sg2im |" in table and "| tiny-lama |" in table and (tmp_path / "bench" / "bench.md").is_file()
    assert Image.open(tmp_path / "bench" / "bench.png").size == (8 * 66 - 2, 3 * 66 - 2)
    assert "| tiny-lama |" in succeed(scenograph(*bench))  # goes on: everything is there
    bench[bench.index("0.02")] = "0.03"
    code, _, errors = scenograph(*bench)
    assert code == 2 and "trained.json: trained by another recipe, on another pack or for another time" in errors


@pytest.mark.parametrize("name", shipped_recipes())
def test_recipes_name_the_commands_that_make_their_data(scenograph, tmp_path, name):
    comments = re.findall(r"^#   scenograph (data .*)$", shipped_recipes()[name].read_text(), re.MULTILINE)
    commands, data = [comment.split() for comment in comments], load_recipe(name).data
    renders, packs = ([words for words in commands if words[1] == kind] for kind in ("render", "pack"))
    assert len(renders) + len(packs) == len(commands)
    assert {Path(after("--out", words)) for words in packs} == {data.pack, data.drawings} - {None}
    read = set()
    for pack in packs:
        (tmp_path / after("--root", pack)).mkdir(parents=True)
        code, _, errors = scenograph(*pack)
        assert code == 2 and not errors.startswith("error: data set"), "what is wrong is the empty folder, no option"
        read |= {after("--root", pack), *(word.partition("=")[2] for word in pack if word.startswith("validation="))}
    assert {after("--out", words) for words in renders} == {place for place in read if place.startswith("renders/")}
    for words in renders:
        succeed(scenograph(*words, "--help"))


def after(option: str, words: list[str]) -> str:
    return words[words.index(option) + 1]
