"""Losses of generators and discriminators."""

from __future__ import annotations

import pytest
import torch

from recordings import arrays
from scenograph.training.gan import discriminator_loss, generator_loss

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def assert_close(actual, expected, **tolerance):
    torch.testing.assert_close(actual.detach().float(), expected.float(), **(tolerance or CLOSE))


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["gan", "wgan", "lsgan"])
@pytest.mark.parametrize("shape", ["flat", "map"])
def test_gan_losses(golden, kind, shape):
    data = arrays(golden / "sg2im" / "gan_losses" / "gan_losses.npz")
    real, fake = data[f"{shape}_real"].requires_grad_(), data[f"{shape}_fake"].requires_grad_()
    loss = generator_loss(kind, fake)
    assert_close(loss, data[f"{shape}_{kind}_g"])
    assert_close(torch.autograd.grad(loss, fake)[0], data[f"{shape}_{kind}_g_grad_fake"])
    loss = discriminator_loss(kind, real, fake)
    assert_close(loss, data[f"{shape}_{kind}_d"])
    for tensor, name in ((real, "real"), (fake, "fake")):
        gradient = torch.autograd.grad(loss, tensor, retain_graph=True)[0]
        assert_close(gradient, data[f"{shape}_{kind}_d_grad_{name}"])


@pytest.mark.parametrize("kind", ["gan", "wgan", "lsgan"])
def test_gan_losses_prefer_what_they_should(kind):
    high, low = torch.full((4, 1), 3.0), torch.full((4, 1), -3.0)
    assert generator_loss(kind, high) < generator_loss(kind, low)
    assert discriminator_loss(kind, high, low) < discriminator_loss(kind, low, high)


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["squares", "gan", "wgan", "hinge"])
@pytest.mark.parametrize("shape", ["list", "tensor"])
def test_gan_losses_of_several_scales(golden, kind, shape):
    """A discriminator's loss is the sum of its halves; of several scales the last layers count, and their mean."""
    data = arrays(golden / "wsgc" / "losses" / "losses.npz")
    scores = [data["tensor"]] if shape == "tensor" else [data["scale0_layer1"], data["scale1_layer1"]]
    recorded = {"squares": "ls", "gan": "original", "wgan": "w", "hinge": "hinge"}[kind]
    wanted = data[f"{recorded}_real1_d0_{shape}"]
    assert_close(torch.stack([generator_loss(kind, one) for one in scores]).mean(), wanted.mean(), **CLOSE)
    halves = [data[f"{recorded}_real{real}_d1_{shape}"].mean() for real in (0, 1)]
    found = torch.stack([discriminator_loss(kind, one, one) for one in scores]).mean()
    assert_close(found, halves[0] + halves[1], **CLOSE)
