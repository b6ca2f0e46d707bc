"""Sheets of a pack's scenes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from helpers import succeed
from scenograph.data import sheet
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

NAMES = Vocabulary(("a", "b", "c"), ("left of", "right of", "on"))
THINGS = (
    SceneObject("a", box=(0, 0, 0.4, 0.9)),
    SceneObject("b", box=(0.5, 0.1, 1, 1)),
    SceneObject("c", box=(0.2, 0.3, 0.6, 0.6)),
)


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn as a graph or in words: scenes, each with the colour of its relations."""
    found = []
    for name in ("draw_graph", "draw_relations"):
        original = getattr(sheet, name)

        def noted(scene, *given, original=original, **options):
            found.append((scene, options.get("color", given[-1] if given else None)))
            return original(scene, *given, **options)

        monkeypatch.setattr(sheet, name, noted)
    return found


def pack_of(tmp_path, *scenes: Scene, size: tuple[int, int] = (40, 20)) -> Pack:
    samples = [Sample(f"id-{i}", scene, Image.new("RGB", size, "yellow")) for i, scene in enumerate(scenes)]
    write_pack(tmp_path / "pack", Samples(NAMES, {"train": samples}))
    return Pack(tmp_path / "pack", "train")


def test_stored_relations_are_all_drawn_and_no_others(tmp_path, drawn):
    every = tuple(Relation(i, "left of" if i < j else "right of", j) for i in range(3) for j in range(3) if i != j)
    scenes = [Scene(THINGS, (Relation(2, "on", 0),)), Scene(THINGS, every), Scene(THINGS)]
    sheet.pack_sheet(pack_of(tmp_path, *scenes), count=3)
    for scene, color in drawn:
        assert scene.relations in ((Relation(2, "on", 0),), every) and color in (sheet.GREY, sheet.INK)
    assert {len(scene.relations) for scene, _ in drawn} == {1, 6}, "a scene without relations gets none"


def test_derived_relations_are_those_of_evaluation_and_in_their_own_colour(tmp_path, drawn):
    pack = pack_of(tmp_path, Scene(THINGS), Scene(THINGS[::-1]))
    picture = sheet.pack_sheet(pack)
    loader = PackLoader(pack.folder, "train", (8, 8), 8, relations="sg2im")
    wanted = [tuple(dict.fromkeys(scene.relations)) for scene in loader.scenes(0, 2)]
    assert {scene.relations for scene, _ in drawn} == set(wanted)
    assert {color for _, color in drawn} == {sheet.DERIVED}
    assert (np.asarray(picture) == sheet.DERIVED).all(axis=2).any()


def test_sheets_keep_the_shape_of_pictures(tmp_path):
    pack = pack_of(tmp_path, Scene(THINGS[:1]))
    pixels = np.asarray(sheet.pack_sheet(pack)).astype(int)
    yellow = (np.abs(pixels - (255, 255, 0)) < 3).all(axis=2)
    rows, columns = np.flatnonzero(yellow.any(axis=1)), np.flatnonzero(yellow.any(axis=0))
    assert rows[-1] - rows[0] == pytest.approx(sheet.SIDE / 2, abs=6)
    assert columns[-1] - columns[0] == pytest.approx(sheet.SIDE, abs=6)


def test_scenes_stand_beside_each_other_as_far_as_they_fit(tmp_path, monkeypatch):
    pack = pack_of(tmp_path, *[Scene(THINGS[:1])] * 4)
    one = sheet.pack_sheet(pack, count=1)
    assert sheet.pack_sheet(pack, count=2).size == (2 * one.width, one.height)
    monkeypatch.setattr(sheet, "WIDTH", one.width)
    assert sheet.pack_sheet(pack, first=1, count=9).size == (one.width, 3 * one.height)


def test_sketches_and_scenes_without_pictures_or_boxes_are_shown(tmp_path):
    sketch = Sketch(strokes=(np.array([[0.0, 1.0], [0.0, 1.0]]),))
    scenes = [Scene((SceneObject("a", box=(0, 0, 1, 1), sketch=sketch),)), Scene((SceneObject("a"), SceneObject("b")))]
    write_pack(tmp_path / "pack", Samples(NAMES, {"train": [Sample(str(i), s) for i, s in enumerate(scenes)]}))
    picture = sheet.pack_sheet(Pack(tmp_path / "pack", "train"))
    assert picture.width > 3 * sheet.SIDE


def test_packs_show_themselves(painted):
    pack = Pack(painted, "validation")
    assert repr(pack) == f"<Pack {painted}, split validation: 8 scenes>"
    page = pack._repr_html_()
    assert "24 scenes" in page and "cube, sphere, cylinder" in page and "data:image/png;base64," in page


def test_the_command_draws_what_is_asked_for(scenograph, painted, tmp_path):
    output = succeed(
        scenograph("data", "show", str(painted), "--split", "validation", "--count", "2", "--out", "s.png")
    )
    assert "wrote s.png" in output and Image.open(tmp_path / "s.png").height > 300
    code, _, error = scenograph("data", "show", str(painted), "--first", "99", "--out", "t.png")
    assert code == 2 and "--first 99: the split 'train' has scenes 0 to 23" in error
