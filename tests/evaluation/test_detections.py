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
    assert left_out.examples == {"no category of annotations.json has the detection's name": ["zebra"]}
