"""Diffusion models from folders and the Hugging Face hub: safetensors only, no code of theirs, licences said first."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from scenograph.errors import MALFORMED, NOTE, UserError, missing_extra, reason, shortened
from scenograph.files import digest, is_file, is_folder, read_json
from scenograph.pipelines.renderers.diffusers_controls import Control
from scenograph.pipelines.renderers.diffusers_engines import ENGINES, NETWORKS, ControlForm, Engine, Way, engine_of
from scenograph.pretrained.quiet import quiet

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
NOISY = ("diffusers", "transformers")
"""Packages that print bars, and remarks on how checkpoints were saved."""
PLAIN, GLIGEN = "StableDiffusionPipeline", "StableDiffusionGLIGENPipeline"
WIDTHS = ("cross_attention_dim", "joint_attention_dim", "num_attention_heads", "dim")
"""Settings of networks that are the same in a control network and in the model that it was made for."""


class DiffusersModel:
    """A model, whose weights are loaded when a picture is drawn, and kept with the control networks of the last one."""

    def __init__(self, source: str, device: torch.device) -> None:
        """Reads what it is. Raises ``UserError`` for no such model, and for a family that is not in the table."""
        check_installed()
        self.source, self.device = source, device
        named = _settings(source, "model_index.json")
        self._denoiser = "unet" if "unet" in named else "transformer"
        kind = str(named.get("_class_name", "model without a class"))
        self.engine: Engine = engine_of(GLIGEN if kind == PLAIN and self._is_gated() else kind, source)
        self._base: tuple[torch.dtype, Any] | None = None
        self._networks: dict[str, tuple[torch.dtype, Any]] = {}
        self._digests: dict[str, str] = {}
        self._ready: tuple[tuple[Any, ...], Any] | None = None

    def _is_gated(self) -> bool:
        """Whether its U-Net takes boxes: GLIGEN's checkpoints for Stable Diffusion 1.4 name the plain pipeline."""
        return bool(_settings(self.source, "unet/config.json").get("attention_type") == "gated")

    @cached_property
    def digest(self) -> str:
        """As :func:`source_digest`."""
        return source_digest(self.source, "model_index.json")

    def network_digest(self, source: str) -> str:
        """Of a control network, computed once, as :func:`source_digest`."""
        if source not in self._digests:
            self._digests[source] = source_digest(source, "config.json")
        return self._digests[source]

    def forms(self, controls: Sequence[Control]) -> tuple[ControlForm | None, list[dict[str, Any]]]:
        """How the family takes the networks of these controls, and their settings.

        Raises ``UserError`` for one that it does not take, and for networks of two classes.
        """
        form, configs = None, []
        for control in controls:
            where = f"--control {control.kind}={control.source}"
            if control.source.endswith(SUFFIX):
                own: dict[str, Any] = {}
                found = self.engine.controls[-1]
            else:
                own = _settings(control.source, "config.json")
                found = self.engine.form_of(str(own.get("_class_name", "model without a class")), where)
                self._check_fits(own, where)
            if form is not None and found != form:
                raise UserError(f"{where}: a {found.network}, beside a {form.network}; use networks of one class")
            form = found
            configs.append(own)
        return form, configs

    def _check_fits(self, network: dict[str, Any], where: str) -> None:
        """Raise ``UserError`` for a network that was made for a model of the same classes and another width."""
        own = _settings(self.source, f"{self._denoiser}/config.json")
        for name in WIDTHS:
            one, other = network.get(name), own.get(name)
            if one is not None and other is not None and one != other:
                raise UserError(f"{where}: made for another model: its {name} is {one}, that of {self.source} {other}")

    def pipeline(
        self,
        form: ControlForm | None,
        controls: Sequence[Control],
        way: Way,
        dtype: torch.dtype,
        offload: str | None,
    ) -> Any:
        """The pipeline for these controls that draws in a way, on the device; all ways share the loaded parts."""
        sources = [control.source for control in controls]
        key = (way, dtype, offload, *sources)
        if self._ready is not None and self._ready[0] == key:
            return self._ready[1]
        with quiet(*NOISY), explained(self.source):
            base = self._loaded(dtype)
        if self._ready is not None and offload != self._ready[0][2]:
            self._ready[1].remove_all_hooks()
        name, more = self.engine.pipeline_of(form, way), {}
        if form is not None:
            self._networks = {source: self._network(form, source, dtype) for source in sources}
            more["controlnet"] = _joined(form, [self._networks[source][1] for source in sources])
        assert name is not None, "checked before"
        with quiet(*NOISY):
            pipe = _assembled(name, base, more)
            pipe.set_progress_bar_config(disable=True)
            _put(pipe, self.device, offload)
        self._ready = key, pipe
        return pipe

    def _loaded(self, dtype: torch.dtype) -> Any:
        """The pipeline that draws from a prompt."""
        if self._base is None or self._base[0] != dtype:
            import diffusers

            say_licence(self.source)
            kind = getattr(diffusers, self.engine.pipeline)
            self._base = dtype, kind.from_pretrained(self.source, torch_dtype=dtype, use_safetensors=True)
        return self._base[1]

    def _network(self, form: ControlForm, source: str, dtype: torch.dtype) -> tuple[torch.dtype, Any]:
        """A control network, and its precision."""
        if source in self._networks and self._networks[source][0] == dtype:
            return self._networks[source]
        import diffusers

        say_licence(source)
        kind = getattr(diffusers, form.network)
        with quiet(*NOISY), explained(source):
            if source.endswith(SUFFIX):
                where = source if is_file(source) else f"https://huggingface.co/{_blob(source)}"
                return dtype, kind.from_single_file(where, torch_dtype=dtype)
            return dtype, kind.from_pretrained(source, torch_dtype=dtype, use_safetensors=True)


