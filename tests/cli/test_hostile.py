"""What commands do with input that is made to confuse, exhaust or mislead them."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers import succeed, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError, readable
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.page import Exhibit
from scenograph.evaluation.protocols import PROTOCOLS
from scenograph.evaluation.report import as_html, as_markdown, compare, make_report
from scenograph.models.registry import AutoModel
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
    ids=lambda arguments: " ".join(arguments)[:15],
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


HUGE = "1" + "0" * 400
SCENES = {
    "box of 400 digits": f'{{"objects": [{{"category": "cube", "box": [0, 0, {HUGE}, 1]}}]}}',
    "box of 1e308": '{"objects": [{"category": "cube", "box": [-1e308, -1e308, 1e308, 1e308]}]}',
    "box of 5,000 digits": f'{{"objects": [{{"category": "cube", "box": [0, 0, {"9" * 5000}, 1]}}]}}',
    "index of 400 digits": f'{{"objects": ["cube"], "relationships": [[{HUGE}, "above", 0]]}}',
    "seed of 400 digits": f'{{"objects": [{{"category": "cube", "seed": {HUGE}}}]}}',
    "mask of 400 digits": f'{{"objects": [{{"category": "cube", "box": [0, 0, 1, 1], "mask": {{"size": [{HUGE}, 1], "counts": [1]}}}}]}}',
    "runs of 400 digits": f'{{"objects": [{{"category": "cube", "box": [0, 0, 1, 1], "mask": {{"size": [1, 1], "counts": [{HUGE}]}}}}]}}',
    "nested 990 deep": '{"objects": ' + "[" * 990 + "]" * 990 + "}",
    "nested 100,000 deep": "[" * 100_000,
    "object nested 990 deep": '{"objects": [' + '{"category":' * 990 + "1" + "}" * 990 + "]}",
    "not a number": '{"objects": [{"category": "cube", "box": [0, NaN, Infinity, 1]}]}',
    "not UTF-8": b"\xff\xfe{",
}


@pytest.mark.parametrize("name", SCENES)
def test_numbers_and_nesting_beyond_reason_are_one_line(scenograph, tmp_path, name):
    content = SCENES[name]
    (tmp_path / "scene.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, errors = scenograph("scene", "check", "scene.json")
    assert code == 2 and errors.count("\n") == 1 and "scene.json" in errors and len(errors) < 800, errors


def test_a_text_may_hold_numbers_of_any_length(scenograph):
    code, _, errors = scenograph("scene", "check", f"cube {'1' * 5000} left of sphere")
    assert code == 2 and "expected a relation at" in errors and len(errors) < 800


def test_a_long_chain_of_one_object_is_refused_at_once():
    start = time.perf_counter()
    with pytest.raises(UserError, match="more than 256 objects in one scene"):
        scene_from_text(" left of ".join(["cube"] * 50_000), VOCABULARY)
    assert time.perf_counter() - start < 5


def test_few_bytes_cannot_stand_for_gigabytes():
    mask = {"size": [4096, 4096], "counts": [4096 * 4096]}
    thing = {"category": "cube", "box": [0, 0, 1, 1], "mask": mask}
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"scene.objects\[4\]: masks, sketches and crops reach 83,886,080 pixels"):
            Scene.from_dict({"objects": [thing] * 256})
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("gconv_dim", 10**9), ("gconv_num_layers", 10**9), ("refinement_dims", [10**9]), ("gconv_dim", 10**400)],
    ids=["width", "layers", "list", "400 digits"],
)
def test_a_configuration_cannot_ask_for_all_memory(tmp_path, setting, value):
    tiny("sg2im").save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {setting: value}))
    with pytest.raises(UserError, match=f"config.json: .*{setting} {str(value).strip('[]')[:50]}"):
        AutoModel.from_pretrained(tmp_path / "m")
    path.write_text(json.dumps(config | {"gconv_hidden_dim": 16_000, "gconv_num_layers": 500}))
    with pytest.raises(UserError, match=r"the weights do not fit the configuration: [\d,]+ numbers instead of"):
        AutoModel.from_pretrained(tmp_path / "m")
    for content in (
        b"\xff",
        b"[" * 100_000,
        b'{"model": "sg2im", "vocabulary": {"categories": [' + b"9" * 5000 + b"]}}",
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match="config.json"):
            AutoModel.from_pretrained(tmp_path / "m")


def record(path, value, name="scenograph", **made):
    metadata = PngInfo()
    metadata.add_text(name, value if isinstance(value, str) else json.dumps(value), **made)
    Image.new("RGB", (8, 8)).save(path, pnginfo=metadata)


@pytest.mark.parametrize("role", ["model", "layout", "image"])
@pytest.mark.parametrize("name", ["/evil/model", "owner/evil", "../evil", "\\\\host\\share", "[red]x"])
def test_a_picture_does_not_decide_which_model_is_loaded(scenograph, tmp_path, monkeypatch, role, name):
    monkeypatch.setattr(
        "scenograph.models.registry.AutoModel.from_pretrained", lambda source, others=(): pytest.fail(str(source))
    )
    record(tmp_path / "made.png", {"scene": {"objects": ["cube"]}, "seed": 0, role: name})
    code, _, errors = scenograph("generate", "made.png")
    assert code == 2 and "does not ship in the package" in errors and f"if you trust it, add --{role} {name}" in errors


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_is_asked_whether_a_model_is_loaded(scenograph, tmp_path, monkeypatch, answer):
    loaded, asked = [], []
    monkeypatch.setattr(
        "scenograph.models.registry.AutoModel.from_pretrained", lambda source, others=(): loaded.append(source) or 1 / 0
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("scenograph.cli.console.errors._force_terminal", True)
    monkeypatch.setattr("typer.confirm", lambda question, err: asked.append(question) or answer == "y")
    record(tmp_path / "made.png", {"scene": {"objects": ["cube"]}, "seed": 0, "image": "owner/model\x1b[2J"})
    if answer == "y":
        with pytest.raises(ZeroDivisionError):
            scenograph("generate", "made.png")
        assert loaded == ["owner/model\x1b[2J"]
    else:
        code, _, errors = scenograph("generate", "made.png")
        assert code == 2 and "if you trust it, add --image owner/model" in errors and not loaded
    (question,) = asked
    assert "made with 'owner/model" in question and question.endswith("Load it?") and "\x1b" not in question


HOSTILE = (
    """<script>alert(1)</script>"'><img src=x onerror=alert(1)></title></style><!--[a](javascript:alert(1))|`&#60;"""
)


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        pytest.fail(f"a comment: {data}")


