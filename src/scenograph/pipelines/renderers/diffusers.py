"""Diffusion models of other makers as a renderer: any model that diffusers loads, of a family in the table."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scenograph.data.pictures import read_rgb
from scenograph.devices import RenderPrecision
from scenograph.errors import NOTE, UserError
from scenograph.pipelines.defaults import COLLAGE, DIFFUSERS
from scenograph.pipelines.options import LARGEST_GUIDANCE, GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.pipelines.renderers.diffusers_arguments import arguments_for, step_callback, usual_value
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
    repaint_masks,
    stronger_controls,
)
from scenograph.pipelines.renderers.diffusers_engines import BOXES, REGIONS, ControlForm, Engine, Way
from scenograph.pipelines.renderers.diffusers_loading import (
    NOISY,
    DiffusersModel,
    explained,
    is_out_of_memory,
)
from scenograph.pipelines.renderers.diffusers_prompt import left_out, object_prompt, scene_prompt
from scenograph.pretrained.quiet import quiet
from scenograph.scenes.batch import images_to_uint8, pixels_to_tensor
from scenograph.scenes.scene import Scene, keep_objects
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

DTYPES: dict[RenderPrecision, torch.dtype] = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STRONGER, STRONGEST, HIGHEST_WEIGHT = 1.25, 1.5, 2.0
"""By what control grows each time that an object is wrong, and in all; and the highest weight of a network."""
FEW = 28
"""Steps that all families take at least, if none are asked for."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What pictures are drawn from, and by which pipeline."""

    controls: list[Control]
    form: ControlForm | None
    configs: list[dict[str, Any]]
    """Of the networks of the controls."""
    way: Way
    pictures: list[list[Given]]
    """Of each, what it is drawn from, or, one after the other, what its parts are painted again from."""


