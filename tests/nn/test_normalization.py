from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scenograph.nn.normalization import BatchNorm2d, LayoutNorm, exact_norms, moments, pixel_shares


def test_moments_and_their_gradient():
    x = torch.randn(2, 7, 3, dtype=torch.float64).float().requires_grad_()
    mean, square = moments(x)
    torch.testing.assert_close(mean, x.mean(1))
    torch.testing.assert_close(square, x.square().mean(1))
    cotangents = torch.randn(2, 3), torch.randn(2, 3)
    found = torch.autograd.grad((mean, square), x, cotangents)[0]
    plain = torch.autograd.grad((x.mean(1), x.square().mean(1)), x, cotangents)[0]
    torch.testing.assert_close(found, plain)


def test_layout_norm_is_its_formula():
    norm = LayoutNorm(6, 5).train()
    x, planes, styles = torch.randn(2, 6, 8, 8), torch.rand(2, 3, 16, 16), torch.randn(2, 3, 5)
    shares = pixel_shares(planes, 8, 8, 1e-6)
    out = norm(x, shares, styles)
    norm.eval()  # the same vectors of spectral norms from here on
    gains, shifts = norm.gain(styles), norm.shift(styles)
    small = F.interpolate(planes, (8, 8), mode="bilinear")
    small = small / (small.sum(1, keepdim=True) + 1e-6)
    gain, shift = (torch.einsum("nkhw,nkc->nchw", small, values) for values in (gains, shifts))
    plain = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(out, plain * (1 + gain) + shift, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norm.batch_norm.running_mean, 0.1 * x.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
def test_exact_statistics_are_those_of_float64(affine):
    torch.manual_seed(0)
    x = (torch.randn(4, 8, 64, 64) + 30).contiguous(memory_format=torch.channels_last)
    plain, exact = nn.BatchNorm2d(8, affine=affine).double(), exact_norms(BatchNorm2d(8, affine=affine))
    if affine:
        nn.init.normal_(exact.weight.data)
        nn.init.normal_(exact.bias.data)
        plain.load_state_dict(exact.state_dict())
    inputs = [x.double().requires_grad_(), x.clone().requires_grad_()]
    made = [layer(one) for layer, one in zip((plain, exact), inputs, strict=True)]
    cotangent = torch.randn(x.shape)
    for one in made:
        (one * cotangent).sum().backward()
    torch.testing.assert_close(made[1].double(), made[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(inputs[1].grad.double(), inputs[0].grad, atol=2e-5, rtol=1e-4)
    for (name, value), other in zip(plain.named_parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(other.grad.double(), value.grad, atol=1e-2, rtol=1e-4, msg=name)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(exact.get_buffer(name).double(), value.double(), atol=1e-5, rtol=1e-5)
