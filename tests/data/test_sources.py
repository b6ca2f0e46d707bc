"""Every source against the recorded behaviour of the originals, real files, and damage."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import pickle
import random
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from scenograph.data.clevr import OFFICIAL_SIZE, VOCABULARY, Clevr, ClevrOptions, box_from_position, clevr_scene
from scenograph.data.clipart import PREDICATES, ClipArt, ClipArtOptions, draw_scene, drawing_order
from scenograph.data.coco import Coco, CocoOptions, crop_mask, decode_segmentation
from scenograph.data.coco_export import CocoExport, CocoExportOptions
from scenograph.data.folder import Folder, FolderOptions
from scenograph.data.label_maps import LabelMapOptions, LabelMaps
from scenograph.data.labelme import LabelMe
from scenograph.data.loader import PackLoader, random_sg2im_relations, related_objects
from scenograph.data.pack import Pack, pack_splits, read_record, verify_pack, write_pack
from scenograph.data.pickles import read_object_arrays
from scenograph.data.quickdraw import (
    QuickDraw,
    QuickDrawOptions,
    coco_class,
    rasterise_stroke3,
    read_drawing,
    rows_of,
    strokes_of_stroke3,
)
from scenograph.data.records import Reasons
from scenograph.data.sketchycoco import (
    CATEGORY_IDS,
    QuickDrawCoco,
    QuickDrawCocoOptions,
    SketchyCoco,
    SketchyCocoOptions,
)
from scenograph.data.source import Source
from scenograph.data.sources import SOURCES
from scenograph.data.visual_genome import VisualGenome, VisualGenomeOptions
from scenograph.data.vocabularies import coco_ids, coco_validation_ids, shipped_vocabulary
from scenograph.errors import UserError
from scenograph.scenes.masks import resize_mask
from scenograph.scenes.scene import Relation, Scene, SceneObject, mirror, view
from scenograph.scenes.sketch import Sketch


def pack(source: Source, folder: Path, **options) -> dict:
    """Pack, and insist that what was written is whole."""
    source.work = folder.parent / f"{folder.name}-work"
    source.work.mkdir()
    record = write_pack(folder, source, work=source.work, **options)
    assert verify_pack(folder) == []
    return record


def scenes_of(folder: Path, split: str) -> dict[str, Scene]:
    opened = Pack(folder, split)
    return {opened.table[i]["id"]: opened[i][0] for i in range(len(opened))}


class PythonRandom:
    """numpy's interface over Python's generator, which the originals draw from."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)

    def integers(self, high: int) -> int:
        return self.generator.choice(range(high))

    def random(self) -> float:
        return self.generator.random()


# COCO


