"""Figures: against recorded ones, against known answers, and whatever the division of the work."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.data.pack import write_pack
from scenograph.data.rendered import COLORS
from scenograph.data.source import Sample as PackSample
from scenograph.data.source import Samples
from scenograph.errors import UserError
from scenograph.evaluation import layouts as layouts_module
from scenograph.evaluation.agreement import object_agreement
from scenograph.evaluation.classification import CropFiles, classification_accuracy
from scenograph.evaluation.crops import object_crop
from scenograph.evaluation.detection import Detector, average_precision
from scenograph.evaluation.detections import read_detections
from scenograph.evaluation.distributions import (
    FrechetDistance,
    InceptionScore,
    Moments,
    Sample,
    kernel_distance,
    neighbourhoods,
    ratio_with_error,
)
from scenograph.evaluation.encoders import ClassifierEncoder, DinoEncoder, InceptionEncoder
from scenograph.evaluation.figure import Figure, mean_figure
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.page import Exhibit, as_html, line_plot
from scenograph.evaluation.pictures import read_picture, to_bytes
from scenograph.evaluation.probes import one_by_one, run_probes
from scenograph.evaluation.protocols import EXPLANATIONS, PROTOCOLS, default_protocol, find_protocol
from scenograph.evaluation.ranking import rank, retrieval_figures
from scenograph.evaluation.report import (
    as_markdown,
    compare,
    differences,
    evaluation_curves,
    make_report,
    read_report,
)
from scenograph.evaluation.robustness import equivalent, noisy
from scenograph.evaluation.session import Evaluation
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.summary import groups, headline, sentence
from scenograph.evaluation.tools import Tools
from scenograph.models.object_classifier import ObjectClassifier, ObjectClassifierConfig
from scenograph.nn.inception import Inception
from scenograph.nn.perceptual import ALEXNET, FeatureStack, PerceptualDistance
from scenograph.scenes.canonical import implied
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.geometry import box_from_xywh, box_iou
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.scoring import layout_figures_of_scenes, totals
from scenograph.scenes.vocabulary import Vocabulary

NOISE = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)


# Against recorded figures of the original scripts.


@pytest.mark.golden
def test_recorded_frechet_distances(golden):
    folder = golden / "lama" / "metrics" / "fid"
    data, tolerance = np.load(folder / "data.npz"), json.loads((folder / "config.json").read_text())["tolerance"]
    moments = {name: Moments.of([data[name]]) for name in "abc"}
    assert len(tolerance) >= 4
    for name in tolerance:
        first, second = name.removeprefix("fid_")
        assert FrechetDistance(moments[first])(moments[second]) == pytest.approx(float(data[name]), abs=tolerance[name])
    np.testing.assert_allclose(moments["a"].covariance.numpy(), data["sigma_a"], atol=1e-12)


@pytest.mark.golden
def test_recorded_inception_scores(golden):
    folder = golden / "lama" / "metrics" / "inception_score"
    data, tolerance = np.load(folder / "data.npz"), json.loads((folder / "config.json").read_text())["tolerance"]
    recorded = [key for key in data.files if key.startswith("splits")]
    assert len(recorded) >= 3
    for key in recorded:
        score = InceptionScore(len(data["probs"]), int(key.removeprefix("splits")))
        for part in np.array_split(data["probs"], 4):
            score.add(part)
        np.testing.assert_allclose(score.result(), data[key], atol=tolerance)


@pytest.mark.golden
def test_recorded_crops(golden):
    data = np.load(golden / "lama" / "metrics" / "crops" / "data.npz")
    picture = Image.fromarray(data["image"])
    recorded = {key: found for key in data.files if (found := re.fullmatch(r"(generated|real)_(\d+)_(\d+)", key))}
    assert len(recorded) == 4 * np.count_nonzero(data["label"])
    for key, found in recorded.items():
        x, y, w, h = data["bbox"][0, int(found[2])]
        rounding = {"generated": "down", "real": "up"}[found[1]]
        step = int(found[3]) // len(data[key])  # of larger crops every fourth pixel
        crop = object_crop(picture, (x, y, x + w, y + h), int(found[3]), rounding)[::step, ::step]
        assert np.abs(crop.astype(int) - data[key]).max() <= 1


@pytest.mark.golden
def test_recorded_bytes(golden):
    data = np.load(golden / "lama" / "metrics" / "to_uint8" / "data.npz")
    image = torch.from_numpy(data["image"])[None]
    assert np.array_equal(to_bytes(image, "down", stretched=False)[0].transpose(2, 0, 1), data["lama_uint8"])
    assert np.array_equal(to_bytes(image, "down", stretched=True)[0], data["lostgan_imsave_uint8"])


@pytest.mark.golden
def test_recorded_darknet_detections(golden):
    folder = golden / "lama" / "metrics" / "yolo"
    images, expected = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("images", "expected_coco_results")
    )
    ids = {"dog": 18, "zebra": 24, "potted plant": 64, "airplane": 5, "dining table": 67, "couch": 63, "tv": 72}
    sizes = [tuple(size) for size in images["original_sizes_wh"]]
    found = read_detections(folder / "darknet_result.json", sizes, images["image_ids"], ids)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert {key: one[key] for key in ("image_id", "category_id", "score")} == {
            key: other[key] for key in ("image_id", "category_id", "score")
        }
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-9)


@pytest.mark.golden
def test_recorded_retrieval(golden):
    data = np.load(golden / "scene_designer" / "retrieval.npz")
    assert np.array_equal(rank(data["queries"], data["gallery"]), data["ranking"])
    for prefix, labels in (("", ()), ("class_", (data["query_labels"], data["gallery_labels"]))):
        figures = {
            name: np.nanmean(v) for name, v in retrieval_figures(data["queries"], data["gallery"], *labels).items()
        }
        assert figures["average_precision"] == pytest.approx(float(data[f"{prefix}mAP"]), abs=1e-6)
        recorded = {key: found[1] for key in data.files if (found := re.fullmatch(rf"{prefix}recall_at_(\d+)", key))}
        assert len(recorded) >= 3
        for key, k in recorded.items():
            assert figures[f"top_{k}"] == pytest.approx(float(data[key]), abs=1e-6)


@pytest.mark.golden
def test_recorded_overlaps(golden):
    data = np.load(golden / "wsgc" / "metrics" / "metrics.npz")
    first, second = (box_from_xywh(data[f"boxes_{name}_xywh"], 1, 1) for name in "ab")
    iou = box_iou(first, second)
    np.testing.assert_allclose(iou, data["iou"], atol=1e-6)
    assert np.array_equal(iou > 0.5, data["over_05"]) and np.array_equal(iou > 0.3, data["over_03"])


# Known answers.


def test_moments_are_the_same_in_any_division():
    whole, parts = Moments.of([NOISE]), Moments.of([NOISE[:7], NOISE[7:400], NOISE[400:]])
    np.testing.assert_allclose(parts.covariance, np.cov(NOISE.T.astype(np.float64)), atol=1e-12)
    np.testing.assert_allclose(whole.mean, parts.mean, atol=1e-12)
    weights = np.arange(len(NOISE)) % 3
    weighted = Moments(NOISE.shape[1])
    weighted.add(NOISE, weights.astype(np.float64))
    np.testing.assert_allclose(weighted.covariance, np.cov(np.repeat(NOISE, weights, axis=0).T), atol=1e-6)


def test_frechet_distance_of_shifted_and_scaled_sets():
    moments = Moments.of([NOISE])
    assert FrechetDistance(moments)(Moments.of([NOISE + 2])) == pytest.approx(4 * 16, rel=1e-5)
    assert FrechetDistance(moments)(Moments.of([3 * NOISE])) == pytest.approx(
        4 * float(moments.covariance.trace() + moments.mean.square().sum()), rel=1e-5
    )
    with pytest.raises(UserError, match="at least 2 pictures"):
        FrechetDistance(moments)(Moments.of([NOISE[:1]]))


def test_kernel_distance_is_about_zero_for_one_distribution():
    mean, spread = kernel_distance(NOISE[:300], NOISE[300:])
    assert abs(mean) < 3 * spread
    assert kernel_distance(NOISE[:300], NOISE[300:] + 0.5)[0] > 10 * spread


def test_precision_and_recall_tell_what_is_missing():
    real = np.concatenate([NOISE[:200], NOISE[200:400] + 50])  # two clusters
    one = neighbourhoods(real, NOISE[400:])
    assert one["precision"].mean() > 0.8 and 0.3 < one["recall"].mean() < 0.55 and one["coverage"].mean() < 0.6
    wild = neighbourhoods(NOISE[:300], np.concatenate([NOISE[300:450], NOISE[450:] + 50]))
    assert wild["precision"].mean() < 0.55 and wild["recall"].mean() > 0.8


def test_inception_score_of_certain_and_of_even_classes():
    certain = InceptionScore(40, 1)
    certain.add(np.eye(4).repeat(10, axis=0))
    assert certain.result()[0] == pytest.approx(4)
    alike = InceptionScore(40, 4)
    alike.add(np.full((40, 4), 0.25))
    assert alike.result() == pytest.approx((1, 0))
    with pytest.raises(UserError, match="5 splits"):
        InceptionScore(3, 5)


def test_a_sample_is_the_same_in_any_division():
    whole, parts = Sample(50), Sample(50)
    whole.add(NOISE)
    for start in range(0, len(NOISE), 37):
        parts.add(NOISE[start : start + 37])
    assert np.array_equal(whole.rows, parts.rows) and len(whole.rows) == 50


def test_bootstrap_errors_agree_with_theory():
    values = np.random.default_rng(1).normal(size=400)
    value, error = ratio_with_error(values, np.ones(400), 2000)
    assert value == pytest.approx(values.mean())
    assert error == pytest.approx(values.std() / 20, rel=0.1)


def test_retrieval_without_any_wanted_row_is_no_number():
    gallery = np.eye(12)
    labels = np.arange(12)
    found = retrieval_figures(gallery[:2], gallery, np.array([0, 99]), labels)
    assert found["top_1"][0] == 1 and np.isnan(found["top_1"][1])
    with pytest.raises(UserError, match="fewer|at least as many"):
        retrieval_figures(gallery, gallery[:5])
    with pytest.raises(UserError, match="rows of one length"):
        retrieval_figures(gallery[:, :3], gallery)


# Networks.


def numbered_state(model):
    """Weights that do not depend on torch's random numbers."""
    state = {}
    for number, (key, value) in enumerate(sorted(model.state_dict().items())):
        rng = np.random.default_rng(number)
        if key.endswith("num_batches_tracked"):
            state[key] = value
        elif key.endswith("running_var"):
            state[key] = torch.from_numpy(rng.uniform(0.5, 2, value.shape).astype(np.float32))
        else:
            scale = 0.1 if value.ndim < 2 else (2 / value[0].numel()) ** 0.5
            offset = 1 if key.endswith("bn.weight") else 0
            state[key] = torch.from_numpy((rng.normal(size=value.shape) * scale + offset).astype(np.float32))
    return state


