"""Records of real files: what can be read is read, the rest is counted and named, and never stops the others."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenograph.data.clevr import Clevr, ClevrOptions
from scenograph.data.clipart import ClipArt, ClipArtOptions
from scenograph.data.coco import Coco, CocoOptions
from scenograph.data.coco_export import CocoExport, CocoExportOptions
from scenograph.data.json_tables import JsonTables, stream_json
from scenograph.data.pack import Pack, pack_splits, read_record, write_pack
from scenograph.data.records import Reasons, Skip, identity, name_of, number, numbers, read_each, side
from scenograph.data.segmentations import box_of_segmentation, decode_segmentation
from scenograph.data.visual_genome import VisualGenome, VisualGenomeOptions
from scenograph.errors import UserError
from scenograph.files import read_json

POLYGON = [[8, 6, 48, 6, 48, 36, 8, 36]]


def packed(source, folder: Path):
    """The record of a pack, and the categories and boxes of its scenes by split."""
    record = write_pack(folder, source)
    scenes = {}
    for split in pack_splits(folder):
        pack = Pack(folder, split)
        scenes[split] = [
            [(thing.category, tuple(np.round(thing.box, 3).tolist())) for thing in pack[i][0].objects]
            for i in range(len(pack))
        ]
    return record, scenes


# COCO


def export(root: Path, change=lambda value: None, **more) -> CocoExport:
    """Three pictures of a cat each, changed."""
    value = {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in (1, 2, 3)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [8, 6, 40, 30]} for i in (1, 2, 3)],
    }
    for i in (1, 2, 3):
        root.mkdir(exist_ok=True)
        Image.new("RGB", (80, 60), (40 * i, 0, 0)).save(root / f"{i}.png")
    change(value)
    (root / "annotations.json").write_text(json.dumps(value))
    return CocoExport(root, CocoExportOptions(**more), root)


def first(table: str, **fields):
    return lambda value: value[table][0].update(fields)


def each(table: str, field: str, form):
    return lambda value: [record.update({field: form(record[field])}) for record in value[table]]


def both(*changes):
    return lambda value: [change(value) for change in changes]


CAT = ("cat", (0.1, 0.1, 0.6, 0.6))
NO_MASK = "object has no segmentation: its box is its mask"


@pytest.mark.parametrize(
    "change",
    [
        both(each("images", "id", float), each("annotations", "image_id", float)),
        each("images", "id", str),
        each("annotations", "image_id", str),
        first("images", width="80"),
        first("images", height=60.0),
        first("images", width=None),
        lambda value: value["images"][0].pop("height"),
        first("annotations", category_id="1"),
        first("annotations", category_id=1.0),
        first("annotations", bbox=["8", "6", "40", "30.0"]),
        first("annotations", area=float("nan"), score=-float("inf")),
        both(first("annotations", segmentation=POLYGON), lambda value: value["annotations"][0].pop("bbox")),
        first("annotations", bbox=[0, 0, 0, 0], segmentation=POLYGON),
        first("annotations", bbox=[float("nan"), 6, 40, 30], segmentation=POLYGON),
        first("annotations", bbox=None, segmentation=POLYGON[0]),
        first("annotations", id=[1]),
        each("annotations", "id", lambda _: 0),
        first("images", file_name="C:\\pics\\1.png"),
        lambda value: value["categories"][1].pop("name"),
    ],
)
def test_what_has_one_meaning_is_read(tmp_path, change):
    _, scenes = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert scenes == {"train": [[CAT]] * 3}


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (first("annotations", image_id=None), "record has no image_id", "annotations.json, record 0"),
        (first("annotations", image_id=True), "record has no image_id", "record 0"),
        (first("images", id=[1]), "record has no id", "annotations.json, record 0"),
        (first("images", id=2**70), "record has no id", "annotations.json, record 0"),
        (first("annotations", category_id=[1]), "object: unknown category id", "picture 1, annotation 1"),
        (first("annotations", bbox=[float("nan"), 6, 40, 30]), "object: box is not four numbers", "picture 1"),
        (first("annotations", bbox="wide"), "object: box is not four numbers", "picture 1"),
        (first("images", width=90_000, height=90_000), "picture is too large", "record 0"),
        (first("images", file_name=None), "picture has no file name", "None"),
        (first("images", file_name=["1.png"]), "picture has no file name", "['1.png']"),
        (first("images", file_name="none.png"), "picture is missing or unreadable", "none.png (looked for in ."),
        (
            both(first("categories", name=None), lambda value: value["annotations"][1].update(category_id=2)),
            "object: category has no name",
            "picture 1, annotation 1",
        ),
        (
            first("images", id=2),
            "object: annotation of an id that several pictures have",
            "2: 1.png and 2.png",
        ),
    ],
)
def test_one_bad_record_is_counted_and_named(tmp_path, change, reason, named):
    record, scenes = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert 1 <= len(scenes["train"]) <= 2
    assert record["dropped"][reason] >= 1
    assert any(named in example for example in read_record(tmp_path / "pack")["examples"][reason])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.pop("categories"), "annotations.json: there is no list 'categories'"),
        (lambda value: value.update(images=value["images"][0]), "annotations.json: 'images' is no list"),
        (first("categories", id=2), "category id 2 is both 'cat' and 'dog'"),
        (
            both(first("categories", name="dog"), lambda value: value["annotations"][1].update(category_id=2)),
            "the categories 1 and 2 are both called 'dog'",
        ),
        (lambda value: [image.update(file_name="x.png") for image in value["images"]], "picture is missing .* x.png"),
        (
            lambda value: [image.update(id=1) for image in value["images"]],
            "annotation of an id that several pictures have: 1, such as 1: 1.png and 2.png",
        ),
    ],
)
def test_whole_files_that_cannot_be_read(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        write_pack(tmp_path / "pack", export(tmp_path / "root", change))


def test_an_unused_category_of_the_same_name_is_no_class(tmp_path):
    def change(value):
        value["categories"].insert(0, {"id": 0, "name": "cat", "supercategory": "none"})

    record, _ = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert Pack(tmp_path / "pack", "train").vocabulary.categories == ("cat", "dog")
    assert record["published_ids"] == {"cat": 1, "dog": 2}


def test_ids_that_are_all_the_same_tell_nothing(tmp_path):
    def change(value):
        value["annotations"] = [{**value["annotations"][0], "id": 0, "bbox": [8 * i, 6, 8, 6]} for i in range(4)]

    _, scenes = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert len(scenes["train"][0]) == 4


def test_pictures_outside_the_root_are_packed_only_if_asked(tmp_path):
    Image.new("RGB", (80, 60)).save(tmp_path / "secret.png")
    change = first("images", file_name="../secret.png")
    record, scenes = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert len(scenes["train"]) == 2
    assert record["examples"]["picture lies outside the root; outside=true reads it"] == ["../secret.png"]
    _, scenes = packed(export(tmp_path / "root", change, outside=True), tmp_path / "whole")
    assert len(scenes["train"]) == 3


def test_what_is_read_in_spite_of_a_fault_is_noted(tmp_path):
    def change(value):
        value["images"][0]["file_name"] = "../../elsewhere/1.png"
        value["images"][2]["file_name"] = "2.png"
        value["annotations"][0]["bbox"] = [8, 6, 0.4, 30]
        value["annotations"][1]["segmentation"] = {"size": [60, 80], "counts": "A" * 20}
        value["annotations"][2]["segmentation"] = {"size": [60, 80], "counts": [4800]}

    record, scenes = packed(export(tmp_path / "root", change), tmp_path / "pack")
    assert scenes["train"][1:] == [[CAT]] * 2
    noted = {reason: record["examples"][reason] for reason in record["remarks"]}
    assert noted == {
        "picture's name leads out of the root: the file of that name inside it is taken": ["scene 1"],
        "picture is listed under two ids": ["2.png: 2 and 3"],
        "object's box is narrower than a pixel": ["scene 1"],
        "object has no segmentation: its box is its mask": ["scene 1"],
        "object's segmentation has runs of another length than its picture: its box is its mask": ["scene 2"],
        "object's mask has no pixel": ["scene 3"],
    }
    assert not (tmp_path / "pack" / "left-out.jsonl").exists()


def test_categories_that_look_the_same(tmp_path):
    """Spaces around a name mean nothing; capitals may, so they are noted."""

    def change(name):
        both = (first("annotations", category_id=3), lambda value: value["categories"].append({"id": 3, "name": name}))
        return lambda value: [one(value) for one in both]

    record, _ = packed(export(tmp_path / "a", change("Cat ")), tmp_path / "pack")
    assert Pack(tmp_path / "pack", "train").vocabulary.categories == ("cat", "dog", "Cat")
    assert record["examples"]["categories differ in case or spaces alone"] == ["'cat' and 'Cat'"]
    with pytest.raises(UserError, match="categories 1 and 3 are both called 'cat'"):
        write_pack(tmp_path / "none", export(tmp_path / "b", change(" cat")))


def test_a_box_far_outside_takes_its_object_alone(tmp_path):
    record, scenes = packed(export(tmp_path / "root", first("annotations", bbox=[8, 6, 1e9, 30])), tmp_path / "pack")
    assert scenes["train"] == [[CAT]] * 2
    why = "object: box reaches far out of the picture"
    assert record["dropped"] == {"picture has too few objects": 1, why: 1}
    assert record["examples"][why] == ["picture 1, annotation 1"]


def test_masks_of_boxes_that_reach_out_of_the_picture_stay_in_their_place(tmp_path):
    """Against pycocotools, which fills polygons in the picture alone."""
    from pycocotools import mask as rle

    rng = np.random.default_rng(0)
    corners = np.concatenate([[[-30.0, 0.0]], rng.uniform((-40, -30), (70, 50), (40, 2))])
    sides = np.concatenate([[[60.0, 40.0]], rng.uniform(5, 60, (40, 2))])
    polygons = [[x, y, x + w, y, x + w, y + h, x + w / 3, y + h] for (x, y), (w, h) in zip(corners, sides, strict=True)]

    def change(value):
        value["annotations"] = [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [*corners[i], *sides[i]], "segmentation": [polygons[i]]}
            for i in range(len(sides))
        ]

    record, _ = packed(export(tmp_path / "root", change, max_objects=99), tmp_path / "pack")
    scene, _ = Pack(tmp_path / "pack", "train")[0]
    inside = (corners < (80, 60)).all(1) & (corners + sides > 0).all(1)
    reaching = inside & ((corners < 0).any(1) | (corners + sides > (80, 60)).any(1))
    assert len(scene.objects) == inside.sum() and scene.objects[0].box == (0, 0, 0.375, np.float32(40 / 60))
    assert record["dropped"]["object: box is empty or outside the picture"] == (~inside).sum() > 0
    assert record["remarks"]["object's box reaches out of the picture: it is clipped"] == reaching.sum() > 0
    for thing, polygon in zip(
        scene.objects, (p for p, kept in zip(polygons, inside, strict=True) if kept), strict=True
    ):
        assert min(thing.box) >= 0 and max(thing.box) <= 1
        theirs = rle.decode(rle.merge(rle.frPyObjects([polygon], 60, 80))) > 0
        x0, y0, x1, y1 = (round(float(v) * side) for v, side in zip(thing.box, (80, 60, 80, 60), strict=True))
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        assert np.array_equal(thing.mask, theirs[y0:y1, x0:x1])
        theirs[y0:y1, x0:x1] = False
        assert theirs.sum() <= x1 - x0 + y1 - y0, "a corner between two pixels may cost a row and a column"


def test_a_box_that_only_rounding_carries_over_the_edge_is_as_published(tmp_path):
    source = export(tmp_path / "root", first("annotations", bbox=[8.33, 6, 71.68, 30]))
    record, _ = packed(source, tmp_path / "pack")
    assert Pack(tmp_path / "pack", "train")[0][0].objects[0].box[2] == np.float32(80.01 / 80)
    assert set(record["remarks"]) == {NO_MASK}


def panoptic(root: Path, boxes: list) -> Coco:
    """A picture with a segment of grass from (8, 6) to (48, 36) for each box that an annotation may state."""
    (root / "annotations" / "panoptic_train2017").mkdir(parents=True)
    (root / "train2017").mkdir()
    images = [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in range(len(boxes))]
    categories = [{"id": 2, "name": "grass", "isthing": 0}]
    segments = []
    for i, box in enumerate(boxes):
        Image.new("RGB", (80, 60)).save(root / "train2017" / f"{i}.png")
        labels = np.zeros((60, 80, 3), np.uint8)
        labels[6:36, 8:48] = 5
        Image.fromarray(labels).save(root / "annotations" / "panoptic_train2017" / f"{i}.png")
        segment = {"id": 5 + 5 * 256 + 5 * 65536, "category_id": 2, **({} if box is None else {"bbox": box})}
        segments.append({"image_id": i, "file_name": f"{i}.png", "segments_info": [segment]})
    instances = {"images": images, "annotations": [], "categories": []}
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(instances))
    value = {"images": images, "annotations": segments, "categories": categories}
    (root / "annotations" / "panoptic_train2017.json").write_text(json.dumps(value))
    return Coco(root, CocoOptions(preset="all", stuff="panoptic"), root)


def test_boxes_of_panoptic_segments_are_those_of_their_pixels(tmp_path):
    """One that is right, one that lacks, and two that are wrong."""
    source = panoptic(tmp_path / "root", [[8, 6, 40, 30], None, [200, 200, 9, 9], [20, 6, 40, 30]])
    record, scenes = packed(source, tmp_path / "pack")
    assert scenes["train"] == [[("grass", CAT[1])]] * 4 and not record["dropped"]
    assert all(Pack(tmp_path / "pack", "train")[i][0].objects[0].mask.all() for i in range(4))
    assert record["remarks"] == {
        "object's box is that of its segmentation": 2,
        "object's box is not that of its panoptic segment: the segment's is taken": 1,
    }


def test_all_damaged_pictures_are_in_a_file(tmp_path):
    source = export(tmp_path / "root", lambda value: value["images"].extend(
        {"id": 10 + i, "file_name": f"none{i}.png", "width": 80, "height": 60} for i in range(5)
    ) or value["annotations"].extend(
        {"id": 10 + i, "image_id": 10 + i, "category_id": 1, "bbox": [8, 6, 40, 30]} for i in range(5)
    ))  # fmt: skip
    record, _ = packed(source, tmp_path / "pack")
    assert len(record["examples"]["picture is missing or unreadable"]) == 3
    listed = [json.loads(line) for line in (tmp_path / "pack" / "left-out.jsonl").read_text().splitlines()]
    assert [entry["which"].split(" ")[0] for entry in listed] == [f"none{i}.png" for i in range(5)]
    assert {entry["reason"] for entry in listed} == {"picture is missing or unreadable"}


@pytest.mark.parametrize("nested", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_files_that_are_nested_too_deeply_are_refused_at_once(tmp_path, nested):
    source = export(tmp_path / "root")
    path = tmp_path / "root" / "annotations.json"
    path.write_text(path.read_text()[:-1] + f', "more": {nested}}}')
    with pytest.raises(UserError, match=r"annotations.json: not valid JSON: nested more than 200 levels"):
        write_pack(tmp_path / "pack", source)


def test_brackets_in_texts_are_no_levels(tmp_path):
    path = tmp_path / "a.json"
    texts = ["[" * 300, '"' + "{" * 300, "\\" * 7 + "[" * 300, "\\", '\\"[', "x" * 65_530 + '\\"' + "[" * 400]
    path.write_text(json.dumps([{"text": text} for text in texts]))
    assert [value["text"] for value in stream_json(path, "item")] == texts


def test_integers_that_are_too_long(tmp_path):
    """In a stream they are of no use, as NaN is; of other files the place is told."""
    value = {"a": [{"id": 1, "x": "PLACE"}, {"id": 2, "x": "9" * 5000}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=1).replace('"PLACE"', "7" * 140_000))
    assert [record["x"] for record in stream_json(path, "a.item")] == [None, "9" * 5000]
    with pytest.raises(UserError, match=r"a.json: .*integer of 140000 digits, at most 4300 are read: line 5 column 9$"):
        read_json(path)


def test_only_integers_of_more_than_64_bits_are_null(tmp_path):
    """And only where they are numbers: neither in texts nor in fractions and exponents."""
    path = tmp_path / "a.json"
    whole = [2**63 - 1, 1 - 2**63, 7, 0.1]
    texts = ["0." + "3" * 40, "12345678901234567890123.5", "1e-0000000000000000000002", "1.5E+0000000000000000000002"]
    others = [str(2**63), str(-(2**63)), "9" * 19, "9" * 5000, "NaN", "-Infinity"]
    path.write_text("[" + ", ".join([*map(str, whole), *texts, *others, f'"{"9" * 30}"']) + "]")
    assert list(stream_json(path, "item")) == [*whole, *map(float, texts), *[None] * len(others), "9" * 30]


def test_compressed_files_are_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(b"[]"))
    for read in (read_json, lambda path: list(stream_json(path, "item"))):
        with pytest.raises(UserError, match=r"a.json: it is compressed by gzip; unpack it with gunzip"):
            read(path)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("annotations/instances_trainval.json", "train"), ("annotations/latest.json", "train"),
        ("contest_photos/_annotations.coco.json", "train"), ("valid/_annotations.coco.json", "validation"),
        ("annotations/instances_val2017.json", "validation"), ("test.json", "test"), ("validation/labels.json", "validation"),
    ],
)  # fmt: skip
def test_the_split_of_an_export(tmp_path, name, split):
    export(tmp_path / "root")
    path = tmp_path / "root" / name
    path.parent.mkdir(exist_ok=True)
    (tmp_path / "root" / "annotations.json").rename(path)
    _, scenes = packed(CocoExport(tmp_path / "root", CocoExportOptions(), tmp_path), tmp_path / "pack")
    assert scenes == {split: [[CAT]] * 3}


def test_each_split_has_its_own_pictures(tmp_path):
    """Two pictures of one name; and a picture that only the other split has is missing, not taken from there."""
    root = tmp_path / "root"
    for split, color in (("train", "red"), ("val", "blue")):
        (root / "images" / split).mkdir(parents=True)
        Image.new("RGB", (80, 60), color).save(root / "images" / split / "a.png")
        value = {
            "categories": [{"id": 1, "name": "cat"}],
            "images": [{"id": i, "file_name": f"{n}.png", "width": 80, "height": 60} for i, n in enumerate("ab")],
            "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [8, 6, 40, 30]} for i in range(2)],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(value))
    Image.new("RGB", (80, 60), "red").save(root / "images" / "train" / "b.png")
    record, scenes = packed(CocoExport(root, CocoExportOptions(), tmp_path), tmp_path / "pack")
    assert {split: len(found) for split, found in scenes.items()} == {"train": 2, "validation": 1}
    assert record["dropped"] == {"picture is missing or unreadable": 1}
    assert Pack(tmp_path / "pack", "validation")[0][1].getpixel((0, 0)) == (0, 0, 255)


GOOD, LINE, POINT = [20, 20, 60, 20, 60, 50, 20, 50], [20, 20, 30, 30], [40.0, 30.0]


@pytest.mark.parametrize(
    "polygons",
    [
        [GOOD], [GOOD, LINE], [LINE, GOOD], [GOOD, POINT], [POINT, GOOD], GOOD, [GOOD, []], [GOOD, None],
        [[20, 20], [60, 20], [60, 50], [20, 50]], [[[20, 20], [60, 20], [60, 50], [20, 50]]], [GOOD, [1e308] * 6], [GOOD, [*GOOD, 7]], [list(map(str, GOOD))],
    ],
)  # fmt: skip
def test_polygons_that_are_none_are_left_out_one_by_one(polygons):
    assert decode_segmentation(polygons, 60, 80).sum() == 1200
    assert box_of_segmentation(polygons, 60, 80) == [20, 20, 40, 30]


@pytest.mark.parametrize(
    "segmentation",
    [
        [LINE], [[]], [None], {"size": [60, 80], "counts": [1, 2]}, {"size": [10**6, 10**6], "counts": "0"},
        {"size": [60, 80], "counts": [-1, 4801]}, {"size": [60, 80], "counts": "A" * 20},
        {"size": [60, 80], "counts": "P"}, {"size": [60, 80], "counts": "5 10 4785"}, {"size": [60, 80], "counts": ""},
        {"size": [60, 80], "counts": [0.5, 4799.5]}, {"size": [60, 80], "counts": "~" * 9}, {"counts": []}, {"x": [1, 2]}, {"size": 3, "counts": "x"}, "text", 7,
    ],
)  # fmt: skip
def test_segmentations_that_are_none(segmentation):
    with pytest.raises(ValueError, match="segmentation"):
        decode_segmentation(segmentation, 60, 80)
    assert box_of_segmentation(segmentation, 60, 80) is None


@pytest.mark.parametrize("counts", ["[100, 50, 4650]", '["100", 50.0, "4650"]', '"T3b1Za4"'])
def test_run_lengths_in_every_form(counts):
    mask = decode_segmentation({"size": ["60", 80.0], "counts": json.loads(counts)}, 60, 80)
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == list(range(100, 150))


def test_run_lengths_of_several_parts():
    parts = [{"size": [60, 80], "counts": [100 * i, 50, 4750 - 100 * i]} for i in (1, 2)]
    assert decode_segmentation(parts, 60, 80).sum() == 100


@pytest.mark.parametrize("reach", [1, 3])
def test_long_outlines_are_filled_part_by_part_to_the_same_mask(monkeypatch, reach):
    """Lines across the picture and, with a larger reach, out of it; the truth is pycocotools' own."""
    from pycocotools import mask as rle

    polygon = (np.random.default_rng(0).random((200, 2)) * [80 * reach, 60 * reach]).round(2).ravel().tolist()
    truth = rle.decode(rle.frPyObjects([polygon], 60, 80))[..., 0] > 0
    monkeypatch.setattr("scenograph.data.segmentations.LONG", 500)
    assert np.array_equal(decode_segmentation([polygon], 60, 80), truth)
    monkeypatch.setattr("scenograph.data.segmentations.LONGEST", 5000)
    with pytest.raises(ValueError, match="outline is too long"):
        decode_segmentation([polygon], 60, 80)


