"""Input that nobody thought of: whatever it is, there is a result or one error of ours, in any door that reads files."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack
from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.page import Exhibit, as_html
from scenograph.evaluation.protocols import PROTOCOLS
from scenograph.evaluation.report import as_markdown, make_report
from scenograph.models.published.checkpoint import read_checkpoint
from scenograph.pipelines.provenance import png_bytes, request_from_picture
from scenograph.scenes.scene import parse_scenes
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.recipe import load_recipe, shipped_recipes

pytestmark = pytest.mark.slow
quickly = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

ODD = [
    "cube",
    "left of",
    "__image__",
    "NONE",
    "[red]",
    "\0",
    "\ud800",
    "\x1b[2J",
    "a" * 300,
    "",
    "../x",
    "${oc.env:HOME}",
]
numbers = st.sampled_from([0, 1, -1, 0.5, 1e308, -1e308, 10**400, 2**63, float("nan"), float("inf"), True])
leaves = st.none() | numbers | st.sampled_from(ODD) | st.text(max_size=8)
FIELDS = [
    "objects", "relationships", "category", "attributes", "box", "mask", "sketch", "seed", "crop", "origin", "size", "counts",
    "png", "strokes", "scene", "seed", "stem", "model", "layout", "image", "style", "digests", "steps",
]  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=24,
)
damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6)


def damaged(content: bytes, places: list[tuple[float, int]]) -> bytes:
    changed = bytearray(content)
    for place, change in places:
        changed[int(place * len(content))] ^= change
    return bytes(changed)


def read(function, *arguments) -> object:
    """The result, or the error of ours in one line that can be printed; anything else fails the test."""
    try:
        return function(*arguments)
    except UserError as error:
        return str(error).encode(errors="backslashreplace")


@quickly
@given(values)
def test_scenes(value):
    read(parse_scenes, json.dumps({"objects": value}))
    read(
        parse_scenes,
        json.dumps({"objects": [{"category": "cube", "box": [0, 0, 1, 1], "mask": value, "sketch": value}]}),
    )
    read(parse_scenes, json.dumps(value))
    read(Vocabulary.from_dict, {"categories": value, "predicates": value, "attributes": value})


@quickly
@given(
    st.lists(
        st.sampled_from([*ODD, ";", "\n", "a", "red", "sphere", "behind", "9" * 5000]) | st.text(max_size=5),
        max_size=30,
    )
)
def test_texts(words):
    read(scene_from_text, " ".join(words), VOCABULARY)


@quickly
@given(values, damage, st.binary(max_size=20))
def test_recipes(tmp_path_factory, value, places, content):
    path = tmp_path_factory.mktemp("r") / "recipe.yaml"
    whole = shipped_recipes()["tiny-mise"].read_bytes()
    for written in (json.dumps({"model": value, "data": value}).encode(), damaged(whole, places), content):
        path.write_bytes(written)
        read(load_recipe, str(path))
    shutil.rmtree(path.parent)


@quickly
@given(values, damage)
def test_pictures(tmp_path_factory, value, places):
    path = tmp_path_factory.mktemp("p") / "made.png"
    record = json.dumps({"scene": {"objects": ["cube"]}, "seed": 0})
    metadata = PngInfo()
    metadata.add_text("scenograph", json.dumps(value))
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=metadata)
    for content in (stream.getvalue(), damaged(png_bytes(Image.new("RGB", (4, 4)), record), places)):
        path.write_bytes(content)
        read(request_from_picture, path, {"model": None, "layout": None, "image": None}, None, {})
    shutil.rmtree(path.parent)


@quickly
@given(damage)
def test_packs(painted, tmp_path_factory, places):
    """A crash would end pytest."""
    pack = Path(shutil.copytree(painted, tmp_path_factory.mktemp("d") / "pack"))
    (arrow,) = (pack / "train").glob("*.arrow")
    for path in (arrow, pack / "train" / "state.json", pack / "train" / "dataset_info.json", pack / "vocabulary.json"):
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, places))
        read(lambda: [Pack(pack, "train")[index] for index in range(24)])
        read(lambda: PackLoader(pack, "train", (32, 32), 16).batch(0, 0, 8))
        path.write_bytes(whole)
    shutil.rmtree(pack.parent)


class Code:
    def __reduce__(self):
        return (os.system, ("touch ran",))


@quickly
@given(damage, st.booleans())
def test_checkpoints(tmp_path_factory, places, zipped):
    path = tmp_path_factory.mktemp("c") / "c.pt"
    torch.save({"model_state": {"a": torch.zeros(3)}, "code": Code()}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for content in (whole, damaged(whole, places), pickle.dumps(Code(), protocol=2)):
        path.write_bytes(content)
        read(read_checkpoint, path)
        assert not Path("ran").exists()
    if zipped:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            assert any(b"system" in archive.read(name) for name in archive.namelist())  # the attack is in the file
    shutil.rmtree(path.parent)


HOSTILE = (
    "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">|\n`$(touch ran)`'\"</title></td>"
)


def test_a_report_of_hostile_names_runs_nothing(tmp_path):
    figure = Figure(HOSTILE, 1.0, 0.1, 10, HOSTILE, notes=(HOSTILE,))
    data = {"source": HOSTILE, "layouts": 10, "files": {}}
    models = {HOSTILE: {"name": HOSTILE, "digest": HOSTILE}}
    made = json.loads(json.dumps(make_report(PROTOCOLS["rendered"], data, models, [figure], [HOSTILE])))
    page = as_html(made, [Exhibit(HOSTILE, [(HOSTILE, Image.new("RGB", (4, 4)))])], {HOSTILE: [(0, 1), (1, 2)]})
    assert "<script" not in page and "<img src=x" not in page and "default-src 'none'" in page
    assert all(
        line.count("|") - line.count("\\|") == 6 for line in as_markdown(made).splitlines() if line.startswith("| &lt;")
    )
    if browser := shutil.which("chromium"):
        (tmp_path / "report.html").write_text(page)
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
             (tmp_path / "report.html").as_uri()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "<h1>" in shown.stdout and "<title>ran" not in shown.stdout
