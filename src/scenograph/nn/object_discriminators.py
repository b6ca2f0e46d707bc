"""LostGAN's and LAMA's discriminators: one score per picture, one per object with its category (projection).

Objects are cut out of a feature map by RoI align: large ones from a coarser map, small ones from a finer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.crops import roi_align
from scenograph.nn.layers import channels_last, orthogonal_
from scenograph.nn.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear
from scenograph.nn.upsampling import pooled_conv2d

System = Literal["lama", "lostgan"]
CROP = (8, 8)


@dataclass(frozen=True)
class Plan:
    """The published networks of one picture size. A block is (width, whether it halves the map)."""

    trunk: tuple[tuple[int, bool], ...]
    large: int
    """Trunk blocks before the map of large objects. Widths are in units of ``channels``."""
    last: tuple[int, bool]
    """The block on every object's crop."""
    common: tuple[int, bool] | None = None
    """The block on both maps before objects are cut from them."""
    small: int | None = None
    """Trunk blocks before the map of small objects; None: all objects are large."""
    own: tuple[int, bool] | None = None
    """The block that the map of small objects has for itself, before the common one."""
    limit: int = 0
    """Objects with both sides shorter than this are small, in pixels of a picture of the plan's size."""
    inclusive: bool = False
    """Whether objects as long as the limit are small, too."""
    mean: bool = True
    """Whether the picture's score is computed from the mean over pixels, or from their sum."""
    orthogonal: bool = True
    """Whether weights start orthogonal, or as torch starts them."""


SMALL_TRUNK = ((1, False), (2, False), (4, True), (8, True), (16, True))
PLANS = {
    ("lama", 64): Plan(SMALL_TRUNK, 3, (8, True)),
    ("lama", 128): Plan(
        ((1, True), (2, True), (4, True), (8, True), (8, True), (16, False)), 3, (16, True), (8, False),
        small=2, own=(4, False), limit=64,
    ),
    ("lama", 256): Plan(
        ((1, True), (2, True), (4, True), (4, True), (8, True), (8, True), (16, False)), 4, (16, True), (8, False),
        small=3, own=(4, False), limit=128, inclusive=True, mean=False, orthogonal=False,
    ),
    ("lostgan", 64): Plan(SMALL_TRUNK, 3, (8, True)),
    ("lostgan", 128): Plan(
        ((1, True), (2, True), (4, True), (8, True), (16, True), (16, False)), 3, (16, True), (8, False),
        small=2, own=(4, False), limit=64, mean=False, orthogonal=False,
    ),
    ("lostgan", 256): Plan(
        ((1, True), (2, True), (4, True), (8, True), (8, True), (16, True), (16, False)), 4, (16, True), (8, False),
        small=3, own=(8, False), limit=128, mean=False, orthogonal=False,
    ),
}  # fmt: skip
"""By system and picture size."""