# Visual Genome


def genome(root: Path, change=lambda files: None, key="image_id", own="object_id") -> VisualGenome:
    """Three pictures of three objects and a relation, one per split, changed."""
    ends = {"subject": 0, "object": 1}
    files = {
        "objects": [
            {key: i, "objects": [
                {own: 10 * i + k, "names": [n], "x": 10 + 60 * k, "y": 20, "w": 50, "h": 60}
                for k, n in enumerate(("man", "dog", "tree"))
            ]} for i in (1, 2, 3)
        ],
        "relationships": [
            {key: i, "relationships": [{"predicate": "near", **{end: {own: 10 * i + k} for end, k in ends.items()}}]}
            for i in (1, 2, 3)
        ],
        "image_data": [{key: i, "width": 300, "height": 240} for i in (1, 2, 3)],
        "vg_splits": {"train": [1], "val": [2], "test": [3]},
    }  # fmt: skip
    (root / "VG_100K").mkdir(parents=True)
    for i in (1, 2, 3):
        Image.new("RGB", (300, 240)).save(root / "VG_100K" / f"{i}.jpg")
    change(files)
    for name, content in files.items():
        (root / f"{name}.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    least = dict.fromkeys(
        ("min_object_instances", "min_attribute_instances", "min_relationship_instances", "min_objects"), 1
    )
    return VisualGenome(root, VisualGenomeOptions(**least), root)


