"""Spatially-adaptive normalization, its generator and its discriminator (Park, Liu, Wang, Zhu; CVPR 2019).

A layout is a map of features, or a :class:`LabelMap`, which says of every pixel only which label it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import SMALLEST, Neighbourhoods, SameConv2d, convolve_around, windows
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.spectral import SpectralConv2d

SLOPE = 0.2
Upsampling = Literal["normal", "more", "most"]
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)
"""Channels before and after each block, in units of ``channels``."""
SpadeNormKind = Literal["batch", "instance"]
Reader = Callable[[int, int], nn.Module]
"""Makes the layer that reads a layout, from a number of channels and a kernel size."""


@dataclass(frozen=True)
class NormPlan:
    """How every norm of a generator is built."""

    read: Reader
    kind: SpadeNormKind = "batch"
    kernel: int = 3
    hidden: int = 128
    """Channels between the layout and its gains and shifts."""


@dataclass(frozen=True)
class LabelMap:
    """A label per pixel (N, H, W) int64; ``count``, one more than the last label, where there is none."""

    labels: Tensor
    count: int
    edges: Tensor | None = None
    """(N, 1, H, W) float32: 1 at the borders of instances."""
    latents: Tensor | None = None
    """(N, Z) the style to draw in; None leaves it to the seed."""

    def resized(self, height: int, width: int) -> LabelMap:
        """Every pixel takes the label of one of the old ones."""
        size = (height, width)
        labels = F.interpolate(self.labels[:, None].float(), size, mode="nearest")[:, 0].long()
        edges = None if self.edges is None else F.interpolate(self.edges, size, mode="nearest")
        return replace(self, labels=labels, edges=edges)

    def one_hot(self) -> Tensor:
        """The same as a map of features (N, count [+ 1], H, W), channels last; the last channel holds the edges."""
        planes = F.one_hot(self.labels, self.count + 1)[..., : self.count].float().permute(0, 3, 1, 2)
        return planes if self.edges is None else torch.cat([planes, self.edges], dim=1)


Layout = Tensor | LabelMap


def resized(layout: Layout, height: int, width: int) -> Layout:
    """A layout at another size: each pixel as the nearest one was."""
    if isinstance(layout, LabelMap):
        return layout.resized(height, width)
    return F.interpolate(layout, (height, width), mode="nearest")


def neighbourhoods(layout: Layout, kernel: int) -> Neighbourhoods | None:
    """What repeats in a layout, where it pays to know.

    Gradients of all alike pixels then reach one of them: right for what a layout was painted with, not for where.
    """
    pixels = layout.labels if isinstance(layout, LabelMap) else layout[:, 0]
    # On GPUs a convolution costs less than finding out how many kinds there are, which waits for the device.
    if pixels.device.type != "cpu" or pixels[0].numel() < SMALLEST:
        return None
    if isinstance(layout, LabelMap):
        keys = layout.labels if layout.edges is None else 2 * layout.labels + layout.edges[:, 0].long()
        return Neighbourhoods.find(keys, kernel, layout.count * (1 if layout.edges is None else 2))
    generator = torch.Generator().manual_seed(0)
    directions = torch.rand(layout.shape[1], generator=generator, dtype=torch.float64) + 0.5
    # Alike features have alike sums, which a matrix product would round as it likes; zero, as no features, is outside.
    sums = (layout.detach().permute(0, 2, 3, 1) * directions).sum(dim=3)
    return Neighbourhoods.find(sums.view(torch.int64), kernel, 0)


class FeatureConv2d(SameConv2d):
    """A convolution of a map of features."""

    def around(self, layout: Tensor, pixels: Tensor) -> Tensor:
        """At some pixels only, given the numbers of the pixels around each (V, K * K): (V, C')."""
        return convolve_around(layout.permute(0, 2, 3, 1).flatten(0, 2), pixels, self.weight, self.bias)


class LabelConv2d(nn.Conv2d):
    """A convolution of a label map's features, its sides kept, that looks labels up instead of multiplying by ones.

    A pixel of hundreds of channels of which one is 1 costs as many additions as the kernel has taps.
    """

    def __init__(self, count: int, edges: bool, channels_out: int, kernel: int) -> None:
        super().__init__(count + edges, channels_out, kernel, padding=kernel // 2)
        self.count = count

    def forward(self, layout: LabelMap) -> Tensor:  # type: ignore[override]
        """(N, H, W) labels -> (N, C', H, W), channels last."""
        around = windows(layout.labels, self.kernel_size[0], self.count)
        sums = self._look_up(around.flatten(0, 2)).unflatten(0, around.shape[:3]).permute(0, 3, 1, 2)
        if layout.edges is None:
            return sums
        return sums + F.conv2d(layout.edges, self.weight[:, self.count :], padding=self.padding)

    def around(self, layout: LabelMap, pixels: Tensor) -> Tensor:
        """At some pixels only, given the numbers of the pixels around each (V, K * K): (V, C')."""
        sums = self._look_up(F.pad(layout.labels.flatten(), (0, 1), value=self.count)[pixels])
        if layout.edges is None:
            return sums
        edges = F.pad(layout.edges.flatten(), (0, 1))[pixels]
        return sums + edges @ self.weight[:, self.count].flatten(1).T

    def _look_up(self, labels: Tensor) -> Tensor:
        """Labels around pixels (V, K * K) -> (V, C')."""
        # One table per tap; its last row is for pixels without a label, and those beyond the border.
        taps = self.weight[:, : self.count].permute(2, 3, 1, 0).flatten(0, 1)
        table = F.pad(taps, (0, 0, 0, 1)).flatten(0, 1)
        rows = labels + torch.arange(labels.shape[1], device=labels.device) * (self.count + 1)
        sums = F.embedding_bag(rows, table, mode="sum")
        return sums if self.bias is None else sums + self.bias


def check_sides(height: int, width: int, upsampling: Upsampling, norm: SpadeNormKind) -> None:
    """Raise ``ValueError`` for sides of pictures that a generator cannot begin with."""
    factor = 2 ** DOUBLINGS[upsampling]
    for side in (height, width):
        if side < factor or side % factor:
            raise ValueError(f"image_size {side}: must be a multiple of {factor} for {upsampling!r}")
    if norm == "instance" and height == width == factor:
        raise ValueError(
            f"image_size {factor}: begins with one pixel, of which norm 'instance' leaves nothing; "
            f"choose {2 * factor}, or norm 'batch'"
        )


class SpadeNorm(nn.Module):
    """A norm without parameters, then ``x * (1 + gain) + shift``, both read off the layout by two convolutions."""

    def __init__(self, channels: int, plan: NormPlan) -> None:
        super().__init__()
        self.norm: nn.Module = BatchNorm2d(channels, affine=False)
        if plan.kind == "instance":
            self.norm = nn.InstanceNorm2d(channels)
        self.shared: Any = plan.read(plan.hidden, plan.kernel)
        # Gains and shifts side by side: one convolution instead of two.
        self.modulation = SameConv2d(plan.hidden, 2 * channels, plan.kernel)

    def forward(self, x: Tensor, layout: Layout, repeats: Neighbourhoods | None = None) -> Tensor:
        """Features (N, C, H, W), a layout of the same size, and what repeats in it -> (N, C, H, W)."""
        if repeats is None:
            gain, shift = self.modulation(F.relu(self.shared(layout), inplace=True)).chunk(2, dim=1)
            return torch.addcmul(shift, self.norm(x), 1 + gain)
        hidden = F.relu(self.shared.around(layout, repeats.near), inplace=True)
        gain, shift = convolve_around(hidden, repeats.far, self.modulation.weight, self.modulation.bias).chunk(2, dim=1)
        return torch.addcmul(repeats.spread(shift), self.norm(x), repeats.spread(1 + gain))


class SpadeBlock(nn.Module):
    """Two convolutions, each after a norm and a leaky ReLU; a learnt shortcut where the width changes."""

    def __init__(self, channels_in: int, channels_out: int, plan: NormPlan, spectral: bool = True) -> None:
        super().__init__()
        middle, conv = min(channels_in, channels_out), SpectralConv2d if spectral else nn.Conv2d
        self.norm1 = SpadeNorm(channels_in, plan)
        self.conv1 = conv(channels_in, middle, 3, padding=1)
        self.norm2 = SpadeNorm(middle, plan)
        self.conv2 = conv(middle, channels_out, 3, padding=1)
        self.learnt = channels_in != channels_out
        if self.learnt:
            self.norm_shortcut = SpadeNorm(channels_in, plan)
            self.shortcut = conv(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor, layout: Layout, repeats: Neighbourhoods | None = None) -> Tensor:
        """Features (N, C, H, W), a layout of the same size, and what repeats in it -> (N, C', H, W)."""
        kept = self.shortcut(self.norm_shortcut(x, layout, repeats)) if self.learnt else x
        hidden = self.conv1(F.leaky_relu(self.norm1(x, layout, repeats), SLOPE, inplace=True))
        result: Tensor = kept + self.conv2(F.leaky_relu(self.norm2(hidden, layout, repeats), SLOPE, inplace=True))
        return result


class SpadeGenerator(nn.Module):
    """From the layout at its smallest (or from ``latent_size`` random numbers) to pictures, doubling between blocks.

    ``start`` is the height and width it begins with, which only latents need to know.
    """

    def __init__(
        self,
        channels: int,
        upsampling: Upsampling,
        plan: NormPlan,
        latent_size: int = 0,
        start: tuple[int, int] = (0, 0),
        spectral: bool = True,
    ) -> None:
        super().__init__()
        self.upsampling, self.start, self.kernel = upsampling, start, plan.kernel
        widths = [channels * factor for factor in WIDTHS]
        if upsampling == "most":
            widths.append(channels // 2)
        self.from_latents = latent_size > 0
        self.first = nn.Linear(latent_size, widths[0] * start[0] * start[1]) if latent_size else plan.read(widths[0], 3)
        self.blocks = nn.ModuleList(SpadeBlock(before, after, plan, spectral) for before, after in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, layout: Layout, height: int, width: int, latents: Tensor | None = None) -> Tensor:
        """A layout of the picture's size, and latents (N, Z) -> pictures (N, 3, height, width) in [-1, 1].

        A layout that is itself learnt, pixel by pixel, has its true gradient; one that was painted has a gradient whose
        sums over alike pixels are true (see :func:`neighbourhoods`).
        """
        learnt = isinstance(layout, Tensor) and layout.is_leaf and layout.requires_grad
        rows, columns = (side >> DOUBLINGS[self.upsampling] for side in (height, width))
        at = resized(layout, rows, columns)
        x = self.first(latents).unflatten(1, (-1, *self.start)) if self.from_latents else self.first(at)
        repeats = None
        # The two blocks in the middle share one size, unless there are more doublings.
        same = {0, 2} if self.upsampling == "normal" else {0}
        for number, block in enumerate(self.blocks):
            if number not in same:
                rows, columns = 2 * rows, 2 * columns
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                # Once per size, not once per norm.
                at = resized(layout, rows, columns) if rows < height else layout
                repeats = None if learnt else neighbourhoods(at, self.kernel)
            x = block(x, at, repeats)
        return torch.tanh(self.last(F.leaky_relu(x, SLOPE)))


class StyleEncoder(nn.Module):
    """A picture to the mean and log variance of the latents that a generator would draw it from (appendix A)."""

    SIDE = 256

    def __init__(self, channels: int, latent_size: int) -> None:
        super().__init__()
        widths = [3, *(channels * factor for factor in (1, 2, 4, 8, 8, 8))]
        self.convolutions = nn.ModuleList(
            SpectralConv2d(before, after, 3, stride=2, padding=1, bias=False) for before, after in pairwise(widths)
        )
        features = widths[-1] * (self.SIDE >> len(self.convolutions)) ** 2
        self.mean, self.log_variance = nn.Linear(features, latent_size), nn.Linear(features, latent_size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in [-1, 1] -> (N, Z) twice."""
        x = images
        if images.shape[2:] != (self.SIDE, self.SIDE):
            x = F.interpolate(images, (self.SIDE, self.SIDE), mode="bilinear")
        for convolution in self.convolutions:
            x = F.leaky_relu(F.instance_norm(convolution(x)), SLOPE)
        return self.mean(x.flatten(1)), self.log_variance(x.flatten(1))


class PatchDiscriminator(nn.Module):
    """A score per patch (Isola et al. 2017), with the features of every layer."""

    def __init__(self, channels_in: int, channels: int, layers: int) -> None:
        super().__init__()
        widths = [min(channels * 2**layer, 512) for layer in range(layers)]
        self.first = nn.Conv2d(channels_in, widths[0], 4, stride=2, padding=2)
        self.middle = nn.ModuleList(
            # The last of them keeps the size.
            SpectralConv2d(before, after, 4, stride=1 + (number < layers - 2), padding=2, bias=False)
            for number, (before, after) in enumerate(pairwise(widths))
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> features of every layer, the scores (N, 1, h, w) last."""
        found = [F.leaky_relu(self.first(x), SLOPE)]
        for convolution in self.middle:
            found.append(F.leaky_relu(F.instance_norm(convolution(found[-1])), SLOPE))
        return [*found, self.last(found[-1])]


class MultiScaleDiscriminator(nn.Module):
    """Patch discriminators of the input, of its half, and so on (Wang et al. 2018)."""

    def __init__(self, channels_in: int, channels: int = 64, scales: int = 2, layers: int = 4) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(channels_in, channels, layers) for _ in range(scales))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """(N, C, H, W) -> per scale: features of every layer, the scores last."""
        found = []
        for number, scale in enumerate(self.scales):
            if number:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            found.append(scale(x))
        return found


def instance_edges(instances: Tensor) -> Tensor:
    """Instance numbers (N, H, W) -> (N, 1, H, W) float32: 1 where one of the four neighbours is another instance."""
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across, down = instances[:, :, 1:] != instances[:, :, :-1], instances[:, 1:] != instances[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges[:, None].float()
