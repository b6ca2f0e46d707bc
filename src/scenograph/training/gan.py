"""Adversarial losses on scores of any shape, each as a mean over all scores, and feature matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["gan", "wgan", "lsgan", "hinge", "squares"]


def generator_loss(kind: GanLoss, fake: Tensor) -> Tensor:
    """The loss of a generator, a scalar, from the discriminator's scores of its pictures (any shape).

    ``gan``: cross-entropy of classifying fakes as real (Goodfellow et al. 2014, the non-saturating form); ``wgan``:
    minus the mean score (Arjovsky et al. 2017), as with ``hinge`` (Lim & Ye 2017); ``squares``: squared distance to 1
    (Mao et al. 2017); ``lsgan``: the same of sigmoid scores, which is sg2im's.
    """
    if kind == "gan":
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    if kind in ("wgan", "hinge"):
        return -fake.mean()
    return ((fake.sigmoid() if kind == "lsgan" else fake) - 1).square().mean()


def discriminator_loss(kind: GanLoss, real: Tensor, fake: Tensor) -> Tensor:
    """The loss of a discriminator, a scalar, from its scores of real and generated pictures (any shape)."""
    if kind == "gan":
        on_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        return on_real + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    if kind == "wgan":
        return fake.mean() - real.mean()
    if kind == "hinge":
        return (1 - real).relu().mean() + (1 + fake).relu().mean()
    if kind == "lsgan":
        real, fake = real.sigmoid(), fake.sigmoid()
    return (real - 1).square().mean() + fake.square().mean()


def feature_matching(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute differences of a discriminator's features, summed over layers and averaged over scales.

    Layers and scales as :class:`scenograph.nn.spade.MultiScaleDiscriminator` gives them (Wang et al. 2018, section
    3.3); the last layers are scores and do not count.
    """
    differences = [
        (one - other.detach()).abs().mean()
        for fakes, reals in zip(fake, real, strict=True)
        for one, other in zip(fakes[:-1], reals[:-1], strict=True)
    ]
    return torch.stack(differences).sum() / len(fake)