@pytest.mark.parametrize(
    ("change", "reason", "objects"),
    [
        (lambda files: files["objects"][1]["objects"][2].pop("names"), "object has no name", 2),
        (lambda files: files["objects"][1]["objects"][2].update(names=[None]), "object has no name", 2),
        (lambda files: files["objects"][1]["objects"][2].update(w=None), "object has no box", 2),
        (lambda files: files["objects"][1]["objects"][2].update(w=-50), "object's box has a negative side", 2),
        (lambda files: files["objects"][1]["objects"].append(7), "object is of an unexpected form", 3),
        (lambda files: files["objects"][1]["objects"][2].update(object_id=None), "object has no object_id", 2),
        (
            lambda files: files["relationships"][1]["relationships"].append({"predicate": "on", "subject": {}}),
            "relation lacks its subject or object",
            3,
        ),
        (
            lambda files: files["relationships"][1]["relationships"].append({"predicate": None}),
            "relation has no predicate",
            3,
        ),
        (lambda files: files["objects"].append(files["objects"][0]), "image_id is listed twice", 3),
        (lambda files: files["objects"].append({"image_id": 4}), "record is of an unexpected form", 3),
        (lambda files: files["image_data"].append(None), "record has no image_id", 3),
        (lambda files: files["vg_splits"]["val"].append(1), "picture is listed twice in the splits", 3),
    ],
)
def test_one_bad_record_of_visual_genome(tmp_path, change, reason, objects):
    record, scenes = packed(genome(tmp_path / "root", change), tmp_path / "pack")
    assert {split: [len(scene) for scene in found] for split, found in scenes.items()} == {
        "train": [3], "validation": [objects], "test": [3],
    }  # fmt: skip
    assert record["dropped"] == {reason: 1} and record["examples"][reason]


