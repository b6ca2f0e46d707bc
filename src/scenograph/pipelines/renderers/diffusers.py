"""Diffusion models of other makers as a renderer: any model that diffusers loads, of a family in the table."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scenograph.data.pictures import read_rgb
from scenograph.devices import RenderPrecision
from scenograph.errors import NOTE, UserError
from scenograph.pipelines.defaults import COLLAGE, DIFFUSERS
from scenograph.pipelines.options import OF_DIFFUSION, GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.pipelines.renderers.diffusers_arguments import arguments_for, step_callback
from scenograph.pipelines.renderers.diffusers_controls import (
    Control,
    Given,
    Starts,
    as_many,
    check_form,
    control_pictures,
    crops_of,
    read_controls,
    region_masks,
)
from scenograph.pipelines.renderers.diffusers_engines import REGIONS, ControlForm, Engine
from scenograph.pipelines.renderers.diffusers_loading import DiffusersModel, explained, is_out_of_memory, quiet
from scenograph.pipelines.renderers.diffusers_prompt import left_out, object_prompt, scene_prompt
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

DTYPES: dict[RenderPrecision, torch.dtype] = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FEW = 28
"""Steps that all families take at least, if none are asked for."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What pictures are drawn from, and by which pipeline."""

    controls: list[Control]
    form: ControlForm | None
    configs: list[dict[str, Any]]
    """Of the networks of the controls."""
    pictures: list[Given]

    @property
    def starts(self) -> bool:
        """Whether they start from pictures."""
        return self.pictures[0].start is not None


