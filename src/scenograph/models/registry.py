"""Models by name, and from folders and the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from scenograph.errors import UserError, reason, suggest
from scenograph.files import is_folder, read_json
from scenograph.models.attspade import AttSpade
from scenograph.models.base import Model
from scenograph.models.detector import Detector
from scenograph.models.lama import Lama
from scenograph.models.lostgan import LostGan
from scenograph.models.mise import Mise
from scenograph.models.mise_layers import MiseLayers
from scenograph.models.mise_layout import MiseLayout
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.pastegan import PasteGan
from scenograph.models.scene_designer import SceneDesigner
from scenograph.models.scene_encoder import SceneEncoder
from scenograph.models.sg2im import Sg2Im
from scenograph.models.spade import Spade
from scenograph.models.wsgc import Wsgc
from scenograph.scenes.vocabulary import Vocabulary

MODELS: dict[str, type[Model]] = {
    kind.name: kind
    for kind in (
        AttSpade,
        Detector,
        Lama,
        LostGan,
        Mise,
        MiseLayers,
        MiseLayout,
        ObjectClassifier,
        PasteGan,
        SceneDesigner,
        SceneEncoder,
        Sg2Im,
        Spade,
        Wsgc,
    )
}
"""Every architecture, by the name that ``config.json`` and recipes use."""


def shipped_models() -> dict[str, Path]:
    """Folders of the trained models in the package, by name."""
    folder = Path(str(files("scenograph") / "weights"))
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


def models_in(folder: Path) -> dict[str, Path]:
    """Find model folders, those of training runs, too. What is no model made here is passed over.

    Args:
        folder: A model folder, or one that holds some, up to three levels down.

    Returns:
        The folders, by their paths as text.
    """
    found = {}
    for place in ("", "*/", "*/*/", "*/*/model/"):
        for path in sorted(folder.glob(f"{place}config.json")):
            with suppress(UserError):
                read_config(path.parent)
                if (path.parent / "model.safetensors").is_file():
                    found[str(path.parent)] = path.parent
    return found


def model_vocabulary(source: str | Path) -> Vocabulary:
    """The names that a model knows, without loading its weights.

    Args:
        source: A shipped model's name, a folder or a hub id.

    Returns:
        Its vocabulary.

    Raises:
        UserError: As :func:`read_config`.
    """
    return Vocabulary.from_dict(read_config(source)[1]["vocabulary"])


def summary_of(folder: Path) -> str:
    """The first sentence of a model's card, ``README.md`` in its folder; empty without one."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((line for line in lines if line and not line.startswith(("#", "-", "`"))), "")


class AutoModel:
    """Loads whichever model a folder holds."""

    @staticmethod
    def from_pretrained(source: str | Path, others: Collection[str] = ()) -> Model:
        """Load a model.

        Args:
            source: A shipped model's name, a folder with ``config.json`` and ``model.safetensors``, or a hub id
                ``owner/name``, which is downloaded once.
            others: Names that would do as well, to suggest for a wrong one.

        Returns:
            The model in eval mode, on the CPU, with weights in float32.

        Raises:
            UserError: There is no such model, or its files are damaged or do not fit together.
        """
        kind, config = read_config(source, others)
        model = MODELS[kind].from_folder(find_model(source), config)
        model.shipped_as = str(source) if str(source) in shipped_models() else ""
        return model


def read_config(source: str | Path, others: Collection[str] = ()) -> tuple[str, dict[str, Any]]:
    """A model's architecture name and settings, without its weights.

    Args:
        source: As for :meth:`AutoModel.from_pretrained`.
        others: As there.

    Raises:
        UserError: There is no such model, or its ``config.json`` is not one of ours.
    """
    path = find_model(source, others) / "config.json"
    config = read_json(path)
    match config:
        case {"model": str(kind), "vocabulary": dict()}:
            del config["model"]
        case _:
            wanted = "expected a name, 'model', and a dictionary, 'vocabulary'"
            raise UserError(f"{path}: not of a model made here: {wanted}")
    if kind not in MODELS:
        raise UserError(f"{path}: unknown model {kind!r} {suggest(str(kind), MODELS)}")
    return kind, config


def find_model(source: str | Path, others: Collection[str] = ()) -> Path:
    """The folder of a model; hub ids are downloaded once.

    Args:
        source: As for :meth:`AutoModel.from_pretrained`.
        others: As there.

    Raises:
        UserError: There is no such model.
    """
    shipped = shipped_models()
    if str(source) in shipped:
        return shipped[str(source)]
    path = Path(source)
    if is_folder(path):
        if not (path / "config.json").is_file():
            inside = next((f"; {config.parent} is one" for config in sorted(path.glob("*/config.json"))), "")
            raise UserError(f"{path} holds no config.json: not a model folder{inside}")
        return path
    if str(source).count("/") == 1 and not str(source).startswith((".", "/", "~")):
        from huggingface_hub import snapshot_download  # takes a while to import
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(str(source), allow_patterns=["*.json", "*.safetensors", "*.md"]))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise UserError(f"no model {source!r}: not a folder, and the hub says: {reason(error)}") from error
    raise UserError(f"no model {str(source)!r} {suggest(str(source), [*shipped, *others])}")