@pytest.mark.parametrize("field", ["names", "name"])
def test_names_and_sizes_of_visual_genome_in_other_forms(tmp_path, field):
    def change(files):
        files["objects"][0]["objects"][0] |= {"object_id": "10", field: "man" if field == "name" else ["man"]}
        files["image_data"][0] = {"image_id": "1", "width": None, "height": "240"}

    _, scenes = packed(genome(tmp_path / "root", change), tmp_path / "pack")
    assert scenes["train"] == scenes["validation"] and len(scenes["train"][0]) == 3


@pytest.mark.parametrize("names", [{"key": "id", "own": "id"}, {"own": "id"}])
def test_visual_genome_1_0_is_told_by_name(tmp_path, names):
    with pytest.raises(UserError, match="Visual Genome 1.0; take 1.4"):
        write_pack(tmp_path / "pack", genome(tmp_path / "root", **names))


# Other sources


def test_one_bad_clevr_scene(tmp_path):
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "box": [0, 0, 1, 1]}
    scenes = [{"image_filename": name, "objects": [thing], "relationships": {}} for name in ("a.png", "b.png", "7")]
    scenes[0]["objects"] = [{**thing, "size": None}, {}]
    relations = {"left": [[1.5], []], "beside": [[1], [0]]}
    scenes += [{"image_filename": None}, 3, {**scenes[1], "image_filename": "half.png", "relationships": relations}]
    scenes += [{**scenes[1], "image_filename": "beside.png", "relationships": {"beside": [[1], [0]]}}]
    (tmp_path / "scenes.json").write_text(json.dumps({"scenes": scenes}))
    record, found = packed(Clevr(tmp_path, ClevrOptions(), tmp_path), tmp_path / "pack")
    assert len(found["train"]) == 3
    assert record["dropped"] == {"annotations of an unexpected form": 2, "record has no image_filename": 2}
    assert record["remarks"] == {"relations are left out: beside is no predicate of CLEVR": 1}


