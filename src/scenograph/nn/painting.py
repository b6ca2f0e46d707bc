"""Paint layouts: every object's vector into its box, through its mask (sg2im section 3, and its code).

Sampling only the one-channel mask and combining channels by one matrix product per image costs
O(objects x pixels) samples; the original samples every channel of every object.

Where torch records operations for another runtime (``is_compiling``), nothing can go image by image: there, matrices
say which object is in which image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling

LEAST = 1e-30
"""What lets less light through than this counts as opaque."""
BOX_SOURCE_SIZE = 8
"""sg2im paints a box as an 8 x 8 constant: its edge fades over one source texel outside the box."""


@dataclass(frozen=True)
class ObjectCondition:
    """The condition of generators whose objects have a style each, padded with zeros to K objects per picture."""

    planes: Tensor
    """(N, K, H, W): the masks of the objects on the canvas."""
    styles: Tensor
    """(N, K, D)."""
    latents: Tensor
    """(N, Z): the picture's own noise."""


def rows_by_image(owner: Tensor, num_images: int) -> tuple[Tensor, ...]:
    """The rows of each image, in order, given the image of each row (R,). Waits for a GPU once."""
    counts = torch.bincount(owner, minlength=num_images).tolist()
    return torch.argsort(owner, stable=True).split(counts)


def membership(owner: Tensor, num_images: int) -> Tensor:
    """Which rows are in which image, given the image of each row (R,): (N, R), ones and zeros."""
    return (torch.arange(num_images, device=owner.device)[:, None] == owner).float()


def sample_masks(boxes: Tensor, masks: Tensor, height: int, width: int, align_corners: bool = True) -> Tensor:
    """Place box-relative masks (O, M, M) on the canvas by bilinear sampling: (O, height, width).

    Pixel j lies at ``linspace(0, 1, width)[j]``, end points included. Boxes thinner than a thousandth of a
    pixel are widened, where the original divides by zero. ``align_corners=False`` reproduces what the
    original's source does on torch 1.3 or later, where that default changed; its published models need True.
    """
    grid_x, grid_y = _places(boxes, height, width)
    count = boxes.shape[0]
    # Where each pixel of the canvas lies in the box: (O, H, W, 2)
    grid = torch.stack(
        [grid_x[:, None, :].expand(count, height, width), grid_y[:, :, None].expand(count, height, width)], dim=-1
    )
    sampled = F.grid_sample(masks.float()[:, None], grid, align_corners=align_corners)
    return sampled[:, 0]  # (O, 1, H, W) -> (O, H, W)


def sample_boxes(boxes: Tensor, height: int, width: int, align_corners: bool = True) -> Tensor:
    """Boxes on the canvas as :func:`sample_masks` of all-ones masks, without sampling: (O, height, width)."""
    across, down = (_constant_profile(places, align_corners) for places in _places(boxes, height, width))
    return down[:, :, None] * across[:, None, :]  # (O, H, 1) * (O, 1, W)


def placing_weights(boxes: Tensor, sides: Sequence[int], shape: Sequence[int]) -> Tensor:
    """How maps of ``sides`` (rows, columns) of texels are placed into boxes (O, 4) on a canvas of ``shape``.

    Bilinear sampling as weights (O, texels, pixels): a pixel of the canvas is the sum of the texels weighted by these.
    Outside the box they fall to zero. Places are as in :func:`sample_masks`.
    """
    places = zip(_places(boxes, *shape), reversed(sides), strict=True)
    across, down = (_triangles((one + 1) * ((count - 1) / 2), count) for one, count in places)
    # (O, rows, 1, H, 1) * (O, 1, columns, 1, W) -> (O, rows * columns, H * W)
    return (down[:, :, None, :, None] * across[:, None, :, None, :]).flatten(3).flatten(1, 2)


def sample_planes(boxes: Tensor, masks: Tensor, known: Tensor, height: int, width: int) -> Tensor:
    """:func:`sample_masks` of objects whose mask is known (O,) bool, :func:`sample_boxes` of all others."""
    planes = sample_boxes(boxes, height, width)
    if is_compiling():
        return torch.where(known[:, None, None], sample_masks(boxes, masks, height, width), planes)
    if bool(known.any()):
        planes[known] = sample_masks(boxes[known], masks[known], height, width)
    return planes


def stacked(planes: Tensor, object_to_image: Tensor, num_images: int, nearness: Tensor | None = None) -> Tensor:
    """Planes (O, H, W) in [0, 1] with nearer objects occluding farther ones: the sum at each pixel is at most 1.

    ``nearness`` (O,) is larger the nearer an object is; without it, smaller objects are nearer. The operator "over" of
    Porter and Duff (Compositing Digital Images, SIGGRAPH 1984), per picture.
    """
    near = -planes.sum(dim=(1, 2)) if nearness is None else nearness
    if is_compiling():
        # The product of what nearer planes let through, as a sum of logarithms: (O, O) @ (O, H * W) -> (O, H, W)
        through = (1 - planes).clamp(min=LEAST).log().flatten(1)
        return planes * (before(-near, object_to_image).to(planes) @ through).exp().view_as(planes)
    shown = torch.zeros_like(planes)
    for rows in rows_by_image(object_to_image, num_images):
        stack = rows[(-near[rows]).argsort(stable=True)]  # the nearest first
        seen_through = (1 - planes[stack]).cumprod(dim=0).roll(1, dims=0)
        seen_through[:1] = 1
        shown[stack] = planes[stack] * seen_through
    return shown