class DiffusersRenderer(Renderer):
    """A prompt and control pictures of each scene go in; one picture at a time, from a seed of its own, comes out."""

    places, completes_attributes, slow = False, False, True

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
        start = options.start or (COLLAGE if options.strength is not None else None)
        way: Way = "inpaint" if options.repaint else "draw" if start is None or engine.references else "start"
        controls, form, configs = self._controls(options, way)
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
            self._parts(scene, self._given(drawn, picture, controls, side, options), options)
            for scene, drawn, picture in zip(scenes, shaped, own, strict=True)
        ]
        return ConditionedScenes(list(scenes), list(seeds), Plan(controls, form, configs, way, pictures), options)

    def _controls(
        self, options: GenerateOptions, way: Way
    ) -> tuple[list[Control], ControlForm | None, list[dict[str, Any]]]:
        """The controls that are networks, how the family takes them, and their settings."""
        controls = read_controls(options.control or (), self.engine)
        form, configs = self.model.forms(controls)
        if form is None:
            return [], None, []
        check_form(form, configs, controls)
        if self.engine.pipeline_of(form, way) is not None:
            return controls, form, configs
        if way == "inpaint":  # the mask says where the object is
            return [], None, []
        raise UserError(f"{self.name}: {self.engine.name} takes either control networks or a picture to start from")

    def _parts(self, scene: Scene, given: Given, options: GenerateOptions) -> list[Given]:
        """What a picture is drawn from; or each of the objects that are painted again, by its mask and its own words.

        Raises ``UserError`` for objects that there are not, and for those that nearer ones hide.
        """
        numbers = options.repaint
        if not numbers:
            return [given]
        if (most := max(numbers)) >= len(scene.objects):
            raise UserError(f"--repaint {most}: the scene has objects 0 to {len(scene.objects) - 1}")
        masks = repaint_masks(scene, numbers, given.side)
        if hidden := [number for number in numbers if number not in masks]:
            raise UserError(f"--repaint {hidden[0]}: nearer objects hide the box of this one; repaint these, too")
        return [
            replace(given, prompt=scene_prompt(keep_objects(scene, [number]), options.prompt), mask=mask)
            for number, mask in masks.items()
        ]

    def repaintable(self, scene: Scene, numbers: Sequence[int], options: GenerateOptions) -> list[int]:
        """As in the base class: those that nearer ones do not hide. Not in the style of a picture."""
        if options.style is not None:
            return []
        return sorted(repaint_masks(scene, numbers, self.engine.rounded(options.size or self.engine.side)))

    def stronger(self, options: GenerateOptions, times: int) -> dict[str, Any]:
        """As in the base class: a quarter more each time, at most half as much again.

        Of control networks the weights, of GLIGEN the share of steps with boxes; where neither counts, the guidance,
        unless the model is one that is drawn from without.
        """
        engine, factor = self.engine, min(STRONGER**times, STRONGEST)
        texts = options.control or ()
        way: Way = "inpaint" if options.repaint else "draw"
        if engine.boxes and not options.repaint:
            usual = usual_value(engine, "gligen_scheduled_sampling_beta")
            return {"control": stronger_controls(texts or (BOXES,), usual, factor, 1.0)}
        form, _ = self.model.forms(read_controls(texts, engine))
        if form is not None and engine.pipeline_of(form, way) is not None:
            return {"control": stronger_controls(texts, form.weight, factor, HIGHEST_WEIGHT)}
        guidance = usual_value(engine, engine.guidance) if options.guidance is None else options.guidance
        return {"guidance": round(min(guidance * factor, LARGEST_GUIDANCE), 2)} if guidance > 1 else {}

    def digests(self, options: GenerateOptions) -> dict[str, str]:
        """As in the base class: of control networks, and of the picture to start from."""
        sources = dict.fromkeys(control.source for control in read_controls(options.control or (), self.engine))
        found = {f"control network {source}": self.model.network_digest(source) for source in sources}
        if options.start is not None:
            found["picture to start from"] = self._starts.digest(options.start)
        return found

    def _given(
        self, scene: Scene, start: Image.Image | None, controls: list[Control], side: int, options: GenerateOptions
    ) -> Given:
        """What one picture is drawn from."""
        references: list[Image.Image] = []
        if self.engine.references and not options.repaint:
            style = read_rgb(options.style) if isinstance(options.style, Path) else options.style
            named = [picture.convert("RGB") for picture in (start, style) if picture is not None]
            references, start = as_many([*named, *crops_of(scene)], self.engine), None
        prompt, drawn = scene_prompt(scene, options.prompt), control_pictures(scene, controls, side)
        return Given(scene, prompt, side, drawn, start, references)

    def check_options(self, options: GenerateOptions) -> None:
        """Raise ``UserError`` for options that the family does not have."""
        engine, starts = self.engine, options.start is not None or options.strength is not None
        if options.style is not None and (not engine.references or options.repaint):
            raise UserError(f"{self.name}: takes no style; leave --style out, or use --start")
        if options.repaint and not starts:
            raise UserError(f"{self.name}: --repaint changes a picture; give it with --start")
        if starts and engine.start_pipeline is None and not engine.references and not options.repaint:
            raise UserError(f"{self.name}: {engine.name} takes no picture to start from, but {engine.takes}")
        if options.strength is not None and engine.references and not options.repaint:
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
            pipe = self.model.pipeline(plan.form, plan.controls, plan.way, self._dtype(options), options.offload)
            made = [
                self._in_parts(pipe, plan, parts, seed, options)
                for parts, seed in zip(plan.pictures, conditioned.seeds, strict=True)
            ]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            remedies = [f"--size {self.engine.rounded(plan.pictures[0][0].side // 2)}"]
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

    def _in_parts(self, pipe: Any, plan: Plan, parts: Sequence[Given], seed: int, options: GenerateOptions) -> Tensor:
        """A picture (3, H, W) in [-1, 1]; of several parts, each is painted into the picture of those before."""
        picture = self._picture(pipe, plan, parts[0], seed, options)
        for part in parts[1:]:
            picture = self._picture(pipe, plan, replace(part, start=images_to_uint8(picture[None])[0]), seed, options)
        return picture

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
            with torch.inference_mode(), quiet(*NOISY):
                arguments |= encode_regions(pipe, texts, options.negative)
            within = regional_attention(_attending(pipe), list(masks.values()), engine.tokens)
        arguments |= step_callback(pipe, engine, given.side, self.watch)
        here = torch.random.fork_rng(devices=[])
        with torch.inference_mode(), within, quiet(*NOISY), explained(self.model.source), here:
            torch.manual_seed(seed)  # SD3 encodes control pictures with numbers that are not the generator's
            made = pipe(**arguments)
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            log.warning("%s: its safety checker blackened the picture of seed %d", self.name, seed)
        picture = made.images[0].float().cpu() * 2 - 1
        return picture if given.mask is None else _painted_into(given, picture)

    def _say_cut(self, pipe: Any, prompt: str) -> None:
        """Note what the tokenizer leaves out of a prompt."""
        name, tokens = self.engine.tokenizer, self.engine.tokens
        if getattr(pipe, name.replace("tokenizer", "text_encoder"), None) is None:  # SD3 without T5
            name, tokens = "tokenizer", 77
        if cut := left_out(getattr(pipe, name), tokens, prompt):
            self._note(f"{self.name} reads {tokens} tokens; the prompt's end is left out: {cut}")


def _painted_into(given: Given, picture: Tensor) -> Tensor:
    """What was painted, (3, h, w), in the place of the mask, and the rest as it was: (3, H, W)."""
    assert given.start is not None and given.mask is not None, "checked before"
    sides = (given.side, given.side)
    if picture.shape[1:] != sides:  # FLUX.2 paints one megapixel at most
        picture = F.interpolate(picture[None], sides, mode="bicubic", antialias=True)[0].clamp(-1, 1)
    before = pixels_to_tensor(np.asarray(given.start)[None])[0]
    return torch.lerp(before, picture, torch.from_numpy(given.mask))


def _attending(pipe: Any) -> list[Any]:
    """The U-Net and the control networks beside it."""
    network = getattr(pipe, "controlnet", None)
    return [pipe.unet, *(getattr(network, "nets", [network]) if network is not None else [])]