def test_inception_is_tensorflows(tmp_path):
    """The numbers are those of torch-fidelity's network with the same weights and pictures."""
    torch.save(numbered_state(Inception()), tmp_path / "inception.pth")
    pixels = np.random.default_rng(99).integers(0, 256, (2, 3, 40, 56), dtype=np.uint8)
    found, probabilities = InceptionEncoder(tmp_path / "inception.pth", torch.device("cpu"))(
        pixels.transpose(0, 2, 3, 1)
    )
    np.testing.assert_allclose(found[0, :4], [0.0, 0.63148582, 0.04029869, 0.47542652], atol=1e-4)
    assert (float(found.mean()), float(found.std())) == pytest.approx((0.28104246, 0.38838595), abs=1e-4)
    np.testing.assert_allclose(probabilities[0, :3], [6.5934577e-4, 5.9492211e-4, 2.1941563e-4], rtol=1e-3)
    assert probabilities.argmax(axis=1).tolist() == [213, 213]


class Small(torch.nn.Module):
    """The interface of the published TorchScript of Inception."""

    def forward(self, pixels, return_features: bool = False, no_output_bias: bool = False):
        means = pixels.float().mean(dim=(2, 3))
        return means if return_features else means.softmax(dim=1)


def test_torch_scripts_serve_as_inception(tmp_path):
    torch.jit.script(Small()).save(str(tmp_path / "small.pt"))
    encoder = InceptionEncoder(tmp_path / "small.pt", torch.device("cpu"))
    found, probabilities = encoder(np.full((2, 8, 8, 3), 7, dtype=np.uint8))
    assert found.tolist() == [[7, 7, 7]] * 2 and probabilities.sum() == pytest.approx(2)