def test_masks_of_clevr_stay_under_the_root(tmp_path):
    root = tmp_path / "root"
    (root / "masks").mkdir(parents=True)
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "box": [0, 0, 1, 1]}
    names = {"a.png": "../../secret.png", "b.png": "b.png", "c.png": str(tmp_path / "secret.png")}
    Image.fromarray(np.ones((4, 4), np.uint8)).save(tmp_path / "secret.png")
    Image.fromarray(np.ones((4, 4), np.uint8)).save(root / "masks" / "b.png")
    scenes = [{"image_filename": name, "mask_filename": mask, "objects": [thing]} for name, mask in names.items()]
    (root / "scenes.json").write_text(json.dumps({"scenes": scenes}))
    record, found = packed(Clevr(root, ClevrOptions(), tmp_path), tmp_path / "pack")
    assert len(found["train"]) == 1
    assert record["dropped"] == {"picture lies outside the root; outside=true reads it": 2}


def test_boxes_of_clevr_that_reach_out_of_the_picture_are_clipped_with_their_masks(tmp_path):
    (tmp_path / "masks").mkdir()
    owners = np.zeros((4, 8), np.uint8)
    owners[:, :3] = 1
    Image.fromarray(owners).save(tmp_path / "masks" / "a.png")
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "box": [-0.5, 0, 0.5, 1]}
    scenes = [{"image_filename": "a.png", "mask_filename": "a.png", "objects": [thing, {**thing, "box": [2, 0, 3, 1]}]}]
    (tmp_path / "scenes.json").write_text(json.dumps({"scenes": scenes}))
    record, found = packed(Clevr(tmp_path, ClevrOptions(), tmp_path), tmp_path / "pack")
    assert found["train"] == [[("cube", (0, 0, 0.5, 1))]]
    assert Pack(tmp_path / "pack", "train")[0][0].objects[0].mask.tolist() == [[True] * 3 + [False]] * 4
    assert record["remarks"]["object's box reaches out of the picture: it is clipped"] == 2
    assert record["remarks"]["object without extent in the picture is left out"] == 1