def coco_folder(golden: Path, tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for kind in ("instances", "stuff"):
        (root / "annotations" / f"{kind}_train2017.json").write_bytes((golden / f"{kind}.json").read_bytes())
    shutil.copytree(golden / "images", root / "train2017")
    return root


GOLDEN_COCO = {
    "default": {},
    "whitelist_other": {"other": True, "categories": ("person", "cat", "grass", "other"), "min_objects": 1},
    "not_stuff_only": {"stuff_only": False, "min_object_size": 0.0, "max_objects": 12},
}


@pytest.mark.golden
@pytest.mark.parametrize("setting", GOLDEN_COCO)
def test_coco_matches_sg2ims_loader(golden, tmp_path, setting):
    folder = golden / "sg2im" / "coco_mini"
    expected = json.loads((folder / "expected.json").read_text())[setting]
    names = json.loads((folder / "vocab.json").read_text())["object_idx_to_name"]
    pack(Coco(coco_folder(folder, tmp_path), CocoOptions(**GOLDEN_COCO[setting]), tmp_path), tmp_path / "pack")
    scenes = scenes_of(tmp_path / "pack", "train")
    assert list(map(int, scenes)) == expected["image_ids"]
    assert [len(scene.objects) for scene in scenes.values()] == expected["objects_per_image"]
    loader = PackLoader(tmp_path / "pack", "train", tuple(expected["image_size"]), 16)
    batch = loader.fixed_batch(0, len(scenes))
    cells = differing = 0
    for i, scene in enumerate(scenes.values()):
        item = np.load(folder / f"{setting}_item{i}.npz")
        count = len(scene.objects)  # the recorded items end with __image__
        assert [names[j] for j in item["objs"][:count]] == [thing.category for thing in scene.objects]
        assert np.allclose([thing.box for thing in scene.objects], item["boxes"][:count], atol=1e-6)
        mine = batch.masks[batch.object_to_image == i].numpy()
        differing += (mine != item["masks"][:count]).sum()
        cells += mine.size
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        pixels = item["image"].transpose(1, 2, 0) * std + mean
        assert np.abs(pixels * 2 - 1 - batch.images[i].permute(1, 2, 0).numpy()).max() < 1.01 / 127.5
    assert differing <= 0.02 * cells


@pytest.mark.golden
def test_coco_relations_match_sg2ims_loader(golden, tmp_path):
    folder = golden / "sg2im" / "coco_mini"
    vocabulary = json.loads((folder / "vocab.json").read_text())
    pack(Coco(coco_folder(folder, tmp_path), CocoOptions(), tmp_path), tmp_path / "pack")
    loader = PackLoader(tmp_path / "pack", "train", (32, 32), 16)
    for i, scene in enumerate(loader.scenes(0, len(loader))):
        item = np.load(folder / f"default_item{i}.npz")
        rng = PythonRandom(int(item["python_random_seed"]))
        mine = [(r.subject, r.predicate, r.object) for r in random_sg2im_relations(scene, rng)]
        names = vocabulary["pred_idx_to_name"]
        theirs = [(s, names[p], o) for s, p, o in item["triples"].tolist() if names[p] != "__in_image__"]
        assert mine == theirs


@pytest.mark.golden
def test_coco_matches_lamas_loader(golden, tmp_path):
    folder = golden / "lama" / "data" / "coco"
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    for kind in ("instances", "stuff"):
        (root / "annotations" / f"{kind}_val2017.json").write_bytes((folder / f"{kind}.json").read_bytes())
    pictures = np.load(folder / "images_uint8.npz")
    for image in json.loads((folder / "instances.json").read_text())["images"]:
        Image.fromarray(pictures[f"img_{image['id']}"]).save(root / "val2017" / image["file_name"], format="PNG")
    pack(Coco(root, CocoOptions(preset="lama"), tmp_path), tmp_path / "pack")
    scenes = scenes_of(tmp_path / "pack", "validation")
    expected = np.load(folder / "expected.npz")
    assert list(map(int, scenes)) == expected["image_ids"].tolist()
    ids = read_record(tmp_path / "pack")
    published = json.loads((tmp_path / "pack" / "pack.json").read_text())["published_ids"]
    assert ids["splits"]["validation"]["scenes"] == int(expected["flip0_len"])
    images = PackLoader(tmp_path / "pack", "validation", (32, 32), 16).fixed_batch(0, len(scenes)).images.numpy()
    assert np.abs(images - expected["flip0_image"]).max() < 1e-6
    for row, scene in enumerate(scenes.values()):
        for flipped, shown in ((0, scene), (1, mirror(scene))):
            at = row + flipped * len(scenes)
            labels, boxes = expected[f"flip{flipped}_objs"][at], expected[f"flip{flipped}_boxes"][at]
            count = len(shown.objects)
            assert [published[thing.category] for thing in shown.objects] == labels[:count].tolist()
            mine = np.array([thing.box for thing in shown.objects])
            mine[:, 2:] -= mine[:, :2]
            assert np.allclose(mine, boxes[:count], atol=1e-6)


def test_coco_validation_rules(tmp_path):
    root = made_coco(tmp_path, pictures=5, part="val2017")
    for rule, expected in {
        "all": {"validation": 5},
        "first-1024": {"validation": 5},
        "first-1024-listed": {"validation": 5},
        "wsgc": {"validation": 1, "test": 4},
    }.items():
        options = CocoOptions(preset="all", validation=rule)
        record = pack(Coco(root, options, tmp_path), tmp_path / rule)
        assert {name: split["scenes"] for name, split in record["splits"].items()} == expected, rule
    assert len(coco_validation_ids()) == 1024


def test_the_packed_preset_keeps_pictures_of_many_objects(tmp_path):
    root = made_coco(tmp_path, pictures=3, part="val2017")
    path = root / "annotations" / "instances_val2017.json"
    value = json.loads(path.read_text())
    for number, count in enumerate((15, 16, 60)):
        first = value["annotations"][number]
        value["annotations"] += [{**first, "id": 100 * (number + 1) + i} for i in range(count - 1)]
    path.write_text(json.dumps(value))
    pack(Coco(root, CocoOptions(preset="wsgc-packed", stuff_only=False), tmp_path), tmp_path / "pack")
    assert [len(scene.objects) for scene in scenes_of(tmp_path / "pack", "validation").values()] == [16, 60]


def made_coco(tmp_path: Path, pictures: int = 3, part: str = "train2017") -> Path:
    """A small COCO tree; the second of its pictures has an id of the WSGC list."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / part).mkdir()
    ids = [number + 1 for number in range(pictures)]
    ids[1:2] = [min(coco_validation_ids())]
    images, annotations = [], []
    for number, image_id in enumerate(ids):
        Image.new("RGB", (40, 30), (10 * number, 0, 0)).save(root / part / f"{image_id}.jpg")
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 40, "height": 30})
        polygon = [[2, 2, 20, 2, 20, 15, 2, 15]]
        annotations.append(
            {"id": number + 1, "image_id": image_id, "category_id": 1, "bbox": [2, 2, 18, 13], "segmentation": polygon}
        )
    value = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(value))
    return root


def test_damaged_coco_is_counted_never_a_crash(tmp_path):
    root = made_coco(tmp_path, pictures=8)
    path = root / "annotations" / "instances_train2017.json"
    value = json.loads(path.read_text())
    images, annotations = value["images"], value["annotations"]
    (root / "train2017" / images[2]["file_name"]).unlink()
    whole = (root / "train2017" / images[3]["file_name"]).read_bytes()
    (root / "train2017" / images[3]["file_name"]).write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (30, 90)).save(root / "train2017" / images[4]["file_name"])
    annotations[5]["bbox"] = [2, 2, 0, 5]
    annotations[6]["segmentation"] = {"size": [1, 1], "counts": "nonsense"}
    del annotations[7]["segmentation"]
    annotations.append({"id": 1, "image_id": images[0]["id"], "category_id": 1, "bbox": [2, 2, 9, 9]})
    annotations.append({"id": 90, "image_id": 999_999, "category_id": 1, "bbox": [2, 2, 9, 9]})
    annotations.append({"id": 91, "image_id": images[0]["id"], "category_id": 77, "bbox": [2, 2, 9, 9]})
    annotations.append({"id": 92, "image_id": images[0]["id"], "category_id": 1, "bbox": "wide"})
    images.append(images[0])
    path.write_text(json.dumps(value))
    record = pack(Coco(root, CocoOptions(preset="all"), tmp_path), tmp_path / "pack")
    assert record["splits"]["train"]["scenes"] == 4
    assert record["dropped"] == {
        "object: annotation id is listed twice": 1,
        "object: annotation of a picture that is not listed": 1,
        "object: box is empty or outside the picture": 1,
        "object: box is not four numbers": 1,
        "object: unknown category id": 1,
        "picture has another shape than its annotation says": 1,
        "picture has too few objects": 1,
        "picture id is listed twice": 1,
        "picture is damaged or not a picture": 1,
        "picture is missing or unreadable": 1,
    }
    assert sum(record["remarks"].values()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', "instances_train2017.json: not valid JSON"),
        ('{"images": [], "annotations": [], "categories": []}', "nothing was kept"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "image 1 has no positive width"),
        ('{"images": [3], "annotations": [], "categories": []}', "record 0: expected an object with 'id', found 3"),
        ('{"images": [], "annotations": [{"id": 1}], "categories": []}', "expected an object with 'image_id'"),
    ],
)
def test_coco_of_the_wrong_form(tmp_path, content, message):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text(content)
    with pytest.raises(UserError, match=message):
        pack(Coco(tmp_path, CocoOptions(preset="all"), tmp_path), tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_visual_genome_of_the_wrong_form(tmp_path):
    for name, content in {
        "objects": [{"image_id": 1}],
        "relationships": [],
        "image_data": [{"image_id": 1, "width": 300, "height": 300}],
        "vg_splits": {"train": [1], "val": [], "test": []},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="Visual Genome, reading annotations: .* unexpected form .KeyError: 'objects'"):
        pack(VisualGenome(tmp_path, VisualGenomeOptions(), tmp_path), tmp_path / "pack")
    (tmp_path / "vg_splits.json").write_text("[]")
    with pytest.raises(UserError, match="expected lists of picture ids under train, val and test"):
        write_pack(tmp_path / "pack", VisualGenome(tmp_path, VisualGenomeOptions(), tmp_path))


def test_coco_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="there is no .*instances_train2017.json; is --root right"):
        write_pack(tmp_path / "pack", Coco(tmp_path, CocoOptions(preset="all"), tmp_path))
    root = made_coco(tmp_path)
    with pytest.raises(UserError, match="no stuff annotations .* stuff_only=false"):
        write_pack(tmp_path / "pack", Coco(root, CocoOptions(), tmp_path))
    with pytest.raises(UserError, match="categories=dog: not in"):
        write_pack(tmp_path / "pack", Coco(root, CocoOptions(preset="all", categories=("dog",)), tmp_path))


def test_segmentations_of_every_form_agree():
    from pycocotools import mask as rle

    polygon = [[1.0, 1.0, 6.0, 1.0, 6.0, 4.0, 1.0, 4.0]]
    expected = decode_segmentation(polygon, 6, 8)
    assert expected.sum() == 15
    compressed = rle.encode(np.asfortranarray(expected.astype(np.uint8)))
    flat = expected.ravel(order="F")
    counts = np.diff(np.flatnonzero(np.diff(np.concatenate([[~flat[0]], flat, [~flat[-1]]])))).tolist()
    uncompressed = {"size": [6, 8], "counts": counts if not flat[0] else [0, *counts]}
    for form in (compressed, {**compressed, "counts": compressed["counts"].decode()}, uncompressed):
        assert np.array_equal(decode_segmentation(form, 6, 8), expected)
    assert crop_mask(expected, (1, 1, 5, 3)).all()
    assert crop_mask(expected, (7.9, 5.9, 0.05, 0.05)).shape == (1, 1)
    with pytest.raises(ValueError, match="another size"):
        decode_segmentation(compressed, 8, 6)


@pytest.mark.parametrize("package", ["pycocotools", "h5py", "scipy.io"])
def test_a_missing_extra_says_what_to_install(tmp_path, monkeypatch, package):
    uses = {
        "pycocotools": lambda: write_pack(tmp_path / "pack", Coco(coco, CocoOptions(preset="all"), tmp_path)),
        "h5py": lambda: write_pack(tmp_path / "pack", VisualGenome(made_h5(tmp_path), VisualGenomeOptions(), tmp_path)),
        "scipy.io": lambda: write_pack(tmp_path / "pack", SketchyCoco(made_sketches, SketchyCocoOptions(), tmp_path)),
    }
    made_sketches, coco = sketchycoco_tree(tmp_path), made_coco(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"python -m pip install 'scenograph\[data\]'"):
        uses[package]()


def made_h5(tmp_path: Path) -> Path:
    """Files that look as if the original had written them."""
    (tmp_path / "vocab.json").write_text(json.dumps({"object_idx_to_name": ["__image__"], "pred_idx_to_name": []}))
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.h5").touch()
    return tmp_path


def test_real_coco(real_data, tmp_path):
    record = pack(Coco(real_data / "coco", CocoOptions(), tmp_path), tmp_path / "stuff", workers=2)
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {"train": 5, "validation": 9}
    assert shipped_vocabulary("coco-stuff").predicates == Pack(tmp_path / "stuff", "train").vocabulary.predicates
    wanted = set(shipped_vocabulary("coco-stuff").categories) - {"other"}
    assert set(Pack(tmp_path / "stuff", "train").vocabulary.categories) == wanted
    published = json.loads((tmp_path / "stuff" / "pack.json").read_text())["published_ids"]
    assert published == {name: number for name, number in coco_ids().items() if name != "other"}
    panoptic = pack(Coco(real_data / "coco", CocoOptions(stuff="panoptic"), tmp_path), tmp_path / "panoptic")
    assert panoptic["splits"]["train"]["scenes"] >= 4
    names = {thing.category for scene in scenes_of(tmp_path / "panoptic", "train").values() for thing in scene.objects}
    assert "tree-merged" in names


# Visual Genome


def genome(golden: Path, tmp_path: Path, **options) -> VisualGenome:
    folder = golden / "sg2im" / "vg_mini"
    root = tmp_path / "vg"
    root.mkdir(exist_ok=True)
    for path in folder.iterdir():
        wanted = path.name in {"splits.json", "images"} or "alias" in path.name or path.suffix == ".json"
        if wanted and path.name != "vocab.json" and not (root / path.name).exists():
            (root / path.name).symlink_to(path)
    given = json.loads((folder / "preprocess_args.json").read_text())
    names = {
        "min_relationships_per_image": "min_relationships",
        "max_relationships_per_image": "max_relationships",
        "min_objects_per_image": "min_objects",
        "max_objects_per_image": "max_objects",
    }
    values = {names.get(key, key): value for key, value in given.items() if key != "max_attributes_per_image"}
    return VisualGenome(
        root, VisualGenomeOptions(splits=root / "splits.json", outside=True, **values, **options), tmp_path
    )


@pytest.mark.golden
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_visual_genome_matches_sg2ims_preprocessing(golden, tmp_path, split):
    folder = golden / "sg2im" / "vg_mini"
    source = genome(golden, tmp_path, normalize_predicates="train")
    plan = source.plan(lambda what, done: None)
    raw = json.loads((folder / "vocab.json").read_text())
    assert list(plan.vocabulary.categories) == raw["object_idx_to_name"][1:]
    assert list(plan.vocabulary.predicates) == raw["pred_idx_to_name"][1:]
    assert list(plan.vocabulary.attributes) == raw["attribute_idx_to_name"]
    items = [json.loads(item) for item in plan.splits[{"val": "validation"}.get(split, split)]]
    with h5py.File(folder / f"{split}.h5") as file:
        assert [item["id"] for item in items] == file["image_ids"][()].tolist()
        for row, item in enumerate(items):
            count, related = file["objects_per_image"][row], file["relationships_per_image"][row]
            names = [raw["object_idx_to_name"][i] for i in file["object_names"][row, :count]]
            assert [thing[0] for thing in item["objects"]] == names
            assert [thing[2] for thing in item["objects"]] == file["object_boxes"][row, :count].tolist()
            predicates = [raw["pred_idx_to_name"][i] for i in file["relationship_predicates"][row, :related]]
            subjects, others = (file[f"relationship_{end}s"][row, :related].tolist() for end in ("subject", "object"))
            assert item["relations"] == [list(t) for t in zip(subjects, predicates, others, strict=True)]


@pytest.mark.golden
def test_visual_genome_json_and_h5_give_the_same_pack(golden, tmp_path):
    folder = golden / "sg2im" / "vg_mini"
    pack(genome(golden, tmp_path, normalize_predicates="train"), tmp_path / "json")
    root = tmp_path / "h5"
    root.mkdir()
    for path in [*folder.glob("*.h5"), folder / "vocab.json", folder / "images"]:
        (root / path.name).symlink_to(path)
    pack(VisualGenome(root, VisualGenomeOptions(outside=True), tmp_path), tmp_path / "packed")
    assert pack_splits(tmp_path / "json") == pack_splits(tmp_path / "packed")
    for split in pack_splits(tmp_path / "json"):
        first, second = scenes_of(tmp_path / "json", split), scenes_of(tmp_path / "packed", split)
        assert list(first) == list(second)
        for name in first:
            mine, theirs = first[name].to_dict(), second[name].to_dict()
            for thing in (*mine["objects"], *theirs["objects"]):
                thing.pop("attributes", None)  # the original lists at most three of an object, in another order
            assert mine == theirs


@pytest.mark.golden
def test_the_published_slip_of_names_has_a_switch(golden, tmp_path):
    counts = {
        how: len(genome(golden, tmp_path, normalize_predicates=how).plan(lambda what, done: None).splits["validation"])
        for how in ("all", "train")
    }
    plan = genome(golden, tmp_path).plan(lambda what, done: None)
    assert sum(len(json.loads(item)["relations"]) for item in plan.splits["validation"]) > 0
    assert counts["all"] >= counts["train"]


@pytest.mark.golden
@pytest.mark.parametrize(
    ("split", "setting", "limit"), [("train", "default", 9), ("train", "max4", 3), ("val", "max4", 3)]
)
def test_visual_genome_selection_matches_sg2ims_loader(golden, tmp_path, split, setting, limit):
    """Related objects first, random others after them, never more than there is room for."""
    folder = golden / "sg2im" / "vg_mini"
    raw = json.loads((folder / "vocab.json").read_text())
    pack(genome(golden, tmp_path, normalize_predicates="train"), tmp_path / "pack")
    ours = {"val": "validation"}.get(split, split)
    scenes = scenes_of(tmp_path / "pack", ours)
    with h5py.File(folder / f"{split}.h5") as file:
        ids = file["image_ids"][()].tolist()
    for path in folder.glob(f"{split}_{setting}_item*.npz"):
        item = np.load(path)
        scene = scenes[str(ids[int(path.stem.rpartition("item")[2])])]
        related = {end for r in scene.relations for end in (r.subject, r.object)}
        kept = related_objects(scene, limit, np.random.default_rng(0))
        assert len(kept) == min(limit, len(scene.objects))
        assert set(kept) <= related or related <= set(kept)
        theirs = [raw["object_idx_to_name"][i] for i in item["objs"][:-1]]
        if len(related) <= limit:  # otherwise the original keeps one too many
            assert len(theirs) == len(kept)
            if len(related) == len(kept):
                assert sorted(theirs) == sorted(scene.objects[i].category for i in kept)


@pytest.mark.golden
def test_visual_genome_matches_lamas_loader(golden, tmp_path):
    """Which related objects and which others it draws is chance; what they are, and how many, is not."""
    folder = golden / "lama" / "data" / "vg"
    config = json.loads((folder / "config.json").read_text())
    arrays, pictures = np.load(folder / "arrays.npz"), np.load(folder / "images_uint8.npz")
    names = config["vocab"]["object_idx_to_name"]
    (tmp_path / "vocab.json").write_text(json.dumps(config["vocab"]))
    for split in ("train", "val", "test"):
        with h5py.File(tmp_path / f"{split}.h5", "w") as file:
            for name in arrays.files:
                file[name] = arrays[name]
            file["image_paths"] = config["image_paths"]
    for i, path in enumerate(config["image_paths"]):
        Image.fromarray(pictures[f"img_{i}"]).save(tmp_path / path)
    pack(VisualGenome(tmp_path, VisualGenomeOptions(), tmp_path), tmp_path / "pack")
    loader = PackLoader(tmp_path / "pack", "train", (32, 32), 16, max_objects=9, objects="related")
    batch, expected = loader.fixed_batch(0, 6), np.load(folder / "expected.npz")
    assert np.abs(batch.images.numpy() - expected["flip0_image"]).max() < 1e-6
    for i, scene in enumerate(scenes_of(tmp_path / "pack", "train").values()):
        for flipped, shown in ((0, scene), (1, mirror(scene))):
            labels, boxes = (expected[f"flip{flipped}_{part}"][i + 6 * flipped] for part in ("objs", "boxes"))
            theirs = [(names[label], *box) for label, box in zip(labels, boxes, strict=True) if label]
            ours = [(t.category, t.box[0], t.box[1], t.box[2] - t.box[0], t.box[3] - t.box[1]) for t in shown.objects]
            for thing in theirs:
                assert any(thing[0] == mine[0] and np.allclose(thing[1:], mine[1:], atol=1e-6) for mine in ours)
        related = {end for relation in scene.relations for end in (relation.subject, relation.object)}
        if len(related) <= 9:  # otherwise the original keeps one too many
            assert int((batch.object_to_image == i).sum()) == len(theirs)


def test_real_visual_genome_form(real_data, tmp_path):
    root = real_data / "visual_genome" / "vcoco_as_vg"
    low = {"min_image_size": 100, "min_object_instances": 20, "min_relationship_instances": 10, "min_object_size": 8}
    record = pack(VisualGenome(root, VisualGenomeOptions(**low), tmp_path), tmp_path / "pack", workers=2)
    assert record["splits"]["train"] | {"files": None} == {
        "scenes": 199, "objects": 1463, "relations": 513, "files": None,
    }  # fmt: skip
    assert "riding" in Pack(tmp_path / "pack", "train").vocabulary.predicates


def test_attributes_of_visual_genome_are_kept(golden, tmp_path):
    pack(genome(golden, tmp_path), tmp_path / "pack")
    scene = scenes_of(tmp_path / "pack", "train")["1"]
    assert scene.objects[1].attributes == ("red", "big")
    batch = PackLoader(tmp_path / "pack", "train", (16, 16), 8).fixed_batch(0, 1)
    assert batch.attributes[1].tolist() == [0, 0], "two attributes at once"


def test_boxes_that_reach_out_of_visual_genomes_pictures_are_kept_and_counted(tmp_path):
    Image.new("RGB", (100, 100)).save(tmp_path / "1.png")
    boxes = [[-10, 20, 30, 30], [90, 20, 30, 30], [20, 20, 30, 30], [100, 20, 30, 30], [-30, 20, 30, 30]]
    record = {"id": 1, "image": "1.png", "size": [100, 100], "objects": [["tree", [], box] for box in boxes]}
    source = VisualGenome(tmp_path, VisualGenomeOptions(), tmp_path)
    sample = source.read(json.dumps({**record, "relations": []}))
    assert sample.scene.objects[0].box == (-0.1, 0.2, 0.2, 0.5)
    assert sample.remarks == ("box reaches out of the picture: kept as it is",) * 2, "not those that lie outside"


# CLEVR


def test_clevr_boxes_follow_the_published_formula():
    """Hand-computed from the formula in the original's loader, for a sphere straight ahead."""
    thing = {"3d_coords": [0.0, 0.0, 0.7], "pixel_coords": [240, 160, 10.0], "shape": "sphere"}
    scene = {"directions": {"right": [1.0, 0.0, 0.0]}}
    half = 6.9 * 0.7 * 15 / 2
    expected = [(240 - half) / 480, (160 - half) / 320, (240 + half) / 480, (160 + half) / 320]
    assert np.allclose(box_from_position(thing, scene), expected)
    cube = box_from_position({**thing, "shape": "cube"}, scene)
    assert np.isclose((cube[2] - cube[0]) * OFFICIAL_SIZE[0], 2 * half * 1.3)


def test_real_clevr_files(real_data, tmp_path):
    path = real_data / "clevr" / "CLEVR_new_scenes.json"
    record = pack(Clevr(path, ClevrOptions(validation_count=2), tmp_path), tmp_path / "pack")
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {"train": 6, "validation": 2}
    VOCABULARY.check(list(scenes_of(tmp_path / "pack", "train").values()))
    single = real_data / "clevr" / "small" / "CLEVR_new_000000_64_64_larger_objects.json"
    assert pack(Clevr(single, ClevrOptions(), tmp_path), tmp_path / "one")["splits"]["train"]["scenes"] == 1


def clevr_tree(tmp_path: Path) -> Path:
    root = tmp_path / "CLEVR_v1.0"
    (root / "scenes").mkdir(parents=True)
    for split, count in (("train", 3), ("val", 1)):
        (root / "images" / split).mkdir(parents=True)
        scenes = []
        for number in range(count):
            name = f"CLEVR_{split}_{number:06d}.png"
            Image.new("RGB", (48, 32)).save(root / "images" / split / name)
            thing = {
                "shape": "cube", "size": "large", "color": "red", "material": "metal",
                "3d_coords": [0, 0, 0.7], "pixel_coords": [24, 16, 10],
            }  # fmt: skip
            scenes.append({
                "image_filename": name, "split": split, "objects": [thing], "directions": {"right": [1, 0, 0]},
                "relationships": {"left": [[]], "right": [[]], "front": [[]], "behind": [[]]},
            })  # fmt: skip
        (root / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps({"info": {}, "scenes": scenes}))
    return root


def test_the_official_tree_of_clevr_and_its_dialogs(tmp_path):
    root = clevr_tree(tmp_path)
    record = pack(Clevr(root, ClevrOptions(), tmp_path), tmp_path / "whole")
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {"train": 3, "validation": 1}
    dialog = tmp_path / "clevr_dialog_train_raw.json"
    dialog.write_text(json.dumps([{"image_filename": "CLEVR_train_000001.png", "dialogs": []}]))
    record = pack(Clevr(root, ClevrOptions(dialog=dialog), tmp_path), tmp_path / "talked")
    assert record["splits"]["train"]["scenes"] == 1
    assert record["dropped"]["picture is not in the dialog file"] == 3
    dialog.write_text("[{}]")
    with pytest.raises(UserError, match="not a CLEVR-Dialog file"):
        pack(Clevr(root, ClevrOptions(dialog=dialog), tmp_path), tmp_path / "none")


def test_arrays_damaged_anywhere_are_one_line(tmp_path):
    stream = io.BytesIO()
    np.savez_compressed(stream, train=np.arange(400) % 7)
    whole, file = stream.getvalue(), tmp_path / "a.npz"
    refused = 0
    for place in range(len(whole)):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            file.write_bytes(content)
            try:
                list(read_object_arrays(file))
            except UserError as error:
                refused += 1
                assert "a.npz" in str(error) and "\n" not in str(error)
    assert refused > len(whole)


def test_scene_graph_pickles_are_read_without_running_them(tmp_path):
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal"}
    graph = {"objects": [thing, thing], "boxes": [[0.1, 0.1, 0.2, 0.2]] * 3, "relationships": [[0, "left", 1]]}
    path = tmp_path / "scene_graphs.pkl"
    path.write_bytes(pickle.dumps({0: graph, 1: {**graph, "boxes": np.array(graph["boxes"])}}))
    pack(Clevr(path, ClevrOptions(), tmp_path), tmp_path / "pack")
    scene = scenes_of(tmp_path / "pack", "train")["1"]
    assert scene.relations[0].predicate == "left of" and np.allclose(scene.objects[0].box, [0.1, 0.1, 0.3, 0.3])

    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UserError, match=r"asks to run builtins.print; refused"):
        pack(Clevr(path, ClevrOptions(), tmp_path), tmp_path / "hostile")


