from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scenograph.nn import convolution
from scenograph.nn.upsampling import add_upsampled_, pooled_conv2d, upsampled_conv2d


@pytest.mark.parametrize("wide", [1, 512], ids=["product", "convolution"])
def test_convolution_after_upsampling_and_its_gradients(monkeypatch, wide):
    monkeypatch.setattr(convolution, "WIDE", wide)
    x, weight = torch.randn(2, 5, 6, 4, requires_grad=True), torch.randn(3, 5, 3, 3, requires_grad=True)
    bias, cotangent = torch.randn(3, requires_grad=True), torch.randn(2, 3, 12, 8)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)
    fast = upsampled_conv2d(x, weight, bias)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    for one, other in zip(
        torch.autograd.grad(fast, (x, weight, bias), cotangent),
        torch.autograd.grad(plain, (x, weight, bias), cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    coarse = plain[:, :, ::2, ::2]
    torch.testing.assert_close(add_upsampled_(plain.clone(), coarse), plain + F.interpolate(coarse, scale_factor=2))


@pytest.mark.parametrize("wide", [1, 512], ids=["product", "convolution"])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)], ids=["even", "odd"])
def test_pooled_convolution_and_its_gradients(monkeypatch, size, wide):
    monkeypatch.setattr(convolution, "WIDE", wide)
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((2, 5, *size), (4, 5, 3, 3), (4,))]
    x, weight, bias = inputs
    plain = F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)
    fast = pooled_conv2d(x, weight, bias)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    cotangent = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad(fast, inputs, cotangent), torch.autograd.grad(plain, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
