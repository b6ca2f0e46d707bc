"""Batch norms over all processes of a run, and norms that the objects of a layout modulate where they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.distributed.nn.functional import all_reduce

from scenograph.nn.spectral import SpectralLinear

ModuleKind = TypeVar("ModuleKind", bound=nn.Module)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over all processes of a training run, on any device (torch's own does so on GPUs only).

    With ``exact`` the statistics of large maps are exact in training. On CPUs torch's own add up all pixels in one
    float32 number if channels are last in memory, which costs two of seven digits at 10,000 pixels.
    """

    exact = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if not (self.training and (self.exact or _processes() > 1)):
            return super().forward(x)
        rows, pixels = x.permute(0, 2, 3, 1).flatten(1, 2), x.shape[2] * x.shape[3]  # (N, C, H, W) -> (N, H * W, C)
        if _processes() == 1:
            affine = (self.weight, self.bias) if self.affine else (x.new_ones(x.shape[1]), x.new_zeros(x.shape[1]))
            made, mean, variance = _Normalize.apply(rows, *affine, self.eps)
            self._follow(mean, variance, mean.new_tensor(len(x) * pixels))
            # (N, H * W, C) -> (N, H, W, C) -> (N, C, H, W)
            return made.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        scale, offset = self.normalizer(*moments(rows), pixels)
        if self.affine:
            scale, offset = scale * self.weight, offset * self.weight + self.bias
        return torch.addcmul(offset[None, :, None, None].to(x.dtype), x, scale[None, :, None, None].to(x.dtype))

    def normalizer(self, mean: Tensor, square: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
        """Scale and offset (C,) that normalize, before the affine part; in training from the batch's moments (N, C).

        The running statistics follow as in torch: the variance without bias.
        """
        if not self.training:
            assert self.running_mean is not None and self.running_var is not None
            scale = torch.rsqrt(self.running_var + self.eps)
            return scale, -self.running_mean * scale
        sums = torch.cat([mean.sum(dim=0), square.sum(dim=0), mean.new_tensor([len(mean)])])
        if _processes() > 1:
            sums = all_reduce(sums)
        count = sums[-1].detach()
        centre, second = (sums[:-1] / count).chunk(2)
        return self._follow(centre, (second - centre.square()).clamp(min=0.0), count * pixels)

    def _follow(self, mean: Tensor, variance: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and offset (C,) from a batch's mean and variance over so many values, which the running ones follow."""
        assert self.running_mean is not None and self.running_var is not None
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((variance * values / (values - 1)).to(self.running_var.dtype), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = torch.rsqrt(variance + self.eps)
        return scale, -mean * scale


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization by statistics that training leaves alone; its scale, if it has one, and offset learn."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, scaled: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if scaled else None
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


@contextmanager
def taking_statistics(module: nn.Module) -> Iterator[None]:
    """Within, each frozen norm of a module takes the statistics of what it is given, and so normalizes just that."""

    def take(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, FrozenBatchNorm2d)
        variance, mean = torch.var_mean(inputs[0].detach().float(), dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    norms = [one for one in module.modules() if isinstance(one, FrozenBatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(take) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def folded(convolution: nn.Conv2d, norm: FrozenBatchNorm2d) -> nn.Conv2d:
    """A convolution, with a bias, that does what one without and its norm do. It cannot be trained."""
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    result = copy.deepcopy(convolution)
    result.weight = nn.Parameter(convolution.weight.detach() * scale.detach()[:, None, None, None], requires_grad=False)
    result.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach(), requires_grad=False)
    return result


class LayoutNorm(nn.Module):
    """Instance-sensitive, layout-aware normalization (ISLA-Norm; Sun & Wu 2019, section 3.2).

    Batch normalization, then ``gain * x + shift`` with a gain and a shift per pixel: those of the objects there,
    averaged by the strength of their masks. With ``P`` planes of :func:`pixel_shares` all of it, normalization
    included, is one small matrix of shape (P, C) per picture, so a pixel costs two matrix products and one product.
    """

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__()
        self.gain = SpectralLinear(style_size, channels)
        self.shift = SpectralLinear(style_size, channels)
        self.batch_norm = BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor, shares: Tensor, styles: Tensor) -> Tensor:
        """Features (N, C, H, W), shares (N, H * W, K + 1), styles (N, K, D) -> (N, C, H, W), channels last."""
        height, width = x.shape[2:]
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (N, C, H, W) -> (N, H * W, C)
            scale, offset = self.normalizer(pixels)
            gains, shifts = self.modulation(styles.float())
            # The last plane, which is 1 everywhere, keeps pixels as they are: (N, K, C) -> (N, K + 1, C).
            gains = torch.cat([gains, torch.ones_like(gains[:, :1])], dim=1)
            shifts = torch.cat([shifts, torch.zeros_like(gains[:, :1])], dim=1)
            scales, offsets = gains * scale[:, None], gains * offset[:, None] + shifts
            shares = shares.to(pixels.dtype)
            # (N, H * W, K + 1) @ (N, K + 1, C) -> (N, H * W, C)
            result = (pixels * (shares @ scales.to(pixels.dtype))).baddbmm_(shares, offsets.to(pixels.dtype))
        return result.unflatten(1, (height, width)).permute(0, 3, 1, 2)  # (N, H * W, C) -> (N, C, H, W)

    def normalizer(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and offset (N or 1, C) that normalize features (N, pixels, C)."""
        if not self.training:
            scale, offset = self.batch_norm.normalizer(pixels, pixels, 0)
        else:
            scale, offset = self.batch_norm.normalizer(*moments(pixels), pixels.shape[1])
        return scale[None], offset[None]

    def modulation(self, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and shift of every object: (N, K, C) each."""
        return self.gain(styles), self.shift(styles)


class _Normalize(torch.autograd.Function):
    """Pixels (N, P, C) normalized, and their mean and variance (C,), both from differences to the mean.

    On CPUs picture by picture, so that intermediate values stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        parts = pixels.split(1 if pixels.device.type == "cpu" else len(pixels))
        mean = torch.cat([part.float().mean(dim=1) for part in parts]).mean(dim=0)
        variance = torch.cat([(part.float() - mean).square().mean(dim=1) for part in parts]).mean(dim=0)
        scale = torch.rsqrt(variance + epsilon)
        factor = scale * weight
        made = torch.empty_like(pixels)  # not many parts, which would leave holes in memory
        for part, place in zip(parts, made.split(len(parts[0])), strict=True):
            place.copy_(torch.addcmul(bias, part.float() - mean, factor))
        ctx.save_for_backward(pixels, weight, mean, scale)
        ctx.mark_non_differentiable(mean, variance)
        return made, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        pixels, weight, mean, scale = ctx.saved_tensors
        size = 1 if pixels.device.type == "cpu" else len(pixels)
        parts = [*zip(pixels.split(size), gradients[0].split(size), strict=True)]
        to_bias = torch.cat([gradient.float().sum(dim=1) for _, gradient in parts]).sum(dim=0)
        products = [((part.float() - mean) * gradient).sum(dim=1) for part, gradient in parts]
        to_weight = torch.cat(products).sum(dim=0) * scale
        values, factor = pixels.shape[0] * pixels.shape[1], scale * weight
        # Per pixel: the gradient times the factor, without its mean and what is along the normalized pixels.
        along, common = factor * scale * to_weight / values, factor * to_bias / values
        to_pixels, common = torch.empty_like(pixels), along * mean - common
        for (part, gradient), place in zip(parts, to_pixels.split(size), strict=True):
            centred = torch.addcmul(common, gradient.float(), factor)
            place.copy_(centred.addcmul_(part.float(), along, value=-1))
        return to_pixels, to_weight, to_bias, None


class _Moments(torch.autograd.Function):
    """The gradient is one multiplication and addition per number, where autograd's own would take five passes."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(pixels)
        # On CPUs picture by picture, so that intermediate values stay in the cache.
        parts = pixels.split(1 if pixels.device.type == "cpu" else len(pixels))
        found = [(part.mean(dim=1), part.square().mean(dim=1)) for part in map(Tensor.float, parts)]
        mean, square = (torch.cat(rows) for rows in zip(*found, strict=True))
        return mean, square

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (pixels,) = ctx.saved_tensors
        mean, square = (gradient[:, None] / pixels.shape[1] for gradient in gradients)
        return torch.addcmul(mean, pixels, 2 * square).to(pixels.dtype)


def moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each channel of each picture: (N, pixels, C) -> (N, C) twice."""
    if is_compiling():
        return pixels.float().mean(dim=1), pixels.float().square().mean(dim=1)
    mean, square = _Moments.apply(pixels)
    return mean, square


def pixel_shares(planes: Tensor, height: int, width: int, epsilon: float) -> Tensor:
    """The share of each object at each pixel: masks (N, K, H', W') resized and divided by their sum.

    Returns (N, height * width, K + 1); the last is 1 everywhere. Where no mask is, all others are 0.
    """
    if planes.shape[2:] != (height, width):
        planes = F.interpolate(planes, (height, width), mode="bilinear")
    shares = planes / (planes.sum(dim=1, keepdim=True) + epsilon)
    # (N, K + 1, H, W) -> (N, H * W, K + 1)
    return torch.cat([shares, torch.ones_like(shares[:, :1])], dim=1).flatten(2).transpose(1, 2).contiguous()


def exact_norms(module: ModuleKind) -> ModuleKind:
    """The module, whose batch norms have exact statistics in training from now on."""
    for layer in module.modules():
        if isinstance(layer, BatchNorm2d):
            layer.exact = True
    return module


def _processes() -> int:
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