# Sketches


@pytest.mark.golden
def test_rasterising_matches_scene_designer(golden):
    data = np.load(golden / "scene_designer" / "raster.npz")
    for i, expected in enumerate(data["images"]):
        assert np.array_equal(rasterise_stroke3(data[f"stroke3_{i}"]), expected), i


@pytest.mark.golden
def test_packs_of_drawings_have_the_pixels_that_scene_designer_trains_on(golden, tmp_path):
    data = np.load(golden / "scene_designer" / "raster.npz")
    drawings = np.empty(3, dtype=object)
    drawings[:] = [data[f"stroke3_{i}"] for i in range(3)]
    np.savez(tmp_path / "sheep.npz", train=drawings)
    options = QuickDrawOptions(raster="scene-designer", side=96)
    pack(QuickDraw(tmp_path, options, tmp_path), tmp_path / "pack")
    loader = PackLoader(tmp_path / "pack", "train", (96, 96), 16, sketch_size=96)
    assert np.array_equal(loader.fixed_batch(0, 3).sketches.numpy(), data["images"][:3])


def test_strokes_of_all_files_can_be_drawn_as_scene_designer_does(tmp_path):
    line = {"word": "cat", "recognized": True, "drawing": [[[10, 110], [20, 20]], [[110, 110], [20, 120]]]}
    (tmp_path / "cat.ndjson").write_text(json.dumps(line))
    np.save(tmp_path / "dog.npy", np.zeros((1, 784), np.uint8))
    record = pack(QuickDraw(tmp_path, QuickDrawOptions(raster="scene-designer", side=96), tmp_path), tmp_path / "pack")
    assert sum(record["dropped"].values()) == 1  # bitmaps have no strokes
    (scene,) = scenes_of(tmp_path / "pack", "train").values()
    ink = np.argwhere(scene.objects[0].sketch.picture == 0)
    assert ink.min() == 24 and ink.max() == 73  # half the canvas, two pixels wide


