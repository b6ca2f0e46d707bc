from __future__ import annotations

import torch
import torch.nn.functional as F

from scenograph.nn.normalization import LayoutNorm, moments, pixel_shares


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
