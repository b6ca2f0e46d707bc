from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scenograph.data.clevr import VOCABULARY
from scenograph.data.crops import PackCrops
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.scenes.scene import Scene, SceneObject

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Three pictures of one colour each with a cube, the first with a sphere, too; the last with a mask."""
    folder, samples = tmp_path_factory.mktemp("crops"), []
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    for name, colour in COLOURS.items():
        things = [SceneObject("cube", box=(0.25, 0.25, 0.75, 0.75), mask=half if name == "blue" else None)]
        things += [SceneObject("sphere", box=(0.0, 0.0, 0.2, 0.2))] * (name == "red")
        samples.append(Sample(name, Scene(tuple(things)), Image.new("RGB", (32, 32), colour)))
    write_pack(folder / "pack", Samples(VOCABULARY, {"train": samples, "validation": samples[:1]}))
    return folder / "pack"


def asked(*categories: str) -> Scene:
    return Scene(tuple(SceneObject(category, box=(0.1, 0.1, 0.5, 0.5)) for category in categories))


def test_crops_are_of_the_same_category_and_of_every_picture(pack):
    source = PackCrops(pack, "train", 16)
    seen = set()
    for seed in range(30):
        cube, sphere = source.select(asked("cube", "sphere"), seed).objects
        assert cube.crop.shape == (16, 16, 4)
        assert tuple(sphere.crop[0, 0]) == (*COLOURS["red"], 255)
        seen.add(cube.origin.split(", ")[2])
        name = cube.origin.split(", ")[2]
        assert tuple(cube.crop[0, 0, :3]) == COLOURS[name]
        assert (cube.crop[:, 8:, 3] == (0 if name == "blue" else 255)).all() and (cube.crop[:, :6, 3] == 255).all()
    assert seen == COLOURS.keys()


def test_a_seed_gives_the_same_crops_whatever_was_chosen_before(pack):
    first, second = PackCrops(pack, "train", 8), PackCrops(pack, "train", 8)
    for seed in (3, 1):
        first.select(asked("cube", "cube"), seed)
    scenes = [source.select(asked("sphere", "cube", "cube"), 5) for source in (first, second)]
    assert [thing.origin for thing in scenes[0].objects] == [thing.origin for thing in scenes[1].objects]
    own = Scene((replace(asked("cube").objects[0], seed=7),))
    assert len({first.select(own, seed).objects[0].origin for seed in range(8)}) == 1
    assert first.digest == second.digest


def test_the_pictures_own_crops_are_excluded(pack):
    source = PackCrops(pack, "train", 8)
    for seed in range(20):
        cube, sphere = source.select(asked("cube", "sphere"), seed, exclude="red").objects
        assert "red" not in cube.origin
        assert sphere.crop is None and sphere.origin is None, "no other picture has a sphere"


def test_given_crops_are_kept_and_categories_without_any_have_none(pack):
    source = PackCrops(pack, "train", 8)
    given = np.full((4, 4, 4), 9, dtype=np.uint8)
    scene = Scene((SceneObject("cube", crop=given, origin="mine"), SceneObject("cylinder")))
    cube, cylinder = source.select(scene, 0).objects
    assert cube.crop is given and cube.origin == "mine" and cylinder.crop is None


def test_a_packs_own_pixels_come_before_its_pictures(painted):
    source, names = PackCrops(painted, "train", 8), {}
    for index in range(len(source.pack)):
        scene, _ = source.pack[index]
        names |= {(source.pack.ids[index], number): thing.crop for number, thing in enumerate(scene.objects)}
    for seed in range(5):
        (thing,) = source.select(asked("cube"), seed).objects
        _, _, name, member = thing.origin.split(", ")
        assert np.array_equal(thing.crop, names[name, int(member.removeprefix("object "))])


def test_loaders_fill_batches_with_other_pictures_crops(painted):
    loader = PackLoader(painted, "train", (16, 16), 8, crop_size=8)
    own = loader.fixed_batch(0, 4)
    loader = PackLoader(painted, "train", (16, 16), 8, crop_size=8)
    loader.selector = PackCrops(painted, "train", 8)
    first, again = loader.fixed_batch(0, 4), loader.fixed_batch(0, 4)
    assert first.crops.shape == own.crops.shape and first.crops.equal(again.crops)
    assert not first.crops.equal(own.crops)
    steps = [loader.batch(0, step, 4).crops for step in (0, 0, 1)]
    assert steps[0].equal(steps[1])


def test_ids_are_those_of_the_rows(painted):
    pack = Pack(painted, "train")
    assert pack.ids == [row["id"] for row in pack.rows(range(len(pack)))]
