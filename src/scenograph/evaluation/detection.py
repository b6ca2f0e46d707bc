"""The metric ``detection``: does a detector find in the pictures what their layouts say, where they say it?

LAMA's YOLO score (section 4.2) with any detector: its results as a file, or a network run here.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from scenograph.data.pack import read_record
from scenograph.data.records import Reasons, Skip, identity, number, numbers, read_each
from scenograph.errors import UserError, missing_extra, reason
from scenograph.evaluation.encoders import state_digest
from scenograph.evaluation.figure import Figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.session import BATCH, Evaluation, Progress
from scenograph.evaluation.tools import Tools
from scenograph.files import digest, read_json, write_atomically
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.scene import Scene

DARKNET_NAMES = {
    "tvmonitor": "tv",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
}
"""Darknet's names of COCO categories, where they differ."""
DETECTOR_SIDE = 640
FIGURES = ("detector_ap", "detector_ap_50", "detector_ap_75")


class DetectionMetric(Metric):
    """COCO's average precision of a detector's results against the layouts."""

    order = 60

    @classmethod
    def check(cls, layouts: Layouts, tools: Tools) -> None:
        """There must be a detector, or its results."""
        if tools.detections is None and tools.detector_name is None:
            raise UserError("the detection metric needs --detector MODEL, or --detections FILE")

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        super().__init__(layouts, tools)
        self.file = tools.detections
        self.left_out = Reasons()
        self.detector = None
        if self.file is None and tools.detector_name is not None:
            self.detector = Detector(tools.detector_name, tools.device)

    def digests(self) -> dict[str, str]:
        """The detector's, or that of the file of its results."""
        if self.detector is not None:
            return {"detector": self.detector.digest}
        return {} if self.file is None else {"detections": digest(self.file)}

    def notes(self) -> list[str]:
        """What is left out of the file of results."""
        return [f"detections: {self.left_out.described(reason)}" for reason in self.left_out]

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Average precision. Annotations and detections are written for detectors and scripts run elsewhere."""
        annotations = _annotations(evaluation)
        categories = {str(row["name"]): int(row["id"]) for row in annotations["categories"]}
        ids = [int(row["id"]) for row in annotations["images"]]
        weights = ""
        if self.detector is None:
            assert self.file is not None
            detections = read_detections(self.file, [evaluation.size] * len(ids), ids, categories, self.left_out)
        else:
            detections, weights = _detect(self.detector, evaluation, ids, categories, progress), self.detector.digest
        count, meaning = len(annotations["annotations"]), "average precision of a detector against the layouts"
        return [
            Figure(name, value, float("nan"), count, meaning, short(weights))
            for name, value in average_precision(annotations, detections).items()
        ]


def _annotations(evaluation: Evaluation) -> dict[str, Any]:
    """The layouts in COCO's form, also as a file beside the pictures."""
    scenes, names = [], []
    for chunk in range(evaluation.layouts.chunks):
        for place, scene in enumerate(evaluation.scenes(chunk)):
            number, repeat = divmod(place, evaluation.protocol.repeats)
            names.append(f"pictures/sample_{evaluation.layouts.numbers(chunk)[number]}_{repeat}.png")
            # Without masks: COCO takes annotations with run-length masks for crowds.
            scenes.append(Scene(tuple(replace(thing, mask=None) for thing in scene.objects)))
    published = read_record(evaluation.layouts.pack)["published_ids"]
    annotations = coco_annotations(scenes, names, *evaluation.size, published)
    write_atomically(evaluation.folder / "annotations.json", json.dumps(annotations).encode())
    return annotations


def _detect(
    detector: Detector, evaluation: Evaluation, ids: Sequence[int], categories: dict[str, int], progress: Progress
) -> list[dict[str, Any]]:
    """What a detector finds in all pictures, also as a file."""
    found: list[dict[str, Any]] = []
    seen = 0
    for chunk in range(evaluation.layouts.chunks):
        progress("detecting", chunk, evaluation.layouts.chunks)
        pictures = evaluation.pictures(chunk)
        for start in range(0, len(pictures), BATCH):
            part = pictures[start : start + BATCH]
            found += detector(part, ids[seen : seen + len(part)], categories)
            seen += len(part)
    write_atomically(evaluation.folder / "detections.json", json.dumps(found).encode())
    return found


def read_detections(
    path: Path,
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: dict[str, int],
    left_out: Reasons | None = None,
) -> list[dict[str, Any]]:
    """Results in COCO's form, from a file in that form or in Darknet's, one entry per picture in order.

    Args:
        path: The file.
        sizes: (width, height) of the pictures.
        image_ids: Of the pictures.
        categories: Ids by name. Detections of others are left out.
        left_out: Where they are counted, and entries that are no detections.

    Raises:
        UserError: The file is of another form, speaks of other pictures, or no detection in it is of a category.
    """
    left_out = Reasons() if left_out is None else left_out
    try:
        values = read_json(path)
        if not isinstance(values, list):
            raise TypeError("expected a list")
        if values and "objects" in values[0]:
            found = _from_darknet(values, sizes, image_ids, categories, left_out)
        else:
            read = partial(_detection, set(image_ids), categories)
            found = read_each(values, read, left_out, path.name, "detection")
    except UnknownPicture as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not detections in COCO's form (image_id, category_id, bbox, score): {error}"
        ) from error
    if values and left_out and not found:
        raise UserError(f"{path}: holds no detection to measure ({'; '.join(map(left_out.described, left_out))})")
    return found


