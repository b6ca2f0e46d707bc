"""How diffusers' pipelines are called: the one place that knows the names of their arguments beyond the table."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.pipelines.latents import seeded_generators
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.base import Step
from scenograph.pipelines.renderers.diffusers_controls import Control, Given, gligen_arguments, share_of_boxes
from scenograph.pipelines.renderers.diffusers_engines import ControlForm, Engine
from scenograph.scenes.batch import images_to_uint8


def arguments_for(
    pipe: Any,
    engine: Engine,
    form: ControlForm | None,
    configs: Sequence[dict[str, Any]],
    controls: Sequence[Control],
    given: Given,
    options: GenerateOptions,
    seed: int,
) -> dict[str, Any]:
    """The arguments for one picture, apart from prompts of regions and the callback."""
    taken, side, inpaints = inspect.signature(pipe.__call__).parameters, given.side, given.mask is not None
    arguments: dict[str, Any] = {
        "prompt": given.prompt,
        "num_inference_steps": options.steps,
        engine.guidance: options.guidance,
        "negative_prompt": options.negative,
        "strength": options.strength,
    }
    if inpaints:  # as the family draws otherwise, and wholly anew: some of these pipelines have defaults of their own
        usual = {engine.guidance: usual_value(engine, engine.guidance), "strength": 1.0}
        arguments |= {name: value for name, value in usual.items() if arguments[name] is None}
    if engine.guidance == "true_cfg_scale" and options.negative is None:
        arguments["negative_prompt"] = " "  # without one these pipelines do not guide at all
    arguments = {name: value for name, value in arguments.items() if value is not None}
    arguments |= {"generator": seeded_generators([seed], "picture")[0], "output_type": "pt"}
    # What starts from a picture may have its size; Kontext draws pictures of an area.
    sizes = {"width": side, "height": side, "max_area": side * side}
    arguments |= {name: value for name, value in sizes.items() if name in taken}
    if given.start is not None:
        arguments["image"] = given.start
    if given.mask is not None:
        arguments["mask_image"] = Image.fromarray((given.mask > 0).astype(np.uint8) * 255)
        arguments |= {name: False for name in ("_auto_resize",) if name in taken}  # Kontext keeps the picture's size
    if given.references:
        arguments["image"] = given.references if engine.references > 1 else given.references[0]
    if engine.boxes and not inpaints:
        arguments |= gligen_arguments(given.scene, side)
        if (share := share_of_boxes(options.control or ())) is not None:
            arguments["gligen_scheduled_sampling_beta"] = share
    if form is not None:
        arguments |= _control_arguments(form, configs, controls, given)
    return arguments


def usual_value(engine: Engine, argument: str) -> float:
    """What a family's pipeline has for an argument that is not given."""
    import diffusers

    return float(inspect.signature(getattr(diffusers, engine.pipeline).__call__).parameters[argument].default)


def _control_arguments(
    form: ControlForm, configs: Sequence[dict[str, Any]], controls: Sequence[Control], given: Given
) -> dict[str, Any]:
    """Control pictures, weights, and modes of unions; lists where a pipeline wants these."""
    several = len(controls) > 1
    weights = [form.weight if control.weight is None else control.weight for control in controls]
    modes = [
        form.modes[control.kind] if form.union and config.get(form.union) else None
        for control, config in zip(controls, configs, strict=True)
    ]
    arguments: dict[str, Any] = {
        "control_image" if given.start is not None else form.argument: given.controls if several else given.controls[0],
        "controlnet_conditioning_scale": weights if several else weights[0],
    }
    if any(mode is not None for mode in modes):
        arguments["control_mode"] = modes if several else modes[0]
    return arguments


def step_callback(
    pipe: Any, engine: Engine, side: int, watch: Callable[[Step], None] | None
) -> dict[str, Callable[..., Any]]:
    """The argument that tells ``watch`` of each step, in the form that the pipeline has."""
    if watch is None:
        return {}

    def tell(number: int, latents: Tensor) -> None:
        steps = getattr(pipe, "num_timesteps", None) or len(pipe.scheduler.timesteps)
        watch(Step(number + 1, steps, partial(preview, pipe, engine, side, latents)))

    def at_end(_: Any, number: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        tell(number, tensors["latents"])
        return {}

    if "callback_on_step_end" in inspect.signature(pipe.__call__).parameters:
        return {"callback_on_step_end": at_end}
    return {"callback": lambda number, _, latents: tell(number, latents)}


def preview(pipe: Any, engine: Engine, side: int, latents: Tensor) -> Image.Image | None:
    """The picture that latents between two steps, in the family's form, decode to; None where that is not known."""
    if engine.latents == "none":
        return None
    config, shape = pipe.vae.config, (side // pipe.vae_scale_factor,) * 2
    if engine.latents != "plain":
        latents = unpacked(latents, *shape)
    if engine.latents == "frames":
        mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (config.latents_mean, config.latents_std))
        latents = latents[:, :, None] * std.to(latents) + mean.to(latents)
    else:
        latents = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0)
    with torch.inference_mode():
        decoded = pipe.vae.decode(latents.to(pipe.vae.dtype), return_dict=False)[0]
    return images_to_uint8(decoded[:, :, 0] if decoded.ndim == 5 else decoded)[0]


def unpacked(latents: Tensor, height: int, width: int) -> Tensor:
    """Patches (1, H / 2 * W / 2, C * 4) of 2 x 2 latents to a map (1, C, H, W)."""
    channels = latents.shape[2] // 4
    patches = latents.reshape(1, math.ceil(height / 2), math.ceil(width / 2), channels, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(1, channels, height, width)