def test_strokes_are_drawn_smoothly_at_any_size():
    square = Sketch((np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], np.float32),))
    for side in (28, 96, 300):
        drawn = square.rasterise(side, side)
        assert drawn.shape == (side, side) and drawn[0, side // 2] < 0.3 and drawn[side // 2, side // 2] == 1
    diagonal = Sketch((np.array([[0, 0], [1, 1]], np.float32),)).rasterise(64, 64)
    assert ((diagonal > 0.05) & (diagonal < 0.95)).sum() > 64, "grey edges"
    dot = Sketch((np.array([[0.5, 0.5]], np.float32),)).rasterise(32, 32)
    assert dot.min() < 0.6
    again = Sketch.from_bytes(square.to_bytes())
    assert np.allclose(again.strokes[0], square.strokes[0])
    assert np.allclose(square.mirrored().rasterise(64, 64), square.rasterise(64, 64)[:, ::-1], atol=0.35)


def quickdraw_folder(tmp_path: Path) -> Path:
    """One drawing, an angle, in every published form."""
    root = tmp_path / "drawings"
    root.mkdir()
    record = {"word": "cat", "recognized": True, "drawing": [[[0, 255, 255], [0, 0, 255]], [[10], [20]]]}
    raw = {**record, "drawing": [[[0.0, 500.5, 500.5], [0.0, 0.0, 500.5], [0, 10, 20]]]}
    lines = [json.dumps(record), json.dumps({**record, "recognized": False}), json.dumps(raw)]
    (root / "cat.ndjson").write_text("\n".join(lines) + "\n")
    body = struct.pack("<Q2sbIH", 7, b"DE", 1, 99, 1) + struct.pack("<H", 3) + bytes([0, 255, 255, 0, 0, 255])
    (root / "dog.bin").write_bytes(body * 2)
    np.save(root / "sheep.npy", np.eye(28, dtype=np.uint8).reshape(1, 784) * 255)
    strokes = np.empty(1, object)
    strokes[0] = np.array([[10, 0, 0], [0, 10, 1], [5, 5, 0], [5, 0, 1]], np.int16)
    with zipfile.ZipFile(root / "horse.npz", "w") as archive:
        for name in ("train", "valid", "test"):
            stream = io.BytesIO()
            np.save(stream, strokes, allow_pickle=True)
            archive.writestr(f"{name}.npy", stream.getvalue())
    return root


def test_every_published_form_of_quickdraw(tmp_path):
    root = quickdraw_folder(tmp_path)
    record = pack(QuickDraw(root, QuickDrawOptions(side=32), tmp_path), tmp_path / "pack")
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {
        "train": 6, "validation": 1, "test": 1,
    }  # fmt: skip
    assert record["dropped"] == {"drawing was not recognized": 1}
    scenes = scenes_of(tmp_path / "pack", "train")
    by_class = {scene.objects[0].category: scene.objects[0].sketch for scene in scenes.values()}
    assert set(by_class) == {"cat", "dog", "sheep", "horse"}
    angle = [[0, 0], [1, 0], [1, 1]]
    assert np.allclose(by_class["cat"].strokes[0], angle) and np.allclose(by_class["dog"].strokes[0], angle)
    assert len(by_class["horse"].strokes) == 2
    assert by_class["sheep"].picture.shape == (28, 28) and by_class["sheep"].picture[0, 0] == 0


CUT = "file of drawings is damaged or cut short: what is whole of it is read"


def test_arrays_of_drawings_that_are_cut_short(tmp_path):
    bitmaps = np.random.default_rng(0).integers(0, 256, (5, 784), dtype=np.uint8)
    np.save(tmp_path / "dog.npy", bitmaps)
    (tmp_path / "dog.npy").write_bytes((tmp_path / "dog.npy").read_bytes()[:-800])  # two drawings are not whole
    (tmp_path / "cow.npz").write_bytes(b"PK\3\4")
    strokes = np.empty(2, object)
    strokes[:] = [np.array([[1, 0, 0], [0, 1, 1]], np.int16)] * 2
    np.savez(tmp_path / "cat.npz", train=strokes, test=strokes)
    content = bytearray((tmp_path / "cat.npz").read_bytes())
    content[content.find(b"test.npy") + 60] ^= 1  # inside the second member
    (tmp_path / "cat.npz").write_bytes(content)
    np.save(tmp_path / "ant.npy", bitmaps.astype(np.float32))
    record = pack(QuickDraw(tmp_path, QuickDrawOptions(), tmp_path), tmp_path / "pack")
    assert {split: value["scenes"] for split, value in record["splits"].items()} == {"train": 3 + 2}
    assert record["dropped"] == {CUT: 4}
    assert np.array_equal(read_drawing(tmp_path / "dog.npy", "train", 2).picture, 255 - bitmaps[2].reshape(28, 28))


def test_damaged_drawings(tmp_path):
    root = quickdraw_folder(tmp_path)
    (root / "cat.ndjson").write_text('{"drawing": []}\n{"drawing": 3}\nnot json\n')
    record = pack(QuickDraw(root, QuickDrawOptions(classes=("cat", "dog")), tmp_path), tmp_path / "pack")
    assert record["dropped"] == {"drawing is damaged or empty": 3}
    whole = pack(
        QuickDraw(root, QuickDrawOptions(classes=("cat", "dog"), recognized=False), tmp_path), tmp_path / "all"
    )
    whole = whole["splits"]["train"]["scenes"]
    (root / "dog.bin").write_bytes((root / "dog.bin").read_bytes()[:-3])
    record = pack(
        QuickDraw(root, QuickDrawOptions(classes=("cat", "dog"), recognized=False), tmp_path), tmp_path / "bin"
    )
    assert record["dropped"] == {CUT: 1, "drawing is damaged or empty": 3}
    assert "dog.bin: truncated after byte" in record["examples"][CUT][0]
    assert record["splits"]["train"]["scenes"] == whole - 1
    with pytest.raises(UserError, match="classes=cow: no file for it"):
        pack(QuickDraw(root, QuickDrawOptions(classes=("cow",)), tmp_path), tmp_path / "cow")


def test_lines_of_drawings_as_other_tools_write_them(tmp_path):
    """With a byte order mark, another word, other forms of recognized, coordinates of no unit; beside files of none."""
    drawing = {"drawing": [[[0, 255, 255], [0, 0, 255]]]}
    lines = [
        {"word": "cat", "recognized": True, **drawing},
        {"word": "dog", **drawing},
        {"word": "cat", "recognized": None, **drawing},
        {"word": "cat", "recognized": "false", **drawing},
        {"drawing": [[[0, 1e308], [0, 1]]]},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\nno drawing\n" + json.dumps(lines[0])[:30]
    (tmp_path / "cat.ndjson").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "cow.ndjson").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "ant.ndjson.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "bee.ndjson").write_text(text, encoding="utf-16")
    (tmp_path / "owl.ndjson").write_text("<html>")
    record = pack(QuickDraw(tmp_path, QuickDrawOptions(), tmp_path), tmp_path / "pack")
    assert record["splits"]["train"]["scenes"] == 3 and Pack(tmp_path / "pack", "train").vocabulary.categories == (
        "cat",
    )
    assert record["remarks"] == {
        "drawing's own word is not the class in its file's name, which is taken": 1,
        "drawing does not say true or false for recognized: it is kept": 1,
    }
    assert record["dropped"] == {
        "drawing is damaged or empty": 4,
        "drawing was not recognized": 1,
        "file of drawings is compressed: unpack it": 1,
        CUT: 2,
    }
    assert record["examples"]["file of drawings is compressed: unpack it"] == ["ant.ndjson.gz"]
    assert "compressed by gzip" in record["examples"][CUT][1] and "UTF-16" in record["examples"][CUT][0]
    for path in tmp_path.glob("*.ndjson"):
        path.unlink()
    with pytest.raises(UserError, match=r"no drawings .*; ant.ndjson.gz is compressed: unpack it"):
        QuickDraw(tmp_path, QuickDrawOptions(), tmp_path).inputs()


def test_hostile_npz_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    content = np.empty(1, object)
    content[0] = Hostile()
    np.savez(tmp_path / "cat.npz", train=content)
    with pytest.raises(UserError, match="refused"):
        pack(QuickDraw(tmp_path, QuickDrawOptions(), tmp_path), tmp_path / "pack")


def test_real_quickdraw(real_data, tmp_path):
    folder = real_data / "quickdraw"
    (path,) = (folder / "sketch_rnn").glob("*.npz")
    counts = {}
    for split, row, _ in rows_of(path, Reasons()):
        counts[split] = max(counts.get(split, 0), row + 1)
    assert counts == {"train": 7400, "validation": 300, "test": 300}
    assert len(read_drawing(path, "test", 5).strokes) > 3
    options = QuickDrawOptions(per_class=2, classes=("cat", "airplane"))
    assert pack(QuickDraw(folder, options, tmp_path), tmp_path / "pack")["splits"]["train"]["scenes"] >= 8
    names = [path.stem for path in (folder / "simplified").glob("*.ndjson")]
    mapped = {name: coco_class(name, list(coco_ids())) for name in names}
    assert mapped["motorbike"] == "motorcycle" and mapped["cat"] == "cat" and mapped["The Eiffel Tower"] is None
    assert sum(value is not None for value in mapped.values()) >= 110


def test_sketch_rnn_strokes_end_where_the_pen_lifts():
    steps = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]])
    assert [len(stroke) for stroke in strokes_of_stroke3(steps)] == [2, 2]


