"""The metric ``detection``: does a detector find in the pictures what they should show, where they should show it?

LAMA's YOLO score (section 4.2) with any detector: its results as a file, or a network run here. As there, the first
picture of each layout counts, and only categories that the detector can name. The truth are COCO's own annotations
where their file is given, and the boxes that the pictures were rendered from otherwise.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from scenograph.data.coco_records import tidy_annotation, tidy_category, tidy_image
from scenograph.data.pack import read_record
from scenograph.data.records import Reasons, read_each
from scenograph.data.vocabularies import coco_ids
from scenograph.errors import UserError, missing_extra
from scenograph.evaluation.detections import DARKNET_NAMES, read_detections
from scenograph.evaluation.figure import Figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.session import Evaluation, Progress, picture_file
from scenograph.evaluation.tools import Tools
from scenograph.files import digest, read_json, write_atomically
from scenograph.models.base import state_digest
from scenograph.pretrained.detectors import NO_CODE, loading
from scenograph.pretrained.networks import Download, missing_from_hub
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.scene import Scene

LAST_THING = 90
"""COCO's ids of things end here; those of stuff, which detectors do not name, follow."""
DETECTOR_SIDE = 640
FIGURES = {
    "detector_ap": "average precision of a detector, over overlaps from 0.5 to 0.95",
    "detector_ap_50": "the same at an overlap of 0.5",
    "detector_ap_75": "the same at an overlap of 0.75",
}


