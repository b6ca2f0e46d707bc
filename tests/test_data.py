from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scenograph.data.clevr import VOCABULARY, clevr_scene, read_clevr
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack, write_pack
from scenograph.data.rendered import DIRECTION_MARGIN, SIZES, RenderSettings, render_dataset, sample_scene
from scenograph.errors import UserError
from scenograph.scenes.scene import Scene, SceneObject


def sampled(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    scene = None
    while scene is None:
        scene = sample_scene(rng, RenderSettings(min_objects=4))
    return scene


def test_sampled_scenes_depend_on_the_seed_alone_and_do_not_collide():
    assert sampled(3) == sampled(3) != sampled(4)
    for seed in range(20):
        things = sampled(seed)["objects"]
        for i, one in enumerate(things):
            for other in things[:i]:
                distance = np.linalg.norm(np.subtract(one["3d_coords"][:2], other["3d_coords"][:2]))
                assert distance > SIZES[one["size"]] + SIZES[other["size"]]


def test_relations_are_clevrs():
    """``relationships[name][i]`` lists what is ``name`` of i; converses agree; close pairs stand in none."""
    scene = sampled(1)
    left, right = scene["relationships"]["left"], scene["relationships"]["right"]
    along = np.array([thing["3d_coords"] for thing in scene["objects"]]) @ np.array(scene["directions"]["left"])
    for i, others in enumerate(left):
        for j in range(len(along)):
            assert (j in others) == (j != i and along[j] - along[i] > DIRECTION_MARGIN)
            assert (j in others) == (i in right[j])


def test_clevr_scene_reads_relations_in_the_right_direction():
    scene = sampled(2)
    for thing in scene["objects"]:
        thing["box"] = [0.1, 0.1, 0.2, 0.2]
    for relation in clevr_scene(scene).relations:
        if relation.predicate == "left of":
            assert relation.subject in scene["relationships"]["left"][relation.object]


def test_real_clevr_files(real_data):
    path = next(iter(sorted((real_data / "clevr").glob("*scenes*.json"))))
    rows = list(read_clevr(path))
    assert len(rows) >= 8
    for _, _, scene in rows:
        VOCABULARY.check([scene])
        for thing in scene.objects:
            assert thing.box is not None and 0 <= thing.box[0] < thing.box[2] <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 4}, "--size 4"),
        ({"samples": 0}, "--samples 0"),
        ({"min_objects": 5, "max_objects": 2}, "need 1 <= min <= max"),
    ],
)
def test_bad_render_settings(settings, message):
    with pytest.raises(UserError, match=message):
        RenderSettings(**settings)


@pytest.mark.slow
def test_rendering_is_exact_resumable_and_the_same_on_any_number_of_processes(tmp_path):
    pytest.importorskip("mitsuba")
    settings = RenderSettings(size=32, samples=8, seed=5)
    one, two = tmp_path / "one", tmp_path / "two"
    assert len(list(render_dataset(one, 3, settings, workers=1))) == 3
    partly = render_dataset(two, 3, settings, workers=2)
    next(partly)
    partly.close()
    list(render_dataset(two, 3, settings, workers=2))
    for path in sorted(one.rglob("*.png")) + sorted(one.rglob("*.json")):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path
    for _, picture, scene in read_clevr(one):
        assert Image.open(picture).size == (32, 32)
        for thing in scene.objects:
            assert thing.mask.any(axis=0).all() or thing.mask.any(), "a box is the extent of its mask"
            assert thing.mask[0].any() and thing.mask[-1].any() and thing.mask[:, 0].any() and thing.mask[:, -1].any()
    with pytest.raises(UserError, match="was rendered with samples = 8, not 9"):
        next(render_dataset(one, 3, RenderSettings(size=32, samples=9, seed=5)))


def test_pack_round_trip(tmp_path):
    mask = np.random.default_rng(0).random((5, 9)) > 0.5
    scene = Scene((SceneObject("cube", ("red",), (0.125, 0.25, 0.5, 0.75), mask), SceneObject("sphere")))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "p.png")
    rows = [("a", tmp_path / "p.png", scene), ("b", None, scene)]
    counts = write_pack(tmp_path / "pack", {"train": iter(rows)}, VOCABULARY, size=15)
    assert counts == {"train": 2}
    pack = Pack(tmp_path / "pack", "train")
    again, picture = pack[0]
    assert again.to_dict() == scene.to_dict() and np.array_equal(again.objects[0].mask, mask)
    assert picture.size == (20, 15) and pack[1][1] is None
    assert pack.vocabulary == VOCABULARY
    with pytest.raises(UserError, match="exists; delete it"):
        write_pack(tmp_path / "pack", {"train": iter(rows)}, VOCABULARY)
    with pytest.raises(UserError, match="no split 'test' .it has: train."):
        Pack(tmp_path / "pack", "test")
    with pytest.raises(UserError, match="is not a pack"):
        Pack(tmp_path, "train")


def test_a_failed_pack_leaves_nothing(tmp_path):
    def broken():
        yield "a", None, Scene((SceneObject("cube"),))
        raise UserError("scene 1: broken")

    with pytest.raises(UserError, match="scene 1: broken"):
        write_pack(tmp_path / "pack", {"train": broken()}, VOCABULARY)
    with pytest.raises(UserError, match="holds no scene"):
        write_pack(tmp_path / "pack", {"train": iter([])}, VOCABULARY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"scenes": [{"objects": []}]}', "scene 0: not a CLEVR scene"),
        ('{"scenes": 3}', "expected CLEVR scenes"),
    ],
)
def test_bad_clevr_files(tmp_path, content, message):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError, match=message):
        list(read_clevr(tmp_path / "s.json"))


def same(first, second) -> bool:
    return all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_batches_depend_on_seed_and_step_alone(painted: Path):
    loader = PackLoader(painted, "train", (16, 16), 8, relations="subset")
    batches = [loader.batch(0, step, 8) for step in range(6)]
    fresh = PackLoader(painted, "train", (16, 16), 8, relations="subset")
    assert same(fresh.batch(0, 5, 8), batches[5])
    assert not same(fresh.batch(1, 5, 8), batches[5])
    halves = [fresh.batch(0, 2, 8, range(4)), fresh.batch(0, 2, 8, range(4, 8))]
    assert torch.equal(torch.cat([half.objects for half in halves]), batches[2].objects)
    epoch = torch.cat([batch.images.flatten(1).sum(1) for batch in batches[:3]])
    assert len(epoch.unique()) > 20, "an epoch shows every scene once"


def test_relation_policies(painted: Path):
    def first(**options):
        return PackLoader(painted, "train", (16, 16), 8, **options).fixed_batch(0, 8)

    stored = first()
    assert len(first(relations="none").triples) == 0 < len(first(relations="subset").triples) < len(stored.triples)
    assert torch.bincount(first(max_objects=2).object_to_image).max() == 2
    with pytest.raises(
        UserError, match="'above' is not in the pack's vocabulary|'below' is not|'inside' is not|'surrounding' is not"
    ):
        PackLoader(painted, "train", (16, 16), 8, relations="sg2im").fixed_batch(0, 24)


def test_damaged_packs_are_one_line(tmp_path, painted: Path):
    import shutil

    shutil.copytree(painted, tmp_path / "pack")
    (tmp_path / "pack" / "vocabulary.json").write_text(json.dumps({"categories": ["ball"], "predicates": ["on"]}))
    with pytest.raises(UserError, match="is not in the pack's vocabulary.json"):
        PackLoader(tmp_path / "pack", "train", (16, 16), 8).batch(0, 0, 2)
