"""Average precision of a detector on the pictures of a pack's split, as COCO measures it, over all categories.

python benchmarks/detector.py --pack packs/picture-book --model detector-picture-book
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scenograph.data.pack import Pack
from scenograph.devices import pick_device
from scenograph.evaluation.detection import average_precision
from scenograph.models.registry import AutoModel
from scenograph.pipelines.pictured import MOST, OwnDetector
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.scene import Scene

SIDE = 100
"""Pixels in which boxes are compared: overlaps are shares, whatever the picture's shape."""
FAINT = 0.01
"""Score from which an object counts: a curve of precision needs the unlikely ones."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    detector = OwnDetector(AutoModel.from_pretrained(given.model).to(pick_device(given.device)))
    ids = {name: number for number, name in enumerate(detector.model.vocabulary.categories, start=1)}
    pack = Pack(given.pack, given.split)
    scenes: list[Scene] = []
    rows: list[dict[str, Any]] = []
    for number in range(len(pack)):
        scene, picture = pack[number]
        # Without masks: COCO takes annotations with run-length masks for crowds.
        scenes.append(Scene(tuple(replace(thing, mask=None) for thing in scene.objects)))
        for one in detector(picture, FAINT):
            x0, y0, x1, y1 = np.array(one.box) * SIDE
            bbox = [x0, y0, x1 - x0, y1 - y0]
            rows.append({"image_id": number + 1, "category_id": ids[one.name], "bbox": bbox, "score": one.score})
    truth = coco_annotations(scenes, [""] * len(scenes), SIDE, SIDE, ids)
    print(f"{len(scenes)} pictures, {len(truth['annotations'])} objects, {MOST} found per picture at most")
    for name, value in average_precision(truth, rows).items():
        print(f"{name} {value:.3f}")


if __name__ == "__main__":
    main()
