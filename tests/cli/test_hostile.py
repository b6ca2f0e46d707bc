"""What commands do with input that is made to confuse, exhaust or mislead them."""

from __future__ import annotations

import json

import pytest

from helpers import succeed
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError, readable
from scenograph.scenes.scene import Scene
from scenograph.scenes.text import scene_from_text


@pytest.mark.parametrize("command", [("scene", "check"), ("scene", "draw"), ("generate", "--steps", "1")])
def test_a_description_may_be_longer_than_a_file_name(scenograph, command):
    text = "large red cube left of small blue sphere; " * 120
    assert len(text) > 4096
    succeed(scenograph(*command, text))


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "r" * 5000],
        ["generate", "cube", "--image", "m" * 5000],
        ["generate", "cube", "--out", "o" * 300],
        ["generate", f"{'s' * 300}.json"],
        ["scene", "check", "cube", "--model", "m" * 300],
        ["models", "info", "m" * 300],
        ["import", "sg2im", "c" * 300],
        ["evaluate", "--pack", "p" * 300],
        ["data", "show", "p" * 300],
        ["data", "pack", "coco", "--root", "p" * 300],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_names_that_no_file_can_have_are_one_readable_line(scenograph, arguments):
    code, _, errors = scenograph(*arguments)
    assert code == 2 and errors.count("\n") == 1 and len(errors) < 800, errors


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\udcff"])
def test_texts_that_are_none_are_refused_with_the_place(odd):
    with pytest.raises(UserError, match=r"text: character 8 is '\\(x00|ud800|udcff)', which is no text"):
        scene_from_text(f"red cube{odd}", VOCABULARY)
    for value in (
        {"objects": [f"cube{odd}"]},
        {"objects": [{"category": "cube", "attributes": [f"red{odd}"]}]},
        {"objects": ["cube", "cube"], "relationships": [[0, f"on{odd}", 1]]},
    ):
        with pytest.raises(UserError, match=r"character \d is .*, which is no text"):
            Scene.from_dict(value)


@pytest.mark.parametrize("folder", ["pics [final]", "a[/b]", "[red]a", ":smile:"])
def test_brackets_in_names_are_no_markup(scenograph, tmp_path, folder):
    (tmp_path / "scene.json").write_text(json.dumps({"objects": ["cube"]}))
    assert f"wrote {folder}/scene-graph.png" in succeed(scenograph("scene", "draw", "scene.json", "--out", folder))
    code, _, errors = scenograph("scene", "check", f"{folder}.json")
    assert code == 2 and f"cannot read {folder}.json: No such file" in errors


def test_names_cannot_steer_the_terminal(scenograph, tmp_path):
    (tmp_path / "scene.json").write_text(json.dumps({"objects": ["cube\x1b]0;owned\x07"]}))
    succeed(scenograph("scene", "draw", "scene.json", "--out", "a\x1b[31m"))
    code, output, errors = scenograph("scene", "check", "scene.json")
    assert code == 2 and "\x1b" not in output + errors


def test_messages_keep_both_ends_and_a_bounded_length():
    message = readable("place: " + "x" * 10_000 + "; remedy")
    assert len(message) < 700 and message.startswith("place: ") and message.endswith("; remedy")
    lines = readable("\n".join(map(str, range(1000)))).splitlines()
    assert len(lines) == 40 and lines[-1] == "... and 961 more"
