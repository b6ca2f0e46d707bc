"""Published networks that compare pictures: fetched once and verified, or taken from the user's file."""

from __future__ import annotations

import logging
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import hub

from scenograph.errors import UserError, reason
from scenograph.files import make_folder
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import read_checkpoint, tensors
from scenograph.nn.inception import Inception
from scenograph.nn.perceptual import ALEXNET, VGG16, VGG19, FeatureStack, PerceptualDistance, Stack

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsFile:
    """Where weights are, how their published SHA-256 begins, and how large they are."""

    url: str
    sha256: str
    megabytes: float
    name: str = ""
    """The file's name in the cache; the address's last part if empty."""


_TORCH = "https://download.pytorch.org/models"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/c33f89e9/lpips/weights/v0.1"
WEIGHTS = {
    "vgg19": WeightsFile(f"{_TORCH}/vgg19-dcbb9e9d.pth", "dcbb9e9d", 575),
    "vgg16": WeightsFile(f"{_TORCH}/vgg16-397923af.pth", "397923af", 528),
    "alexnet": WeightsFile(f"{_TORCH}/alexnet-owt-7be5be79.pth", "7be5be79", 233),
    "lpips-alex": WeightsFile(
        f"{_LPIPS}/alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 0.01, "lpips-alex.pth"
    ),
    "lpips-vgg": WeightsFile(
        f"{_LPIPS}/vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 0.01, "lpips-vgg.pth"
    ),
    "inception": WeightsFile(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        91,
    ),
}
PERCEPTUAL: dict[str, tuple[Stack, str]] = {"alex": (ALEXNET, "alexnet"), "vgg": (VGG16, "vgg16")}
"""Networks of LPIPS: their plan, and whose weights they have."""


@dataclass(frozen=True)
class Download:
    """A file, or a model of the Hugging Face hub, that would be fetched."""

    name: str
    url: str
    folder: Path
    """Where it is kept."""
    megabytes: float | None = None

    @property
    def size(self) -> str:
        """In words."""
        return "size unknown" if self.megabytes is None else f"{self.megabytes:g} MB"


def missing_weights(*names: str) -> list[Download]:
    """Those of the published files that are not in torch's cache, without fetching any."""
    files = {name: _cached(name) for name in names}
    return [
        Download(file.name, WEIGHTS[name].url, file.parent, WEIGHTS[name].megabytes)
        for name, file in files.items()
        if not file.exists()
    ]


def missing_from_hub(source: str, megabytes: float | None = None) -> list[Download]:
    """A model of the Hugging Face hub, by its id, if it is neither a folder nor in the hub's cache."""
    from huggingface_hub import constants, try_to_load_from_cache  # takes a while to import

    if Path(source).is_dir() or isinstance(try_to_load_from_cache(source, "config.json"), str):
        return []
    return [Download(source, f"https://huggingface.co/{source}", Path(constants.HF_HUB_CACHE), megabytes)]


def load_vgg19(path: Path | None = None) -> FeatureStack:
    """VGG19 up to relu5_1. Raises ``UserError`` if the file cannot be obtained or does not hold its weights."""
    return _stack(VGG19, "vgg19", path)


def load_perceptual_distance(
    network: Literal["alex", "vgg"], backbone: Path | None = None, heads: Path | None = None
) -> PerceptualDistance:
    """LPIPS over AlexNet or VGG16. Raises ``UserError`` as above."""
    plan, name = PERCEPTUAL[network]
    file = heads or weights_file(f"lpips-{network}")
    state = tensors(read_checkpoint(file), str(file))
    try:
        weights = [state[f"lin{level}.model.1.weight"] for level in range(len(plan.levels))]
    except KeyError as error:
        raise UserError(f"{file}: not the heads of LPIPS: it holds no weights {error}") from error
    return PerceptualDistance(_stack(plan, name, backbone), weights).eval()


def perceptual_downloads(network: str, backbone: Path | None = None, heads: Path | None = None) -> list[Download]:
    """What :func:`load_perceptual_distance` would fetch."""
    wanted = [*([] if backbone else [PERCEPTUAL[network][1]]), *([] if heads else [f"lpips-{network}"])]
    return missing_weights(*wanted)


def load_inception(path: Path | None = None) -> Inception:
    """Inception of December 2015, in eval mode. Raises ``UserError`` as above."""
    file = path or weights_file("inception")
    model = Inception()
    counters = {key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")}
    load_state(model, counters | tensors(read_checkpoint(file), str(file)), str(file))
    return model.requires_grad_(False).eval()


def weights_file(name: str) -> Path:
    """The file of published weights in torch's cache, downloaded and verified if it is not there yet.

    Raises ``UserError``, naming the file and where to put it, if it cannot be downloaded.
    """
    wanted = WEIGHTS[name]
    file = _cached(name)
    if file.exists():
        return file
    make_folder(file.parent)
    log.warning("downloading %s (%g MB) to %s", wanted.url, wanted.megabytes, file)
    try:
        hub.download_url_to_file(wanted.url, str(file), hash_prefix=wanted.sha256)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"cannot fetch {wanted.url}: {reason(error)}; fetch it elsewhere and put it at {file}"
        ) from error
    return file


def _cached(name: str) -> Path:
    """Where published weights are kept."""
    return Path(hub.get_dir()) / "checkpoints" / (WEIGHTS[name].name or Path(WEIGHTS[name].url).name)


def _stack(plan: Stack, name: str, path: Path | None) -> FeatureStack:
    file = path or weights_file(name)
    try:
        return FeatureStack(plan, tensors(read_checkpoint(file), str(file)))
    except KeyError as error:
        raise UserError(f"{file}: not {name}: it holds no weights {error}; use {WEIGHTS[name].url}") from error
