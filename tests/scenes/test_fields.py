"""Every field of an object is the same after JSON and packs; crops are the field that has most to lose."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scenograph.data.pack import Pack, row_to_scene, verify_pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import UserError
from scenograph.scenes.batch import SceneBatch, collate, encode_scene
from scenograph.scenes.fields import FIELDS, Sizes
from scenograph.scenes.png import decode_png
from scenograph.scenes.scene import Scene, SceneObject, cut, mirror, parse_scenes, scenes_to_json, view
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

NAMES = Vocabulary(("cat", "mat"), (), {"color": ("red", "left")})


def full_object() -> SceneObject:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    mask = rng.random((5, 3)) < 0.5
    sketch = Sketch((np.array([[0, 0.25], [0.5, 1]], dtype=np.float32),))
    return SceneObject(
        "cat", ("red",), (0.25, 0.125, 0.75, 0.5), mask, sketch, (7, 9, 0.5), crop, "noto/cat, Google, Apache-2.0"
    )


def same(first: SceneObject, second: SceneObject) -> bool:
    for field in FIELDS:
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "sketch" and one is not None and other is not None:
            one, other = np.concatenate(one.strokes), np.concatenate(other.strokes)
        if (one is None) != (other is None) or (one is not None and not np.array_equal(one, other)):
            return False
    return True


def pack_of(folder, things, size=None):
    samples = [Sample("0", Scene(tuple(things)), None)]
    write_pack(folder, Samples(NAMES, {"train": samples}), size)
    return Pack(folder, "train")


def test_fields_are_the_attributes_of_an_object_and_of_a_batch():
    assert [field.name for field in FIELDS] == [field.name for field in dataclasses.fields(SceneObject)]
    tensors = {name for field in FIELDS for name in field.tensors}
    assert tensors <= {field.name for field in dataclasses.fields(SceneBatch)}
    assert len({field.column for field in FIELDS}) == len(FIELDS)


def test_all_fields_survive_json_and_packs(tmp_path):
    things = [full_object(), SceneObject("mat"), replace(full_object(), seed=3, sketch=None)]
    things.append(SceneObject("mat", seed=(4, 1)))
    (again,) = parse_scenes(scenes_to_json([Scene(tuple(things))]))
    assert all(map(same, again.objects, things))
    packed, _ = pack_of(tmp_path / "pack", things)[0]
    assert all(map(same, packed.objects, things))
    assert isinstance(packed.objects[2].seed, int) and packed.objects[3].seed == (4, 1)
    assert not verify_pack(tmp_path / "pack")
    nothing = dict.fromkeys(("attributes", "box", "mask", "sketch", "seed", "crop", "origin"))
    assert same(Scene.from_dict({"objects": [{"category": "mat", **nothing}]}).objects[0], things[1])


def test_packs_from_before_a_field_was_known_are_read(tmp_path):
    row = pack_of(tmp_path / "pack", [full_object()]).rows([0], without=("seeds", "crops", "origins"))[0]
    (thing,) = row_to_scene(row).objects
    assert same(thing, replace(full_object(), seed=None, crop=None, origin=None))


def test_mirrored_and_cut_crops():
    thing = full_object()
    (turned,) = mirror(Scene((thing,))).objects
    assert np.array_equal(turned.crop, thing.crop[:, ::-1]) and turned.seed == thing.seed
    whole = replace(thing, mask=None)
    right = cut(whole, (0.5, 0.0, 1.0, 1.0))
    assert np.array_equal(right.crop[:, ::2], thing.crop[:, 2:]) and right.sketch is None
    assert same(cut(whole, (0.0, 0.0, 1.0, 1.0)), whole)
    (seen,) = view(Scene((whole,)), (0.0, 0.0, 0.5, 1.0)).objects
    assert np.array_equal(seen.crop[:, ::2], thing.crop[:, :2])


def test_crops_and_sketches_are_in_a_batch_if_asked_for():
    scenes = [Scene((full_object(), SceneObject("mat"))), Scene((SceneObject("cat"),))]
    batch = SceneBatch.from_scenes(scenes, NAMES)
    assert batch.crops is None and batch.sketches is None
    clear = full_object().crop.copy()
    clear[:, :2, 3] = 0
    clear[:, 2:] = (255, 0, 0, 255)
    scenes[0] = Scene((replace(full_object(), crop=clear), SceneObject("mat")))
    batch = SceneBatch.from_scenes(scenes, NAMES, crop_size=8, sketch_size=8)
    assert batch.crops.shape == (3, 4, 8, 8) and batch.sketches.shape == (3, 8, 8)
    assert (batch.crops[1:] == -1).all() and (batch.sketches[1:] == 1).all() and batch.sketches[0].min() < 0.5
    assert (batch.crops[0, 3, :, 0] == -1).all() and (batch.crops[0, 3, :, -1] == 1).all()
    # What is hidden has any colour; none of it bleeds over the edge.
    edge = batch.crops[0, :3, :, 4]
    assert (edge[0] > 0.95).all() and (edge[1:] < -0.95).all()
    assert batch.repeated(2).crops.shape == (6, 4, 8, 8)
    again = collate([encode_scene(scene, NAMES, Sizes(16, 8, 8)) for scene in scenes])
    assert again.crops.equal(batch.crops)


def test_crops_in_packs_are_bounded(tmp_path):
    large = np.zeros((40, 20, 4), dtype=np.uint8)
    large[..., 1:] = 255
    scene, _ = pack_of(tmp_path / "pack", [SceneObject("cat", crop=large)], size=16)[0]
    crop = scene.objects[0].crop
    assert crop.shape == (16, 8, 4) and (crop == (0, 255, 255, 255)).all()


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ("abc", "objects[0].crop: expected {'png': base64}, found \"abc\""),
        ({"png": 7}, "objects[0].crop.png: not base64 text"),
        ({"png": "!!"}, "objects[0].crop.png: not base64 text"),
        ({"png": "aGVsbG8="}, "objects[0].crop.png: not a readable PNG"),
    ],
)
def test_damaged_crops_are_named(crop, message):
    with pytest.raises(UserError) as caught:
        parse_scenes(json.dumps({"objects": [{"category": "cat", "crop": crop}]}))
    assert message in str(caught.value)


def test_damaged_crops_in_packs_are_named(tmp_path):
    pack = pack_of(tmp_path / "pack", [full_object()])
    row = pack.rows([0])[0]
    row["crops"] = [row["crops"][0][:30]]
    with pytest.raises(UserError, match="crop: not a readable PNG"):
        row_to_scene(row)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"box": [0, 0, 1, 1' + "0" * 400 + "]", "objects[0].box: holds a number of more than 300 digits"),
        (
            '"sketch": {"strokes": [[[0, 1' + "0" * 400 + "], [0, 1]]]}",
            "is no coordinate; those in the box go from 0 to 1",
        ),
        ('"sketch": {"strokes": [[[0, 1e300], [0, 1]]]}', "strokes[0]: 1e+300 is no coordinate"),
        ('"seed": 1' + "0" * 5000, "not valid JSON"),
        ('"box": [0, 0, 1, 1], "mask": {"size": [2, 2], "counts": [-1, 5]}', "run length -1 is negative"),
        ('"box": [0, 0, 1, 1], "mask": {"size": [5000, 5000], "counts": [25000000]}', "sides go from 1 to 4096"),
    ],
)
def test_numbers_out_of_all_bounds_are_named(fields, message):
    with pytest.raises(UserError) as caught:
        parse_scenes('{"objects": [{"category": "cat", ' + fields + "}]}")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_and_deep_pngs():
    ramp = (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "PNG")
    deep = stream.getvalue()
    assert np.abs(decode_png(deep, "L", "sketch").astype(int) - (ramp / 257).round()).max() <= 1
    assert decode_png(deep, "RGBA", "crop")[..., 3].min() == 255
    header = deep[:8] + struct.pack(">I", 4) + b"IHDR" + deep[16:20]  # too short to hold a size
    torn = header + struct.pack(">I", zlib.crc32(header[12:])) + deep[33:]
    with pytest.raises(UserError, match="crop: not a readable PNG"):
        decode_png(torn, "RGBA", "crop")
