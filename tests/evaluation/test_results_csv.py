"""The results table of Canonical Sg2Im."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scenograph.errors import UserError
from scenograph.evaluation.results_csv import Result, read_results, result_scene, results_text, scene_result
from scenograph.scenes.scene import Scene, SceneObject


@pytest.mark.golden
def test_the_results_table_is_the_originals(golden):
    folder = golden / "wsgc" / "metrics"
    data, names = np.load(folder / "results_inputs.npz"), json.loads((folder / "vocab.json").read_text())
    results = []
    for objects, true, predicted, number in zip(
        data["objs"][..., 0], data["boxes"], data["boxes_pred"], data["image_ids"], strict=True
    ):
        real = objects != 0
        categories = tuple(names["object_idx_to_name"][index] for index in objects[real])
        results.append(Result(int(number), categories, true[real], predicted[real]))
    text = (folder / "results_coco.csv").read_text()
    assert results_text(results, padded=data["objs"].shape[1]) == text
    for one, other in zip(read_results(folder / "results_coco.csv"), results, strict=True):
        assert (one.image_id, one.categories) == (other.image_id, other.categories)
        np.testing.assert_allclose(one.predicted, other.predicted)


def test_results_come_back_as_scenes(tmp_path):
    true = Scene((SceneObject("cube", box=(0.1, 0.1, 0.5, 0.5)), SceneObject("sphere", box=(0.5, 0.5, 0.9, 1.0))))
    moved = replace(true, objects=(replace(true.objects[0], box=(0.0, 0.0, 0.25, 0.5)), true.objects[1]))
    (tmp_path / "r.csv").write_text(results_text([scene_result(7, moved, true)]))
    (row,) = read_results(tmp_path / "r.csv")
    assert row.image_id == 7
    for which, scene in (("gt", true), ("pred", moved)):
        found = result_scene(row, which)
        assert [thing.category for thing in found.objects] == ["cube", "sphere"]
        for one, other in zip(found.objects, scene.objects, strict=True):
            assert one.box == pytest.approx(other.box, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "not a results table"),
        ("image_id,predicted_boxes,gt_boxes,class\nx,[],[],[]\n", "row 1: image_id 'x' holds no number"),
        ("image_id,predicted_boxes,gt_boxes,class\n1,[],[],['a']\n", "1 names for 0 true and 0 predicted boxes"),
        ("image_id,predicted_boxes,gt_boxes,class\n1,__import__('os'),[],[]\n", "row 1: predicted_boxes: expected"),
        (f"image_id,predicted_boxes,gt_boxes,class\n1,[],{'-' * 100_000}1,[]\n", "gt_boxes: .*found '-----"),
        ("image_id,predicted_boxes,gt_boxes,class\n1,[],\"[1,2,3,4]\",['a']\n", "gt_boxes: expected four"),
        (f"image_id,predicted_boxes,gt_boxes,class\n1,[],\"[[1,2,3,1{'0' * 400}]]\",['a']\n", "expected four numbers"),
        ("predicted_boxes,gt_boxes,class,image_id\n[]\n", "row 1: image_id None holds no number"),
    ],
)
def test_bad_tables_are_refused(tmp_path, content, message):
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_results(tmp_path / "r.csv")