def _joined(form: ControlForm, networks: list[Any]) -> Any:
    """One network, or what joins several; a union that draws several kinds is joined alone, or as it is."""
    import diffusers

    if form.shared and len({id(network) for network in networks}) == 1:
        networks, several = networks[:1], len(networks) > 1
        return getattr(diffusers, form.several)(networks) if several and form.several else networks[0]
    if len(networks) == 1:
        return networks[0]
    assert form.several is not None, "checked before"
    return getattr(diffusers, form.several)(networks)


def _assembled(name: str, base: Any, more: dict[str, Any]) -> Any:
    """A pipeline of another class with the parts of one; parts keep their precision, as they would not in from_pipe."""
    import diffusers

    kind = getattr(diffusers, name)
    if type(base) is kind:
        return base
    taken = inspect.signature(kind.__init__).parameters
    parts = {**base.config, **base.components, **more}
    return kind(**{part: value for part, value in parts.items() if part in taken})


def _put(pipe: Any, device: torch.device, offload: str | None) -> None:
    """Weights on the device, all of them or, with offloading, those that compute."""
    if offload is None or device.type == "cpu":
        pipe.to(device)
    elif offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


def _blob(source: str) -> str:
    """``owner/name/file`` as the part of the file's address on the hub that follows its host."""
    owner, name, file = source.split("/", 2)
    return f"{owner}/{name}/blob/main/{file}"


def repository(source: str) -> str:
    """Of the hub: ``owner/name`` of a model, or of one file of it."""
    return "/".join(source.split("/")[:2])


def say_licence(source: str) -> None:
    """Note under which licence a model of the hub is, before it is downloaded; folders say nothing."""
    if is_folder(source) or is_file(source):
        return
    from huggingface_hub import constants, model_info

    own = repository(source)
    rows = [(engine.example, engine.licence, engine.gigabytes) for engine in ENGINES]
    known = {name: (licence, size) for name, licence, size in rows}
    known |= {repository(row.source): (row.licence, 0.0) for row in NETWORKS}
    licence, size = known.get(own, ("not known", 0.0))
    try:
        card = model_info(own, timeout=10).card_data
        licence = (card and (card.get("license_name") or card.get("license"))) or licence
    except Exception as error:  # whatever it is, loading meets it again, if it matters, and says it
        log.debug("no card of %s: %s", own, reason(error))
    much = f", {size:g} GB in half precision" if size else ""
    what = "%s: licence %s (https://huggingface.co/%s)%s; what is missing in %s is downloaded"
    log.log(NOTE, what, own, licence, own, much, constants.HF_HUB_CACHE)


