from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scenograph.nn import winograd
from scenograph.nn.convolution import same_conv2d
from scenograph.nn.winograd import winograd_pays


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("size", [(32, 44), (29, 35)], ids=["whole tiles", "cut tiles"])
@pytest.mark.parametrize("most", [1, 4096], ids=["picture by picture", "at once"])
def test_wide_maps_are_convolved_in_tiles(monkeypatch, kernel, size, most):
    monkeypatch.setattr(winograd, "MOST_TILES", most)
    torch.manual_seed(0)
    shapes = (2, 128, *size), (130, 128, kernel, kernel), (130,)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert winograd_pays(*inputs[:2])
    found, wanted = same_conv2d(*inputs), F.conv2d(*inputs, padding=kernel // 2)
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=0)
    cotangent = torch.randn_like(wanted)
    gradients = (torch.autograd.grad(out, inputs, cotangent) for out in (found, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)
    single = same_conv2d(*(value.detach().float() for value in inputs))
    assert (single - wanted).abs().max() < 2e-5 * wanted.abs().max()


def test_tiles_are_left_to_wide_maps_in_full_precision():
    wide, kernels = torch.zeros(1, 128, 32, 32), torch.zeros(128, 128, 3, 3)
    assert winograd_pays(wide, kernels)
    assert not winograd_pays(wide[..., :28], kernels)
    assert not winograd_pays(wide[:, :64], kernels[:, :64])
    assert not winograd_pays(wide, kernels[..., :1, :1])
    assert not winograd_pays(wide, kernels[..., :1])
    larger = F.pad(kernels, (0, 1, 0, 1))
    assert winograd_pays(F.pad(wide, (0, 3, 0, 3)), larger)
    assert not winograd_pays(wide, larger)
    assert not winograd_pays(wide.bfloat16(), kernels.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd_pays(wide, kernels)
