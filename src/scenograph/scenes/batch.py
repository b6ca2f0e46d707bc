"""Ragged scenes as flat tensors: the one form in which models receive scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary


@dataclass(frozen=True)
class SceneBatch:
    """N scenes, O objects and T relations in all; objects of one scene stand together.

    ``boxes`` holds NaN rows, and ``known_masks`` False, for objects without one. ``attributes`` holds -1 where
    a group is left open. ``images`` are in [-1, 1].
    """

    num_images: int
    objects: Tensor
    """(O,) int64 category indices."""
    attributes: Tensor
    """(O, G) int64, one index per attribute group, -1 if open."""
    triples: Tensor
    """(T, 3) int64: subject row, predicate index, object row; rows count over the whole batch."""
    object_to_image: Tensor
    """(O,) int64 in [0, N)."""
    triple_to_image: Tensor
    """(T,) int64 in [0, N)."""
    boxes: Tensor
    """(O, 4) float32 x0, y0, x1, y1 in fractions of the canvas."""
    masks: Tensor
    """(O, M, M) float32 in [0, 1], relative to the boxes; ones where unknown, so that the box is the mask."""
    known_masks: Tensor
    """(O,) bool."""
    images: Tensor | None = None
    """(N, 3, H, W) float32 in [-1, 1]."""

    @staticmethod
    def from_scenes(scenes: Sequence[Scene], vocabulary: Vocabulary, mask_size: int = 16) -> SceneBatch:
        """Encode scenes. Raises ``UserError`` for names outside the vocabulary."""
        vocabulary.check(scenes)
        return collate([encode_scene(scene, vocabulary, mask_size) for scene in scenes])

    @property
    def known_boxes(self) -> Tensor:
        """(O,) bool: which objects have a box."""
        return ~self.boxes.isnan().any(dim=1)

    def to(self, device: torch.device | str) -> SceneBatch:
        """The same batch with its tensors on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def with_layout(self, boxes: Tensor, masks: Tensor | None = None) -> SceneBatch:
        """The same scenes with these boxes (O, 4), and masks (O, M, M) if given; ones (unknown) if not."""
        if masks is None:
            known = torch.zeros_like(self.known_masks)
            return replace(self, boxes=boxes, masks=torch.ones_like(self.masks), known_masks=known)
        return replace(self, boxes=boxes, masks=masks, known_masks=torch.ones_like(self.known_masks))

    def padding(self) -> tuple[Tensor, Tensor]:
        """Where each object goes in a padded view: row (O,), which is ``object_to_image``, and column (O,)."""
        counts = torch.bincount(self.object_to_image, minlength=self.num_images)
        starts = counts.cumsum(0) - counts
        order = torch.argsort(self.object_to_image, stable=True)
        column = torch.empty_like(order)
        column[order] = torch.arange(len(order), device=order.device) - starts[self.object_to_image[order]]
        return self.object_to_image, column

    def padded(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Per-object values (O, ...) as (N, K, ...) filled with zeros, and which places are real (N, K) bool."""
        row, column = self.padding()
        width = int(column.max()) + 1 if len(column) else 0
        result = values.new_zeros((self.num_images, width, *values.shape[1:]))
        result[row, column] = values
        real = torch.zeros((self.num_images, width), dtype=torch.bool, device=values.device)
        real[row, column] = True
        return result, real


@dataclass(frozen=True)
class EncodedScene:
    """One scene as tensors; what a loader hands to :func:`collate`."""

    objects: Tensor
    attributes: Tensor
    triples: Tensor
    boxes: Tensor
    masks: Tensor
    known_masks: Tensor
    image: Tensor | None = None


def encode_scene(scene: Scene, vocabulary: Vocabulary, mask_size: int, image: Tensor | None = None) -> EncodedScene:
    """Names to indices. The scene must have passed ``vocabulary.check``."""
    triples = [(r.subject, vocabulary.predicate_index[r.predicate], r.object) for r in scene.relations]
    masks = [_resize_mask(thing, mask_size) for thing in scene.objects]
    attributes = np.full((len(scene.objects), len(vocabulary.attributes)), -1)
    for row, thing in enumerate(scene.objects):
        for name in thing.attributes:
            group, index = vocabulary.attribute_index[name]
            attributes[row, group] = index
    return EncodedScene(
        objects=torch.tensor([vocabulary.category_index[thing.category] for thing in scene.objects]),
        attributes=torch.from_numpy(attributes),
        triples=torch.tensor(triples, dtype=torch.int64).reshape(-1, 3),
        boxes=torch.tensor([thing.box or (float("nan"),) * 4 for thing in scene.objects], dtype=torch.float32),
        masks=torch.from_numpy(np.stack(masks)),
        known_masks=torch.tensor([thing.mask is not None for thing in scene.objects]),
        image=image,
    )


def collate(samples: Sequence[EncodedScene]) -> SceneBatch:
    """Concatenate scenes, shifting the object rows in their triples."""
    counts = torch.tensor([len(sample.objects) for sample in samples])
    starts = (counts.cumsum(0) - counts).tolist()
    shifts = [torch.tensor([start, 0, start]) for start in starts]
    images = [sample.image for sample in samples if sample.image is not None]
    return SceneBatch(
        num_images=len(samples),
        objects=torch.cat([sample.objects for sample in samples]),
        attributes=torch.cat([sample.attributes for sample in samples]),
        triples=torch.cat([sample.triples + shift for sample, shift in zip(samples, shifts, strict=True)]),
        object_to_image=torch.arange(len(samples)).repeat_interleave(counts),
        triple_to_image=torch.arange(len(samples)).repeat_interleave(
            torch.tensor([len(sample.triples) for sample in samples])
        ),
        boxes=torch.cat([sample.boxes for sample in samples]),
        masks=torch.cat([sample.masks for sample in samples]),
        known_masks=torch.cat([sample.known_masks for sample in samples]),
        images=torch.stack(images) if len(images) == len(samples) else None,
    )


def _resize_mask(thing: SceneObject, size: int) -> np.ndarray:
    """(size, size) float32: bilinear without smoothing, thresholded, as sg2im's loader does."""
    if thing.mask is None:
        return np.ones((size, size), np.float32)
    if thing.mask.shape == (size, size):
        return thing.mask.astype(np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(thing.mask, dtype=np.float32))[None, None]
    resized = torch.nn.functional.interpolate(tensor, (size, size), mode="bilinear", align_corners=False)
    return (resized[0, 0] > 0.5).float().numpy()


def images_to_uint8(images: Tensor) -> list[Image.Image]:
    """(N, 3, H, W) in [-1, 1] to pictures; values outside are clipped."""
    pixels = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(array) for array in pixels.permute(0, 2, 3, 1).cpu().numpy()]


def image_to_tensor(image: Image.Image, height: int, width: int) -> Tensor:
    """A picture resized (bilinear, aspect not kept, as sg2im does) to (3, height, width) in [-1, 1]."""
    pixels = np.array(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
