"""Networks that turn pictures into features, by name: what FID and its kin are measured in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.files import digest
from scenograph.models.base import state_digest
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.pretrained.detectors import NO_CODE, loading
from scenograph.pretrained.networks import load_inception, weights_file
from scenograph.scenes.batch import picture_to_pixels, pixels_to_tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DINO = "facebook/dinov2-large"
DINO_MEGABYTES = 1220


class Encoder(ABC):
    """Pictures to features, and to class probabilities where the network has classes."""

    name: ClassVar[str]
    digest: str
    """SHA-256 of the weights, by which results are compared."""

    @abstractmethod
    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Pictures (N, H, W, 3) uint8 -> features (N, D) float32, probabilities (N, K) float32 or None."""


class InceptionEncoder(Encoder):
    """Inception of December 2015, at whatever size pictures have: FID, Inception Score, SceneFID.

    ``path`` holds the weights as a state dictionary, or a TorchScript of the network that takes uint8 pictures
    (N, 3, H, W) and answers features for ``return_features=True``, and probabilities for ``no_output_bias=True``.
    """

    name = "inception"

    def __init__(self, path: Path | None, device: torch.device) -> None:
        file = path or weights_file("inception")
        self.device, self.digest = device, digest(file)
        self.script = _torch_script(file, device)
        self.network = None if self.script is not None else load_inception(file).to(device)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As in the base class."""
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(self.device)
        with torch.inference_mode():
            if self.network is not None:
                features, probabilities = self.network(planes)
            else:
                assert self.script is not None
                features = self.script(planes, return_features=True)
                probabilities = self.script(planes, no_output_bias=True)
        return features.float().cpu().numpy(), probabilities.float().cpu().numpy()


class DinoEncoder(Encoder):
    """DINOv2's class token of pictures resized to 224 (Oquab et al. 2023; Stein et al. 2023): FD-DINOv2."""

    name = "dinov2"

    def __init__(self, source: str | Path | None, device: torch.device) -> None:
        where = str(source or DINO)
        with loading("encoder", where):
            from transformers import AutoModel

            self.network = AutoModel.from_pretrained(where, **NO_CODE).to(device).eval()
        self.device, self.digest = device, state_digest(self.network.state_dict())

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As in the base class."""
        resized = [np.asarray(Image.fromarray(one).resize((224, 224), Image.Resampling.BICUBIC)) for one in pixels]
        planes = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().to(self.device) / 255
        mean, std = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        with torch.inference_mode():
            features: Tensor = self.network((planes - mean) / std).last_hidden_state[:, 0]
        return features.float().cpu().numpy(), None


class ClassifierEncoder(Encoder):
    """The last features of an object classifier, such as the shipped one, which knows its own data only."""

    name = "classifier"

    def __init__(self, classifier: ObjectClassifier) -> None:
        self.classifier, self.digest = classifier, state_digest(classifier.state_dict())

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As in the base class."""
        side = self.classifier.config.image_size
        resized = np.stack([picture_to_pixels(Image.fromarray(one), side, side) for one in pixels])
        images = pixels_to_tensor(resized).to(self.classifier.device)
        with torch.inference_mode():
            return self.classifier.picture_features(images).float().cpu().numpy(), None


def _torch_script(file: Path, device: torch.device) -> torch.jit.ScriptModule | None:
    """The network in a TorchScript archive; None if the file is none."""
    try:
        return torch.jit.load(str(file), map_location=device).eval()
    except RuntimeError:
        return None
