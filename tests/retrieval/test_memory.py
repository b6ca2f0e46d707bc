"""A memory holds every object of a pack, says where each came from, and stays whole whatever happens to it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import NOTE, UserError
from scenograph.retrieval import build as building
from scenograph.retrieval.build import build_memory, query_scene, write_memory
from scenograph.retrieval.encoder import APPEARANCE, GRAPH, CropEncoder
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.own_crops import add_files
from scenograph.retrieval.rows import WITHOUT_AREA
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene, SceneObject

pytest.importorskip("lancedb")


def picture(path: Path, size=(40, 30), colour=(200, 30, 30, 255)) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    canvas.paste(colour, (10, 5, 30, 25))
    canvas.save(path)
    return path


def test_every_object_is_a_row_that_says_where_it_came_from(built_memory, painted):
    memory, pack = CropMemory(built_memory), Pack(painted, "train")
    scene, _ = pack[3]
    row = pack.rows([3])[0]
    crops = memory.crops([f"{row['id']}/{number}" for number in range(len(scene.objects))])
    assert [crop.category for crop in crops] == [thing.category for thing in scene.objects]
    assert all(np.array_equal(crop.pixels, thing.crop) for crop, thing in zip(crops, scene.objects, strict=True))
    assert crops[0].origin == Origin(f"samples made in Python/{row['id']}", "A. Painter", "CC0-1.0", f"{row['id']}/0")
    assert len(memory) == sum(len(pack[index][0].objects) for index in range(len(pack))) == memory.counts.total()
    assert memory.verify() == []
    rows = memory.rows(scene.objects[0].category)
    place = rows.ids.tolist().index(crops[0].id)
    (graph,) = memory.encoder.graph_vectors([query_scene(row)])
    assert np.allclose(rows.vectors[GRAPH][place], graph[0], atol=1e-2)
    assert np.allclose(
        rows.vectors[APPEARANCE][place], memory.encoder.appearance_vectors([scene.objects[0].crop])[0], atol=1e-2
    )


def test_a_build_that_is_killed_goes_on_and_workers_change_nothing(
    painted, crop_encoders, built_memory, tmp_path, monkeypatch
):
    monkeypatch.setattr(building, "PART", 5)
    build_memory(tmp_path / "whole", painted, "train", crop_encoders)
    real, calls = building._write_part, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(building, "_write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        build_memory(tmp_path / "parts", painted, "train", crop_encoders)
    assert not (tmp_path / "parts").exists()
    build_memory(tmp_path / "parts", painted, "train", crop_encoders)
    assert len(calls) == 3 + 3  # 5 parts: two were kept
    whole, parts = CropMemory(tmp_path / "whole"), CropMemory(tmp_path / "parts")
    assert whole.digest == parts.digest and whole.column("id") == parts.column("id")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "whole"]
    assert whole.column("category") == sorted(whole.column("category"))


def test_a_memory_of_the_first_scenes_alone(painted, crop_encoders, tmp_path):
    record = build_memory(tmp_path / "m", painted, "train", crop_encoders, scenes=3)
    memory = CropMemory(tmp_path / "m")
    objects = sum(len(Pack(painted, "train")[number][0].objects) for number in range(3))
    assert len(memory) == objects and record.source.endswith("split train, the first 3 scenes")
    assert memory.has("cube") and not memory.has("zebra")
    rows = memory.rows("cube")
    assert memory.has("cube", rows.pictures[0]) == (len(set(rows.pictures)) > 1)


def test_crops_are_cut_from_pictures_where_objects_have_none(crop_encoders, tmp_path):
    canvas = Image.new("RGB", (40, 20), "white")
    canvas.paste((255, 0, 0), (10, 5, 20, 15))
    mask = np.ones((4, 4), bool)
    mask[:, :2] = False
    objects = (
        SceneObject("cube", box=(0.25, 0.25, 0.5, 0.75), mask=mask),
        SceneObject("sphere", box=(0.0, 0.0, 0.05, 1.0)),
    )
    pack = Samples(VOCABULARY, {"train": [Sample("one", Scene(objects), canvas)]})
    write_pack(tmp_path / "pack", pack)
    record = build_memory(tmp_path / "m", tmp_path / "pack", "train", crop_encoders)
    assert record.dropped == {WITHOUT_AREA: 1}
    (crop,) = CropMemory(tmp_path / "m").crops(["one/0"])
    assert (
        crop.pixels.shape == (10, 10, 4) and (crop.pixels[:, 7:, 3] == 255).all() and (crop.pixels[:, :3, 3] == 0).all()
    )
    assert crop.pixels[5, 8].tolist()[0] > 240 and crop.pixels[5, 8].tolist()[1] < 10


def test_own_crops_are_cut_to_what_is_visible_and_kept_once(crop_memory, tmp_path):
    opened = CropMemory(crop_memory)
    robot, before = picture(tmp_path / "robot" / "r2.png"), len(opened)
    (tmp_path / "robot" / "broken.png").write_bytes(b"no picture")
    picture(tmp_path / "robot" / "empty.png", colour=(0, 0, 0, 0))
    Image.new("RGB", (30, 60), "navy").save(tmp_path / "robot" / "opaque.jpg")
    added = add_files(opened, [tmp_path / "robot"], attributes=("red",), author="Me", licence="MIT")
    assert (added.crops, added.known, added.unknown) == (2, 0, {"robot"})
    assert added.dropped == {"picture is damaged or not a picture": 1, WITHOUT_AREA: 1}
    rows = CropMemory(crop_memory).rows("robot")
    crops = opened.crops(rows.ids.tolist())
    assert sorted(crop.pixels.shape[:2] for crop in crops) == [(20, 20), (60, 30)]
    assert {crop.origin.source for crop in crops} == {"r2.png", "opaque.jpg"} and crops[0].origin.licence == "MIT"
    assert not rows.vectors[GRAPH].any() and rows.vectors[APPEARANCE].any()
    again = add_files(opened, [robot], "robot")
    assert (again.crops, again.known) == (0, 1) and len(opened) == before + 2
    assert opened.verify() == []
    with pytest.raises(UserError, match="there is no file"):
        add_files(opened, [tmp_path / "missing.png"])
    with pytest.raises(UserError, match="no picture in"):
        (tmp_path / "nothing").mkdir()
        add_files(opened, [tmp_path / "nothing"])


def test_what_is_removed_is_gone_and_the_rest_stays(crop_memory, tmp_path):
    opened = CropMemory(crop_memory)
    add_files(opened, [picture(tmp_path / "o'hare" / "it's.png")], "o'hare", licence="MIT")
    before, digest = len(opened), opened.digest
    assert opened.remove(licence="mit") == 1 and len(opened) == before - 1
    assert opened.digest != digest and "o'hare" not in opened.counts
    assert opened.remove(source="samples made in Python/painted-3") > 1  # and not painted-30
    assert opened.remove(source="it's.png") == 0
    left = len(opened)
    assert opened.remove(licence="CC0-1.0") == left and len(opened) == 0


def test_categories_are_found_by_synonyms_or_named_with_the_remedy(crop_memory, tmp_path, caplog):
    caplog.set_level(NOTE)
    opened = CropMemory(crop_memory)
    add_files(opened, [picture(tmp_path / "a" / "one.png")], "sea")
    assert opened.known_category("ocean", "") == "sea" == opened.known_category("sea", "")
    assert opened.known_category("ocean", "") == "sea"
    assert caplog.messages == ["ocean is taken as sea"]
    with pytest.raises(UserError, match=r"objects\[2\]: .* holds no crop of 'cubo' .did you mean 'cube'.*memory add"):
        opened.known_category("cubo", "objects[2]: ")
    opened.remove(licence="CC0-1.0")
    opened.remove(source="one.png")
    with pytest.raises(UserError, match="is empty; add crops with"):
        opened.known_category("cube", "")
    assert len(opened) == 0 and opened.verify() == [] and len(opened.rows("cube")) == 0


def test_another_encoder_than_the_memorys_is_refused(crop_memory, crop_encoders, tmp_path):
    record = json.loads((crop_memory / "memory.json").read_text())
    (crop_memory / "memory.json").write_text(json.dumps(record | {"encoder": "0" * 64}))
    with pytest.raises(UserError, match="was built with another version of its encoder"):
        _ = CropMemory(crop_memory).encoder
    problems = CropMemory(crop_memory).verify()
    assert len(problems) == len(CropMemory(crop_memory)) and "another encoder" in problems[0]
    (crop_memory / "memory.json").write_text(json.dumps(record | {"encoders": [str(tmp_path / "gone")]}))
    with pytest.raises(UserError, match="an encoder that cannot be loaded: no model"):
        _ = CropMemory(crop_memory).encoder
    with pytest.raises(UserError, match="encodes neither graphs nor crops"):
        tiny("spade").save_pretrained(tmp_path / "spade")
        CropEncoder([str(tmp_path / "spade")])
    with pytest.raises(UserError, match="there is another of its kind"):
        CropEncoder([crop_encoders[0], crop_encoders[0]])


def test_a_damaged_row_is_named_and_the_others_are_found(crop_memory):
    opened = CropMemory(crop_memory)
    name = opened.column("id")[4]
    opened.table.update(where=f"id = '{name}'", values={"crop": b"\x89PNG and nothing more"})
    damaged = CropMemory(crop_memory)
    assert len(damaged.verify()) == 1 and name in damaged.verify()[0]
    with pytest.raises(UserError, match=f"crop {name}: damaged .*memory verify"):
        damaged.crops([name])
    assert damaged.crops([opened.column("id")[5]])
    with pytest.raises(UserError, match="holds no crop 'nobody/1'"):
        damaged.crops(["nobody/1"])


def test_damaged_files_are_said(crop_memory, tmp_path):
    with pytest.raises(UserError, match="is not a memory of crops"):
        CropMemory(tmp_path)
    for path in (crop_memory / "crops.lance" / "data").glob("*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"damaged \(.*; build it again with"):
        CropMemory(crop_memory).rows("cube")
    shutil.rmtree(crop_memory / "crops.lance")
    with pytest.raises(UserError, match=r"damaged \("):
        CropMemory(crop_memory)


def test_who_reads_a_memory_keeps_its_version_while_it_changes(crop_memory, painted, crop_encoders, tmp_path):
    reader, writer = CropMemory(crop_memory), CropMemory(crop_memory)
    before, name = len(reader), reader.column("id")[0]
    add_files(writer, [picture(tmp_path / "robot" / "r.png")], "robot")
    writer.remove(licence="CC0-1.0")
    assert len(writer) == 1 and len(reader) == before and reader.crops([name])[0].id == name
    build_memory(crop_memory, painted, "validation", crop_encoders, overwrite=True)
    with pytest.raises(UserError, match="was replaced while it was read; run the command again"):
        reader.rows("sphere")
    assert len(CropMemory(crop_memory)) and CropMemory(crop_memory).verify() == []


def test_a_memory_is_not_replaced_unasked_and_only_by_a_whole_one(crop_memory, painted, crop_encoders, monkeypatch):
    with pytest.raises(UserError, match="exists; choose another --out, or add --overwrite"):
        build_memory(crop_memory, painted, "train", crop_encoders)
    kept = CropMemory(crop_memory).digest
    monkeypatch.setattr(building, "connect", full_disk)
    with pytest.raises(UserError, match=f"cannot write {crop_memory}: No space left on device"):
        write_memory(crop_memory, crop_memory.parent / "tmp", CropMemory(crop_memory).record, iter(()))
    assert CropMemory(crop_memory).digest == kept


def full_disk(folder):
    raise RuntimeError(
        "lance error: LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)"
    )


def test_a_full_disk_leaves_the_memory_as_it_was(crop_memory, tmp_path, monkeypatch):
    opened = CropMemory(crop_memory)
    before = opened.digest
    path = picture(tmp_path / "robot" / "r.png")
    monkeypatch.setattr(type(opened.table), "merge_insert", lambda self, key: full_disk(self))
    with pytest.raises(UserError, match="No space left on device"):
        add_files(opened, [path], "robot")
    assert CropMemory(crop_memory).digest == before


def test_without_lancedb_the_extra_is_named(monkeypatch, painted, crop_encoders, tmp_path):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(UserError, match=r"needs the package lancedb: python -m pip install 'scenograph\[search\]'"):
        build_memory(tmp_path / "m", painted, "train", crop_encoders)


def test_the_commands_tell_what_they_did(scenograph, painted, crop_encoders, tmp_path):
    build = ["memory", "build", "--pack", painted, "--out", "m", "--workers", "1", "--licence", "MIT"]
    said = succeed(scenograph(*build, "--encoder", crop_encoders[0], "--encoder", crop_encoders[1]))
    assert "wrote m" in said and "licences: MIT" in said and "look at it: scenograph memory show" in said
    picture(tmp_path / "robot" / "r.png")
    assert "added 1 crop to m" in succeed(scenograph("memory", "add", "m", "robot", "--licence", "CC0-1.0"))
    assert "CC0-1.0 1" in succeed(scenograph("memory", "show", "m", "--out", "sheet.png"))
    assert Image.open(tmp_path / "sheet.png").width > 500
    said = succeed(
        scenograph("memory", "query", "m", "a red cube left of a sphere", "--top", "3", "--out", "strip.png")
    )
    assert said.count("MIT") == 6 and "0 red cube" in said
    assert "ok: m" in succeed(scenograph("memory", "verify", "m"))
    assert "removed 1 crops" in succeed(scenograph("memory", "remove", "m", "--source", "r.png"))
    code, _, errors = scenograph("memory", "remove", "m", "--source", "r.png")
    assert code == 2 and "holds no crop of 'r.png'" in errors
    code, _, errors = scenograph("memory", "remove", "m")
    assert code == 2 and "give --source or --licence" in errors
    said = succeed(scenograph("memory", "evaluate", "m", "--pack", painted, "--scenes", "4", "--out", "r.json"))
    assert "purity_graph" in said and "milliseconds" in said
    figures = {row["name"]: row["value"] for row in json.loads((tmp_path / "r.json").read_text())["figures"]}
    assert figures["coverage"] == 1 and figures["own"] == 0 and 0 <= figures["neighbours"] <= 1
    succeed(scenograph("memory", "export", "m", "--out", "published"))
    code, _, errors = scenograph("memory", "export", "m", "--out", "published")
    assert code == 2 and "--overwrite" in errors