def test_a_report_of_hostile_names_holds_them_as_text():
    def made(name):
        figure = Figure(name, 1.0, 0.1, 10, name, notes=(name,))
        models = {name: {"name": name, "digest": "d"}}
        protocol = PROTOCOLS["rendered"].model_copy(update={"name": name, "about": name})
        data = {"source": name, "layouts": 10, "files": {}}
        report = json.loads(json.dumps(make_report(protocol, data, models, [figure], [name])))
        page = as_html(report, [Exhibit(name, [(name, Image.new("RGB", (4, 4)))])], {name: [(0, 1), (1, 2)]})
        return Page(page), as_markdown(report), compare(report, report, (name, name))

    (plain, *_), (page, markdown, compared) = made("plain"), made(HOSTILE)
    named = [
        (tag, {key: v and v.replace("plain", HOSTILE) for key, v in attrs.items()}) for tag, attrs in plain.elements
    ]
    assert page.elements == named, "names neither add an element nor an attribute"
    assert sum("plain" in text for text in plain.texts) == sum(HOSTILE in text for text in page.texts) > 8
    for text in (markdown, compared):
        assert "<script" not in text and "<img" not in text and "[a](" not in text.replace("\\[", "")
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert len({line.count("|") - line.count("\\|") for line in rows}) == 1


def test_a_picture_does_not_decide_which_file_is_opened(scenograph, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    record(tmp_path / "made.png", {"scene": {"objects": ["cube"]}, "seed": 0, "style": str(tmp_path / "pipe")})
    code, _, errors = scenograph("generate", "made.png")
    assert code == 2 and "give that with --style" in errors and errors.count("\n") == 1
    os.mkfifo(tmp_path / "pipe.png")
    code, _, errors = scenograph("generate", "pipe.png")
    assert code == 2 and "cannot read pipe.png: not a file" in errors


def test_damaged_pictures_and_text_bombs_are_one_line(scenograph, tmp_path):
    path = tmp_path / "made.png"
    record(path, {"scene": {"objects": ["cube"]}, "seed": 0})
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(8, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        code, _, errors = scenograph("generate", "made.png", "--dry-run")
        assert (code == 2 and errors.count("\n") == 1) or code == 0, errors
    for bomb in (
        " " * 80_000_000,
        json.dumps({"scene": {"objects": ["x" * 500_000]}, "seed": 0}),
        f'{{"seed": {"9" * 5000}}}',
    ):
        record(path, bomb, zip=True)
        code, _, errors = scenograph("generate", "made.png", "--dry-run")
        assert code == 2 and errors.count("\n") == 1 and len(errors) < 800, errors
