"""Scenes as vectors without learning: what is in them, and what is where.

Every category has a random vector. A scene is the sum of its objects' vectors, and a second sum in which each is turned
by where the object is and how large: random Fourier features (Rahimi & Recht, NeurIPS 2007), bound to the category by
multiplication (Plate, IEEE Transactions on Neural Networks 1995). So the inner product of two scenes adds up, over all
pairs of objects of one category, a Gaussian of how far apart they are; pairs of different categories cancel out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.scene import Scene

NAMES, PLACES = 128, 192
"""Numbers of the first sum, and complex numbers of the second."""
SIZE = NAMES + 2 * PLACES
SHARE = 0.3
"""How much the first sum counts beside the second where a scene has boxes."""
NEAR, ALIKE = 0.15, 0.6
"""Standard deviations of the Gaussian: of centres, in sides of the canvas, and of the logarithms of sides."""
SMALLEST = 0.01
"""Shortest side of a box, in sides of the canvas."""


def encode_layouts(scenes: Sequence[Scene], weights: Mapping[str, float] | None = None) -> np.ndarray:
    """Vectors of scenes.

    Args:
        scenes: Objects without a box count by their category alone.
        weights: Of categories, by default 1: for queries, how telling a category is.

    Returns:
        (N, SIZE) float32 of length 1; zeros for a scene without objects.
    """
    vectors = [_encode(scene, weights or {}) for scene in scenes]
    return np.stack(vectors) if vectors else np.zeros((0, SIZE), np.float32)


def place_features(boxes: np.ndarray) -> np.ndarray:
    """Where boxes (..., 4) are and how large: (..., 4) in units of the Gaussian's standard deviations."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2 / NEAR, np.log(np.maximum(high - low, SMALLEST)) / ALIKE], axis=-1)


@lru_cache(maxsize=4096)
def meaning(name: str) -> str:
    """The same name for all categories of one meaning, such as sea and ocean."""
    known = CATEGORIES.meanings.get(name)
    return known.words[0] if known is not None else name


def settings_digest() -> str:
    """Of what the vectors depend on: others cannot be compared with these."""
    settings = (NAMES, PLACES, SHARE, NEAR, ALIKE, SMALLEST)
    return hashlib.sha256(repr(settings).encode()).hexdigest()


def _encode(scene: Scene, weights: Mapping[str, float]) -> np.ndarray:
    names, places = np.zeros(NAMES), np.zeros(PLACES, dtype=np.complex128)
    for thing in scene.objects:
        weight = weights.get(thing.category, 1.0)
        own, turned = _category(meaning(thing.category))
        names += weight * own
        if thing.box is not None:
            places += weight * turned * np.exp(1j * (_frequencies() @ place_features(np.array(thing.box))))
    share = SHARE if places.any() else 1.0
    parts = (share**0.5 * _unit(names), (1 - share) ** 0.5 * _unit(np.concatenate([places.real, places.imag])))
    return np.concatenate(parts).astype(np.float32)


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


@lru_cache(maxsize=4096)
def _category(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The random vectors of a category: (NAMES,) of normal numbers, and (PLACES,) complex ones of length 1."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    return _unit(random.normal(size=NAMES)), np.exp(2j * np.pi * random.random(PLACES))


@lru_cache(maxsize=1)
def _frequencies() -> np.ndarray:
    """(PLACES, 4): of the features of :func:`place_features`."""
    return np.random.default_rng(0).normal(size=(PLACES, 4))
