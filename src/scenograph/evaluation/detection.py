"""Detector scores: does a detector find in the pictures what their layouts say, where they say it?

LAMA's YOLO score (section 4.2) with any detector: its results as a file, or a network run here.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from scenograph.errors import UserError, missing_extra, reason, unreadable

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


def read_detections(
    path: Path, sizes: Sequence[tuple[int, int]], image_ids: Sequence[int], categories: dict[str, int]
) -> list[dict[str, Any]]:
    """Results in COCO's form, from a file in that form or in Darknet's, one entry per picture in order.

    ``sizes`` (width, height), ``image_ids``: of the pictures. Categories that no layout has are left out. Raises
    ``UserError`` for anything else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, list):
            raise TypeError("expected a list")
        if values and "objects" in values[0]:
            return _from_darknet(values, sizes, image_ids, categories)
        known, pictures = set(categories.values()), set(image_ids)
        for number, value in enumerate(values):
            if value["image_id"] not in pictures:
                raise UserError(f"{path}: [{number}].image_id: {value['image_id']!r} is no picture of annotations.json")
            if len(value["bbox"]) != 4 or not np.isfinite([*value["bbox"], value["score"]]).all():
                raise TypeError(f"[{number}]: expected a bbox of four numbers and a score")
        return [value for value in values if value["category_id"] in known]
    except OSError as error:
        raise unreadable(path, error) from error
    except UserError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not detections in COCO's form (image_id, category_id, bbox, score): {error}"
        ) from error


def _from_darknet(
    values: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: dict[str, int],
) -> list[dict[str, Any]]:
    """Centres and sides in fractions to boxes in pixels; confidences to three decimals, as LAMA's script."""
    results = []
    for value, (width, height), image_id in zip(values, sizes, image_ids, strict=True):
        for thing in value["objects"]:
            name = DARKNET_NAMES.get(thing["name"], thing["name"])
            if name not in categories:
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
        judge = COCOeval(truth, truth.loadRes([dict(one) for one in detections]), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return dict(zip(FIGURES, map(float, judge.stats[:3]), strict=True))


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
        self.device = device
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