def sketchycoco_tree(tmp_path: Path, nested: str = "") -> Path:
    from scipy.io import savemat

    root = tmp_path / "SketchyCOCO"
    for number, split in enumerate(["trainInTrain", "trainInTrain", "valInTrain", "val"]):
        name = f"{number:012d}"
        for kind in ("GT", "Sketch", "Annotation"):
            folder = root / "Scene" / kind / (nested if kind != "GT" else "") / split
            folder.mkdir(parents=True, exist_ok=True)
            if kind != "Annotation":
                Image.new("RGB", (40, 30), "white").save(folder / f"{name}.png")
        classes = np.zeros((30, 40), np.uint8)
        classes[20:], classes[5:15, 5:15], classes[5:15, 25:35] = 16, 7, 7  # grass and two cats
        instances = np.zeros((30, 40), np.uint8)
        instances[5:15, 5:15], instances[5:15, 25:35] = 1, 2
        folder = root / "Scene" / "Annotation" / nested / split
        savemat(folder / f"{name}.mat", {"CLASS_GT": classes, "INSTANCE_GT": instances})
    for kind in ("GT", "Sketch", "Edge"):
        folder = root / "Object" / kind / "train" / "17"
        folder.mkdir(parents=True)
        Image.new("RGB", (20, 20), "gray").save(folder / "123.png")
    return root


