"""Drawings for the objects of scenes, and scenes of a second pack, while a model trains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scenograph.data.drawings import PackDrawings, category_of_class
from scenograph.data.loader import Mixed, PackLoader
from scenograph.data.pack import write_pack
from scenograph.data.source import Sample, Samples
from scenograph.data.vocabularies import coco_ids
from scenograph.errors import UserError
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

BOX = (0.0, 0.0, 1.0, 1.0)


def drawings_of(folder: Path, **counts: int) -> Path:
    """A pack of drawings, each a line that ends at another height."""
    samples = [
        Sample(
            f"{name}-{number}",
            Scene((SceneObject(name, (), BOX, sketch=Sketch((np.array([[0.0, 0.0], [1.0, (number + 1) / 10]]),))),)),
            None,
        )
        for name, count in counts.items()
        for number in range(count)
    ]
    write_pack(folder, Samples(Vocabulary(tuple(counts), ()), {"train": samples, "validation": samples}))
    return folder


def test_every_object_gets_a_drawing_of_its_category(tmp_path):
    pack = drawings_of(tmp_path / "drawings", cube=5, motorbike=4)
    drawings = PackDrawings(pack, "train", ("cube", "motorcycle", "sphere"))
    scene = Scene(tuple(SceneObject(name, box=BOX) for name in ("cube", "sphere", "motorcycle", "cube")))
    drawn = drawings.draw(scene, np.random.default_rng(0))
    assert [thing.sketch is not None for thing in drawn.objects] == [True, False, True, True]
    again = drawings.draw(scene, np.random.default_rng(0))
    assert [thing.sketch and thing.sketch.to_dict() for thing in drawn.objects] == [
        thing.sketch and thing.sketch.to_dict() for thing in again.objects
    ]
    ends = {
        float(drawings.draw(scene, np.random.default_rng(seed)).objects[0].sketch.strokes[0][-1, 1])
        for seed in range(40)
    }
    assert len(ends) == 5
    assert [thing.category for thing in drawings.drawable(scene).objects] == ["cube", "motorcycle", "cube"]
    spheres = Scene((SceneObject("sphere", box=BOX),))
    assert drawings.drawable(spheres) is spheres
    with pytest.raises(UserError, match="none of its classes of drawings stands for a category of the scenes"):
        PackDrawings(pack, "train", ("zebra",))


def test_maps_of_classes(tmp_path, real_data):
    names = tuple(coco_ids())
    ours, published = category_of_class(None, names), category_of_class(Path("published"), names)
    assert (ours("tree"), published("tree")) == ("tree", "branch")
    assert ours("sailboat") == published("sailboat") == "boat"
    (tmp_path / "map.json").write_text(json.dumps({"tree": "bush", "cat": None}))
    own = category_of_class(tmp_path / "map.json", names)
    assert (own("tree"), own("cat"), own("dog")) == ("bush", None, None)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match=r"list\.json: expected an object"):
        category_of_class(tmp_path / "list.json", names)
    authors = real_data / "quickdraw" / "class_maps" / "quickdraw_to_coco_v2.json"
    if authors.is_file():
        expected = json.loads(authors.read_text())
        assert {name: published(name) for name in expected} == expected


def test_loaders_draw_anew_in_training_and_the_same_in_validation(painted, tmp_path):
    pack = drawings_of(tmp_path / "drawings", cube=9, sphere=9, cylinder=9)
    loader = PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=16)
    loader.drawings = PackDrawings(pack, "train", loader.vocabulary.categories)
    epoch = len(loader)
    first, second = loader.batch(0, 0, epoch), loader.batch(0, 1, epoch)
    assert (first.sketches.amin(dim=(1, 2)) < 1).all()
    assert not torch.equal(first.sketches, second.sketches)
    assert torch.equal(first.sketches, loader.batch(0, 0, epoch).sketches)
    assert torch.equal(loader.fixed_batch(0, 4).sketches, loader.fixed_batch(0, 4).sketches)
    some = PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=16)
    some.drawings = PackDrawings(drawings_of(tmp_path / "cubes", cube=2), "train", ("cube",))
    batch, cube = some.batch(0, 0, epoch), some.vocabulary.category_index["cube"]
    counts = torch.bincount(batch.object_to_image)
    for picture in range(epoch):
        own = batch.objects[batch.object_to_image == picture]
        assert (own == cube).all() or not (own == cube).any()
    assert counts.sum() < len(first.objects)


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (25, 3), (50, 6), (99, 6)])
def test_how_much_of_a_second_pack_is_mixed_in(step, expected):
    assert Mixed(None, 100).count(step, 10) == expected


def test_scenes_of_a_second_pack_take_places_of_a_batch(painted, tmp_path):
    other = tmp_path / "other"
    big = Scene((SceneObject("cube", box=BOX),))
    picture = next(painted.parent.glob("*.png"))
    names = Vocabulary(("cube",), ())
    write_pack(other, Samples(names, {"train": [Sample(str(n), big, picture) for n in range(5)]}))
    loader, plain = (PackLoader(painted, "train", (32, 32), 8, "none") for _ in range(2))
    second = PackLoader(other, "train", (32, 32), 8, "none")
    second.vocabulary = loader.vocabulary
    loader.mixed = Mixed(second, 10)
    batch = loader.batch(3, 5, 10)
    counts = torch.bincount(batch.object_to_image).tolist()
    assert counts[:6] == [1] * 6 and (batch.boxes[:6] == torch.tensor(BOX)).all()
    rest = plain.batch(3, 5, 10, range(6, 10))
    assert torch.equal(batch.images[6:], rest.images) and torch.equal(batch.objects[6:], rest.objects)
    halves = [loader.batch(3, 5, 10, slots) for slots in (range(5), range(5, 10))]
    assert torch.equal(torch.cat([half.images for half in halves]), batch.images)
    worked = [*loader.batches(3, range(5, 6), 10, [range(10)], workers=1)]
    assert torch.equal(worked[0].images, batch.images)