def test_one_bad_scene_of_clip_art(tmp_path):
    (tmp_path / "sprites").mkdir()
    Image.new("RGB", (500, 400)).save(tmp_path / "sprites" / "background.png")
    Image.new("RGBA", (60, 60), "red").save(tmp_path / "sprites" / "s_0s.png")
    classes = {"s_0s": {"class": "sun", "super": "sky"}, "../../x": {"class": "x", "super": "sky"}}
    (tmp_path / "sprite_classes.json").write_text(json.dumps(classes))
    sun = ["s_0s", 100, 60, 2, 0]
    scenes = [
        [1, [sun]],
        [2, [sun, [None], ["s_0s", "left", 0, 0, 0]]],
        [3, None],
        7,
        [1, [sun, sun]],
        [4, [["../../x", 9, 9, 0, 0]]],
    ]
    (tmp_path / "scenes_train.json").write_text(json.dumps({"scenes": scenes}))
    record, found = packed(ClipArt(tmp_path, ClipArtOptions(), tmp_path), tmp_path / "pack")
    assert [len(scene) for scene in found["train"]] == [1, 1]
    assert record["dropped"]["scene id is listed twice"] == 1
    assert record["dropped"]["object is of an unexpected form"] == 1
    assert record["dropped"]["object is no sprite, x, y, depth, flip"] == 1


