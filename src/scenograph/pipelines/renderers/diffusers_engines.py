"""The diffusion models that draw scenes, as data: what each family takes, and how diffusers calls it.

A family is a row of :data:`ENGINES`, a control network whose kind is known a row of :data:`NETWORKS`. Names of classes
and arguments are those of diffusers 0.42.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from scenograph.errors import UserError, suggest

REGIONS = "regions"
"""The control that is no picture: a prompt for each object, which only the pixels that show it attend to."""
BOXES = "boxes"
"""The control that is no picture in GLIGEN, which takes boxes themselves; the weight is a share of the steps."""

Way = Literal["draw", "start", "inpaint"]
"""Whether a picture is drawn from words alone, changed from another one, or painted again in a part of another one."""


@dataclass(frozen=True)
class ControlForm:
    """How a family takes one class of control networks."""

    network: str
    """The class of the network, which its ``config.json`` names."""
    pipeline: str
    start_pipeline: str | None = None
    """The pipeline that also starts from a picture; None where there is none."""
    inpaint_pipeline: str | None = None
    """The one that paints a part of a picture again; None where there is none for the usual networks."""
    argument: str = "control_image"
    """Of ``pipeline``; that of the others is ``control_image`` always."""
    several: str | None = None
    """The class that joins several networks; None where one network takes all control pictures, or only one."""
    shared: bool = False
    """Whether one network may take several pictures."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """The number by which a union knows each kind of control picture."""
    union: str | None = None
    """The setting of the network that tells a union, which wants a mode; None where none does."""
    weight: float = 1.0


@dataclass(frozen=True)
class Engine:
    """A family of diffusion models."""

    name: str
    title: str
    classes: tuple[str, ...]
    """The pipelines that ``model_index.json`` names for models of the family."""
    pipeline: str
    """What draws from a prompt."""
    inpaint_pipeline: str
    """What paints a part of a picture again, with the parts of ``pipeline``."""
    example: str
    """A checkpoint of the family on the Hugging Face hub."""
    licence: str
    """Of the example."""
    gigabytes: float
    """Of the example's weights in half precision, all parts together."""
    side: int
    """Of pictures, in pixels, that the family was trained on; the default."""
    multiple: int
    """Sides are multiples of it."""
    tokenizer: str
    """Whose limit a prompt has to keep: the attribute of the pipeline."""
    tokens: int
    """The limit, with the tokens that begin and end a text; a dozen less where a template surrounds it."""
    start_pipeline: str | None = None
    """What starts from a picture, changed by ``strength``."""
    controls: tuple[ControlForm, ...] = ()
    guidance: str = "guidance_scale"
    negative: bool = True
    """Whether it takes a negative prompt."""
    references: int = 0
    """How many reference pictures it takes."""
    boxes: bool = False
    """Whether it takes phrases and boxes, as GLIGEN does."""
    regions: bool = False
    """Whether a prompt for each object can be confined to its pixels."""
    latents: Literal["plain", "packed", "frames", "none"] = "plain"
    """The form of latents between steps: a map, 2 x 2 patches of one, those of a video of one frame, or another."""

    @property
    def takes(self) -> str:
        """What scenes can give it besides the prompt, for messages."""
        said = {
            "control networks": bool(self.controls),
            "a picture to start from": self.start_pipeline is not None,
            "regions": self.regions,
            "boxes": self.boxes,
            "reference pictures": self.references > 0,
        }
        return ", ".join(what for what, there in said.items() if there)

    def pipeline_of(self, form: ControlForm | None, way: Way) -> str | None:
        """What draws in one of the ways, with control networks or without; None where nothing does."""
        row = form or self
        return {"draw": row.pipeline, "start": row.start_pipeline, "inpaint": row.inpaint_pipeline}[way]

    def rounded(self, side: int) -> int:
        """The nearest side that the family draws."""
        return max(round(side / self.multiple), 1) * self.multiple

    def form_of(self, network: str, where: str) -> ControlForm:
        """How it takes a class of control networks. Raises ``UserError``, beginning with ``where``, if it does not."""
        for form in self.controls:
            if form.network == network:
                return form
        wanted = " or ".join(form.network for form in self.controls)
        raise UserError(f"{where}: a {network}, and {self.name} takes {wanted or 'no control networks'}")


_UNET = ControlForm(
    network="ControlNetModel",
    pipeline="StableDiffusionControlNetPipeline",
    start_pipeline="StableDiffusionControlNetImg2ImgPipeline",
    inpaint_pipeline="StableDiffusionControlNetInpaintPipeline",
    argument="image",
    several="MultiControlNetModel",
)
_FLUX = Engine(
    name="flux",
    title="FLUX.1",
    classes=("FluxPipeline", "FluxImg2ImgPipeline", "FluxControlNetPipeline"),
    pipeline="FluxPipeline",
    start_pipeline="FluxImg2ImgPipeline",
    inpaint_pipeline="FluxInpaintPipeline",
    controls=(
        ControlForm(
            network="FluxControlNetModel",
            pipeline="FluxControlNetPipeline",
            start_pipeline="FluxControlNetImg2ImgPipeline",
            inpaint_pipeline="FluxControlNetInpaintPipeline",
            several="FluxMultiControlNetModel",
            shared=True,
            modes={"edges": 0, "depth": 2},
            union="num_mode",
        ),
    ),
    negative=False,
    example="black-forest-labs/FLUX.1-dev",
    licence="flux-1-dev-non-commercial-license",
    gigabytes=34.0,
    side=1024,
    multiple=16,
    tokenizer="tokenizer_2",
    tokens=512,
    latents="packed",
)

