from __future__ import annotations

import pytest
import torch

from scenograph.nn.spectral import SpectralConv2d, fold_spectral_norms


def test_spectral_norm_bounds_and_folds():
    conv = SpectralConv2d(4, 6, 3, padding=1)
    for _ in range(100):
        conv.normalized_weight()
    assert float(torch.linalg.matrix_norm(conv.normalized_weight().detach().flatten(1), 2)) == pytest.approx(
        1.0, abs=1e-3
    )
    conv.eval()
    x = torch.randn(1, 4, 5, 5)
    before, factor = conv(x), torch.tensor(0.3)
    torch.testing.assert_close(conv(x, factor), 0.3 * before)
    fold_spectral_norms(conv)
    torch.testing.assert_close(conv(x), before)