class ObjectAwareDiscriminator(nn.Module):
    """Both scores. ``groups`` holds the number of names in each attribute group: attributes are projected too.

    ``plan_size`` may be larger than the pictures: such a plan halves the map earlier, at a fraction of the cost.
    """

    def __init__(
        self,
        system: System,
        plan_size: int,
        categories: int,
        groups: Sequence[int] = (),
        channels: int = 64,
        initial_scale: float = 0.0,
    ) -> None:
        super().__init__()
        self.plan_size = plan_size
        self.plan = plan = PLANS[system, plan_size]
        self.slope, biased = (0.01, False) if system == "lama" else (0.0, True)
        widths = [3, *(channels * width for width, _ in plan.trunk)]

        def block(before: int, after: tuple[int, bool], first: bool = False) -> DiscriminatorBlock:
            scale = initial_scale if system == "lama" else None
            return DiscriminatorBlock(before, channels * after[0], after[1], first, scale, self.slope)

        self.trunk = nn.ModuleList(
            block(before, after, number == 0)
            for number, (before, after) in enumerate(zip(widths, plan.trunk, strict=False))
        )
        size = widths[plan.large]
        self.own = self.common = None
        if plan.small is not None and plan.own is not None and plan.common is not None:
            self.own = block(widths[plan.small], plan.own)
            self.common = block(size, plan.common)
            size = channels * plan.common[0]
        self.last = block(size, plan.last)
        size = channels * plan.last[0]
        self.image_score = SpectralLinear(widths[-1], 1, bias=biased)
        self.object_score = SpectralLinear(size, 1, bias=biased)
        self.category = SpectralEmbedding(categories, size)
        self.attributes = nn.ModuleList(SpectralEmbedding(count + 1, size) for count in groups)
        if plan.orthogonal:
            orthogonal_(self)
        channels_last(self)

    def forward(
        self, images: Tensor, objects: Tensor, attributes: Tensor, boxes: Tensor, object_to_image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, S, S), and categories (O,), attributes (O, G), boxes (O, 4) of objects -> (N,), (O,)."""
        plan, x = self.plan, images.contiguous(memory_format=torch.channels_last)
        maps = []
        for block in self.trunk:
            x = block(x)
            maps.append(x)
        x = F.leaky_relu(x, self.slope)
        scores = self.image_score(x.mean(dim=(2, 3)) if plan.mean else x.sum(dim=(2, 3)))[:, 0]
        crops, rows = self._crops(maps, boxes * images.shape[-1], object_to_image, images.shape[-1])
        features = F.leaky_relu(self.last(crops), self.slope).sum(dim=(2, 3))  # (O, C, h, w) -> (O, C)
        projection = self.category(objects[rows])
        for group, table in enumerate(self.attributes):
            projection = projection + table(attributes[rows, group] + 1)
        object_scores = self.object_score(features)[:, 0] + (projection * features).sum(dim=1)
        return scores, torch.empty_like(object_scores).index_copy(0, rows, object_scores)

    def _crops(self, maps: list[Tensor], pixels: Tensor, owner: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Features of every object (O, C, 8, 8), small ones first, and which object each is."""
        plan = self.plan
        large = maps[plan.large - 1]
        if self.own is None or self.common is None or plan.small is None:
            return roi_align(large, pixels, owner, CROP, large.shape[-1] / side), torch.arange(
                len(owner), device=owner.device
            )
        # As in the original, sides are differences of scaled corners in float32, which decides ties.
        sides, limit = (pixels[:, 2:] - pixels[:, :2]).amax(dim=1), plan.limit * side / self.plan_size
        is_small = sides <= limit if plan.inclusive else sides < limit
        crops, rows = [], [is_small.nonzero()[:, 0], (~is_small).nonzero()[:, 0]]
        for before, chosen in zip((self.own(maps[plan.small - 1]), large), rows, strict=True):
            features = self.common(before)
            crops.append(roi_align(features, pixels[chosen], owner[chosen], CROP, features.shape[-1] / side))
        return torch.cat(crops), torch.cat(rows)


class DiscriminatorBlock(nn.Module):
    """Residual block, halved by averages if ``down``; LAMA scales the residual part by a learnt ``alpha``."""

    def __init__(
        self, channels_in: int, channels_out: int, down: bool, first: bool, scale: float | None, slope: float
    ) -> None:
        super().__init__()
        self.down, self.first, self.slope = down, first, slope
        self.conv1 = SpectralConv2d(channels_in, channels_out, 3, padding=1, epsilon=1e-4)
        self.conv2 = SpectralConv2d(channels_out, channels_out, 3, padding=1, epsilon=1e-4)
        self.shortcut = (
            SpectralConv2d(channels_in, channels_out, 1, epsilon=1e-4)
            if down or first or channels_in != channels_out
            else None
        )
        self.alpha = None if scale is None else nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W), or half the height and width."""
        hidden = self.conv1(x if self.first else F.leaky_relu(x, self.slope))
        hidden = F.leaky_relu(hidden, self.slope, inplace=True)
        if self.down:
            hidden = pooled_conv2d(hidden, self.conv2.normalized_weight(), self.conv2.bias)
            x = F.avg_pool2d(x, 2)  # before the 1 x 1 convolution, with which averages commute
        else:
            hidden = self.conv2(hidden)
        kept = x if self.shortcut is None else self.shortcut(x)
        return kept + hidden if self.alpha is None else torch.addcmul(kept, hidden, self.alpha.clamp(-1, 1))