def test_dinov2_through_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=224, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dino")
    found, probabilities = DinoEncoder(tmp_path / "dino", torch.device("cpu"))(
        NOISE[:3, :12].view(np.uint8).reshape(3, 4, 4, 3)
    )
    assert found.shape == (3, 16) and probabilities is None
    with pytest.raises(UserError, match="cannot load the encoder .*; give a folder or a model"):
        DinoEncoder(tmp_path / "nothing", torch.device("cpu"))


def test_classification_learns_what_crops_show_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.evaluation.classification.BATCH", 32)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 192)
    crops = rng.integers(0, 60, (192, 32, 32, 3)).astype(np.uint8)
    crops[np.arange(192), :, :, labels] += 150
    np.save(tmp_path / "crops.npy", crops)
    files = CropFiles([tmp_path / "crops.npy"], [labels])
    right, curve = classification_accuracy(files, files, "resnet-20", 2, tmp_path / "a", torch.device("cpu"))
    assert right.mean() > 0.9 and list(curve) == ["1", "2"]
    classification_accuracy(files, files, "resnet-20", 2, tmp_path / "b", torch.device("cpu"))
    (tmp_path / "b" / "checkpoint-00000002.pt").unlink()
    again, _ = classification_accuracy(files, files, "resnet-20", 2, tmp_path / "b", torch.device("cpu"))
    assert np.array_equal(right, again)
    few = CropFiles([tmp_path / "crops.npy"], [labels[:8]])
    with pytest.raises(UserError, match="needs 32 generated crops"):
        classification_accuracy(few, files, "resnet-20", 1, tmp_path / "c", torch.device("cpu"))


# Detection.


def two_scenes():
    first = Scene((SceneObject("cube", box=(0.1, 0.1, 0.4, 0.5)), SceneObject("sphere", box=(0.5, 0.5, 0.9, 0.9))))
    return [first, Scene((SceneObject("cube", box=(0.2, 0.3, 0.8, 0.9)),))]


def test_perfect_and_shifted_detections():
    annotations = coco_annotations(two_scenes(), ["a.png", "b.png"], 100, 100)
    perfect = [
        {key: row[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for row in annotations["annotations"]
    ]
    assert average_precision(annotations, perfect)["detector_ap"] == pytest.approx(1)
    shifted = [{**row, "bbox": [row["bbox"][0] + 10, *row["bbox"][1:]]} for row in perfect]
    found = average_precision(annotations, shifted)
    assert found["detector_ap_50"] == pytest.approx(1) and found["detector_ap"] < 0.5
    assert average_precision(annotations, [])["detector_ap"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "not detections in COCO's form"),
        ('[{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]', "7 is no picture"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 1}]', "bbox of four numbers"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, NaN], "score": 1}]', "bbox of four numbers"),
        ("no json", "not detections"),
    ],
)
def test_bad_detections(tmp_path, content, message):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_detections(tmp_path / "d.json", [(10, 10)], [1], {"cube": 1})


def test_detectors_through_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"], layer_type="basic",
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[8, 16, 16], encoder_hidden_dim=16, d_model=16, encoder_ffn_dim=16,
        decoder_ffn_dim=16, num_queries=10, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        decoder_in_channels=[16, 16, 16], num_labels=3, id2label={0: "cube", 1: "sphere", 2: "sofa"}, num_denoising=0,
    )  # fmt: skip
    transformers.RTDetrForObjectDetection(config).save_pretrained(tmp_path / "detector")
    detector = Detector(str(tmp_path / "detector"), torch.device("cpu"))
    pictures = [Image.new("RGB", (64, 48)), Image.new("RGB", (64, 48), "red")]
    rows = [{"id": number, "width": 64, "height": 48} for number in (1, 2)]
    found = detector(pictures, rows, {"cube": 1, "couch": 2})
    assert {row["image_id"] for row in found} == {1, 2} and {row["category_id"] for row in found} == {1, 2}
    assert all(len(row["bbox"]) == 4 and 0 <= row["score"] <= 1 for row in found)


# Layouts and graphs.


def test_layout_figures_know_the_picture_as_a_box():
    true = two_scenes()
    moved = [replace(s, objects=tuple(replace(t, box=(0.0, 0.0, 0.05, 0.05)) for t in s.objects)) for s in true]
    names = Vocabulary(("cube", "sphere"), ("left of",))
    sums, counts = layout_figures_of_scenes(moved, true, names)["box_iou_with_image"]
    assert sums.tolist() == [1, 1] and counts.tolist() == [3, 2]


CHAIN = Scene(
    tuple(SceneObject("cube", box=(x, 0.2, x + 0.1, 0.4)) for x in (0.0, 0.3, 0.6, 0.9)),
    (Relation(0, "left of", 1), Relation(1, "left of", 2), Relation(3, "right of", 2)),
)