@pytest.mark.parametrize("nested", ["", "paper_version"])
def test_sketchycoco(tmp_path, nested):
    root = sketchycoco_tree(tmp_path, nested)
    record = pack(SketchyCoco(root, SketchyCocoOptions(), tmp_path), tmp_path / "pack")
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {
        "train": 2, "validation": 1, "test": 1,
    }  # fmt: skip
    scene = scenes_of(tmp_path / "pack", "train")["000000000000"]
    assert sorted(thing.category for thing in scene.objects) == ["cat", "cat", "grass"]
    cat = next(thing for thing in scene.objects if thing.category == "cat")
    assert np.allclose(cat.box, [5 / 40, 5 / 30, 15 / 40, 15 / 30]) and cat.mask.all()
    assert cat.sketch.picture.shape == (10, 10)
    assert len(CATEGORY_IDS) == 18
    record = pack(SketchyCoco(root, SketchyCocoOptions(part="objects"), tmp_path), tmp_path / "objects")
    assert record["splits"]["train"]["objects"] == 1
    with pytest.raises(UserError, match="is this SketchyCOCO's folder"):
        pack(SketchyCoco(tmp_path / "drawings", SketchyCocoOptions(), tmp_path), tmp_path / "none")


def test_quickdraw_coco_is_made_again_from_its_seed(tmp_path):
    root, drawings = made_coco(tmp_path), quickdraw_folder(tmp_path)

    def made(name: str, seed: int):
        options = QuickDrawCocoOptions(drawings=drawings, seed=seed)
        pack(QuickDrawCoco(root, options, tmp_path), tmp_path / name)
        return [s.objects[0].sketch.to_dict() for s in scenes_of(tmp_path / name, "train").values()]

    lines = [json.dumps({"drawing": [[[0, n, 255], [0, 255, n]]]}) for n in range(1, 60)]
    (drawings / "cat.ndjson").write_text("\n".join(lines))
    first = made("one", 0)
    assert len(first) == 3 and first == made("two", 0) != made("three", 1)
    mapped = tmp_path / "map.json"
    mapped.write_text(json.dumps({"dog": "cat"}))
    options = QuickDrawCocoOptions(drawings=drawings, class_map=mapped)
    pack(QuickDrawCoco(root, options, tmp_path), tmp_path / "mapped")
    assert "strokes" in next(iter(scenes_of(tmp_path / "mapped", "train").values())).objects[0].sketch.to_dict()


# Clip art


def test_clipart_is_drawn_like_the_original_viewer(real_data):
    root = real_data / "clipart"
    scenes = dict(json.loads((root / "scenes_val.json").read_text())["scenes"])
    for path in sorted((root / "reference").glob("*.png")):
        placed = [tuple(entry) for entry in scenes[int(path.stem.rpartition("_")[2])]]
        picture, _ = draw_scene(root, drawing_order(placed))
        difference = np.abs(np.asarray(picture, int) - np.asarray(Image.open(path).convert("RGB"), int))
        assert difference.mean() < 0.2, path.name


def test_clipart_masks_and_relations(real_data, tmp_path):
    root = real_data / "clipart"
    source = ClipArt(root, ClipArtOptions(), tmp_path)
    plan = source.plan(lambda what, done: None)
    assert len(plan.splits["train"]) == 7989
    with zipfile.ZipFile(root / "labels_val.zip") as labels:
        for number, item in plan.splits["validation"][:8]:
            sample = source.read((number, item))
            plan.vocabulary.check([sample.scene])
            known = np.asarray(Image.open(io.BytesIO(labels.read(f"val_{number:05d}.png"))))
            ordered = drawing_order(item)
            labels_of = np.array([0, *(item.index(entry) + 1 for entry in ordered)], dtype=np.int32)
            small = Image.fromarray(labels_of[draw_scene(root, ordered)[1] + 1])
            mine = np.asarray(small.resize((160, 128), Image.Resampling.NEAREST))
            assert (mine == known).mean() > 0.97
    relations = [(s.scene, r) for s in map(source.read, plan.splits["train"][:60]) for r in s.scene.relations]
    assert {r.predicate for _, r in relations} == set(PREDICATES)
    hats = [s.objects[r.subject].category for s, r in relations if r.predicate == "on"]
    assert any("hat" in name or "cap" in name for name in hats)
    for scene, relation in relations:
        one, other = scene.objects[relation.subject], scene.objects[relation.object]
        if relation.predicate == "facing":
            looks_left = "facing left" in one.attributes
            assert looks_left == ((other.box[0] + other.box[2]) < (one.box[0] + one.box[2]))
        if relation.predicate == "in front of":
            assert one.box[3] > other.box[3] and one.attributes[0] != other.attributes[0]


def made_clipart(tmp_path: Path) -> Path:
    root = tmp_path / "clipart"
    (root / "sprites").mkdir(parents=True)
    Image.new("RGB", (500, 400), "green").save(root / "sprites" / "background.png")
    for name, color in {"s_0s": "yellow", "hb0_7s": "red", "c_0s": "blue"}.items():
        Image.new("RGBA", (60, 100), color).save(root / "sprites" / f"{name}.png")
    classes = {
        "s_0s": {"class": "sun", "super": "sky"},
        "hb0_7s": {"class": "boy", "super": "person"},
        "c_0s": {"class": "cap", "super": "clothing"},
    }
    (root / "sprite_classes.json").write_text(json.dumps(classes))
    things = [["hb0_7s", 200, 250, 0, 1], ["s_0s", 400, 60, 2, 0], ["c_0s", 200, 215, 0, 0], ["s_0s", -1, 0, 0, 0]]
    scenes = {"scenes": [[3, things], [4, [["x_1s", 9, 9, 0, 0]]], [5, [["s_0s", 400, 2000, 0, 0], things[0]]]]}
    (root / "scenes_train.json").write_text(json.dumps(scenes))
    return root


def test_clipart_order_attributes_and_damage(tmp_path):
    record = pack(ClipArt(made_clipart(tmp_path), ClipArtOptions(), tmp_path), tmp_path / "pack")
    scene = scenes_of(tmp_path / "pack", "train")["00003"]
    assert [thing.category for thing in scene.objects] == ["sun", "boy", "cap"], "the sky lies lowest"
    assert scene.objects[1].attributes == ("near", "facing left", "arms up", "smiling")
    assert not scene.objects[1].mask.all(), "the cap covers a part"
    assert (2, "on", 1) in [(r.subject, r.predicate, r.object) for r in scene.relations]
    assert record["dropped"] == {"scene has an unknown sprite or depth": 1}
    assert record["remarks"] == {"object outside the canvas is left out": 1}
    assert all(thing.sketch is None for thing in scene.objects)


