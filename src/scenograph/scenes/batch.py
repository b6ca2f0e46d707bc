"""Ragged scenes as flat tensors: the one form in which models receive scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.compiler import is_compiling

from scenograph.scenes.fields import FIELDS, Sizes
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

_BATCHED = tuple(field for field in FIELDS if field.tensors)


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
    sketches: Tensor | None = None
    """(O, S, S) float32 in [0, 1], paper 1 and ink 0; paper where there is none. None if not asked for."""
    crops: Tensor | None = None
    """(O, 4, S, S) float32 in [-1, 1], colours and alpha; transparent where there is none. None if not asked for."""
    object_latents: Tensor | None = None
    """(O, L) float32 for models whose objects have looks of their own; None lets the model sample them."""
    picture_latents: Tensor | None = None
    """(N, L) float32 for the same models: what the picture has of its own."""

    @staticmethod
    def from_scenes(
        scenes: Sequence[Scene],
        vocabulary: Vocabulary,
        mask_size: int = 16,
        sketch_size: int | None = None,
        crop_size: int | None = None,
    ) -> SceneBatch:
        """Encode scenes.

        Args:
            scenes: At least one.
            vocabulary: What the indices count.
            mask_size: Side of the masks in pixels.
            sketch_size: Side of the sketches in pixels; without it the batch has none.
            crop_size: Side of the crops in pixels; without it the batch has none.

        Returns:
            The batch, on the CPU.

        Raises:
            UserError: For names outside the vocabulary.
        """
        vocabulary.check(scenes)
        sizes = Sizes(mask_size, sketch_size, crop_size)
        return collate([encode_scene(scene, vocabulary, sizes) for scene in scenes])

    @property
    def known_boxes(self) -> Tensor:
        """(O,) bool: which objects have a box."""
        return ~self.boxes.isnan().any(dim=1)

    def to(self, device: torch.device | str) -> SceneBatch:
        """The same batch with its tensors on ``device``."""
        # Towards a device, page-locked memory is copied while the program goes on; back, it must wait.
        ahead = torch.device(device).type != "cpu"
        return replace(self, **self._tensors(lambda tensor: tensor.to(device, non_blocking=ahead)))

    def pin_memory(self) -> SceneBatch:
        """The same batch in page-locked memory; torch's loaders call this."""
        return replace(self, **self._tensors(Tensor.pin_memory))

    def repeated(self, count: int) -> SceneBatch:
        """All scenes, then all of them again, ``count`` times in all."""
        tiled = self._tensors(lambda tensor: torch.cat([tensor] * count))
        copies = torch.arange(count, device=self.objects.device)
        later_triples = copies.repeat_interleave(len(self.triples))
        tiled["object_to_image"] += self.num_images * copies.repeat_interleave(len(self.objects))
        tiled["triple_to_image"] += self.num_images * later_triples
        tiled["triples"][:, [0, 2]] += len(self.objects) * later_triples[:, None]
        return replace(self, num_images=count * self.num_images, **tiled)

    def _tensors(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """What a function makes of every tensor, by the name of its field."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}

    def with_layout(self, boxes: Tensor, masks: Tensor | None = None) -> SceneBatch:
        """Put objects elsewhere.

        Args:
            boxes: (O, 4) in fractions of the canvas.
            masks: (O, M, M) in [0, 1], relative to the boxes; by default ones, unknown.

        Returns:
            The same scenes with this layout.
        """
        if masks is None:
            known = torch.zeros_like(self.known_masks)
            return replace(self, boxes=boxes, masks=torch.ones_like(self.masks), known_masks=known)
        return replace(self, boxes=boxes, masks=masks, known_masks=torch.ones_like(self.known_masks))

    def padding(self) -> tuple[Tensor, Tensor]:
        """Where each object goes in a padded view: row (O,), which is ``object_to_image``, and column (O,).

        Where torch records operations for another runtime, every picture has a column for each object of all.
        """
        if is_compiling():
            return self.object_to_image, torch.arange(self.objects.shape[0], device=self.objects.device)
        counts = torch.bincount(self.object_to_image, minlength=self.num_images)
        starts = counts.cumsum(0) - counts
        order = torch.argsort(self.object_to_image, stable=True)
        column = torch.empty_like(order)
        column[order] = torch.arange(len(order), device=order.device) - starts[self.object_to_image[order]]
        return self.object_to_image, column

    def padded(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Per-object values (O, ...) as (N, K, ...) filled with zeros, and which places are real (N, K) bool."""
        row, column = self.padding()
        width = column.shape[0]
        if width and not is_compiling():
            width = int(column.max()) + 1
        result = values.new_zeros((self.num_images, width, *values.shape[1:]))
        result[row, column] = values
        real = torch.zeros((self.num_images, width), dtype=torch.bool, device=values.device)
        real[row, column] = True
        return result, real


@dataclass(frozen=True)
class EncodedScene:
    """One scene as arrays; what a loader hands to :func:`collate`.

    Arrays, not tensors: a tensor takes microseconds to make, and a batch of small scenes has hundreds.
    """

    fields: dict[str, np.ndarray]
    """Arrays (O, ...) of the objects' fields, by the names that a batch has for them."""
    triples: np.ndarray
    """(T, 3) int64."""
    image: np.ndarray | None = None
    """(H, W, 3) uint8."""


def encode_scene(scene: Scene, vocabulary: Vocabulary, sizes: Sizes, image: np.ndarray | None = None) -> EncodedScene:
    """Names to indices, masks and crops to their sizes. The scene must have passed ``vocabulary.check``."""
    triples = [(r.subject, vocabulary.predicate_index[r.predicate], r.object) for r in scene.relations]
    arrays: dict[str, np.ndarray] = {}
    for field in _BATCHED:
        values = [getattr(thing, field.name) for thing in scene.objects]
        arrays |= zip(field.tensors, field.encode(values, vocabulary, sizes), strict=False)  # none if not asked for
    return EncodedScene(arrays, np.array(triples, dtype=np.int64).reshape(-1, 3), image)


def collate(samples: Sequence[EncodedScene]) -> SceneBatch:
    """Concatenate scenes, shifting the object rows in their triples."""
    counts = np.array([len(sample.fields["objects"]) for sample in samples])
    starts = (counts.cumsum() - counts).tolist()
    triples = [sample.triples + np.array([start, 0, start]) for sample, start in zip(samples, starts, strict=True)]
    images = [sample.image for sample in samples if sample.image is not None]
    complete = len(images) == len(samples)
    tensors = {
        name: field.to_tensor(name, np.concatenate([sample.fields[name] for sample in samples]))
        for field in _BATCHED
        for name in field.tensors
        if name in samples[0].fields
    }
    return SceneBatch(
        num_images=len(samples),
        triples=torch.from_numpy(np.concatenate(triples)),
        object_to_image=torch.from_numpy(np.arange(len(samples)).repeat(counts)),
        triple_to_image=torch.from_numpy(np.arange(len(samples)).repeat([len(rows) for rows in triples])),
        images=pixels_to_tensor(np.stack(images)) if complete else None,
        **tensors,
    )


def stable_order(keys: Tensor) -> Tensor:
    """The rows of whole numbers (R,) in ascending order, equal ones in theirs."""
    if is_compiling():  # sorting elsewhere may not keep the order of equal ones
        number = torch.arange(keys.shape[0], device=keys.device)
        return torch.sort(keys.long() * keys.shape[0] + number).indices
    return torch.argsort(keys, stable=True)


def rows_where(mask: Tensor, count: int) -> Tensor:
    """The numbers of the ``count`` rows of a mask (R,) that are true. That there are so many is known beforehand."""
    return stable_order((~mask).byte())[:count]


def images_to_uint8(images: Tensor) -> list[Image.Image]:
    """(N, 3, H, W) in [-1, 1] to pictures; values outside are clipped."""
    pixels = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(array) for array in pixels.permute(0, 2, 3, 1).cpu().numpy()]


def picture_to_pixels(picture: Image.Image, height: int, width: int) -> np.ndarray:
    """A picture resized (bilinear, aspect not kept, as sg2im does) to (height, width, 3) uint8."""
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return np.asarray(rgb if rgb.size == (width, height) else rgb.resize((width, height), Image.Resampling.BILINEAR))


def pixels_to_tensor(pixels: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1]."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))  # while they are bytes: four times less to move
    return torch.from_numpy(planes).float().div_(127.5).sub_(1)