def test_what_a_graph_implies():
    assert implied(CHAIN.relations) == [Relation(0, "left of", 2)]
    cycle = (Relation(0, "left of", 1), Relation(1, "left of", 0))
    assert implied(cycle) == []


def test_equivalent_graphs_hold_in_the_same_boxes():
    names = Vocabulary(("cube",), ("left of", "right of", "behind"))
    for seed in range(8):
        other = equivalent(CHAIN, names, np.random.default_rng(seed))
        sums, counts = layout_figures_of_scenes([other], [other], names)["relations"]
        assert sums.tolist() == counts.tolist() and counts[0] >= 3
    changed = [noisy(CHAIN, names, np.random.default_rng(seed)).relations for seed in range(60)]
    share = np.mean(
        [one.predicate != other.predicate for rows in changed for one, other in zip(rows, CHAIN.relations, strict=True)]
    )
    assert 0.04 < share < 0.2


# Probes.


def paint(scene, seed):
    """A model that does exactly what it is asked."""
    picture = Image.new("RGB", (64, 64), (200, 200, (60 * seed + 97 * (seed // 1_000_000)) % 256))
    for thing in scene.objects:
        color = COLORS[next(name for name in thing.attributes if name in COLORS)]
        ImageDraw.Draw(picture).rectangle([64 * value for value in thing.box], fill=color)
    return picture


def ignore(scene, seed):
    """A model that looks at nothing but its seed."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def scatter(scene, seed):
    """A model that answers every change with a wholly different picture."""
    key = abs(hash((str(scene.to_dict()), seed))) % 2**32
    return ignore(scene, key)


def probe_means(draw):
    rng = np.random.default_rng(3)
    scenes = []
    for _ in range(12):
        low = rng.uniform(0, 0.7, (4, 2))
        objects = [
            SceneObject("cube", ("large", str(rng.choice(list(COLORS))), "rubber"), (x, y, x + 0.2, y + 0.2))
            for x, y in low.tolist()
        ]
        scenes.append(Scene(tuple(objects)))
    results = run_probes(one_by_one(draw), scenes, VOCABULARY)
    return {name: np.mean([p.score for p in results if p.name == name]) for name in {p.name for p in results}}


def test_probes_praise_obedience_and_nothing_else():
    good = probe_means(paint)
    assert {"drop", "duplicate", "move", "recolour", "mirror", "shuffle", "count", "leakage"} <= set(good)
    assert all(good[name] > 0.85 for name in ("drop", "duplicate", "move", "recolour", "leakage", "count"))
    assert good["mirror"] > 0.9
    blind = probe_means(ignore)
    assert all(score < 0.02 for score in blind.values()), blind
    wild = probe_means(scatter)
    assert all(wild[name] < 0.1 for name in ("drop", "duplicate", "move", "recolour", "leakage", "mirror")), wild


def test_probes_need_boxes():
    with pytest.raises(UserError, match="scene 0: probes need a box"):
        run_probes(one_by_one(paint), [Scene((SceneObject("cube"),))], VOCABULARY)


# Protocols and reports.


def test_protocols_do_not_change_silently():
    """Who changes what a protocol means gives it a new version, and a new line here."""
    known = {(p.name, p.version): p.fingerprint for p in PROTOCOLS.values()}
    assert known == {
        ("lama-coco", 1): "a8f0fdc92f00",
        ("lostgan-coco", 1): "88246360864e",
        ("ldm-2048", 1): "5833fd2f545b",
        ("sg2im", 2): "32e4c092c9c3",
        ("sg2im-vg", 2): "900d6bd535e9",
        ("wsgc", 2): "9ac038cc38da",
        ("rendered", 1): "0b19eb4ee1cc",
        ("pastegan", 1): "8e9da4481d66",
        ("picture-book", 1): "a82f253cf200",
    }
    for protocol in PROTOCOLS.values():
        assert set(protocol.settings()) <= set(EXPLANATIONS), "every setting explains why it matters"


def test_changed_protocols_are_called_so():
    assert find_protocol("rendered", {"layouts": None, "metrics": ("layout",)}).name == "rendered"
    changed = find_protocol("rendered", {"layouts": 5})
    assert changed.name == "rendered (changed)" and changed.fingerprint != PROTOCOLS["rendered"].fingerprint
    sources = ("COCO 2017", "Visual Genome", "CLEVR", "picture-book")
    assert [default_protocol(name) for name in sources] == ["lama-coco", "sg2im-vg", "rendered", "picture-book"]
    alone = ["wsgc", "wsgc", "rendered", "picture-book"]
    assert [default_protocol(name, layout_alone=True) for name in sources] == alone
    with pytest.raises(UserError, match="did you mean 'lama-coco'"):
        find_protocol("lama-coc", {})
    refined = find_protocol("rendered", {"refine": "true", "metrics": ("layout",)})
    assert refined.refine and refined.fingerprint != PROTOCOLS["rendered"].fingerprint
    for changes, message in {
        ("metrics", ("robustness",)): "no boxes show the wrong graphs that robustness asks for",
        ("given", "boxes"): "of which given=boxes leaves none",
    }.items():
        with pytest.raises(UserError, match=message):
            find_protocol("rendered", {"metrics": ("layout",), "refine": "true", changes[0]: changes[1]})


def report(protocol="rendered", files="f", value=1.0, weights="w", share=False):
    figure = Figure("fid", value, 0.1, 10, "distance", weights, share=share)
    models = {"image": {"name": "a", "digest": "0" * 64}}
    data = {"source": "CLEVR", "layouts": 10, "files": files}
    return json.loads(json.dumps(make_report(PROTOCOLS[protocol], data, models, [figure], [])))


def test_intervals_of_shares_stay_between_0_and_1():
    for value, share, interval in (
        (0.9, False, "0.7040 to 1.0960"),
        (0.9, True, "0.7040 to 1.0000"),
        (0.1, True, "0.0000 to 0.2960"),
        (0.5, True, "0.3040 to 0.6960"),
    ):
        made = report(value=value, share=share)
        assert interval in as_markdown(made) and interval in as_html(made, [], {})


def test_reports_name_the_weights_of_those_figures_alone_that_a_network_measured():
    made = report(weights="abc123")
    made["figures"] += [dict(made["figures"][0], name="kid"), dict(made["figures"][0], name="box_iou", weights="")]
    for text in (as_markdown(made), as_html(made, [], {})):
        assert text.count("Measured with weights") == text.count("Measured with weights abc123: fid, kid.") == 1


def test_figures_over_training_make_a_curve(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 10, "kind": "train", "loss": 1}\n')
    assert evaluation_curves(tmp_path, report(value=9.0)) == {}
    metrics.write_text(metrics.read_text() + '{"step": 20, "kind": "train", "loss": 1}\n')
    evaluation_curves(tmp_path, report(value=7.0))
    evaluation_curves(tmp_path, report("sg2im"))  # of another protocol
    assert evaluation_curves(tmp_path, report(value=5.0)) == {"evaluation: fid": [(10, 9.0), (20, 5.0)]}
    with pytest.raises(UserError, match="not the folder of a training run"):
        evaluation_curves(tmp_path / "none", report())


@pytest.mark.parametrize(
    ("points", "marked"),
    [
        ([(8, 0.54), (32, 0.7), (128, 0.996)], ["50", "100", "0.6", "0.7", "0.8", "0.9"]),
        ([(0, 0.04), (3000, 0.011)], ["0", "1000", "2000", "3000", "0.02", "0.03", "0.04"]),
        (
            [(1, -1e-4), (2, 1.4e-4)],
            ["1", "1.2", "1.4", "1.6", "1.8", "2", "-0.0001", "-5e-05", "0", "5e-05", "0.0001"],
        ),
        ([(0, 0.5), (10, 0.5)], ["0", "2", "4", "6", "8", "10", "0.5"]),
        ([(0, -1e308), (1, 1e308)], ["0", "0.2", "0.4", "0.6", "0.8", "1", "-1e+308"]),
    ],
)
def test_plots_are_marked_at_round_numbers(points, marked):
    plot = line_plot({"": points}, axes=("objects", "held"))
    assert re.findall(r"<text[^>]*>([^<]*)</text>", plot) == [*marked, "objects", "held"]
    assert ElementTree.fromstring(plot).tag.endswith("svg")


def test_unlike_reports_are_told_apart():
    assert differences(report(), report(value=5.0)) == []
    assert "5.0000 ± 0.1000 | +4 (clear)" in compare(report(), report(value=5.0), ("a", "b"))
    assert "(within chance)" in compare(report(), report(value=1.1), ("a", "b"))
    reasons = differences(report("lama-coco"), report("lostgan-coco"))
    assert reasons == [
        "rounding: down against nearest: bytes differ by one",
        "file_form: png against stretched-jpeg: JPEG and stretched contrast move FID by several points",
    ]
    assert "other pictures are compared with" in differences(report(), report(files="g"))[0]
    older, refined = report(), report()
    del older["protocol"]["refine"]
    assert differences(report(), older) == []
    refined["protocol"]["refine"] = True
    assert differences(older, refined) == ["refine: False against True: boxes that were moved show more relations"]
    assert "weights of the measuring network (fid)" in differences(report(), report(weights="v"))[0]


def test_figures_of_an_older_definition_are_not_compared_silently(tmp_path):
    older, newer = report(), report()
    del older["figures"][0]["version"]
    assert differences(older, newer) == []
    newer["figures"][0]["version"] = 2
    assert differences(older, newer) == ["fid: definition 1 against 2: what it counts has changed since"]
    metrics = tmp_path / "metrics.jsonl"
    for step, made in ((10, older | {"figures": [older["figures"][0] | {"version": 1}]}), (20, newer), (30, newer)):
        metrics.write_text(f'{{"step": {step}, "kind": "train", "loss": 1}}\n')
        curves = evaluation_curves(tmp_path, made)
    assert curves == {"evaluation: fid": [(20, 1.0), (30, 1.0)]}


def test_figures_that_are_not_defined_say_why(tmp_path):
    figures = [
        mean_figure("position", [], "share", nothing="no object counts"),
        mean_figure("all", [0.5, 1.0], "share"),
    ]
    models = {"image": {"name": "a", "digest": "0" * 64}}
    data = {"source": "CLEVR", "layouts": 10, "files": "f"}
    made = make_report(PROTOCOLS["rendered"], data, models, figures, [])
    json.dumps(made, allow_nan=False)
    for text in (as_markdown(made), as_html(made, [], {})):
        assert "nan" not in text.casefold() and "not defined: no object counts" in text
    assert "| position | - | - | |" in compare(made, made, ("a", "b"))
    (tmp_path / "report.json").write_text(json.dumps(made | {"figures": [dict(made["figures"][0], value=math.nan)]}))
    assert read_report(tmp_path)["figures"][0]["value"] is None


def test_reports_begin_with_the_figures_that_matter():
    rows = [("layout", "box_iou"), ("layout", "relations"), ("agreement", "category"), ("agreement", "all")]
    rows += [("quality", "fid"), ("quality", "kid"), ("diversity", "diversity"), ("unknown", "other")]
    figures = [Figure(name, 0.5, 0.1, 10, f"of {name}", metric=metric) for metric, name in rows]
    models = {"layout": {"name": "a", "digest": "0" * 64}, "image": {"name": "b", "digest": "1" * 64}}
    made = make_report(PROTOCOLS["rendered"], {"source": "CLEVR", "layouts": 1, "files": "f"}, models, figures, [])
    assert [row["name"] for row in headline(made)] == ["relations", "all", "fid", "diversity"]
    assert [title for title, _ in groups(made)] == [
        "Layouts", "Recognised objects", "Quality of the pictures", "Variety", "unknown",
    ]  # fmt: skip
    lead = "Pictures generated from scene graphs: 1 scene of CLEVR, split validation, measured by protocol rendered."
    assert sentence(made) == lead
    page = as_html(made, [Exhibit("two <cubes>", [("real", Image.new("RGB", (64, 64)))])], {})
    assert page.index("<h1>a + b</h1>") < page.index(lead) < page.index("<div class=card>") < page.index("<h2>Layouts")
    assert page.count("<div class=card>") == 4 and 'width=256 alt="real"' in page and "two &lt;cubes&gt;" in page


@pytest.mark.parametrize("changes", [{"protocol": 0}, {"figures": [5]}, {"figures": [{"name": "fid"}]}, {"data": []}])
def test_what_is_no_report_is_refused(tmp_path, changes):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    assert compare(read_report(path), report(), ("a", "b")) == compare(report(), report(), ("a", "b"))
    path.write_text(json.dumps(report() | changes))
    with pytest.raises(UserError, match=r"report.json: not a report of scenograph evaluate: \w+"):
        read_report(tmp_path)


# A whole evaluation.


def painter(scenes, seeds):
    """Pictures of scenes, as a session wants them, with boxes for objects that have none."""
    placed = [replace(scene, objects=tuple(map(_placed, scene.objects))) for scene in scenes]
    pixels = np.stack([np.asarray(paint(scene, seed)) for scene, seed in zip(placed, seeds, strict=True)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1, placed


def _placed(thing):
    return thing if thing.box else replace(thing, box=(0.2, 0.2, 0.6, 0.6))


@pytest.fixture
def evaluation(painted, tmp_path, monkeypatch):
    """Makes evaluations of the painter on the painted pack, three layouts per chunk."""
    monkeypatch.setattr(layouts_module, "CHUNK", 3)
    torch.manual_seed(0)
    config = ObjectClassifierConfig(vocabulary=VOCABULARY.to_dict(), groups=("color",), channels=(8, 8))
    judge = ObjectClassifier(config).eval()

    def make(folder="e", draw=painter, pictures=None, detections=None, **changes):
        changes = {"repeats": 2, "metrics": ("agreement", "layout", "quality", "objects", "probes"), **changes}
        protocol = find_protocol("rendered", changes)
        tools = Tools(encoder=ClassifierEncoder(judge), classifier=judge, detections=detections)
        subject = Subject({}, None if pictures else draw, pictures=pictures)
        return Evaluation(tmp_path / folder, Layouts(painted, protocol), subject, tools, tmp_path / "cache")

    return make


def figures_of(made):
    made.run({"painter": 1})
    return {figure.name: figure for figure in made.figures()}


def test_an_evaluation_goes_on_to_the_same_figures(evaluation, tmp_path):
    first = figures_of(evaluation())
    assert first["box_iou"].count == first["category"].count == first["scene_fd_classifier"].count
    assert first["probe_recolour"].value > 0.4 and first["fd_classifier"].error > 0
    for name in ("measures-00001.npz", "scenes-00002.json", "measures-00002.npz"):
        (tmp_path / "e" / "chunks" / name).unlink()
    torn = tmp_path / "e" / "chunks" / "measures-00000.npz"
    torn.write_bytes(torn.read_bytes()[:100])
    for picture in (tmp_path / "e" / "pictures").glob("sample_7_*"):
        picture.unlink()
    assert figures_of(evaluation()) == first
    with pytest.raises(UserError, match="holds another evaluation"):
        evaluation().run({"painter": 2})


def test_an_evaluation_that_was_refused_leaves_its_folder_to_the_next(evaluation):
    def refuse(scenes, seeds):
        raise UserError("unknown category")

    with pytest.raises(UserError, match="unknown category"):
        evaluation(draw=refuse).run({"painter": 0})
    assert figures_of(evaluation())


def partly_blind(painted, folder, pictured):
    """A pack of two scenes, of which the first so many have a picture."""
    loader = PackLoader(painted, "validation", (64, 64), 16)
    pictures = [Image.new("RGB", (64, 64))] * pictured + [None] * (2 - pictured)
    scenes = zip(loader.scenes(0, 2), pictures, strict=True)
    samples = [PackSample(str(number), *pair) for number, pair in enumerate(scenes)]
    write_pack(folder, Samples(loader.vocabulary, {"validation": samples}))
    return folder


def test_scenes_without_pictures_are_told_before_anything_is_drawn(painted, tmp_path):
    layouts = Layouts(partly_blind(painted, tmp_path / "p", 1), find_protocol("rendered", {"metrics": ("quality",)}))
    subject = Subject({}, lambda scenes, seeds: pytest.fail("drawn"))
    with pytest.raises(UserError, match="1 of 2 scenes of split 'validation' have no picture to compare with; leave"):
        Evaluation(tmp_path / "e", layouts, subject, Tools(), tmp_path / "cache").run({})


def test_of_data_without_pictures_all_is_measured_that_needs_none(painted, tmp_path):
    class Classes:
        name, digest = "inception", "0" * 64

        def __call__(self, pictures):
            chances = np.eye(4)[np.arange(len(pictures)) % 4] * 0.96 + 0.01
            return np.zeros((len(pictures), 2)), chances

    pack = partly_blind(painted, tmp_path / "blind", 0)
    changes = {"metrics": ("score", "quality", "layout"), "repeats": 4, "encoder": "inception", "inception_splits": 2}
    layouts = Layouts(pack, find_protocol("rendered", changes))
    tools = Tools(encoder=Classes())
    made = Evaluation(tmp_path / "e", layouts, Subject({}, painter), tools, tmp_path / "cache")
    figures = figures_of(made)
    assert made.left_out == {"quality": "the data has no pictures to compare with"}
    assert {"box_iou", "inception_score"} <= figures.keys() and "fid" not in figures
    entropy = -(0.97 * np.log(0.97) + 0.03 * np.log(0.01))
    assert figures["inception_score"].value == pytest.approx(4 * np.exp(-entropy))
    alone = Layouts(pack, find_protocol("rendered", {"metrics": ("quality",)}))
    with pytest.raises(UserError, match="cannot measure quality: the data has no pictures to compare with"):
        Evaluation(tmp_path / "f", alone, Subject({}, painter), tools, tmp_path / "cache")


def test_what_would_mean_nothing_is_not_measured(evaluation, tmp_path):
    made = evaluation("a", given="boxes")
    assert "layout" not in made.metrics and set(made.left_out) == {"layout"}
    assert "box_iou" not in figures_of(made)
    other = evaluation("b", pictures=tmp_path / "a" / "pictures")
    assert set(other.left_out) == {"layout", "probes"} and not {"box_iou", "probe_drop"} & figures_of(other).keys()
    with pytest.raises(UserError, match="cannot measure layout: objects are where the boxes that are given have them"):
        evaluation("c", given="boxes", metrics=("layout",))
    with pytest.raises(UserError, match="cannot measure probes: of pictures made elsewhere no others can be asked for"):
        evaluation("d", pictures=tmp_path / "a" / "pictures", metrics=("probes",))


def test_real_pictures_are_measured_once(evaluation, tmp_path, monkeypatch):
    figures_of(evaluation("a"))
    monkeypatch.setattr(Evaluation, "_measure_real", lambda self, chunk: pytest.fail("measured again"))
    figures_of(evaluation("b"))


def test_real_pictures_are_measured_again_by_another_network(evaluation):
    first, second = evaluation("a"), evaluation("b")
    torch.manual_seed(1)
    other = ObjectClassifier(second.tools.classifier.config).eval()
    second.comparing["quality"].encoder = ClassifierEncoder(other)
    figures_of(first)
    figures_of(second)
    assert first.referenced(0) != second.referenced(0) and second.referenced(0).exists()


def test_of_layouts_alone_no_pictures_are_measured(evaluation, painted, tmp_path):
    protocol = find_protocol("rendered", {"metrics": ("agreement", "layout", "probes")})
    subject = Subject({}, place=lambda scenes, seeds: painter(scenes, seeds)[1])
    made = Evaluation(tmp_path / "placed", Layouts(painted, protocol), subject, Tools(), tmp_path / "cache")
    assert made.left_out == dict.fromkeys(("agreement", "probes"), "a layout model renders no pictures")
    assert {"box_iou", "relations"} <= figures_of(made).keys()


def test_a_model_that_copies_training_pictures_is_caught(evaluation, painted, tmp_path):
    known = PackLoader(painted, "train", (32, 32), 16).fixed_batch(0, 24).images

    def copier(scenes, seeds):
        return known[[seed % len(known) for seed in seeds]], painter(scenes, seeds)[1]

    honest = figures_of(evaluation(metrics=("copies",), given="boxes"))
    made = evaluation("c", draw=copier, metrics=("copies",), given="boxes")
    copied = figures_of(made)
    assert copied["authenticity"].value == 0 and copied["copies"].value == 1
    assert honest["authenticity"].value > 0.3 and honest["copies"].value < 0.5
    assert copied["authenticity_real"].value > 0.3 and copied["authenticity_real"].count == 8
    (sheet,) = made.metrics["copies"].write_files(made)
    pairs = np.asarray(Image.open(sheet).crop((0, 0, 66, 32)))
    assert np.array_equal(pairs[:, :32], pairs[:, 34:])
    trained_on = evaluation("t", metrics=("copies", "quality"), splits=("train",))
    assert trained_on.left_out == {"copies": "the scenes are those of the training pictures"}


def test_pictures_made_elsewhere(evaluation, tmp_path):
    figures_of(evaluation("a", given="boxes"))
    made = shutil.copytree(tmp_path / "a" / "pictures", tmp_path / "made")
    first = figures_of(evaluation("a", given="boxes"))
    second = figures_of(evaluation("b", pictures=made, given="boxes"))
    assert second["fd_classifier"] == first["fd_classifier"]
    (made / "sample_2_1.png").unlink()
    (tmp_path / "b" / "chunks" / "measures-00000.npz").unlink()
    with pytest.raises(UserError, match=r"there is no sample_2_1.png; every layout needs 2"):
        figures_of(evaluation("b", pictures=made, given="boxes"))


def test_bad_pictures_are_named(evaluation, tmp_path):
    figures_of(evaluation("a", given="boxes"))
    picture, chunk = tmp_path / "a" / "pictures" / "sample_1_0.png", tmp_path / "a" / "chunks" / "measures-00000.npz"
    picture.write_bytes(picture.read_bytes()[:100])
    chunk.unlink()
    with pytest.raises(UserError, match=r"sample_1_0.png: not a readable picture"):
        figures_of(evaluation("a", given="boxes"))
    Image.new("RGB", (9, 5)).save(picture)
    with pytest.raises(UserError, match=r"sample_1_0.png: is 9x5, others are 64x64"):
        figures_of(evaluation("a", given="boxes"))
    with pytest.raises(UserError, match="not a readable picture"):
        read_picture(tmp_path / "nothing.png")

    def broken(scenes, seeds):
        images, shown = painter(scenes, seeds)
        images[2, 1, 0, 0] = float("nan")
        return images, shown

    with pytest.raises(UserError, match="layout 1, repeat 0: the model drew numbers that are not finite"):
        figures_of(evaluation("c", draw=broken))


def test_few_pictures_are_said(evaluation):
    notes = figures_of(evaluation(layouts=4))["scene_fd_classifier"].notes
    assert notes == () or "too few for a covariance of full rank" in notes[0]
    assert (
        "8 generated and 4 real pictures for 8 features"
        in figures_of(evaluation("f", layouts=4))["fd_classifier"].notes[0]
    )


def test_classification_and_detection_in_a_session(evaluation, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.evaluation.classification.BATCH", 8)
    detections = tmp_path / "d.json"
    detections.write_text("[]")
    made = evaluation(
        metrics=("classification", "detection"), given="boxes", classification_network="resnet-20",
        classification_epochs=1, detections=detections,
    )  # fmt: skip
    found = figures_of(made)
    assert 0 <= found["classification_accuracy"].value <= 1 and found["detector_ap"].value == 0
    annotations = json.loads((tmp_path / "e" / "annotations.json").read_text())
    perfect = [
        {key: row[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5}
        for row in annotations["annotations"]
    ]
    detections.write_text(json.dumps(perfect))
    assert figures_of(made)["detector_ap"].value == pytest.approx(1)


def test_diversity_needs_varied_pictures(evaluation, monkeypatch):
    state = {f"features.{layer}.{kind}": value for layer, kind, value in _alexnet()}
    lpips = PerceptualDistance(FeatureStack(ALEXNET, state), [torch.ones(n) for n in (4, 4, 4, 4, 4)])
    monkeypatch.setattr("scenograph.evaluation.diversity.load_perceptual_distance", lambda *files: lpips)
    varied = figures_of(evaluation(metrics=("diversity",)))["diversity"]
    same = evaluation("s", draw=lambda scenes, seeds: painter(scenes, [0] * len(seeds)), metrics=("diversity",))
    assert varied.value > 1e-3 and varied.count == 8
    assert figures_of(same)["diversity"].value == 0


def _alexnet():
    generator = torch.Generator().manual_seed(0)
    for layer, size in ((0, 11), (3, 5), (6, 3), (8, 3), (10, 3)):
        channels = 3 if layer == 0 else 4
        yield layer, "weight", torch.randn(4, channels, size, size, generator=generator) / (channels * size**2) ** 0.5
        yield layer, "bias", torch.zeros(4)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(painted, tmp_path):
    torch.manual_seed(0)
    config = ObjectClassifierConfig(vocabulary=VOCABULARY.to_dict(), groups=("color",), channels=(8, 8))
    ObjectClassifier(config).save_pretrained(tmp_path / "judge")
    options = ["evaluate", "--pack", str(painted), "--split", "train", "--given", "boxes", "--repeats", "2", "--steps",
               "1", "--metrics", "agreement,quality,objects", "--classifier", str(tmp_path / "judge"), "--device", "cpu"]  # fmt: skip
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
              "--dynamo_backend=no", "--main_process_port=0", "-m", "scenograph"]  # fmt: skip
    for name, prefix in (("one", ["scenograph"]), ("two", launch)):
        command = [sys.executable, "-m", *prefix, *options, "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / name / "report.json").read_text())["figures"] for name in ("one", "two"))
    assert one == two


# Where objects are, for a judge whose answer is known.


class RedJudge:
    """Sees red where most of a box is red, and blue where it is not; of one category."""

    vocabulary = Vocabulary(("thing",), (), {"color": ("red", "blue")})
    device = torch.device("cpu")
    config = type("Config", (), {"image_size": 32, "groups": ("color",)})

    def __call__(self, pictures, boxes, owner):
        reds = []
        for box, picture in zip((boxes * 32).round().int().tolist(), owner.tolist(), strict=True):
            reds.append(pictures[picture, 0, max(box[1], 0) : box[3], max(box[0], 0) : box[2]].mean())
        red = torch.stack(reds)
        return [torch.zeros(len(red), 1), torch.stack([red, -red], dim=1)]

    def targets(self, objects, attributes):
        return [objects, attributes[:, 0]]


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (8, 0.0)])
def test_objects_beside_their_place_are_not_in_position(shift, share):
    picture = Image.new("RGB", (32, 32), "blue")
    picture.paste("red", (8 + shift, 8, 16 + shift, 16))
    scene = Scene((SceneObject("thing", ("red",), (0.25, 0.25, 0.5, 0.5)),))
    found = totals(object_agreement([picture], [scene], RedJudge()))
    assert found["position"] == (share, 1.0) and found["color"] == (share, 1.0)
    assert "things" not in found
    apart = totals(object_agreement([picture], [scene], RedJudge(), regions=("thing",)))
    assert apart["regions"] == (1.0, 1.0) and apart["things"] == (0.0, 0.0)
    assert totals(object_agreement([picture], [scene], RedJudge(), smallest_side=0.25))["color"] == (0.0, 0.0)
    whole = Scene((SceneObject("thing", ("red",), (0.0, 0.0, 1.0, 1.0)),))
    assert totals(object_agreement([picture], [whole], RedJudge()))["position"] == (0.0, 0.0)


def test_evaluate_from_python_does_what_the_command_does(painted, tmp_path):
    from scenograph import Pipeline
    from scenograph.evaluation.evaluate import evaluate

    pipe = Pipeline.from_pretrained(device="cpu")
    protocol = find_protocol("rendered", {"metrics": ("layout", "agreement"), "layouts": 4})
    heard = []
    done = evaluate(painted, pipe, protocol, tmp_path / "both", steps=1, progress=lambda *news: heard.append(news))
    assert {"relations", "category"} <= {figure.name for figure in done.figures}
    assert {path.name for path in done.paths} == {"report.json", "report.md", "report.html", "results.csv"}
    assert {what for what, _, _ in heard} >= {"rendering", "measuring", "summing up"}
    alone = evaluate(painted, pipe.layout, protocol.model_copy(update={"metrics": ("layout",)}), tmp_path / "layouts")
    same = {figure.name: figure.value for figure in done.figures}
    assert all(figure.value == pytest.approx(same[figure.name]) for figure in alone.figures)
    with pytest.raises(UserError, match="nowhere: not a folder"):
        evaluate(painted, tmp_path / "nowhere", protocol, tmp_path / "pictures")
