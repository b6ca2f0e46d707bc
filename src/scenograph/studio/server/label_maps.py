"""Label maps to pictures, by a SPADE model: in a form of ours, and in that of Scene Designer's service.

The latter took ``{layout, instances, real_image}`` and gave the picture's numbers, (1, 3, H, W) in [-1, 1], as JSON.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.models.spade import Spade
from scenograph.pipelines.latents import seeded_generators
from scenograph.scenes.batch import images_to_uint8
from scenograph.scenes.png import png_to_text
from scenograph.studio.server.limits import MOST_PIXELS, opened, read_picture
from scenograph.studio.server.offer import Offer
from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.schemas import LabelMapAsked, LabelMapReply, OriginalLabelMapAsked

UNKNOWN = 255
"""The label of pixels of which nothing is known."""


class LabelMapWork:
    """For the model thread."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer

    def picture(self, asked: LabelMapAsked) -> LabelMapReply:
        """The picture of a label map."""
        style = None if asked.picture is None else opened(read_picture(asked.picture, "picture"), "picture")
        instances = asked.layout if asked.instances is None else asked.instances
        pixels = self._drawn(asked.layout, instances, style, asked.image, asked.seed)
        (image,) = images_to_uint8(pixels)
        return LabelMapReply(picture=png_to_text(np.asarray(image)))

    def numbers(self, asked: OriginalLabelMapAsked) -> list[object]:
        """The numbers of the picture, (1, 3, H, W) in [-1, 1], with four decimals."""
        style = None
        if asked.real_image is not None:
            pixels = _array(asked.real_image, "real_image", 3)
            if pixels.shape[2] != 3:
                raise _wrong("real_image", f"expected H x W x 3 numbers, found {pixels.shape}")
            style = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        numbers: list[object] = (
            self._drawn(asked.layout, asked.instances, style, None, 0).double().numpy().round(4).tolist()
        )
        return numbers

    def _drawn(
        self, layout: list[object], instances: list[object], style: Image.Image | None, name: str | None, seed: int
    ) -> Tensor:
        """The picture (1, 3, H, W) in [-1, 1] at the model's size."""
        labels, others = _array(layout, "layout", 2), _array(instances, "instances", 2)
        if labels.shape != others.shape:
            raise _wrong("instances", f"{others.shape} instead of the layout's {labels.shape}")
        model = self.offer.spade(name)
        known = len(model.vocabulary.categories)
        wrong = labels[((labels < 0) | (labels > known)) & (labels != UNKNOWN)]
        if len(wrong):
            raise _wrong(
                "layout", f"label {int(wrong[0])}: the model knows labels 0 to {known - 1}, and {UNKNOWN} for none"
            )
        labels = np.where((labels >= known) | (labels == UNKNOWN), -1, labels)
        height, width = model.config.image_size
        maps = [torch.from_numpy(_nearest(one, height, width))[None].to(model.device) for one in (labels, others)]
        return _rendered(model, maps[0], maps[1], style, seed)


def _rendered(model: Spade, labels: Tensor, instances: Tensor, style: Image.Image | None, seed: int) -> Tensor:
    """The picture of label maps (1, H, W); a style is copied by models that can, as in the original service."""
    generators = seeded_generators([seed], "picture")
    with torch.inference_mode():
        latents = None if style is None or model.style is None else model.style_latents(style, generators)
        return model.render(model.label_map(labels, instances, latents), generators).float().cpu()


def _nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map (h, w) at another size, each pixel the one whose centre is nearest: (H, W) int64."""
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip((height, width), values.shape, strict=True))
    return values[np.ix_(rows.astype(int), columns.astype(int))]


def _array(values: list[object], where: str, dimensions: int) -> np.ndarray:
    """Nested lists of whole numbers as an array of int64. Raises ``ServiceError`` for anything else."""
    try:
        found = np.array(values, dtype=object)  # as text, for which one word is enough, it may take terabytes
    except ValueError:
        raise _wrong(where, "its rows are not equally long") from None
    kinds = set(map(type, found.flat))
    if list in kinds and found.ndim < dimensions:
        raise _wrong(where, "its rows are not equally long")
    if found.ndim != dimensions or not found.size or not kinds <= {int, float}:
        raise _wrong(where, f"expected rows of numbers in {dimensions} dimensions")
    if found.size > MOST_PIXELS:
        raise ServiceError(413, "too_many_pixels", f"{where}: more than {MOST_PIXELS:,} numbers", where)
    try:
        whole = found.astype(np.float64)
    except OverflowError:
        whole = np.array(np.inf)
    if not np.isfinite(whole).all() or (whole != np.floor(whole)).any() or (np.abs(whole) > 2**31).any():
        raise _wrong(where, "holds numbers that are not whole, or huge")
    return whole.astype(np.int64)


def _wrong(where: str, message: str) -> ServiceError:
    return ServiceError(400, "bad_label_map", f"{where}: {message}", where)