ENGINES: tuple[Engine, ...] = (
    Engine(
        name="sd15",
        title="Stable Diffusion 1 and 2",
        classes=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionControlNetPipeline"),
        pipeline="StableDiffusionPipeline",
        start_pipeline="StableDiffusionImg2ImgPipeline",
        inpaint_pipeline="StableDiffusionInpaintPipeline",
        controls=(_UNET,),
        example="stable-diffusion-v1-5/stable-diffusion-v1-5",
        licence="creativeml-openrail-m",
        gigabytes=2.7,
        side=512,
        multiple=8,
        tokenizer="tokenizer",
        tokens=77,
        regions=True,
    ),
    Engine(
        name="gligen",
        title="GLIGEN (Stable Diffusion 1 and 2)",
        classes=("StableDiffusionGLIGENPipeline",),
        pipeline="StableDiffusionGLIGENPipeline",
        inpaint_pipeline="StableDiffusionInpaintPipeline",
        example="longlian/igligen-sd2.1-v1.0",
        licence="openrail",
        gigabytes=3.0,
        side=512,
        multiple=8,
        tokenizer="tokenizer",
        tokens=77,
        boxes=True,
    ),
    Engine(
        name="sdxl",
        title="Stable Diffusion XL",
        classes=(
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLControlNetPipeline",
            "StableDiffusionXLControlNetUnionPipeline",
        ),
        pipeline="StableDiffusionXLPipeline",
        start_pipeline="StableDiffusionXLImg2ImgPipeline",
        inpaint_pipeline="StableDiffusionXLInpaintPipeline",
        controls=(
            ControlForm(
                network="ControlNetModel",
                pipeline="StableDiffusionXLControlNetPipeline",
                start_pipeline="StableDiffusionXLControlNetImg2ImgPipeline",
                inpaint_pipeline="StableDiffusionXLControlNetInpaintPipeline",
                argument="image",
                several="MultiControlNetModel",
            ),
            ControlForm(
                network="ControlNetUnionModel",
                pipeline="StableDiffusionXLControlNetUnionPipeline",
                start_pipeline="StableDiffusionXLControlNetUnionImg2ImgPipeline",
                inpaint_pipeline="StableDiffusionXLControlNetUnionInpaintPipeline",
                shared=True,
                modes={"depth": 1, "scribble": 2, "edges": 3},
                union="num_control_type",
            ),
        ),
        example="stabilityai/stable-diffusion-xl-base-1.0",
        licence="openrail++",
        gigabytes=7.0,
        side=1024,
        multiple=8,
        tokenizer="tokenizer",
        tokens=77,
        regions=True,
    ),
    Engine(
        name="sd3",
        title="Stable Diffusion 3 and 3.5",
        classes=(
            "StableDiffusion3Pipeline",
            "StableDiffusion3Img2ImgPipeline",
            "StableDiffusion3ControlNetPipeline",
        ),
        pipeline="StableDiffusion3Pipeline",
        start_pipeline="StableDiffusion3Img2ImgPipeline",
        inpaint_pipeline="StableDiffusion3InpaintPipeline",
        controls=(
            ControlForm(
                network="SD3ControlNetModel",
                pipeline="StableDiffusion3ControlNetPipeline",
                several="SD3MultiControlNetModel",
            ),
        ),
        example="stabilityai/stable-diffusion-3.5-medium",
        licence="stabilityai-ai-community",
        gigabytes=16.0,
        side=1024,
        multiple=16,
        tokenizer="tokenizer_3",
        tokens=256,
    ),
    _FLUX,
    replace(
        _FLUX,
        name="flux-kontext",
        title="FLUX.1 Kontext",
        classes=("FluxKontextPipeline",),
        pipeline="FluxKontextPipeline",
        start_pipeline=None,
        inpaint_pipeline="FluxKontextInpaintPipeline",
        controls=(),
        references=1,
        example="black-forest-labs/FLUX.1-Kontext-dev",
    ),
    Engine(
        name="flux2-klein",
        title="FLUX.2 klein",
        classes=("Flux2KleinPipeline",),
        pipeline="Flux2KleinPipeline",
        inpaint_pipeline="Flux2KleinInpaintPipeline",
        references=4,
        negative=False,
        example="black-forest-labs/FLUX.2-klein-4B",
        licence="apache-2.0",
        gigabytes=16.0,
        side=1024,
        multiple=16,
        tokenizer="tokenizer",
        tokens=500,
        latents="none",
    ),
    Engine(
        name="qwen-image",
        title="Qwen-Image",
        classes=("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageControlNetPipeline"),
        pipeline="QwenImagePipeline",
        start_pipeline="QwenImageImg2ImgPipeline",
        inpaint_pipeline="QwenImageInpaintPipeline",
        controls=(
            ControlForm(
                network="QwenImageControlNetModel",
                pipeline="QwenImageControlNetPipeline",
                several="QwenImageMultiControlNetModel",
                shared=True,
            ),
        ),
        guidance="true_cfg_scale",
        example="Qwen/Qwen-Image",
        licence="apache-2.0",
        gigabytes=58.0,
        side=1024,
        multiple=16,
        tokenizer="tokenizer",
        tokens=500,
        latents="frames",
    ),
    Engine(
        name="z-image",
        title="Z-Image",
        classes=("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageControlNetPipeline"),
        pipeline="ZImagePipeline",
        start_pipeline="ZImageImg2ImgPipeline",
        inpaint_pipeline="ZImageInpaintPipeline",
        controls=(ControlForm(network="ZImageControlNetModel", pipeline="ZImageControlNetPipeline", weight=0.75),),
        example="Tongyi-MAI/Z-Image-Turbo",
        licence="apache-2.0",
        gigabytes=21.0,
        side=1024,
        multiple=16,
        tokenizer="tokenizer",
        tokens=500,
    ),
)


