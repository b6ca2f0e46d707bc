"""Layouts and pictures of sketched scenes as Scene Designer composes them (Ribeiro et al. 2021, and its code).

Its bilinear sampler never quite reaches the last row and column of what it samples, and gives exactly 0 outside. Places
and weights are those of the original; bilinear weights are products of one weight per axis, so that a map is placed by
two matrix products.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scenograph.nn.painting import rows_by_image

SOLID = 0.6
"""Of masks that are composed by occlusion, what exceeds this is solid."""
BLANK = 0.01
"""A sketch whose mean is at most this, all ink, counts as blank."""
NUDGE = 4
"""A box is moved by up to this part of its sides from the middle of those that it overlaps."""


def sampled(maps: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Maps (O, h, w) placed into boxes (O, 4) on a canvas: (O, height, width), 0 where there is none."""
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    across = _weights(x0, x1, width, maps.shape[2])
    down = _weights(y0, y1, height, maps.shape[1])
    return down.transpose(1, 2) @ maps @ across  # (O, H, h) @ (O, h, w) @ (O, w, W) -> (O, H, W)


def _weights(low: Tensor, high: Tensor, pixels: int, texels: int) -> Tensor:
    """The weight of each texel in each pixel along an axis, of boxes from ``low`` to ``high`` (O,): (O, texels, P)."""
    extent = (high - low).clamp(1e-4, 1)
    canvas = torch.linspace(0, 1, pixels, device=low.device)
    places = (canvas - low[:, None]) / extent[:, None] * (texels - 2)  # (O, P)
    distance = (places[:, None] - torch.arange(texels, device=low.device)[:, None]).abs()
    inside = (places >= 0) & (places < texels - 1)
    return (1 - distance).clamp(min=0) * inside[:, None]


def composed(
    masks: Tensor, boxes: Tensor, object_to_image: Tensor, num_images: int, height: int, width: int, occlude: bool
) -> Tensor:
    """How much of each pixel every object shows: (O, height, width).

    Args:
        masks: (O, M, M) in [0, 1], relative to the boxes.
        boxes: (O, 4) in fractions of the canvas.
        object_to_image: (O,).
        num_images: N.
        height: Of the canvas, in pixels.
        width: Likewise.
        occlude: As after training: masks become solid, and a pixel shows the smallest object that covers more than half
            of it. During training all objects show, one through the other.
    """
    if not occlude:
        return sampled(masks, boxes, height, width)
    planes = sampled((masks > SOLID).float(), boxes, height, width)
    shown = torch.zeros_like(planes)
    mass = planes.sum(dim=(1, 2))
    for rows in rows_by_image(object_to_image, num_images):
        free = torch.ones_like(planes[0], dtype=torch.bool)
        for row in rows[mass[rows].argsort(stable=True)].tolist():
            claimed = free & (planes[row] > 0.5)
            shown[row] = planes[row] * claimed
            free &= ~claimed
    return shown


def label_maps(
    planes: Tensor, objects: Tensor, categories: int, object_to_image: Tensor, num_images: int
) -> tuple[Tensor, Tensor]:
    """SPADE's label and instance maps of what :func:`composed` gives.

    Args:
        planes: (O, H, W).
        objects: (O,) int64 categories.
        categories: How many there are.
        object_to_image: (O,).
        num_images: N.

    Returns:
        Labels (N, H, W) int64, -1 where objects cover no more than half of a pixel; and the number of each pixel's
        object in its scene (N, H, W) int64, which is 0 also where there is none.
    """
    shape = (num_images, *planes.shape[1:])
    labels, instances = objects.new_full(shape, -1), objects.new_zeros(shape)
    for picture, rows in enumerate(rows_by_image(object_to_image, num_images)):
        if len(rows):
            # Objects of one category add up, whichever of them is in front: (O, H, W) -> (C, H, W)
            layout = planes.new_zeros((categories, *shape[1:])).index_add_(0, objects[rows], planes[rows])
            labels[picture] = torch.where(layout.sum(dim=0) > 0.5, layout.argmax(dim=0), -1)
            instances[picture] = planes[rows].argmax(dim=0)
    return labels, instances


def without_holes(labels: Tensor, backgrounds: Tensor) -> Tensor:
    """Labels (N, H, W) whose holes, -1, show the last of the background labels before them in reading order.

    ``backgrounds`` (B,) are the labels that spread. Holes before the first stay.
    """
    flat = labels.flatten(1)
    number = torch.arange(flat.shape[1], device=labels.device).expand_as(flat)
    last = torch.where(torch.isin(flat, backgrounds), number, -1).cummax(dim=1).values
    found = flat.gather(1, last.clamp(min=0))
    return torch.where((flat < 0) & (last >= 0), found, flat).view_as(labels)


def compose_sketches(
    sketches: Tensor, boxes: Tensor, object_to_image: Tensor, num_images: int, height: int, width: int
) -> Tensor:
    """Pictures (N, height, width) of sketched scenes, paper 1 and ink 0.

    Args:
        sketches: (O, S, S), paper 1 and ink 0. Those that are all ink are left out.
        boxes: (O, 4), those of :func:`spread_boxes` where sketches are not to lie on each other.
        object_to_image: (O,).
        num_images: N.
        height: Of the canvas, in pixels.
        width: Likewise.
    """
    ink = (1 - sketches) * (sketches.mean(dim=(1, 2)) > BLANK)[:, None, None]
    drawn = ink.new_zeros((num_images, height, width))
    drawn.index_add_(0, object_to_image, sampled(ink, boxes, height, width))
    return 1 - drawn.clamp(0, 1)


def spread_boxes(boxes: Tensor, object_to_image: Tensor, num_images: int) -> Tensor:
    """Boxes (O, 4), each moved away from the mean centre of those that it overlaps, itself included.

    Nearer than a quarter of its side, it moves to that distance; each sees where those before it have moved, and none
    moves beyond the canvas by more than a tenth. What leaves the canvas is cut off.
    """
    moved = boxes.clone()
    for rows in rows_by_image(object_to_image, num_images):
        own = moved[rows]
        for number in range(len(own) if len(own) > 1 else 0):
            box = own[number].clone()
            overlaps = ((box[2:] > own[:, :2]) & (own[:, 2:] > box[:2])).all(dim=1)
            if not overlaps.any():  # a box without an area
                continue
            others = ((own[overlaps, :2] + own[overlaps, 2:]) / 2).mean(dim=0)
            away = (box[:2] + box[2:]) / 2 - others
            change = (box[2:] - box[:2]) / NUDGE - away.abs()
            shift = away.sign() * change
            far = box[2:] + shift
            allowed = (change > 0) & (far >= 0) & (far <= 1.1)
            allowed[1] &= far[1] > 0
            shifted = (box + shift.repeat(2)).clamp(0, 1)
            own[number] = torch.where(allowed.repeat(2), shifted, box)
        moved[rows] = own
    return moved
