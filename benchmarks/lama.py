"""LAMA at its published sizes: seconds for inference and for a training step, ours and, if given, the original's.

    python benchmarks/lama.py [--size 128] [--threads 1] [--device cpu] [--original CHECKOUT_OF_LAMA]

Both systems get the same random layouts (8 objects each) in the same run, and the ratio is what counts. The original
runs as it is but for what keeps it from running on a CPU: its ``.cuda()`` calls do nothing, and its compiled RoI
align, which has no gradient there, is replaced by ours.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

import torch
import torch.nn.functional as F
from side_by_side import Run, batch_of, compare, training_step
from torch import nn

from scenograph.models.lama import Lama, LamaConfig
from scenograph.nn.crops import roi_align
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.layout_gan import LamaConfig as LamaObjectiveConfig
from scenograph.training.objectives.layout_gan import LamaObjective

CATEGORIES, OBJECTS = 184, 8
VOCABULARY = Vocabulary(("__image__", *(f"category {i}" for i in range(1, CATEGORIES))), ("__in_image__",))
ROWS = ["inference, batch 1", "inference, batch 8", "training step, batch 4"]


RATE, BETAS = 1e-4, (0.0, 0.999)
"""The published Adam's."""


def layouts(count: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels (N, O), boxes x, y, w, h (N, O, 4) and pictures."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(count, OBJECTS, 2, generator=generator) * 0.6
    boxes = torch.cat([low, 0.1 + 0.3 * torch.rand(count, OBJECTS, 2, generator=generator)], dim=2)
    labels = torch.randint(1, CATEGORIES, (count, OBJECTS), generator=generator)
    return labels, boxes, torch.rand(count, 3, size, size, generator=generator) * 2 - 1


def our_batch(count: int, size: int, device: str) -> SceneBatch:
    """The same as one of ours."""
    labels, boxes, images = layouts(count, size)
    flat = boxes.flatten(0, 1)
    objects = count * OBJECTS
    return SceneBatch(
        num_images=count,
        objects=labels.flatten(),
        attributes=torch.zeros((objects, 0), dtype=torch.int64),
        triples=torch.zeros((0, 3), dtype=torch.int64),
        object_to_image=torch.arange(count).repeat_interleave(OBJECTS),
        triple_to_image=torch.zeros(0, dtype=torch.int64),
        boxes=torch.cat([flat[:, :2], flat[:, :2] + flat[:, 2:]], dim=1),
        masks=torch.ones(objects, 32, 32),
        known_masks=torch.zeros(objects, dtype=torch.bool),
        images=images,
    ).to(device)


def our_inference(count: int, size: int, device: str) -> Run:
    """From boxes to pictures."""
    model = Lama(LamaConfig(vocabulary=VOCABULARY.to_dict(), image_size=size)).for_inference().to(device)
    batch = our_batch(count, size, device)

    def run() -> object:
        with torch.inference_mode():
            return model(batch).images

    return run


def our_training_step(count: int, size: int, device: str) -> Run:
    """Discriminator and generator: two Adam steps."""
    model = Lama(LamaConfig(vocabulary=VOCABULARY.to_dict(), image_size=size)).train()
    objective = LamaObjective(LamaObjectiveConfig(), model)
    return training_step(objective, our_batch(count, size, device), RATE, BETAS)


def adam(module: nn.Module) -> torch.optim.Optimizer:
    """The published one, but for its groups of rates."""
    return torch.optim.Adam(module.parameters(), lr=RATE, betas=BETAS)


def import_original(checkout: str, device: str) -> tuple[types.ModuleType, types.ModuleType]:
    """Its generators and discriminators."""

    class RoiAlign(nn.Module):
        def __init__(self, size: tuple[int, int], scale: float, ratio: int) -> None:
            super().__init__()
            self.size, self.scale, self.ratio = size, scale, max(ratio, 0)

        def forward(self, features: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
            return roi_align(features, boxes[:, 1:], boxes[:, 0].long(), self.size, self.scale, self.ratio)

    sys.path.insert(0, checkout)
    layers = types.ModuleType("model.roi_layers")
    layers.ROIAlign = layers.ROIPool = RoiAlign  # type: ignore[attr-defined]
    vision = types.ModuleType("torchvision.utils")
    vision.make_grid = None  # type: ignore[attr-defined]
    utilities = types.ModuleType("utils")
    utilities.__path__ = [str(Path(checkout) / "utils")]  # without what its __init__ imports for drawing
    sys.modules |= {
        "utils": utilities,
        "model.roi_layers": layers,
        "torchvision": types.ModuleType("torchvision"),
        "torchvision.utils": vision,
    }
    if device == "cpu":
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    from model import rcnn_discriminator, resnet_generator

    return resnet_generator, rcnn_discriminator


def original_inference(count: int, size: int, device: str, checkout: str) -> Run:
    """As ours."""
    generators, _ = import_original(checkout, device)
    model = getattr(generators, f"ResnetGenerator{size}")(num_classes=CATEGORIES).to(device)
    labels, boxes, _ = layouts(count, size)
    latents, picture = torch.randn(count, OBJECTS, 128), torch.randn(count, 128)
    labels, boxes, latents, picture = (value.to(device) for value in (labels, boxes, latents, picture))
    with torch.no_grad():
        model.train()(latents, boxes, picture, labels)  # so that its spectral norms are not those of the start
    model.eval()

    def run() -> object:
        with torch.no_grad():
            return model(latents, boxes, picture, labels)

    return run


def original_training_step(count: int, size: int, device: str, checkout: str) -> Run:
    """The steps of its training script with its networks."""
    generators, discriminators = import_original(checkout, device)
    model = getattr(generators, f"ResnetGenerator{size}")(num_classes=CATEGORIES).to(device).train()
    judge = getattr(discriminators, f"CombineDiscriminator{size}")(num_classes=CATEGORIES).to(device).train()
    adams = adam(model), adam(judge)
    labels, boxes, images = (value.to(device) for value in layouts(count, size))

    def run() -> object:
        judge.zero_grad()
        real, real_objects = judge(images, boxes.clone(), labels)
        loss = F.relu(1 - real).mean() * 0.1 + F.relu(1 - real_objects).mean()
        latents = torch.randn(count, OBJECTS, 128, device=device)
        made = model(latents, boxes.clone(), y=labels)
        fake, fake_objects = judge(made.detach(), boxes.clone(), labels)
        loss = loss + F.relu(1 + fake).mean() * 0.1 + F.relu(1 + fake_objects).mean()
        loss.backward()
        adams[1].step()
        model.zero_grad()
        fake, fake_objects = judge(made, boxes.clone(), labels)
        loss = -0.1 * fake.mean() - fake_objects.mean()
        loss.backward()
        adams[0].step()
        return loss

    return run


def start(system: str, row: str, options: argparse.Namespace) -> Run:
    """Inference or a training step, of either system."""
    arguments = (batch_of(row), options.size, options.device)
    if system == "ours":
        return (our_training_step if "training" in row else our_inference)(*arguments)
    return (original_training_step if "training" in row else original_inference)(*arguments, options.original)


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--size", type=int, default=128, choices=(64, 128, 256))
    compare(command, "ZejianLi/LAMA", lambda options: f"LAMA at {options.size} px", ROWS, start)