def source_digest(source: str, name: str) -> str:
    """The commit of a model on the hub; the checksum of a file, or of all files of a folder.

    Args:
        source: A folder, a hub id, or one file of weights, as of :class:`Control`.
        name: A small file that a folder or a repository holds.
    """
    if is_file(source):
        return digest(Path(source))
    if is_folder(source):
        folder = Path(source)
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".txt", SUFFIX))
        listed = "\n".join(f"{path.relative_to(folder).as_posix()} {digest(path)}" for path in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    if not source.endswith(SUFFIX):
        return model_file(source, name).parent.name
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    own, file = repository(source), source.split("/", 2)[2]
    if isinstance(cached := try_to_load_from_cache(own, file), str):
        return Path(cached).parents[file.count("/")].name
    with explained(source):
        return str(get_hf_file_metadata(hf_hub_url(own, file)).commit_hash)


def model_file(source: str, name: str) -> Path:
    """A small file of a model in a folder or on the hub. Raises ``UserError`` if there is none."""
    if is_folder(source):
        path = Path(source) / name
        if not path.is_file():
            raise UserError(f"{source} holds no {name}: not a diffusers folder")
        return path
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UserError(f"no folder {source}; give one, or an ID of the Hugging Face hub, owner/name")
    from huggingface_hub import hf_hub_download

    with explained(source):
        return Path(hf_hub_download(source, name))


def _settings(source: str, name: str) -> dict[str, Any]:
    """What a small file of a model holds. Raises ``UserError`` if there is none, or if it holds no settings."""
    value = read_json(model_file(source, name))
    if not isinstance(value, dict):
        raise UserError(f"{source}: its {name} holds no settings, but {shortened(value)}")
    return value


def check_installed() -> None:
    """Raise ``UserError``, with the remedy, without the packages of the extra."""
    for package in ("diffusers", "transformers"):
        try:
            __import__(package)
        except ImportError as error:
            raise missing_extra(package, "diffusers") from error


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn what the hub and diffusers raise inside into a ``UserError`` with the remedy."""
    from huggingface_hub import constants, errors
    from safetensors import SafetensorError

    try:
        yield
    except UserError:
        raise
    except (OSError, ImportError, SafetensorError, *MALFORMED) as error:
        if is_out_of_memory(error):
            raise
        found = list(_causes(error))
        own, page = repository(source), f"https://huggingface.co/{repository(source)}"
        if any(isinstance(one, errors.GatedRepoError) for one in found):
            said = f"gated: agree to its licence on {page}, then log in with: hf auth login"
        elif any(isinstance(one, errors.RepositoryNotFoundError) for one in found):
            said = "the hub has no such model, or a private one; check the ID, or log in with: hf auth login"
        elif any(isinstance(one, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled) for one in found):
            remedy = f"download it where it can, with: hf download {own}; or give a folder"
            said = f"not in {constants.HF_HUB_CACHE}, and the hub cannot be reached; {remedy}"
        elif any(isinstance(one, errors.EntryNotFoundError) for one in found):
            said = f"no diffusers model: {reason(error)}"
        elif any(isinstance(one, SafetensorError) for one in found):
            said = f"its weights are damaged: {reason(error)}; download it again"
        elif "safetensors" in str(error):
            said = f"no weights as {SUFFIX}; other forms are not loaded, as they can hold code"
        else:
            said = f"{reason(error)} ({type(error).__name__}); check its files, or download it again"
        raise UserError(f"{source}: {said}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of an accelerator or of the machine did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error)
