"""One small network for whole sketches and photographs of scenes: the baseline for search by sketch.

It sees no objects, categories or boxes: a sketch is one picture, composed of the sketches of its objects, and a
photograph another. Both become vectors of length 1, near for a sketch and its photograph. That one network serves both
kinds, and that training matters more than architecture, follows Demić & Čehovin Zajc (Back to the drawing board, 2025,
"SketchScape"); the contrastive loss with a learned temperature is CLIP's (Radford et al., ICML 2021).
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.models.base import EncodesScenes, Model, ModelConfig, Widths
from scenograph.models.exporting import Exports, Graph, Plan, Port
from scenograph.models.sizes import Side
from scenograph.nn.painting import sample_masks
from scenograph.nn.resnet import halving_blocks
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

TEMPERATURE = 0.07
"""At the beginning of training; at its end the logarithm of its inverse is learned."""


class SceneEncoderConfig(ModelConfig):
    """Defaults are for pictures of the size of picture-book scenes."""

    image_size: Side = 96
    """Side of the pictures that are compared."""
    object_size: PositiveInt = 48
    """Side of the objects' sketches that a sketched scene is composed of."""
    channels: Widths = (16, 48, 96, 160)
    """Of the residual blocks; the map is halved before each."""
    reduced: PositiveInt = 32
    """Channels to which the last map is reduced, so that every place of it counts in the vector."""
    vector_dim: PositiveInt = 256

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Pictures of 32 pixels."""
        names = vocabulary.to_dict()
        return cls(vocabulary=names, image_size=32, object_size=16, channels=(8, 8), reduced=8, vector_dim=16)

    @property
    def sketch_side(self) -> int:
        """That of the sketches of objects."""
        return self.object_size

    @property
    def map_side(self) -> int:
        """Side of the last map: the picture's, halved for every block."""
        side = self.image_size // 2
        for _ in self.channels[1:]:
            side = math.ceil(side / 2)
        return side


class SceneEncoder(Exports, Model, EncodesScenes):
    """Pictures to unit vectors."""

    name: ClassVar[str] = "scene-encoder"
    Config: ClassVar[type[ModelConfig]] = SceneEncoderConfig

    def __init__(self, config: SceneEncoderConfig) -> None:
        super().__init__(config)
        self.config: SceneEncoderConfig = config
        self.features = nn.Sequential(*halving_blocks(config.channels))
        self.reduce = nn.Conv2d(config.channels[-1], config.reduced, 1)
        self.vector = nn.Linear(config.reduced * config.map_side**2, config.vector_dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))
        """Logarithm of what inner products are multiplied by in training."""

    @property
    def vector_size(self) -> int:
        """Length of the vector of each scene."""
        return self.config.vector_dim

    def scene_vectors(self, batch: SceneBatch) -> Tensor:
        """Unit vectors (N, D): of the sketches of scenes that have any, of the pictures of all others.

        Raises:
            UserError: A scene has neither.
        """
        assert batch.sketches is not None
        rows = batch.object_to_image[batch.sketches.amin(dim=(1, 2)) < 1]
        sketched = torch.zeros(batch.num_images, dtype=torch.bool, device=rows.device)
        sketched[rows] = True
        seen = batch.images
        if seen is None:
            if not sketched.all():
                number = int((~sketched).nonzero()[0])
                raise UserError(f"scene {number} has neither a sketch nor a picture, one of which {self.called} needs")
            return self(self.compose(batch))
        return self(torch.where(sketched[:, None, None, None], self.compose(batch), seen))

    def exported(self) -> Plan:
        """One graph, from pictures to vectors."""
        side = self.config.image_size
        images = Port("images", ("pictures", 3, side, side), "pictures in [-1, 1], or sketches, paper 1 and ink -1")
        vectors = Port("vectors", ("pictures", self.config.vector_dim), "of length 1, near for alike scenes")
        graph = Graph("vectors", "Vectors of sketched scenes and pictures.", self.forward, (images,), (vectors,))
        return Plan(graphs=(graph,), how=("Run 'vectors', and compare them by their inner products.",))

    def compose(self, batch: SceneBatch) -> Tensor:
        """Sketches of objects put where their boxes are, as pictures (N, 3, H, W): paper 1, ink -1.

        Ink adds up where sketches overlap. Objects without a box are left out.
        """
        assert batch.sketches is not None
        side, known = self.config.image_size, batch.known_boxes
        drawn = sample_masks(batch.boxes[known], 1 - batch.sketches[known], side, side)
        ink = drawn.new_zeros((batch.num_images, side, side)).index_add_(0, batch.object_to_image[known], drawn)
        # (N, H, W) -> (N, 3, H, W)
        return (1 - 2 * ink.clamp(max=1))[:, None].expand(-1, 3, -1, -1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to unit vectors (N, D), float32."""
        reduced = self.reduce(self.features(pictures)).relu()
        return F.normalize(self.vector(reduced.flatten(1)).float(), dim=1, eps=1e-6)  # (N, C, h, w) -> (N, C * h * w)
