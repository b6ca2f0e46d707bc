"""Adversarial losses on scores of any shape, each as a mean over all scores (sg2im's three families)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["gan", "wgan", "lsgan"]


def generator_loss(kind: GanLoss, fake: Tensor) -> Tensor:
    """What the generator minimizes.

    ``gan``: cross-entropy of calling fakes real (Goodfellow et al. 2014, the non-saturating form); ``wgan``: minus
    the mean score (Arjovsky et al. 2017); ``lsgan``: squared distance of sigmoid scores to 1 (after Mao et al. 2017;
    the sigmoid is sg2im's).
    """
    if kind == "gan":
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    if kind == "wgan":
        return -fake.mean()
    return (fake.sigmoid() - 1).square().mean()


def discriminator_loss(kind: GanLoss, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimizes, in the same families."""
    if kind == "gan":
        on_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        return on_real + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    if kind == "wgan":
        return fake.mean() - real.mean()
    return (real.sigmoid() - 1).square().mean() + fake.sigmoid().square().mean()
