from __future__ import annotations

import pytest
import torch

from scenograph.errors import UserError
from scenograph.nn.discriminators import build_cnn


@pytest.mark.parametrize(
    ("description", "shape"),
    [
        ("C4-8-2,C4-16-2", (2, 16, 6, 6)),
        ("I3,C3-8,R,P2,U2,C3-4", (2, 4, 28, 28)),
        ("C3-4-2,FC-900-5,FC-5-2", (2, 2)),
    ],
)
def test_cnn_descriptions(description, shape):
    network, channels = build_cnn(description)
    result = network(torch.randn(2, 3, 32, 32))
    assert result.shape == shape and channels == shape[1]


@pytest.mark.parametrize("description", ["C4-8-2,X3", "C4", "P0", "I3,I3"])
def test_bad_cnn_descriptions(description):
    with pytest.raises(UserError, match="unknown part"):
        build_cnn(description)
    with pytest.raises(UserError, match="odd kernel"):
        build_cnn("C4-8", padding="same")