@dataclass(frozen=True)
class Network:
    """A control network on the Hugging Face hub."""

    engine: str
    kinds: tuple[str, ...]
    """The control pictures that it was trained on. The first network of a family with a kind is the default for it."""
    source: str
    licence: str


NETWORKS: tuple[Network, ...] = (
    Network("sd15", ("edges",), "lllyasviel/control_v11p_sd15_canny", "openrail"),
    Network("sd15", ("depth",), "lllyasviel/control_v11f1p_sd15_depth", "openrail"),
    Network("sd15", ("segmentation",), "lllyasviel/control_v11p_sd15_seg", "openrail"),
    Network("sd15", ("scribble",), "lllyasviel/control_v11p_sd15_scribble", "openrail"),
    Network("sdxl", ("edges", "depth", "scribble"), "xinsir/controlnet-union-sdxl-1.0", "apache-2.0"),
    Network("sdxl", ("edges",), "diffusers/controlnet-canny-sdxl-1.0", "openrail++"),
    Network("sdxl", ("depth",), "diffusers/controlnet-depth-sdxl-1.0", "openrail++"),
    Network("sd3", ("edges",), "stabilityai/stable-diffusion-3.5-large-controlnet-canny", "stabilityai-ai-community"),
    Network("sd3", ("depth",), "stabilityai/stable-diffusion-3.5-large-controlnet-depth", "stabilityai-ai-community"),
    Network("flux", ("edges", "depth"), "InstantX/FLUX.1-dev-Controlnet-Union", "flux-1-dev-non-commercial-license"),
    Network("qwen-image", ("edges", "depth"), "InstantX/Qwen-Image-ControlNet-Union", "apache-2.0"),
    Network(
        "z-image",
        ("edges", "depth"),
        "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union/Z-Image-Turbo-Fun-Controlnet-Union.safetensors",
        "apache-2.0",
    ),
)


def engine_of(pipeline: str, where: str) -> Engine:
    """The family of a pipeline's class. Raises ``UserError``, which names the families, if there is none here."""
    for engine in ENGINES:
        if pipeline in engine.classes:
            return engine
    known = ", ".join(engine.name for engine in ENGINES)
    raise UserError(f"{where}: a {pipeline}, which is of no family that draws scenes here; these are {known}")


def default_network(engine: Engine, kind: str) -> Network:
    """The network that draws a kind of control picture with a family. Raises ``UserError`` if none is known."""
    own = [network for network in NETWORKS if network.engine == engine.name]
    for network in own:
        if kind in network.kinds:
            return network
    kinds = list(dict.fromkeys(kind for network in own for kind in network.kinds))
    known = f"known for {engine.name} are {', '.join(kinds)}" if kinds else f"none is known for {engine.name}"
    raise UserError(f"--control {kind}: {known}; name a network of your own: --control {kind}=ID")


def kind_of(source: str) -> str:
    """The kind of control picture of a network that is named without one. Raises ``UserError`` unless it is one."""
    kinds = next((network.kinds for network in NETWORKS if network.source == source), ())
    if len(kinds) == 1:
        return kinds[0]
    choices = kinds or ("edges", "depth", "segmentation", "scribble", "boxes")
    remedy = suggest(source, (*choices, REGIONS)) if "/" not in source else f"(choose from: {', '.join(choices)})"
    raise UserError(f"--control {source}: say which control picture it draws, as in {choices[0]}={source} {remedy}")
