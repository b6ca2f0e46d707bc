"""A collage shows every object of a layout where it is, without any installation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from scenograph.data.picture_book.atlas import Atlas, write_atlas
from scenograph.data.picture_book.drawings import Drawings
from scenograph.errors import UserError
from scenograph.pipelines import Pipeline
from scenograph.pipelines.renderers.casting import cast
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.scenes.openraster import merged
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.silhouettes import silhouette

SHEEP = Scene(
    (
        SceneObject("sky-other", box=(0.0, 0.0, 1.0, 0.5)),
        SceneObject("grass", box=(0.0, 0.45, 1.0, 1.0)),
        SceneObject("sheep", box=(0.1, 0.6, 0.4, 0.85)),
        SceneObject("boat", ("red",), box=(0.6, 0.5, 0.9, 0.8)),
    )
)


@pytest.fixture(scope="module")
def pipe():
    return Pipeline.from_pretrained(image="collage")


def pixels(pipe, scene, seed=0, **options):
    return np.asarray(pipe(scene, seeds=[seed], **options).images[0]).astype(int)


def test_objects_are_where_their_boxes_are(pipe):
    whole = pixels(pipe, SHEEP, size=128)
    without = pixels(pipe, Scene(SHEEP.objects[:2] + SHEEP.objects[3:]), size=128)
    changed = np.argwhere(np.abs(whole - without).sum(axis=2) > 0)
    low, high = changed.min(axis=0) / 128, (changed.max(axis=0) + 1) / 128
    assert (low >= (0.59, 0.09)).all() and (high <= (0.86, 0.41)).all()
    assert high[0] == pytest.approx(0.85, abs=0.02)  # it stands on the lower edge of its box
    sky, grass = whole[:40].mean(axis=(0, 1)), whole[70:76].mean(axis=(0, 1))
    assert sky[2] > sky[0] and grass[1] > grass[2]


def test_attributes_colour_what_is_asked_for(pipe):
    boat = pixels(pipe, SHEEP, size=128)[64:102, 77:115]
    other = Scene((*SHEEP.objects[:3], SceneObject("boat", ("blue",), SHEEP.objects[3].box)))
    blue = pixels(pipe, other, size=128)[64:102, 77:115]
    moved = np.abs(boat - blue).sum(axis=2) > 60
    assert moved.mean() > 0.05
    assert boat[moved][:, 0].mean() > blue[moved][:, 0].mean() and boat[moved][:, 2].mean() < blue[moved][:, 2].mean()


def test_a_collage_is_made_again(pipe):
    first = pixels(pipe, SHEEP, 3)
    assert first.shape == (256, 256, 3) and np.array_equal(first, pixels(pipe, SHEEP, 3))
    assert any(not np.array_equal(first, pixels(pipe, SHEEP, seed)) for seed in range(4, 8))
    both = pipe([SHEEP, SHEEP], seeds=[3])
    assert np.array_equal(np.asarray(both.images[1]), first)
    assert pipe.renderer.device == torch.device("cpu") and len(pipe.renderer.digest) == 64


def test_what_a_collage_cannot_do_is_said(pipe):
    with pytest.raises(UserError, match="unknown category 'shep' .did you mean 'sheep'"):
        pipe({"objects": [{"category": "shep", "box": [0, 0, 1, 1]}]})
    with pytest.raises(UserError, match="collage needs a box for every object"):
        Pipeline(CollageRenderer())({"objects": ["sheep"]})


def test_every_category_of_the_atlas_can_be_shown():
    renderer = CollageRenderer()
    names = renderer.vocabulary.categories
    assert len(names) >= 120 and {"sheep", "sky-other", "grass", "tree", "sea", "boat", "person"} <= set(names)
    assert all(entry.origin.count(", ") >= 2 for entries in renderer.atlas.entries.values() for entry in entries)
    pipe = Pipeline(renderer)
    scenes = [Scene((SceneObject(name, box=(0.2, 0.2, 0.8, 0.8)),)) for name in names]
    pictures = pipe(scenes, size=32).images
    assert all(np.asarray(picture).std() > 2 for picture in pictures)


def test_an_atlas_is_made_again_byte_for_byte(tmp_path):
    pytest.importorskip("resvg_py")
    drawings = Drawings(None)
    drawings.rows = tuple(row for row in drawings.rows if row.category in ("sheep", "tree"))
    assert write_atlas(drawings, tmp_path / "a.zip") == write_atlas(drawings, tmp_path / "b.zip") > 4
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert set(Atlas(tmp_path / "a.zip").entries) == {"sheep", "tree"}
    (tmp_path / "c.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-30])
    with pytest.raises(UserError, match="not an atlas of drawings, or cut short"):
        Atlas(tmp_path / "c.zip")


def test_the_layers_of_a_collage_are_its_picture(pipe):
    conditioned = pipe.encode(SHEEP, seeds=[2], size=96)
    (layers,) = pipe.layers(conditioned)
    assert [layer.name for layer in layers] == ["ground", "boat", "sheep"]
    picture = np.asarray(pipe.render(conditioned)[0])
    assert np.array_equal((merged(layers) * 255).round().astype(np.uint8), picture)


def test_an_object_seed_decides_the_look_in_every_picture(pipe):
    seeded = Scene((*SHEEP.objects[:2], replace(SHEEP.objects[2], seed=7)))
    looks = [pipe.layers(pipe.encode(seeded, seeds=[seed], size=96))[0][1].pixels for seed in range(4)]
    assert all(np.array_equal(looks[0], look) for look in looks[1:])


def guest_and_host(pipe, text, seeds=range(4)):
    """What shows the first two objects of a text, and their boxes, per seed."""
    for seed in seeds:
        conditioned = pipe.encode(text, seeds=[seed])
        entries = conditioned.condition[0].entries
        guest, host, *_ = conditioned.scenes[0].objects
        yield entries[0].drawing, entries[1].drawing, guest.box, host.box


def test_riders_and_crews_are_seen_where_their_hosts_have_them(pipe):
    for guest, _, box, host in guest_and_host(pipe, "man riding horse; horse standing on grass; sky above grass"):
        assert guest.name != "skier" and host[0] < (box[0] + box[2]) / 2 < host[2]
        assert box[1] < host[1] < box[3] < host[3]  # the head above the back, the legs behind it
    for _, boat, box, host in guest_and_host(pipe, "person in boat; boat in sea; sky above sea"):
        assert boat.name in ("canoe", "rowing-boat", "speedboat") and box[1] < host[3] - 0.4 * (host[3] - host[1])
    for _, _, box, board in guest_and_host(pipe, "man riding surfboard; surfboard in sea"):
        assert board[2] - board[0] > board[3] - board[1]  # it lies
        assert board[0] < (box[0] + box[2]) / 2 < board[2] and board[1] < box[3] <= board[3]


def test_boxes_that_are_given_stay(pipe):
    boxes = (0.1, 0.1, 0.3, 0.4), (0.5, 0.5, 0.9, 0.9)
    scene = Scene(
        (SceneObject("person", box=boxes[0]), SceneObject("horse", box=boxes[1])), (Relation(0, "riding", 1),)
    )
    assert [thing.box for thing in pipe.encode(scene).scenes[0].objects] == list(boxes)


def test_drawings_live_where_the_scene_says(pipe):
    entries = pipe.renderer.atlas.entries

    def habitats(category, predicate, region):
        scene = Scene((SceneObject(category), SceneObject(region)), (Relation(0, predicate, 1),))
        return {cast(scene, seed, entries).entries[0].drawing.habitat for seed in range(40)}

    assert habitats("bird", "flying in", "sky-other") == {"air"}
    assert habitats("person", "standing on", "grass") == {"ground"}
    assert habitats("person", "standing on", "snow") == {"ground", "snow"}
    assert habitats("light", "on", "floor-wood") == {"floor"}


def test_a_colour_is_that_of_the_body(pipe):
    atlas = pipe.renderer.atlas
    for category in ("cow", "cup", "boat", "person"):
        entry = next(one for one in atlas.entries[category] if one.body)
        blue, red = (atlas.sprite(entry, name).astype(int) for name in ("blue", "red"))
        changed = np.abs(blue - red).sum(axis=2) > 60
        reddish = (red[..., 0] > 120) & (red[..., 1] < 0.6 * red[..., 0])
        assert changed[red[..., 3] > 128].mean() > 0.15 and reddish[changed].mean() > 0.5


@pytest.mark.parametrize(("category", "named"), [("sheep", "grass"), ("boat", "sea"), ("couch", "floor-wood")])
def test_what_a_scene_leaves_open_is_painted_by_what_it_tells(category, named):
    thing = SceneObject(category, box=(0.4, 0.5, 0.6, 0.7))
    back, ground = CollageRenderer()._setting(Scene((thing,)), ())
    assert back.category == ("wall-other" if category == "couch" else "sky-other") and ground.category == named
    assert ground.box[1] < 0.7
    everything = [SceneObject(one.category, box=(0.0, 0.0, 1.0, 1.0)) for one in (back, ground)]
    assert CollageRenderer()._setting(Scene((thing, *everything)), everything) == []


def test_a_lake_lies_in_a_meadow(pipe):
    pool, house = SceneObject("water-other", box=(0.1, 0.5, 0.5, 0.7)), SceneObject("house", box=(0.6, 0.4, 0.9, 0.7))
    shown = pixels(pipe, Scene((pool, house)), size=64)
    water, meadow = shown[38, 19], shown[55, 19]
    assert water[2] > water[1] - 10 > water[0] and meadow[1] > meadow[2]


def test_things_make_room_for_each_other_where_their_boxes_are_free():
    cat, car = SceneObject("cat", box=(0.45, 0.5, 0.55, 0.6)), SceneObject("car", box=(0.3, 0.4, 0.7, 0.7))
    scene = Scene((cat, car), (Relation(0, "behind", 1),))
    renderer = CollageRenderer()
    (free,) = renderer.settle([scene], [0], [[True, False]])
    assert free.objects[0].box[0] != 0.45 and free.objects[1] == car
    assert renderer.settle([scene], [0], [[False, False]]) == [scene]
    told = replace(scene, relations=(*scene.relations, Relation(0, "inside", 1)))
    assert renderer.settle([told], [0], [[True, True]]) == [told]


def test_a_cow_in_a_tree_is_seen(pipe):
    tree, cow = SceneObject("tree", box=(0.2, 0.1, 0.8, 0.9)), SceneObject("cow", ("purple",), (0.4, 0.4, 0.6, 0.6))
    scene = Scene((tree, cow), (Relation(1, "in", 0),))
    assert pipe.layers(pipe.encode(scene))[0][-1].name == "cow"


def test_trees_do_not_stand_in_the_sea():
    things = (SceneObject("sea", box=(0, 0.4, 1, 0.7)), SceneObject("grass", box=(0, 0.7, 1, 1)))
    scene = Scene((*things, SceneObject("tree", box=(0.1, 0.3, 0.3, 0.6))))
    (settled,) = CollageRenderer().settle([scene], [0], [[True] * 3])
    assert settled.objects[2].box[3] > 0.7


def test_things_far_too_large_shrink_unless_they_are_said_to_be_large():
    cup, bear = SceneObject("cup", box=(0.1, 0.1, 0.5, 0.9)), SceneObject("bear", box=(0.6, 0.5, 0.9, 0.9))
    (settled,) = CollageRenderer().settle([Scene((cup, bear))], [0], [[True, False]])
    assert settled.objects[0].box[1] > 0.3 and settled.objects[0].box[3] == 0.9
    large = Scene((replace(cup, attributes=("large",)), bear))
    assert CollageRenderer().settle([large], [0], [[True, False]]) == [large]


def test_shapes_of_things_are_those_of_the_picture(pipe):
    mask = np.ones((2, 2), bool)
    given = Scene((*SHEEP.objects[:3], replace(SHEEP.objects[3], mask=mask)))
    shaped = pipe.renderer.shaped(given, 0, [False] * 4)
    assert [thing.mask is None for thing in shaped.objects] == [True, True, False, False]
    assert shaped.objects[3] is given.objects[3] and shaped.objects[:2] == given.objects[:2]
    found = silhouette(shaped.objects[2], 128, 128)
    assert found is not None and 0.3 < found.mask.mean() < 0.95  # neither nothing nor the box
    covered = np.zeros((128, 128), bool)
    found.paint(covered, True)
    whole, without = (pixels(pipe, scene, size=128) for scene in (SHEEP, Scene(SHEEP.objects[:2] + SHEEP.objects[3:])))
    changed = np.abs(whole - without).sum(axis=2) > 0
    assert (changed & covered).sum() > 0.97 * covered.sum()
    above = covered[:102].any(axis=1).argmax()
    assert not changed[: above - 1].any()
