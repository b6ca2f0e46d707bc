"""Random numbers of pictures and objects: each is a function of a seed and a purpose, in any batch, on any device."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.fields import LARGEST_OBJECT_SEED, ObjectSeed, looks_of
from scenograph.scenes.scene import Scene


def seeded_generators(seeds: Sequence[int], purpose: str) -> list[torch.Generator]:
    """One generator per seed. Each purpose has a stream of its own: moving a box does not change a picture's noise.

    The seed goes through a checksum because torch's CPU generator uses only 32 bits of it.
    """
    return [torch.Generator().manual_seed(zlib.crc32(f"{purpose} {seed}".encode())) for seed in seeds]


def with_latents(
    batch: SceneBatch, scenes: Sequence[Scene], seeds: Sequence[int], size: int, truncation: float
) -> SceneBatch:
    """The batch with latents (O, size) of objects and (N, size) of pictures.

    An object's latent comes from its own seed if it has one, else from the picture's seed and the object's number. So
    an object that moves keeps its appearance, and so do all others.
    """
    rows = [
        _object_latent(looks_of(thing.seed, seed, place), size, truncation)
        for scene, seed in zip(scenes, seeds, strict=True)
        for place, thing in enumerate(scene.objects)
    ]
    pictures = [_latent(f"background {seed}", size, truncation) for seed in seeds]
    device = batch.objects.device
    return replace(batch, object_latents=torch.stack(rows).to(device), picture_latents=torch.stack(pictures).to(device))


def looks_seed(seed: int, what: str | int) -> int:
    """A seed for an object's looks, made from another one and what tells the object from others."""
    return zlib.crc32(f"looks of {what} {seed}".encode()) % LARGEST_OBJECT_SEED


def with_object_seeds(scene: Scene, seeds: Sequence[ObjectSeed | None]) -> Scene:
    """The scene with seeds for objects that have none; None leaves an object as it is."""
    objects = (
        thing if thing.seed is not None else replace(thing, seed=seed)
        for thing, seed in zip(scene.objects, seeds, strict=True)
    )
    return replace(scene, objects=tuple(objects))


def _object_latent(looks: ObjectSeed, size: int, truncation: float) -> Tensor:
    if isinstance(looks, int):
        return _latent(f"looks {looks}", size, truncation)
    if len(looks) == 2:
        return _latent(f"object {looks[1]} {looks[0]}", size, truncation)
    first, second = (_latent(f"looks {one}", size, truncation) for one in looks[:2])
    # Along the great circle: in many dimensions the straight line passes through vectors shorter than any sampled one.
    angle = torch.arccos(F.cosine_similarity(first, second, dim=0).clamp(-1, 1))
    if angle < 1e-4:
        return first
    return (torch.sin((1 - looks[2]) * angle) * first + torch.sin(looks[2] * angle) * second) / torch.sin(angle)


def _latent(purpose: str, size: int, truncation: float) -> Tensor:
    """Normal numbers (size,) of at most ``truncation`` in magnitude: larger ones are sampled again."""
    generator = torch.Generator().manual_seed(zlib.crc32(purpose.encode()))
    values = torch.randn(size, generator=generator)
    while bool((outside := values.abs() > truncation).any()):
        values = torch.where(outside, torch.randn(size, generator=generator), values)
    return values
