"""Spatially-adaptive normalization, its generator and its discriminator (Park, Liu, Wang, Zhu; CVPR 2019).

A condition is a map of features, such as painted vectors, or a :class:`LabelMap`, which has one label per pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.nn.convolution import SMALLEST, Neighbourhoods, SameConv2d, bag, convolve_around, windows
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.spectral import SpectralConv2d

SLOPE = 0.2
Upsampling = Literal["normal", "more", "most"]
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)
"""Channels before and after each block, in units of ``channels``."""
SpadeNormKind = Literal["batch", "instance"]
Reader = Callable[[int, int], nn.Module]
"""Makes the layer that reads the condition, given its number of output channels and its kernel size."""


@dataclass(frozen=True)
class NormPlan:
    """How every norm of a generator is built."""

    read: Reader
    kind: SpadeNormKind = "batch"
    kernel: int = 3
    hidden: int = 128
    """Channels between the condition and its gains and shifts."""


@dataclass(frozen=True)
class LabelMap:
    """One label per pixel."""

    labels: Tensor
    """(N, H, W) int64 in 0..count; ``count`` itself marks pixels without a label."""
    count: int
    """How many labels there are."""
    edges: Tensor | None = None
    """(N, 1, H, W) float32: 1 at the borders of instances."""
    latents: Tensor | None = None
    """(N, Z): the style to render in; None leaves it to the seed."""

    def resized(self, height: int, width: int) -> LabelMap:
        """At another size, by nearest neighbours."""
        size = (height, width)
        # (N, H, W) -> (N, 1, H, W) -> (N, height, width)
        labels = F.interpolate(self.labels[:, None].float(), size, mode="nearest")[:, 0].long()
        edges = None if self.edges is None else F.interpolate(self.edges, size, mode="nearest")
        return replace(self, labels=labels, edges=edges)

    def one_hot(self) -> Tensor:
        """The same as a map of features (N, count [+ 1], H, W), channels last; the last channel holds the edges."""
        # (N, H, W, count + 1) -> (N, H, W, count) -> (N, count, H, W)
        planes = F.one_hot(self.labels, self.count + 1)[..., : self.count].float().permute(0, 3, 1, 2)
        return planes if self.edges is None else torch.cat([planes, self.edges], dim=1)


ConditionMap = Tensor | LabelMap


def resized(condition: ConditionMap, height: int, width: int) -> ConditionMap:
    """A condition at another size, by nearest neighbours."""
    if isinstance(condition, LabelMap):
        return condition.resized(height, width)
    return F.interpolate(condition, (height, width), mode="nearest")


def neighbourhoods(condition: ConditionMap, kernel: int) -> Neighbourhoods | None:
    """The kinds of neighbourhoods in a condition; None where finding them costs more than it saves.

    The gradients of equal pixels are then summed at one of them. That is exact for the vectors that a condition was
    painted with, but not for the boxes and masks they were painted through.
    """
    pixels = condition.labels if isinstance(condition, LabelMap) else condition[:, 0]
    # On GPUs a convolution costs less than counting the kinds, for which the CPU has to wait.
    if is_compiling() or pixels.device.type != "cpu" or pixels[0].numel() < SMALLEST:
        return None
    if isinstance(condition, LabelMap):
        keys = condition.labels if condition.edges is None else 2 * condition.labels + condition.edges[:, 0].long()
        return Neighbourhoods.find(keys, kernel, condition.count * (1 if condition.edges is None else 2))
    generator = torch.Generator().manual_seed(0)
    directions = torch.rand(condition.shape[1], generator=generator, dtype=torch.float64) + 0.5
    # Equal features have bitwise equal sums, unlike in a matrix product. The key beyond the border is that of zeros.
    sums = (condition.detach().permute(0, 2, 3, 1) * directions).sum(dim=3)  # (N, D, H, W) -> (N, H, W)
    return Neighbourhoods.find(sums.view(torch.int64), kernel, 0)


class FeatureConv2d(SameConv2d):
    """A convolution of a map of features."""

    def around(self, condition: Tensor, pixels: Tensor) -> Tensor:
        """At V pixels only, given the numbers of the pixels around each (V, K * K): (V, C')."""
        rows = condition.permute(0, 2, 3, 1).flatten(0, 2)  # (N, D, H, W) -> (N * H * W, D)
        return convolve_around(rows, pixels, self.weight, self.bias)


class LabelConv2d(nn.Conv2d):
    """A convolution of one-hot labels that keeps the sides, by looking up weights instead of multiplying by ones.

    However many labels there are, a pixel costs one addition per tap of the kernel and output channel.
    """

    def __init__(self, count: int, edges: bool, channels_out: int, kernel: int) -> None:
        super().__init__(count + edges, channels_out, kernel, padding=kernel // 2)
        self.count = count

    def forward(self, condition: LabelMap) -> Tensor:  # type: ignore[override]
        """(N, H, W) labels -> (N, C', H, W), channels last."""
        around = windows(condition.labels, self.kernel_size[0], self.count)
        # (N, H, W, K * K) -> (N * H * W, K * K) -> (N * H * W, C') -> (N, C', H, W)
        sums = self._look_up(around.flatten(0, 2)).unflatten(0, around.shape[:3]).permute(0, 3, 1, 2)
        if condition.edges is None:
            return sums
        return sums + F.conv2d(condition.edges, self.weight[:, self.count :], padding=self.padding)

    def around(self, condition: LabelMap, pixels: Tensor) -> Tensor:
        """At V pixels only, given the numbers of the pixels around each (V, K * K): (V, C')."""
        # (N, H, W) -> (N * H * W + 1,) -> (V, K * K) -> (V, C')
        sums = self._look_up(F.pad(condition.labels.flatten(), (0, 1), value=self.count)[pixels])
        if condition.edges is None:
            return sums
        edges = F.pad(condition.edges.flatten(), (0, 1))[pixels]
        return sums + edges @ self.weight[:, self.count].flatten(1).T  # (V, K * K) @ (K * K, C')

    def _look_up(self, labels: Tensor) -> Tensor:
        """Labels around pixels (V, K * K) -> (V, C')."""
        # One table per tap. Its last row is for pixels without a label and beyond the border.
        taps = self.weight[:, : self.count].permute(2, 3, 1, 0).flatten(0, 1)  # (C', count, K, K) -> (K * K, count, C')
        table = F.pad(taps, (0, 0, 0, 1)).flatten(0, 1)  # (K * K, count + 1, C') -> (K * K * (count + 1), C')
        rows = labels + torch.arange(labels.shape[1], device=labels.device) * (self.count + 1)
        sums = bag(table, rows)
        return sums if self.bias is None else sums + self.bias


def check_sides(height: int, width: int, upsampling: Upsampling, norm: SpadeNormKind) -> None:
    """Raise ``ValueError`` for picture sides that a generator cannot render."""
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
    """A norm without parameters, then ``x * (1 + gain) + shift``, which two convolutions compute from the condition."""

    def __init__(self, channels: int, plan: NormPlan) -> None:
        super().__init__()
        self.norm: nn.Module = BatchNorm2d(channels, affine=False)
        if plan.kind == "instance":
            self.norm = nn.InstanceNorm2d(channels)
        self.shared: Any = plan.read(plan.hidden, plan.kernel)
        # One convolution computes gains and shifts, side by side.
        self.modulation = SameConv2d(plan.hidden, 2 * channels, plan.kernel)

    def forward(self, x: Tensor, condition: ConditionMap, repeats: Neighbourhoods | None = None) -> Tensor:
        """Features (N, C, H, W), a condition of the same size, and its repeats -> (N, C, H, W)."""
        if repeats is None:
            gain, shift = self.modulation(F.relu(self.shared(condition), inplace=True)).chunk(2, dim=1)
            return torch.addcmul(shift, self.norm(x), 1 + gain)
        hidden = F.relu(self.shared.around(condition, repeats.near), inplace=True)
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

    def forward(self, x: Tensor, condition: ConditionMap, repeats: Neighbourhoods | None = None) -> Tensor:
        """Features (N, C, H, W), a condition of the same size, and its repeats -> (N, C', H, W)."""
        kept = self.shortcut(self.norm_shortcut(x, condition, repeats)) if self.learnt else x
        hidden = self.conv1(F.leaky_relu(self.norm1(x, condition, repeats), SLOPE, inplace=True))
        result: Tensor = kept + self.conv2(F.leaky_relu(self.norm2(hidden, condition, repeats), SLOPE, inplace=True))
        return result


class SpadeGenerator(nn.Module):
    """From the condition at its smallest size, or from latents, to pictures; the map doubles between blocks.

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

    def forward(self, condition: ConditionMap, height: int, width: int, latents: Tensor | None = None) -> Tensor:
        """A condition of the picture's size, and latents (N, Z) -> pictures (N, 3, height, width) in [-1, 1].

        The gradient of a condition that is a leaf, learnt pixel by pixel, is exact. In that of a painted one, only the
        sums over equal pixels are (see :func:`neighbourhoods`).
        """
        learnt = isinstance(condition, Tensor) and condition.is_leaf and condition.requires_grad
        rows, columns = (side // 2 ** DOUBLINGS[self.upsampling] for side in (height, width))
        at = resized(condition, rows, columns)
        # With latents: (N, Z) -> (N, C * h * w) -> (N, C, h, w)
        x = self.first(latents).unflatten(1, (-1, *self.start)) if self.from_latents else self.first(at)
        repeats = None
        # The two blocks in the middle share one size, unless there are more doublings.
        same = {0, 2} if self.upsampling == "normal" else {0}
        for number, block in enumerate(self.blocks):
            if number not in same:
                rows, columns = 2 * rows, 2 * columns
                x = F.interpolate(x, (rows, columns), mode="nearest")
                # Once per size, not once per norm.
                at = resized(condition, rows, columns) if rows < height else condition
                repeats = None if learnt else neighbourhoods(at, self.kernel)
            x = block(x, at, repeats)
        return torch.tanh(self.last(F.leaky_relu(x, SLOPE)))


class StyleEncoder(nn.Module):
    """A picture to the mean and log variance of its style: the latents of a generator (appendix A)."""

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
        rows = x.flatten(1)  # (N, C, 4, 4) -> (N, 16 C)
        return self.mean(rows), self.log_variance(rows)


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
    """Patch discriminators of the input, of the input at half size, and so on (Wang et al. 2018)."""

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
