"""Detections and layouts are joined by ids that mean the same, and what finds no partner is counted."""

import json

import pytest

from scenograph.data.records import Reasons
from scenograph.errors import UserError
from scenograph.evaluation.detection import average_precision
from scenograph.evaluation.detections import read_detections
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.scene import Scene, SceneObject

COCO = {"person": 1, "bicycle": 2, "dog": 18}
SCENES = [Scene((SceneObject(name, box=(0.25, 0.25, 0.75, 0.75)),)) for name in ("dog", "person", "owl", "ant")]


def detections(path, *names_and_ids, **fields):
    rows = [
        {"image_id": i, "category_id": category, "bbox": [16, 16, 32, 32], "score": 0.9, **fields}
        for i, category in enumerate(names_and_ids, start=1)
    ]
    path.write_text(json.dumps(rows))
    return path


def test_layouts_have_the_published_ids():
    pytest.importorskip("pycocotools")
    annotations = coco_annotations(SCENES, ["a", "b", "c", "d"], 64, 64, COCO)
    ids = {row["name"]: row["id"] for row in annotations["categories"]}
    assert ids == {**COCO, "ant": 19, "owl": 20}, "others are numbered behind them"
    assert [row["category_id"] for row in annotations["annotations"]] == [18, 1, 20, 19]
    found = [{"image_id": i, "category_id": c, "bbox": [16, 16, 32, 32], "score": 0.9} for i, c in ((1, 18), (2, 1))]
    shown = {**annotations, "annotations": annotations["annotations"][:2]}
    assert average_precision(shown, found)["detector_ap"] == pytest.approx(1)


def test_ids_in_any_form_are_matched(tmp_path):
    path = detections(tmp_path / "d.json", 18, "18", 18.0)
    rows = json.loads(path.read_text())
    rows[1] |= {"image_id": "2", "score": "0.5", "bbox": ["1", 2, 3.0, 4]}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode())
    found = read_detections(path, [(64, 64)] * 3, [1, 2, 3], COCO)
    assert [(row["image_id"], row["category_id"]) for row in found] == [(1, 18), (2, 18), (3, 18)]
    assert found[1]["bbox"] == [1, 2, 3, 4] and found[1]["score"] == 0.5


def test_detections_that_fit_no_category_are_counted_and_named(tmp_path):
    left_out = Reasons()
    found = read_detections(detections(tmp_path / "d.json", 18, 77, None), [(64, 64)] * 3, [1, 2, 3], COCO, left_out)
    assert len(found) == 1
    assert left_out.described("annotations.json has no such category id (1 person, 2 bicycle, 18 dog)") == (
        "annotations.json has no such category id (1 person, 2 bicycle, 18 dog): 2, such as "
        "d.json, detection 1: category_id 77; d.json, detection 2: category_id None"
    )


def test_pictures_may_be_counted_from_one(tmp_path):
    """Where the published ids are others: said; but not where some of them fit, or a picture is not named."""
    path, left_out = detections(tmp_path / "d.json", 18, 18), Reasons()
    found = read_detections(path, [(64, 64)] * 2, [100, 101], COCO, left_out)
    assert [row["image_id"] for row in found] == [100, 101]
    assert left_out == {"image_id counts the pictures of annotations.json from 1, and is read so": 2}
    for ids in ([1, 101], [7], [100, 101, 102]):
        with pytest.raises(UserError, match="is no picture of annotations.json"):
            read_detections(path, [(64, 64)] * len(ids), ids, COCO)


def test_one_bad_detection_does_not_stop_the_others(tmp_path):
    path = detections(tmp_path / "d.json", 18, 18, 18, 18)
    rows = json.loads(path.read_text())
    del rows[0]["score"]
    rows[1]["bbox"] = [float("nan"), 0, 1, 1]
    rows[2] = 7
    path.write_text(json.dumps(rows))
    left_out = Reasons()
    assert len(read_detections(path, [(64, 64)] * 4, [1, 2, 3, 4], COCO, left_out)) == 1
    assert left_out == {
        "detection is of an unexpected form": 2,
        "detection has no bbox of four numbers and a score": 1,
    }