def test_clipart_is_sketched_by_a_hand(tmp_path):
    root = made_clipart(tmp_path)
    half = Image.new("RGBA", (60, 100), "yellow")
    half.paste((0, 0, 0, 0), (0, 0, 60, 50))
    half.save(root / "sprites" / "s_0s.png")
    things = [["s_0s", 400, 200, 0, 0], ["s_0s", 200, -5, 0, 0], ["s_0s", 300, 418, 0, 0]]
    (root / "scenes_train.json").write_text(json.dumps({"scenes": [[3, things]]}))
    pack(ClipArt(root, ClipArtOptions(hand="careful"), tmp_path), tmp_path / "pack")
    whole, cut, beside = scenes_of(tmp_path / "pack", "train")["00003"].objects
    low = {name: np.concatenate(one.sketch.strokes)[:, 1].min() for name, one in (("whole", whole), ("cut", cut))}
    assert low["whole"] > 0.45, "the lower half is drawn"
    assert low["cut"] < 0.1, "what is on the canvas is the lower half"
    assert beside.sketch is None, "nothing of it is on the canvas"


# Folders of one's own


def test_folder(tmp_path):
    root = tmp_path / "mine-ä"
    root.mkdir()
    Image.new("RGB", (30, 20)).save(root / "ö.jpg")
    lines = [
        {"image": "ö.jpg", "objects": [{"category": "cat", "attributes": ["black"]}, "sofa"], "relationships": [[0, "on", 1]]},
        {"id": "second", "split": "validation", "objects": ["sofa"]},
        {"image": "gone.jpg", "objects": ["cat"]},
    ]  # fmt: skip
    (root / "scenes.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    record = pack(Folder(root, FolderOptions(), tmp_path), tmp_path / "pack")
    assert record["dropped"] == {"picture is missing or unreadable": 1}
    vocabulary = Pack(tmp_path / "pack", "train").vocabulary
    assert vocabulary.categories == ("cat", "sofa") and vocabulary.attributes == {"black": ("black",)}
    assert pack_splits(tmp_path / "pack") == ["train", "validation"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not valid JSON"),
        ("[]", "line 1: expected an object"),
        ('{"objects": []}', "line 1.objects: the scene is empty"),
        ('{"image": "../x.jpg", "objects": ["a"]}', "must be a path inside the folder"),
        ('{"split": "a/b", "objects": ["a"]}', "must be a plain word"),
        ('{"id": 1, "objects": ["a"]}\n{"id": 1, "objects": ["a"]}', "line 2: id '1' occurs twice"),
    ],
)
def test_bad_folders(tmp_path, line, message):
    (tmp_path / "scenes.jsonl").write_text(line)
    with pytest.raises(UserError, match=message):
        pack(Folder(tmp_path, FolderOptions(), tmp_path), tmp_path / "pack")


def test_labelme(tmp_path):
    root = tmp_path / "labelme"
    root.mkdir()
    Image.new("RGB", (40, 20)).save(root / "a.png")
    shapes = [
        {"label": "cat", "points": [[4, 4], [20, 4], [20, 16], [4, 16]], "shape_type": "polygon"},
        {"label": "ball", "points": [[30, 10], [34, 10]], "shape_type": "circle"},
        {"label": "door", "points": [[38, 19], [22, 2]], "shape_type": "rectangle"},
        {"label": "dot", "points": [[1, 1]], "shape_type": "point"},
    ]
    value = {"imagePath": "a.png", "imageWidth": 40, "imageHeight": 20, "shapes": shapes}
    (root / "a.json").write_text(json.dumps(value))
    (root / "b.json").write_text("[]")
    record = pack(LabelMe(root, FolderOptions(), tmp_path), tmp_path / "pack")
    scene = scenes_of(tmp_path / "pack", "train")["a"]
    assert [thing.category for thing in scene.objects] == ["cat", "ball", "door"]
    assert np.allclose(scene.objects[0].box, [0.1, 0.2, 0.5, 0.8])
    assert np.allclose(scene.objects[2].box, [0.55, 0.1, 0.95, 0.95]) and scene.objects[2].mask is None
    assert record["dropped"] == {"file is not a LabelMe annotation": 1}
    assert record["remarks"] == {"shape of kind 'point' has no area": 1}


LABELS = np.array([[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0], [2, 2, 2, 2, 2, 2], [255, 2, 2, 2, 2, 2]], dtype=np.uint8)
"""Sky in two parts, a pole between them, and road."""


def made_label_maps(tmp_path: Path, names: dict[str, str]) -> Path:
    """A tree of label maps, whose files are named by the kind (pictures, labels, instances) and split."""
    root = tmp_path / "maps"
    for name, kind in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        content = np.zeros((*LABELS.shape, 3), np.uint8) if kind == "picture" else LABELS
        if kind == "instances":
            content = np.where(np.arange(6) < 3, 1, 0).astype(np.uint8) * (LABELS == 2) + 7
        Image.fromarray(content).save(root / name)
    (root / "classes.json").write_text(json.dumps(["sky", "pole", "road", "NONE", "unlabelled"]))
    return root


@pytest.mark.parametrize(
    ("pictures", "labels", "instances"),
    [
        ("images/{}/x/a.png", "labels/{}/x/a.png", "instances/{}/x/a.png"),
        ("{}_img/a.png", "{}_label/a.png", "{}_inst/a.png"),
        ("images/{}ing/a.png", "annotations/{}ing/a.png", "instances/{}ing/a.png"),
        (
            "leftImg8bit/{}/ulm/a_leftImg8bit.png",
            "gtFine/{}/ulm/a_gtFine_labelIds.png",
            "gtFine/{}/ulm/a_gtFine_instanceIds.png",
        ),
    ],
)
def test_label_maps_in_every_layout_of_folders(tmp_path, pictures, labels, instances):
    kinds = {pictures: "picture", labels: "labels", instances: "instances"}
    root = made_label_maps(tmp_path, {place.format("train"): kind for place, kind in kinds.items()})
    pack(LabelMaps(root, LabelMapOptions(), tmp_path), tmp_path / "pack")
    (scene,) = scenes_of(tmp_path / "pack", "train").values()
    assert [thing.category for thing in scene.objects] == ["sky", "road", "road", "pole"]
    assert np.allclose(scene.objects[0].box, [0, 0, 1, 0.5]) and scene.objects[0].mask.sum() == 10
    assert np.allclose(scene.objects[1].box, [0.5, 0.5, 1, 1]) and scene.objects[1].mask.all()
    assert np.allclose(scene.objects[2].box, [0, 0.5, 0.5, 1]) and scene.objects[2].mask.sum() == 5


def test_label_maps_are_divided_and_what_is_wrong_is_counted(tmp_path):
    kinds = {"images": "picture", "labels": "labels"}
    places = itertools.product(kinds, ("train", "val"), range(4))
    root = made_label_maps(tmp_path, {f"{folder}/{split}/{i}.png": kinds[folder] for folder, split, i in places})
    (root / "labels" / "train" / "0.png").unlink()
    (root / "images" / "train" / "1.png").unlink()
    Image.new("RGB", (6, 4)).save(root / "labels" / "train" / "2.png")
    Image.fromarray(np.full_like(LABELS, 9)).save(root / "labels" / "val" / "0.png")
    Image.fromarray(np.full_like(LABELS, 3)).save(root / "labels" / "val" / "1.png")
    Image.fromarray(np.full_like(LABELS, 4)).save(root / "labels" / "val" / "2.png")
    options = LabelMapOptions(nothing=("unlabelled",), components=True, min_object_size=0.1)
    record = pack(LabelMaps(root, options, tmp_path), tmp_path / "pack")
    assert record["dropped"] == {
        "picture has no label map": 1,
        "label map has no picture": 1,
        "label map is missing, damaged or not a picture of numbers": 1,
        "label 9 has no name; the classes name 0 to 4": 1,
        "label 3 has no name; the classes name 0 to 4": 1,
        "nothing in it is an object": 1,
    }
    assert record["remarks"] == {"object is too small": 4}
    (scene,) = scenes_of(tmp_path / "pack", "train").values()
    assert [thing.category for thing in scene.objects] == ["road", "sky"]
    assert np.allclose(scene.objects[1].box, [0, 0, 4 / 6, 0.5])
    assert PackLoader(tmp_path / "pack", "train", (8, 8), 8).vocabulary.categories == ("sky", "pole", "road")