# Fields and files


def test_fields_of_one_meaning():
    assert [identity(value) for value in (1, 1.0, "1", "-1", "007", "a", 0)] == [1, 1, 1, -1, "007", "a", 0]
    assert {identity(value) for value in (None, True, [1], {}, 1.5, float("nan"), "", 10**400)} == {None}
    assert [number(value) for value in (1, 1.5, "8", "1e2")] == [1, 1.5, 8, 100]
    assert {number(value) for value in (None, True, "x", float("inf"), "nan", 10**400, [])} == {None}
    assert numbers([1, "2"]) == [1, 2] and numbers([1, None]) is None and numbers([1], 2) is None
    assert [side(value) for value in (80, 80.0, "80")] == [80] * 3
    assert {side(value) for value in (0, -1, 80.5, None, 1e9, "wide")} == {None}
    assert (name_of("cat"), name_of(7), name_of(None), name_of(" "), name_of(True)) == ("cat", "7", None, None, None)


def test_reasons_add_up_in_any_order():
    parts = [Reasons() for _ in range(3)]
    for i, part in enumerate(parts):
        for k in range(4):
            part.note("why", f"{i}{k}")
    sums = [Reasons(), Reasons()]
    for total, order in zip(sums, (parts, parts[::-1]), strict=True):
        for part in order:
            total.include(part)
    assert sums[0] == sums[1] == {"why": 12} and sums[0].examples == sums[1].examples == {"why": ["00", "01", "02"]}
    assert sums[0].described("why") == "why: 12, such as 00; 01; 02"


