"""VGG19's published weights: from the user's file, or fetched once and verified."""

from __future__ import annotations

import logging
import urllib.error
from pathlib import Path

from torch import hub

from scenograph.errors import UserError
from scenograph.files import make_folder
from scenograph.models.published.checkpoint import read_checkpoint, tensors
from scenograph.nn.vgg import Vgg19Features

log = logging.getLogger(__name__)

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
SHA256_PREFIX = "dcbb9e9d"
"""torchvision publishes it in the file's name."""


def load_vgg19(path: Path | None = None) -> Vgg19Features:
    """The network with weights from ``path``, or from torch's cache, where they are downloaded to (575 MB) if missing.

    Raises ``UserError`` if the file cannot be had or does not hold them.
    """
    file = path or _cached()
    try:
        return Vgg19Features(tensors(read_checkpoint(file), str(file)))
    except KeyError as error:
        raise UserError(
            f"{file}: not VGG19: it holds no weights {error}; use torchvision's {Path(URL).name}"
        ) from error


def _cached() -> Path:
    file = make_folder(Path(hub.get_dir()) / "checkpoints") / Path(URL).name
    if file.exists():
        return file
    log.warning("downloading %s (575 MB) to %s", URL, file)
    try:
        hub.download_url_to_file(URL, str(file), hash_prefix=SHA256_PREFIX)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot fetch {URL}: {reason}; fetch it elsewhere and name the file with objective.vgg_file=FILE, "
            "or do without: objective.feature_weight=0"
        ) from error
    return file
