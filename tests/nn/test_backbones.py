"""The published backbones as Keras builds them: their counts of parameters, shapes and paddings."""

from __future__ import annotations

import pytest
import torch

from scenograph.nn.inception import KerasInception
from scenograph.nn.mobilenet import MobileNetV2
from scenograph.nn.normalization import FrozenBatchNorm2d
from scenograph.nn.resnet_v2 import ResNet50V2

WHOLE = {
    "mobilenet": (lambda: MobileNetV2(cut=None), 2_257_984, 1280),
    "inception": (KerasInception, 21_802_784, 2048),
    "resnet": (ResNet50V2, 23_564_800, 2048),
}
"""How each is made, and what Keras counts of it without the classifier: numbers, statistics included, and channels."""


@pytest.mark.parametrize("name", WHOLE)
def test_counts_of_keras(name):
    make, count, width = WHOLE[name]
    with torch.device("meta"):
        network = make()
    assert sum(value.numel() for value in network.state_dict().values()) == count
    assert network.width == width
    assert network(torch.empty(2, 3, 96, 96, device="meta")).shape[1] == width


@pytest.mark.parametrize(("alpha", "cut", "width"), [(1.0, 16, 320), (0.35, 16, 112), (1.0, 8, 64), (1.4, None, 1792)])
def test_widths_of_mobilenet(alpha, cut, width):
    with torch.device("meta"):
        network = MobileNetV2(alpha, cut)
    assert network.width == width
    found = network(torch.empty(1, 3, 96, 96, device="meta")).shape
    assert found == ((1, width, 6, 6) if cut == 8 else (1, width, 3, 3))
    if cut == 8:
        assert not network.blocks[8].residual and network.blocks[7].residual


def test_odd_sides_are_padded_as_by_keras():
    """The first convolution of MobileNet on both sides, those of the blocks behind alone: 75 -> 38 -> 19."""
    network, seen = MobileNetV2(0.1), []
    network.first.convolution.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network.blocks[3].depthwise.convolution.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.ones(1, 3, 75, 75))
    first, block = seen
    assert first.shape[2:] == (77, 77) and not first[:, :, [0, -1]].any() and first[:, :, 1:-1, 1:-1].all()
    assert block.shape[2:] == (20, 20) and not block[:, :, :, -1].any()  # of 19
    assert block[:, :, 0].any()


@pytest.mark.parametrize("name", WHOLE)
def test_statistics_stay_and_all_else_learns(name):
    torch.manual_seed(0)
    network = WHOLE[name][0]().train()
    before = {key: value.clone() for key, value in network.named_buffers()}
    network(torch.rand(1, 3, 75, 75) * 2 - 1).square().mean().backward()
    assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_norm_without_a_scale_only_shifts():
    norm = FrozenBatchNorm2d(2, eps=0.0, scaled=False)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.fill_(4.0)
    assert [*dict(norm.named_parameters())] == ["bias"]
    assert torch.equal(norm(torch.ones(1, 2, 1, 1))[0, :, 0, 0], torch.tensor([1.5, 2.5]))


def test_the_border_before_the_pool_of_resnet_is_zeros():
    """A maximum over the border of negative numbers is 0, not the largest of them."""
    network = ResNet50V2()
    with torch.no_grad():
        network.first.weight.zero_()
        network.first.bias.fill_(-1.0)
    seen = []
    network.stages[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert seen[0].shape == (1, 64, 8, 8)
    assert (seen[0][:, :, 0] == 0).all() and (seen[0][:, :, 1:, 1:] == -1).all()