def test_a_list_is_read_entry_by_entry():
    left_out = Reasons()

    def read(value):
        if value == 0:
            raise Skip("nothing")
        return 1 / value

    assert read_each([1, 0, "x", 2], read, left_out, "here") == [1, 0.5]
    assert left_out == {"nothing": 1, "record is of an unexpected form": 1}
    assert read_each({"a": 1}, read, left_out, "here") == [] and left_out["records are no list"] == 1


@pytest.mark.parametrize("size", [1, 7, 30_000])
def test_json_with_nan_and_marks(tmp_path, size):
    name = 'NaN, "quoted" Infinity \\' * size
    records = [{"id": i, "name": name, "area": float("nan"), "box": [float("inf"), -float("inf"), 1]} for i in range(9)]
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"all": records}).encode())
    found = list(stream_json(tmp_path / "a.json", "all.item"))
    assert found == [{**record, "area": None, "box": [None, None, 1]} for record in records]


@pytest.mark.parametrize(("encoding", "named"), [("utf-16", "UTF-16"), ("latin-1", "not UTF-8")])
def test_other_encodings_are_named(tmp_path, encoding, named):
    (tmp_path / "a.json").write_text('{"all": ["é"]}', encoding=encoding)
    for read in (lambda path: list(stream_json(path, "all.item")), read_json):
        with pytest.raises(UserError, match=f"a.json: it is {named} text; save it as UTF-8"):
            read(tmp_path / "a.json")


def test_what_is_left_out_is_remembered_by_the_tables(tmp_path):
    (tmp_path / "a.json").write_text('[{"id": 1}, {"id": "1"}, {"id": null}, 3, {"id": 2.0}]')
    for _ in range(2):
        tables = JsonTables(tmp_path / "a.sqlite")
        tables.add("a", tmp_path / "a.json", "item", "id", lambda what, done: None, unique=True)
        assert tables.left_out() == {"record has no id": 2, "id is listed twice": 1}
        assert list(tables.keys("a")) == [1, 2] and tables.get("a", "2") == [{"id": 2}]


def test_tables_that_cannot_be_kept_are_one_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"id": 1}]')
    tables = JsonTables(tmp_path / "t.sqlite")
    tables._open().execute("PRAGMA max_page_count = 2")  # as a full disk
    with pytest.raises(UserError, match=r"t.sqlite: database or disk is full; free space or delete it"):
        tables.add("a", path, "item", "id", lambda *_: None)
    (tmp_path / "other.sqlite").write_bytes(b"no tables" * 1000)
    with pytest.raises(UserError, match=r"other.sqlite: file is not a database"):
        JsonTables(tmp_path / "other.sqlite").left_out()


def test_objects_without_a_name_cost_no_more_than_themselves(tmp_path):
    """But sg2im's rules still hold: names are those of train, and a picture has three objects."""

    def change(files):
        files["objects"][0]["objects"][2].pop("names")

    source = genome(tmp_path / "root", change)
    few = "picture has too few objects: 3, such as picture 1 has 2, min_objects=3"
    source.options = source.options.model_copy(update={"min_objects": 3})
    with pytest.raises(UserError, match=rf"{few}.*; object has no name: 1, such as picture 1"):
        write_pack(tmp_path / "none", source)
    source.options = source.options.model_copy(update={"min_objects": 2})
    record, scenes = packed(source, tmp_path / "pack")
    assert {split: len(found[0]) for split, found in scenes.items()} == dict.fromkeys(
        ("train", "validation", "test"), 2
    )
    assert record["dropped"] == {"object has no name": 1}


def test_entries_of_splits_and_attributes_in_other_forms(tmp_path):
    def change(files):
        files["vg_splits"]["train"] = [1.0, "x", None, [2]]
        files["vg_splits"]["val"] = ["2"]
        files["attributes"] = [
            {
                "image_id": 1,
                "attributes": [{"object_id": 10, "attributes": "red"}, {"object_id": 11, "attributes": None}],
            }
        ]
        files["objects"][0]["objects"][1]["object_id"] = 10
        files["relationships"][0]["relationships"][0]["object"]["object_id"] = 12

    record, scenes = packed(genome(tmp_path / "root", change), tmp_path / "pack")
    assert [len(found) for found in scenes.values()] == [1, 1, 1]
    assert record["dropped"] == {
        "entry of the splits is no picture id": 2,
        "picture of the split is not in image_data.json": 1,
    }
    assert list(Pack(tmp_path / "pack", "train").vocabulary.attributes) == ["red"]
    assert record["examples"]["objects have one object_id: its relations are the last one's"] == ["1"]