@pytest.mark.parametrize("ids", [(0, 16), (None,), ([1],), (True,)])
def test_no_detection_that_fits_is_an_error(tmp_path, ids):
    path = detections(tmp_path / "d.json", *ids)
    with pytest.raises(
        UserError, match=r"no detection to measure .annotations.json has no such category id \(1 person"
    ):
        read_detections(path, [(64, 64)] * 2, [1, 2], COCO)


def test_names_of_darknet_that_fit_no_category_are_counted(tmp_path):
    place = {"center_x": 0.5, "center_y": 0.5, "width": 0.5, "height": 0.5}
    things = [{"name": name, "relative_coordinates": place, "confidence": 0.9} for name in ("dog", "zebra")]
    (tmp_path / "d.json").write_text(json.dumps([{"objects": things}]))
    left_out = Reasons()
    assert len(read_detections(tmp_path / "d.json", [(64, 64)], [1], COCO, left_out)) == 1
    assert left_out.examples == {
        "no category of annotations.json has the detection's name": ["picture 1, detection 1: zebra"]
    }


PLACE = {"center_x": 0.5, "center_y": 0.5, "width": 0.5, "height": 0.5}
DARKNET = {"name": "dog", "relative_coordinates": PLACE, "confidence": 0.9}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"objects": None},
        {"objects": {"a": 1}},
        *(
            {"objects": [DARKNET | change]}
            for change in (
                {"name": [1]},
                {"confidence": "x"},
                {"relative_coordinates": None},
                {"relative_coordinates": PLACE | {"width": float("nan")}},
                {"relative_coordinates": PLACE | {"width": -0.5}},
                {"relative_coordinates": PLACE | {"center_x": 30}},
            )
        ),
    ],
)
def test_one_bad_entry_of_darknet_does_not_stop_the_others(tmp_path, entry):
    (tmp_path / "d.json").write_text(json.dumps([entry, {"objects": [DARKNET]}]))
    left_out = Reasons()
    (found,) = read_detections(tmp_path / "d.json", [(64, 64)] * 2, [1, 2], COCO, left_out)
    assert found == {"image_id": 2, "category_id": 18, "bbox": [16, 16, 32, 32], "score": 0.9}
    assert left_out.total() == 1 and "picture 1" in str(left_out.examples)


def test_entries_of_one_picture_and_boxes_that_are_none_are_named(tmp_path):
    entries = [{"filename": "sample_0_0.png", "objects": []}, {"filename": "sample_0_0.png", "objects": [DARKNET]}]
    (tmp_path / "d.json").write_text(json.dumps(entries))
    left_out = Reasons()
    assert len(read_detections(tmp_path / "d.json", [(64, 64)], [1], COCO, left_out)) == 1
    assert left_out.examples == {"picture has two entries, the last of which counts": ["sample_0_0"]}
    rows = json.loads(detections(tmp_path / "d.json", 18, 18, 18).read_text())
    rows[0]["bbox"], rows[1]["bbox"] = [16, 16, -8, 8], [0, 0, 1e308, 1e308]
    (tmp_path / "d.json").write_text(json.dumps([None, *rows]))
    left_out = Reasons()
    assert len(read_detections(tmp_path / "d.json", [(64, 64)] * 3, [1, 2, 3], COCO, left_out)) == 1
    assert left_out == {
        "detection is of an unexpected form": 1,
        "detection's box has a negative side, or reaches farther than any picture": 2,
    }
    with pytest.raises(UserError, match="each bbox is in fractions of its picture"):
        read_detections(detections(tmp_path / "d.json", 18, bbox=[0.1, 0.1, 0.5, 0.5]), [(64, 64)], [1], COCO)