class DiffusersRenderer(Renderer):
    """A prompt and control pictures of each scene go in; one picture at a time, from a seed of its own, comes out."""

    places, completes_attributes, slow = False, False, True
    own_options = OF_DIFFUSION

    def __init__(self, source: str, device: torch.device) -> None:
        """Reads which family a model is of; its weights are loaded when a picture is drawn.

        Args:
            source: A folder with ``model_index.json``, or an ID of the Hugging Face hub.
            device: Where it draws.

        Raises:
            UserError: There is no such model, its family is unknown, or the packages of the extra are missing.
        """
        self.model = DiffusersModel(source, device)
        self.name, self.device = f"{DIFFUSERS}{source}", device
        self._said: set[str] = set()
        """Notes that are not repeated."""

    @property
    def engine(self) -> Engine:
        """The row of its family."""
        return self.model.engine

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Of the model, without control networks."""
        return self.model.digest

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Any names: they are words of the prompt."""
        return None

    def check(self, scenes: Sequence[Scene]) -> None:
        """Warn of object seeds."""
        if any(thing.seed is not None for scene in scenes for thing in scene.objects):
            log.warning("%s gives objects no looks of their own: their seeds change nothing", self.name)

    def settle(self, scenes: Sequence[Scene], seeds: Sequence[int], movable: Sequence[Sequence[bool]]) -> list[Scene]:
        """As the collage does, whose shapes the control pictures show."""
        return self._collage.settle(scenes, seeds, movable)

    @cached_property
    def _collage(self) -> CollageRenderer:
        return CollageRenderer()

    @cached_property
    def _starts(self) -> Starts:
        return Starts(self.device, self._collage)

    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        """As in the base class: prompts, control pictures and whatever else the family takes."""
        engine = self.engine
        self._check(options)
        controls = read_controls(options.control or (), engine)
        form, configs = self.model.forms(controls)
        if form is not None:
            check_form(form, configs, controls)
        start = options.start or (COLLAGE if options.strength is not None else None)
        if start is not None and form is not None and form.start_pipeline is None:
            raise UserError(f"{self.name}: {engine.name} takes either control networks or a picture to start from")
        side = engine.rounded(wanted := options.size or engine.side)
        if side != wanted:
            self._note(f"{engine.name} draws sides that are multiples of {engine.multiple}: {wanted} becomes {side}")
        shaped = [
            self._collage.shaped(scene, seed, [False] * len(scene.objects))
            for scene, seed in zip(scenes, seeds, strict=True)
        ]
        own: Sequence[Image.Image | None] = [None] * len(shaped)
        if start is not None:
            own = self._starts.pictures(start, scenes, seeds, side)
        pictures = [
            self._given(scene, picture, controls, side, options) for scene, picture in zip(shaped, own, strict=True)
        ]
        return ConditionedScenes(list(scenes), list(seeds), Plan(controls, form, configs, pictures), options)

    def _given(
        self, scene: Scene, start: Image.Image | None, controls: list[Control], side: int, options: GenerateOptions
    ) -> Given:
        """What one picture is drawn from."""
        references: list[Image.Image] = []
        if self.engine.references:
            style = read_rgb(options.style) if isinstance(options.style, Path) else options.style
            named = [picture.convert("RGB") for picture in (start, style) if picture is not None]
            references, start = as_many([*named, *crops_of(scene)], self.engine), None
        prompt, drawn = scene_prompt(scene, options.prompt), control_pictures(scene, controls, side)
        return Given(scene, prompt, side, drawn, start, references)

    def _check(self, options: GenerateOptions) -> None:
        """Raise ``UserError`` for options that the family does not have."""
        engine, starts = self.engine, options.start is not None or options.strength is not None
        if options.style is not None and not engine.references:
            raise UserError(f"{self.name}: takes no style; leave --style out, or use --start")
        if starts and engine.start_pipeline is None and not engine.references:
            raise UserError(f"{self.name}: {engine.name} takes no picture to start from, but {engine.takes}")
        if options.strength is not None and engine.references:
            raise UserError(f"{self.name}: refers to pictures and changes none; leave --strength out, use --start")
        if options.negative is not None and not engine.negative:
            raise UserError(f"{self.name}: {engine.name} takes no negative prompt; leave --negative out")
        steps = options.steps or FEW
        if options.strength is not None and int(steps * options.strength) < 1:
            least = math.ceil(1 / options.strength)
            raise UserError(f"strength {options.strength:g} of {steps} steps is none: give --steps {least} or more")

    def _note(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.log(NOTE, text)

    def render(self, conditioned: ConditionedScenes) -> Tensor:
        """As in the base class. Raises ``UserError``, with the remedy, where memory does not suffice."""
        plan, options = conditioned.condition, conditioned.options
        assert isinstance(plan, Plan)
        try:
            pipe = self.model.pipeline(plan.form, plan.controls, plan.starts, self._dtype(options), options.offload)
            made = [
                self._picture(pipe, plan, given, seed, options)
                for given, seed in zip(plan.pictures, conditioned.seeds, strict=True)
            ]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            remedies = [f"--size {self.engine.rounded(plan.pictures[0].side // 2)}"]
            if options.offload is None and self.device.type != "cpu":
                remedies.insert(0, "--offload model")
            if options.precision == "no":
                remedies.append("--precision bf16")
            said = f"{self.name}: memory of {self.device.type} does not suffice; try {' or '.join(remedies)}"
            raise UserError(said) from error
        return torch.stack(made)

    def _dtype(self, options: GenerateOptions) -> torch.dtype:
        """The precision that was asked for; otherwise bfloat16 on accelerators, which most weights are made for."""
        asked = "precision" in options.chosen() or self.device.type == "cpu"
        return DTYPES[options.precision if asked else "bf16"]

    def _picture(self, pipe: Any, plan: Plan, given: Given, seed: int, options: GenerateOptions) -> Tensor:
        """A picture (3, H, W) in [-1, 1]."""
        engine = self.engine
        within: AbstractContextManager[None] = nullcontext()
        self._say_cut(pipe, given.prompt)
        arguments = arguments_for(pipe, engine, plan.form, plan.configs, plan.controls, given, options, seed)
        if REGIONS in (options.control or ()):
            from scenograph.pipelines.renderers.diffusers_regions import encode_regions, regional_attention

            masks = region_masks(given.scene, given.side)
            texts = [given.prompt, *(object_prompt(given.scene.objects[number]) for number in masks)]
            for name in ("prompt", "negative_prompt"):
                arguments.pop(name, None)
            with torch.inference_mode(), quiet():
                arguments |= encode_regions(pipe, texts, options.negative)
            within = regional_attention(_attending(pipe), list(masks.values()), engine.tokens)
        arguments |= step_callback(pipe, engine, given.side, self.watch)
        with torch.inference_mode(), within, quiet(), explained(self.model.source), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # SD3 encodes control pictures with numbers that are not the generator's
            made = pipe(**arguments)
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            log.warning("%s: its safety checker blackened the picture of seed %d", self.name, seed)
        return made.images[0].float().cpu() * 2 - 1

    def _say_cut(self, pipe: Any, prompt: str) -> None:
        """Note what the tokenizer leaves out of a prompt."""
        name, tokens = self.engine.tokenizer, self.engine.tokens
        if getattr(pipe, name.replace("tokenizer", "text_encoder"), None) is None:  # SD3 without T5
            name, tokens = "tokenizer", 77
        if cut := left_out(getattr(pipe, name), tokens, prompt):
            self._note(f"{self.name} reads {tokens} tokens; the prompt's end is left out: {cut}")


def _attending(pipe: Any) -> list[Any]:
    """The U-Net and the control networks beside it."""
    network = getattr(pipe, "controlnet", None)
    return [pipe.unet, *(getattr(network, "nets", [network]) if network is not None else [])]
