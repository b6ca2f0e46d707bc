from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scenograph.nn import convolution
from scenograph.nn.convolution import MANY, Linear, same_conv2d


@pytest.mark.parametrize("rows", [3, MANY, MANY + 5])
def test_linear_layers_take_few_rows_and_many(rows):
    layer, features = Linear(5, 7), torch.randn(5, rows).T
    expected = features @ layer.weight.T + layer.bias
    with torch.no_grad():
        torch.testing.assert_close(layer(features), expected)
    torch.testing.assert_close(layer(features), expected)
    assert layer(features).requires_grad


CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("many", [1, 1024], ids=["many rows", "few rows"])
def test_small_maps_are_convolved_as_matrix_products(monkeypatch, kernel, many):
    monkeypatch.setattr(convolution, "MANY", many)
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 5, 7), torch.randn(512, 3, kernel, kernel), torch.randn(512)
    inputs = [value.requires_grad_() for value in (x, weight, bias)]
    found, wanted = same_conv2d(*inputs), F.conv2d(*inputs, padding=kernel // 2)
    torch.testing.assert_close(found, wanted, **CLOSE)
    gradients = (torch.autograd.grad(out.square().sum(), inputs) for out in (found, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)