class DetectionMetric(Metric):
    """COCO's average precision of a detector's results in the first picture of each layout."""

    title = "Detected objects"
    order = 60
    headline = ("detector_ap",)
    # 2: categories that the detector can name, in the first picture of each layout.
    versions = MappingProxyType(dict.fromkeys(FIGURES, 2))

    @classmethod
    def check(cls, layouts: Layouts, tools: Tools) -> None:
        """Of a detector and its results one is given; COCO's annotations are of boxes that the model is given."""
        _cocos_tools()
        if tools.detections is not None and tools.detector_name is not None:
            raise UserError(f"give --detector {tools.detector_name} or --detections {tools.detections}, not both")
        if tools.annotations is not None and layouts.protocol.given == "graph":
            raise UserError(
                f"--annotations {tools.annotations}: says where objects truly are, which a model that is given the "
                "graph does not know; add --given boxes, or leave --annotations out"
            )

    @classmethod
    def downloads(cls, layouts: Layouts, tools: Tools) -> Sequence[Download]:
        """The detector."""
        return [] if tools.detector_name is None else missing_from_hub(tools.detector_name)

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        super().__init__(layouts, tools)
        self.left_out = Reasons()
        self.detector = None if tools.detector_name is None else Detector(tools.detector_name, tools.device)
        self.published = None if tools.annotations is None else read_annotations(tools.annotations, self.ids)
        if not self.categories:
            raise UserError("the detector can name none of the categories of the data; choose another --detector")
        if tools.detections is not None:  # so that what is wrong with it is known before anything is rendered
            read_detections(tools.detections, [(1, 1)] * len(self.ids), self.ids, self.categories)

    @cached_property
    def ids(self) -> list[int]:
        """Of the pictures: COCO's own, or those of other data if all are numbers; else from 1."""
        names = [name for chunk in range(self.layouts.chunks) for name in self.layouts.names(chunk)]
        numbered = all(name.isdecimal() for name in names) and len(set(names)) == len(names)
        return [int(name) for name in names] if numbered else list(range(1, len(names) + 1))

    @cached_property
    def categories(self) -> dict[str, int]:
        """Ids of the categories that count, by name: those that the data and the detector have in common."""
        record = read_record(self.layouts.pack)
        if self.published is not None:
            ids = {row["name"]: row["id"] for row in self.published["categories"]}
        else:
            ids = dict(record["published_ids"])
            others = sorted(name for name in self.layouts.vocabulary.categories if name not in ids)
            ids |= {name: number for number, name in enumerate(others, start=max(ids.values(), default=0) + 1)}
        nameable = set(ids)
        if self.detector is not None:
            nameable = self.detector.nameable
        elif record["source"].startswith("COCO 2017"):
            nameable = {name for name, number in coco_ids().items() if number <= LAST_THING}
        return {name: number for name, number in ids.items() if name in nameable}

    def digests(self) -> dict[str, str]:
        """The detector's, and that of COCO's annotations. A file of results may come when the pictures are there."""
        found = {} if self.detector is None else {"detector": self.detector.digest}
        return found | ({} if self.tools.annotations is None else {"annotations": digest(self.tools.annotations)})

    def notes(self) -> list[str]:
        """What is left out of the file of results, or how to get one."""
        if self.detector is None and self.tools.detections is None:
            return [
                "detection not measured yet: run a detector on the pictures that annotations.json names, and repeat "
                "the command with --detections FILE; or let --detector MODEL run one"
            ]
        return [f"detections: {self.left_out.described(reason)}" for reason in self.left_out]

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Average precision. What detectors and scripts elsewhere need is written, whether there are results or not."""
        truth = self.published or _drawn(evaluation, self.ids, self.categories)
        truth = _as_pictures(truth, evaluation, self.categories)
        write_atomically(evaluation.folder / "annotations.json", json.dumps(truth).encode())
        # One id a line, as LAMA's script writes it.
        write_atomically(
            evaluation.folder / "image_id.txt", lambda stream: np.savetxt(stream, np.asarray(self.ids, dtype=float))
        )
        sizes = [(int(row["width"]), int(row["height"])) for row in truth["images"]]
        if self.detector is not None:
            weights = self.detector.digest
            found = _detect(self.detector, evaluation, truth, self.categories, progress)
        elif self.tools.detections is not None:
            self.left_out.clear()
            weights = ""
            found = read_detections(self.tools.detections, sizes, self.ids, self.categories, self.left_out)
        else:
            return []
        against = "the boxes rendered from" if self.published is None else "COCO's annotations"
        count = len(truth["annotations"])
        return [
            Figure(
                name,
                value,
                float("nan"),
                count,
                f"{meaning}, against {against}",
                short(weights),
                () if count else ("not defined: no object is of a category that the detector can name",),
                share=True,
            )
            for (name, meaning), value in zip(FIGURES.items(), average_precision(truth, found).values(), strict=True)
        ]

    def write_files(self, evaluation: Evaluation) -> list[Path]:
        """What :meth:`figures` has written."""
        written = ["annotations.json", "image_id.txt", *([] if self.detector is None else ["detections.json"])]
        return [evaluation.folder / name for name in written]


def read_annotations(path: Path, ids: Sequence[int]) -> dict[str, Any]:
    """COCO's annotations of pictures, from its ``instances_*.json``.

    Args:
        path: The file.
        ids: Of the pictures, in the order of the result.

    Raises:
        UserError: It is no such file, or lacks a picture.
    """
    value = read_json(path)
    if not isinstance(value, dict) or not {"images", "annotations", "categories"} <= value.keys():
        raise UserError(f"{path}: not COCO's annotations, with images, annotations and categories")
    left_out = Reasons()
    images = {
        row["id"]: row
        for row in read_each(value["images"], lambda one: tidy_image(one, left_out), left_out, path.name)
        if row["width"] and row["height"]
    }
    missing = next((number for number in ids if number not in images), None)
    if missing is not None:
        raise UserError(
            f"{path}: has no picture {missing} with its width and height, which is to be measured; give the file of "
            "the split's own pictures"
        )
    categories = read_each(value["categories"], lambda one: tidy_category(one, left_out), left_out, path.name)
    wanted = set(ids)
    rows = [one for one in value["annotations"] if isinstance(one, dict) and one.get("image_id") in wanted]
    boxes = [{**tidy_annotation(row, left_out), "image_id": row["image_id"]} for row in rows]
    return {
        "images": [images[number] for number in ids],
        "categories": [row for row in categories if row["name"]],
        "annotations": [row for row in boxes if row["bbox"] is not None],
    }


def _drawn(evaluation: Evaluation, ids: Sequence[int], categories: Mapping[str, int]) -> dict[str, Any]:
    """What the first picture of each layout was rendered from, in COCO's form."""
    scenes: list[Scene] = []
    for chunk in range(evaluation.layouts.chunks):
        for scene in evaluation.scenes(chunk)[:: evaluation.protocol.repeats]:
            counted = [thing for thing in scene.objects if thing.category in categories]
            # Without masks: COCO takes annotations with run-length masks for crowds.
            scenes.append(Scene(tuple(replace(thing, mask=None) for thing in counted)))
    drawn = coco_annotations(scenes, [""] * len(scenes), *evaluation.size, categories)
    for row in [*drawn["images"], *drawn["annotations"]]:
        key = "image_id" if "image_id" in row else "id"
        row[key] = ids[row[key] - 1]
    return drawn