def test_label_maps_that_are_no_use_say_why(tmp_path):
    places = itertools.product(("images", "labels"), "abcd")
    root = made_label_maps(tmp_path, {f"{f}/train/{i}.png": {"images": "picture"}.get(f, f) for f, i in places})
    labels = root / "labels" / "train"
    (labels / "a.png").unlink()
    Image.fromarray(LABELS).save(labels / "a.jpg")
    Image.fromarray(np.where(LABELS == 2, 255, 0).astype(np.uint8)).save(labels / "b.png")
    (labels / "c.png").unlink()
    (labels / "c.png").symlink_to(tmp_path / "secret.png")
    Image.fromarray(LABELS).save(tmp_path / "secret.png")
    (labels / "._d.png").write_bytes(b"\0\5\x16\7")
    record = pack(LabelMaps(root, LabelMapOptions(), tmp_path), tmp_path / "pack")
    assert record["dropped"] == {
        "label map is in a lossy kind of file, such as JPEG; save it as PNG": 1,
        "picture lies outside the root; outside=true reads it": 1,
    }
    assert record["remarks"] == {
        "label map has 0 and 255 alone, which is nothing: masks of two classes have 0 and 1": 1,
    }


def test_label_maps_without_what_they_need(tmp_path):
    root = made_label_maps(tmp_path, {"images/train/a.png": "picture"})
    for options, message in {
        LabelMapOptions(): "no pictures with label maps; looked for in images/train and labels/train",
        LabelMapOptions(nothing=("sea",)): "no class is called 'sea'",
        LabelMapOptions(
            classes="other.json"
        ): "vocabulary other.json: neither coco-stuff, ade20k, cityscapes, a pack, nor a readable JSON",
    }.items():
        with pytest.raises(UserError, match=message):
            write_pack(tmp_path / "pack", LabelMaps(root, options, tmp_path))
    (root / "classes.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"classes.json: neither coco-stuff, ade20k, cityscapes, a pack, nor a readable JSON file"
    ):
        write_pack(tmp_path / "pack", LabelMaps(root, LabelMapOptions(), tmp_path))
    assert not (tmp_path / "pack").exists()


@pytest.mark.golden
def test_label_maps_of_coco_stuff(golden, tmp_path):
    root = tmp_path / "maps"
    shutil.copytree(golden / "spade" / "coco_samples", root)
    (root / "val_img").mkdir()
    for path in (root / "val_label").iterdir():
        Image.new("RGB", Image.open(path).size).save(root / "val_img" / f"{path.stem}.jpg")
    pack(LabelMaps(root, LabelMapOptions(classes="coco-stuff"), tmp_path), tmp_path / "pack")
    scenes = scenes_of(tmp_path / "pack", "validation")
    assert len(scenes) == 2
    names = {thing.category for scene in scenes.values() for thing in scene.objects}
    assert "person" in names and "NONE" not in names


@pytest.mark.parametrize("place", ["annotations.json", "annotations/instances_default.json", "_annotations.coco.json"])
def test_coco_exports(tmp_path, place):
    root = tmp_path / "export"
    value = json.loads((made_coco(tmp_path) / "annotations" / "instances_train2017.json").read_text())
    (root / place).parent.mkdir(parents=True)
    (root / place).write_text(json.dumps(value))
    shutil.copytree(tmp_path / "coco" / "train2017", root / "images")
    record = pack(CocoExport(root, CocoExportOptions(validation_count=1), tmp_path), tmp_path / "pack")
    assert {name: split["scenes"] for name, split in record["splits"].items()} == {"train": 2, "validation": 1}
    with pytest.raises(UserError, match="no COCO-format JSON found"):
        CocoExport(tmp_path / "coco" / "train2017", CocoExportOptions(), tmp_path)


def test_every_source_has_a_title_and_described_options():
    for name, source in SOURCES.items():
        assert source.title and name == name.lower()
        for key, field in source.options_type.model_fields.items():
            assert field.description or key == "preset", (name, key)


def test_masks_are_resized_without_smoothing():
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    assert np.array_equal(resize_mask(mask, 4), mask)
    assert resize_mask(mask, 8)[:4].all() and not resize_mask(mask, 8)[4:].any()
    assert resize_mask(np.ones((1, 1), bool), 16).all()


def test_a_window_of_a_scene():
    mask = np.zeros((4, 4), bool)
    mask[:, 3] = True
    things = (
        SceneObject("cat", box=(0.2, 0.2, 0.6, 0.6), mask=mask),
        SceneObject("dog", box=(0.8, 0.8, 0.9, 0.9)),
        SceneObject("cow", box=(0.4, 0.4, 0.5, 0.5), mask=mask),
        SceneObject("owl"),
        SceneObject("sun", box=(0.0, 0.0, 0.3, 0.3), mask=mask),
    )
    scene = Scene(things, (Relation(0, "near", 1), Relation(2, "inside", 0), Relation(4, "above", 2)))
    seen = view(scene, (0.25, 0.0, 0.75, 0.5))
    assert [thing.category for thing in seen.objects] == ["cat", "cow", "owl", "sun"], "the dog is outside"
    assert seen.relations == (Relation(1, "inside", 0), Relation(3, "above", 1))
    cat, cow, owl, sun = seen.objects
    assert np.allclose(cat.box, (0, 0.4, 0.7, 1)) and np.allclose(cow.box, (0.3, 0.8, 0.5, 1)) and owl.box is None
    assert cat.mask.tolist() == [[False, False, False, True]] * 4 and cow.mask is mask
    assert sun.mask.all() and np.allclose(sun.box, (0, 0, 0.1, 0.6))
    left = view(scene, (0.0, 0.0, 0.5, 1.0))
    assert [thing.category for thing in left.objects] == ["cow", "owl", "sun"], "nothing of the cat's mask is left"
    assert view(scene, (0.0, 0.0, 1.0, 1.0)).to_dict() == scene.to_dict()


def test_a_scene_in_a_mirror():
    scene = clevr_scene(
        {
            "objects": [
                {"shape": "cube", "size": "large", "color": "red", "material": "metal", "box": [0.1, 0.2, 0.3, 0.5]},
                {"shape": "cube", "size": "small", "color": "red", "material": "metal", "box": [0.6, 0.2, 0.7, 0.5]},
            ],
            "relationships": {"left": [[], [0]], "front": [[1], []]},
        }
    )
    mirrored = mirror(scene)
    assert np.allclose(mirrored.objects[0].box, [0.7, 0.2, 0.9, 0.5])
    assert [r.predicate for r in mirrored.relations] == ["right of", "in front of"]
    again = mirror(mirrored)
    assert again.relations == scene.relations
    for thing, before in zip(again.objects, scene.objects, strict=True):
        assert thing.label == before.label and np.allclose(thing.box, before.box, rtol=0, atol=1e-15)


def test_splits_of_a_folder_by_any_of_their_names(tmp_path):
    lines = [
        {"image": None, "id": str(i), "objects": ["cat"], "split": split} for i, split in enumerate(("Train", "val"))
    ]
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    plan = Folder(tmp_path, FolderOptions(), tmp_path).plan(lambda *_: None)
    assert list(plan.splits) == ["train", "validation"]
    (tmp_path / "vocabulary.json").write_text('{"categories": "cat", "predicates": []}')
    with pytest.raises(UserError, match="'cat' is no list"):
        Folder(tmp_path, FolderOptions(), tmp_path).plan(lambda *_: None)


def test_a_name_that_the_vocabulary_lacks_costs_its_scene_alone(tmp_path):
    lines = [{"image": None, "id": str(i), "objects": [name]} for i, name in enumerate(("cat", "dog"))]
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "vocabulary.json").write_text('{"categories": ["cat"], "predicates": []}')
    record = pack(Folder(tmp_path, FolderOptions(), tmp_path), tmp_path / "pack")
    assert record["splits"]["train"]["scenes"] == 1
    (named,) = record["examples"]["scene has a name that the vocabulary lacks"]
    assert "1: objects[0]: unknown category 'dog'" in named


def test_label_maps_of_one_name_are_left_out(tmp_path):
    for name in ("a.png", "a.tif", "b.png"):
        for kind, content in (("images", np.zeros((4, 4, 3), np.uint8)), ("labels", np.zeros((4, 4), np.uint8))):
            if kind == "labels" or name != "a.tif":
                (tmp_path / kind / "train").mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(tmp_path / kind / "train" / name)
    (tmp_path / "classes.json").write_text('["sky"]')
    record = pack(LabelMaps(tmp_path, LabelMapOptions(), tmp_path), tmp_path / "pack")
    assert record["dropped"] == {"several files have one name but for their kind": 2, "picture has no label map": 1}
    assert record["examples"] == {
        "several files have one name but for their kind": ["labels/train/a.png and labels/train/a.tif"],
        "picture has no label map": ["images/train/a.png"],
    }