class UnknownPicture(Exception):  # noqa: N818
    """A detection in a picture that is not evaluated."""


def _detection(pictures: set[int], categories: dict[str, int], value: dict[str, Any]) -> dict[str, Any]:
    """A detection with its ids as numbers. Raises ``Skip``."""
    image_id, category, box = identity(value["image_id"]), identity(value["category_id"]), numbers(value["bbox"], 4)
    score = number(value["score"])
    if image_id not in pictures:
        raise UnknownPicture(f"image_id {value['image_id']!r} is no picture of annotations.json")
    if box is None or score is None:
        raise Skip("detection has no bbox of four numbers and a score")
    if category not in categories.values():
        known = ", ".join(f"{number} {name}" for name, number in list(categories.items())[:8])
        known += ", ..." if len(categories) > 8 else ""
        raise Skip(f"annotations.json has no such category id ({known})", f"category_id {value['category_id']!r}")
    return {**value, "image_id": image_id, "category_id": category, "bbox": box, "score": score}


def _from_darknet(
    values: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: dict[str, int],
    left_out: Reasons,
) -> list[dict[str, Any]]:
    """Centres and sides in fractions to boxes in pixels; confidences to three decimals, as LAMA's script."""
    results = []
    for value, (width, height), image_id in zip(values, sizes, image_ids, strict=True):
        for thing in value["objects"]:
            name = DARKNET_NAMES.get(thing["name"], thing["name"])
            if name not in categories:
                left_out.note("no category of annotations.json has the detection's name", name)
                continue
            place = thing["relative_coordinates"]
            w, h = place["width"] * width, place["height"] * height
            x, y = place["center_x"] * width - w / 2, place["center_y"] * height - h / 2
            score = round(thing["confidence"], 3)
            results.append(
                {"image_id": image_id, "category_id": categories[name], "bbox": [x, y, w, h], "score": score}
            )
    return results


def average_precision(annotations: dict[str, Any], detections: Sequence[dict[str, Any]]) -> dict[str, float]:
    """COCO's AP, over IoU 0.5 to 0.95 and at 0.5 and 0.75, of detections against layouts, both in COCO's form."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise missing_extra("pycocotools", "metrics") from error
    if not detections:
        return dict.fromkeys(FIGURES, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO()
        truth.dataset = {**annotations, "info": {}}
        truth.createIndex()
        measured = COCOeval(truth, truth.loadRes([dict(one) for one in detections]), "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return dict(zip(FIGURES, map(float, measured.stats[:3]), strict=True))


class Detector:
    """A detector of COCO's things through ``transformers``: RT-DETR, or another of that interface."""

    def __init__(self, source: str, device: torch.device) -> None:
        try:
            from transformers import AutoModelForObjectDetection
        except ImportError as error:
            raise missing_extra("transformers", "metrics") from error
        try:
            self.network = AutoModelForObjectDetection.from_pretrained(source).to(device).eval()
        except (OSError, ValueError, ImportError) as error:
            raise UserError(f"cannot load the detector {source}: {reason(error)}; give its folder") from error
        self.device, self.digest = device, state_digest(self.network.state_dict())
        self.names: dict[int, str] = {int(key): str(name) for key, name in self.network.config.id2label.items()}

    def __call__(
        self, pictures: Sequence[Image.Image], image_ids: Sequence[int], categories: dict[str, int], most: int = 100
    ) -> list[dict[str, Any]]:
        """The ``most`` likeliest objects of each picture whose names are among ``categories``, in COCO's form."""
        side = (DETECTOR_SIDE, DETECTOR_SIDE)
        resized = [np.asarray(one.convert("RGB").resize(side, Image.Resampling.BILINEAR)) for one in pictures]
        pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().to(self.device) / 255
        with torch.inference_mode():
            output = self.network(pixel_values=pixels)
        results = []
        for picture, image_id, logits, boxes in zip(pictures, image_ids, output.logits, output.pred_boxes, strict=True):
            scores = logits.sigmoid()
            best = scores.flatten().topk(min(most, scores.numel()))
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                row, label = divmod(place, scores.shape[1])
                name = DARKNET_NAMES.get(self.names.get(label, ""), self.names.get(label, ""))
                if name in categories:
                    x, y, w, h = (boxes[row].double().cpu().numpy() * [*picture.size, *picture.size]).tolist()
                    bbox = [x - w / 2, y - h / 2, w, h]
                    results.append(
                        {"image_id": image_id, "category_id": categories[name], "bbox": bbox, "score": score}
                    )
        return results
