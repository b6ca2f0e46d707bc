"""Do generated objects look like what was asked? A classifier of real crops answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.evaluation.layouts import Figures, per_picture
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.scenes.batch import SceneBatch, picture_to_pixels, pixels_to_tensor
from scenograph.scenes.scene import Scene

SMALLEST_SIDE = 0.1
"""Objects whose longer side is a smaller fraction of the picture are not judged."""


def object_agreement(images: Sequence[Image.Image], scenes: Sequence[Scene], classifier: ObjectClassifier) -> Figures:
    """Per head (``category`` and attribute groups), and of objects that agree in ``all`` of them: shares that agree.

    ``scenes`` say what was asked, with the boxes at which to look. Pictures are brought to the classifier's size.
    """
    batch = SceneBatch.from_scenes(scenes, classifier.vocabulary).to(classifier.device)
    side = classifier.config.image_size
    pixels = np.stack([picture_to_pixels(image, side, side) for image in images])
    pictures = pixels_to_tensor(pixels).to(classifier.device)
    with torch.inference_mode():
        heads = classifier(pictures, batch.boxes, batch.object_to_image)
    large = (batch.boxes[:, 2:] - batch.boxes[:, :2]).amax(dim=1) > SMALLEST_SIDE
    names = ("category", *classifier.config.groups)
    everything = large.clone()
    owner = batch.object_to_image.cpu().numpy()

    def count(agrees: Tensor, judged: Tensor) -> tuple[np.ndarray, np.ndarray]:
        rows = judged.cpu().numpy()
        return per_picture(agrees.cpu().numpy()[rows], owner[rows], batch.num_images)

    figures = {}
    for name, logits, target in zip(names, heads, classifier.targets(batch.objects, batch.attributes), strict=True):
        agrees = (logits.argmax(dim=1) == target) | (target < 0)
        everything &= agrees
        judged = large & (target >= 0)
        figures[name] = count(agrees, judged)
    return {**figures, "all": count(everything, large)}