def _as_pictures(truth: dict[str, Any], evaluation: Evaluation, categories: Mapping[str, int]) -> dict[str, Any]:
    """Annotations of the categories that count, as those of the generated pictures."""
    repeats, folder = evaluation.protocol.repeats, evaluation.folder
    files = [picture_file(evaluation.picture_folder, number, 0, repeats) for number in range(len(truth["images"]))]
    counted = [row for row in truth["annotations"] if row["category_id"] in categories.values()]
    return {
        "images": [
            {**row, "file_name": (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()}
            for row, file in zip(truth["images"], files, strict=True)
        ],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "annotations": [
            {
                "id": number,
                "image_id": row["image_id"],
                "category_id": row["category_id"],
                "bbox": row["bbox"],
                "area": row["bbox"][2] * row["bbox"][3],
                "iscrowd": int(row["iscrowd"] == 1),
            }
            for number, row in enumerate(counted, start=1)
        ],
    }


def _detect(
    detector: Detector,
    evaluation: Evaluation,
    truth: dict[str, Any],
    categories: Mapping[str, int],
    progress: Progress,
) -> list[dict[str, Any]]:
    """What a detector finds in the first picture of each layout, also as a file."""
    found: list[dict[str, Any]] = []
    for chunk in range(evaluation.layouts.chunks):
        progress("detecting", chunk, evaluation.layouts.chunks)
        numbers, pictures = evaluation.layouts.numbers(chunk), evaluation.pictures(chunk)
        rows = [truth["images"][number] for number in numbers]
        found += detector(pictures[:: evaluation.protocol.repeats], rows, categories)
    write_atomically(evaluation.folder / "detections.json", json.dumps(found).encode())
    return found


def average_precision(annotations: dict[str, Any], detections: Sequence[dict[str, Any]]) -> dict[str, float]:
    """COCO's AP, over IoU 0.5 to 0.95 and at 0.5 and 0.75, of detections against annotations, both in COCO's form.

    NaN if nothing is annotated.
    """
    ground_truth, evaluator = _cocos_tools()
    if not annotations["annotations"]:
        return dict.fromkeys(FIGURES, float("nan"))
    if not detections:
        return dict.fromkeys(FIGURES, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = ground_truth()
        truth.dataset = {**annotations, "info": {}}
        truth.createIndex()
        measured = evaluator(truth, truth.loadRes([dict(one) for one in detections]), "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return dict(zip(FIGURES, map(float, measured.stats[:3]), strict=True))


def _cocos_tools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise missing_extra("pycocotools", "metrics") from error
    return COCO, COCOeval


class Detector:
    """A detector of COCO's things through ``transformers``: RT-DETR, or another of that interface."""

    def __init__(self, source: str, device: torch.device) -> None:
        with loading("detector", source):
            from transformers import AutoModelForObjectDetection

            self.network = AutoModelForObjectDetection.from_pretrained(source, **NO_CODE).to(device).eval()
        self.device, self.digest = device, state_digest(self.network.state_dict())
        self.names: dict[int, str] = {int(key): str(name) for key, name in self.network.config.id2label.items()}
        self.nameable = {DARKNET_NAMES.get(name, name) for name in self.names.values()}
        """The categories that it can name, as COCO does."""

    def __call__(
        self,
        pictures: Sequence[Image.Image],
        rows: Sequence[Mapping[str, Any]],
        categories: Mapping[str, int],
        most: int = 100,
    ) -> list[dict[str, Any]]:
        """The ``most`` likeliest objects of each picture whose names are among ``categories``, in COCO's form.

        ``rows`` have the pictures' ids, and the width and height in whose pixels boxes are.
        """
        side = (DETECTOR_SIDE, DETECTOR_SIDE)
        resized = [np.asarray(one.convert("RGB").resize(side, Image.Resampling.BILINEAR)) for one in pictures]
        pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().to(self.device) / 255
        with torch.inference_mode():
            output = self.network(pixel_values=pixels)
        results = []
        for entry, logits, boxes in zip(rows, output.logits, output.pred_boxes, strict=True):
            sides = [entry["width"], entry["height"]] * 2
            scores = logits.sigmoid()
            best = scores.flatten().topk(min(most, scores.numel()))
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                row, label = divmod(place, scores.shape[1])
                name = DARKNET_NAMES.get(self.names.get(label, ""), self.names.get(label, ""))
                if name in categories:
                    x, y, w, h = (boxes[row].double().cpu().numpy() * sides).tolist()
                    bbox = [x - w / 2, y - h / 2, w, h]
                    results.append(
                        {"image_id": entry["id"], "category_id": categories[name], "bbox": bbox, "score": score}
                    )
        return results