def before(values: Tensor, owner: Tensor) -> Tensor:
    """Whether an object's value (O,) is less than another's of its picture, the first of equal ones: (O, O) bool.

    Row i tells of each object j whether it comes before object i.
    """
    number = torch.arange(values.shape[0], device=values.device)
    earlier = (values < values[:, None]) | ((values == values[:, None]) & (number < number[:, None]))
    return earlier & (owner == owner[:, None])


def uncovered(shown: Tensor, ahead: Tensor) -> Tensor:
    """Where objects (O, H, W) bool are shown and none of those ahead of them is, given (O, O) by :func:`before`."""
    covered = ahead.float() @ shown.flatten(1).float()  # (O, O) @ (O, H * W)
    return shown & (covered == 0).view_as(shown)


def paint_vectors(vectors: Tensor, planes: Tensor, object_to_image: Tensor, num_images: int) -> Tensor:
    """Sum of vector (O, D) times plane (O, H, W) over the objects of each image: (N, D, H, W), channels last.

    Objects may come in any order; images without objects are zero.
    """
    height, width = planes.shape[1:]
    flat = planes.flatten(1).to(vectors.dtype)  # (O, H, W) -> (O, H * W)
    if is_compiling():
        # (H * W, O) @ (N, O, D) -> (N, H * W, D)
        images = flat.T @ (membership(object_to_image, num_images).to(vectors)[:, :, None] * vectors)
    else:
        # Per image: (H * W, objects) @ (objects, D) -> (H * W, D)
        owned = rows_by_image(object_to_image, num_images)
        images = torch.stack([flat[rows].T @ vectors[rows] for rows in owned])
    # (N, H * W, D) -> (N, H, W, D) -> (N, D, H, W)
    return images.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def paste_crops(
    crops: Tensor,
    boxes: Tensor,
    object_to_image: Tensor,
    num_images: int,
    shape: tuple[int, int],
    transparent: bool = False,
) -> Tensor:
    """PasteGAN's canvases: crops (O, C, h, w) pasted into their boxes, smaller ones over larger: (N, C, *shape).

    A crop covers the whole pixels of its box or, if ``transparent``, where it is not 0. Where nothing is, 0 is.
    """
    canvas, (height, width) = crops.new_zeros((num_images, crops.shape[1], *shape)), shape
    corners = (boxes.clamp(0, 1) * boxes.new_tensor([width, height, width, height])).int().tolist()
    extents, owners = boxes[:, 2:] - boxes[:, :2], object_to_image.tolist()
    for number in extents.prod(dim=1).argsort(descending=True, stable=True).tolist():
        weights = placing_weights(boxes[number : number + 1], crops.shape[2:], shape)[0]  # (h * w, H * W)
        placed = (crops[number].flatten(1) @ weights).unflatten(1, shape)
        x0, y0, x1, y1 = corners[number]
        shown = placed != 0
        if not transparent:
            shown = torch.zeros_like(shown)
            shown[:, y0:y1, x0:x1] = True
        canvas[owners[number]] = torch.where(shown, placed, canvas[owners[number]])
    return canvas


def box_coordinates(boxes: Tensor, planes: Tensor, object_to_image: Tensor, num_images: int) -> Tensor:
    """Coordinates x, y of each pixel in its object's box (O, 4), from -1 to 1: (N, 2, H, W), channels last.

    Summed over objects, weighted by their planes (O, H, W): zero where there is none.
    """
    height, width = planes.shape[1:]
    across, down = _places(boxes, height, width)
    # (O, H, W, 2) -> (N, H, W, 2) -> (N, 2, H, W)
    weighted = torch.stack([planes * across[:, None, :], planes * down[:, :, None]], dim=3)
    return planes.new_zeros((num_images, height, width, 2)).index_add_(0, object_to_image, weighted).permute(0, 3, 1, 2)


def _places(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where columns and rows of pixels lie in each box's own -1..1 coordinates: (O, width) and (O, height)."""
    x0, y0, x1, y1 = boxes.float().unbind(dim=1)
    across = _relative(torch.linspace(0, 1, width, device=boxes.device), x0, x1)
    down = _relative(torch.linspace(0, 1, height, device=boxes.device), y0, y1)
    return across, down


def _relative(positions: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Canvas positions (P,) in each box's own -1..1 coordinates: (O, P)."""
    extent = high - low
    extent = torch.where(extent.abs() < 1e-5, torch.full_like(extent, 1e-5), extent)
    return 2 * (positions[None] - low[:, None]) / extent[:, None] - 1


def _triangles(places: Tensor, count: int) -> Tensor:
    """Linear interpolation at places (O, P) between ``count`` texels and zeros beyond: weights (O, count, P)."""
    texels = torch.arange(count, device=places.device)
    return (1 - (places[:, None] - texels[:, None]).abs()).clamp(min=0)


def _constant_profile(relative: Tensor, align_corners: bool) -> Tensor:
    """Bilinear sampling of a row of ``BOX_SOURCE_SIZE`` ones between zeros."""
    size = BOX_SOURCE_SIZE
    texel = (relative + 1) * (size - 1) / 2 if align_corners else ((relative + 1) * size - 1) / 2
    # Written so that the slopes at the kinks are those of bilinear sampling.
    fading = torch.where(texel < 0, texel + 1, torch.where(texel < size - 1, torch.ones_like(texel), size - texel))
    return torch.where((texel >= -1) & (texel < size), fading, torch.zeros_like(texel))
