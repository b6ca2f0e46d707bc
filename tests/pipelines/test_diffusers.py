"""Scenes drawn by diffusers' pipelines: tiny ones with random weights, one of every family."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scenograph import Pipeline
from scenograph.errors import UserError
from scenograph.evaluation.checking import Checker, Findings, Verdict
from scenograph.evaluation.composing import compose
from scenograph.pipelines.provenance import read_record, request_from_picture
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.pipelines.renderers.diffusers_arguments import usual_value
from scenograph.pipelines.renderers.diffusers_controls import repaint_masks, soft_box
from scenograph.pipelines.renderers.diffusers_engines import ENGINES, NETWORKS
from scenograph.pipelines.renderers.diffusers_loading import DiffusersModel, source_digest
from scenograph.pipelines.renderers.diffusers_prompt import scene_prompt
from scenograph.scenes.controls import KINDS, draw_controls
from scenograph.scenes.scene import Relation, Scene, SceneObject

diffusers = pytest.importorskip("diffusers")

SIDE = 32
SCENE = Scene(
    (
        SceneObject("sheep", ("white",), (0.125, 0.375, 0.5, 0.875), np.ones((4, 4), bool)),
        SceneObject("tortoise shell", (), (0.5, 0.25, 0.875, 0.9375), np.ones((4, 4), bool)),
        SceneObject("grass", (), (0.0, 0.5, 1.0, 1.0)),
    ),
    (Relation(0, "left of", 1), Relation(0, "standing on", 2)),
)
"""With a name that no model here knows; regions and masks fill their boxes."""


@pytest.fixture(scope="module")
def loaded(tiny_diffusers):
    @functools.cache
    def load(family: str) -> Pipeline:
        return Pipeline.from_pretrained(image=f"diffusers:{tiny_diffusers(family)}", device="cpu")

    return load


@pytest.fixture
def load(loaded):
    """A pipeline of a family, on the CPU, which has told nothing yet."""

    def fresh(family: str) -> Pipeline:
        pipe = loaded(family)
        pipe.renderer.watch = None
        pipe.renderer._said.clear()
        return pipe

    return fresh


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, dict]]:
    """The class of every pipeline that is called, and the arguments."""
    made: list[tuple[str, dict]] = []
    original = DiffusersModel.pipeline

    def watched(model, *arguments):
        pipe = original(model, *arguments)
        kind = type(pipe)
        if not hasattr(kind.__call__, "watched"):
            call = kind.__call__

            @functools.wraps(call)
            def watching(self, **given):
                made.append((kind.__name__, given))
                return call(self, **given)

            watching.watched = True
            monkeypatch.setattr(kind, "__call__", watching)
        return pipe

    monkeypatch.setattr(DiffusersModel, "pipeline", watched)
    return made


def pixels(pipe: Pipeline, seed: int = 1, scene: Scene = SCENE, **options) -> np.ndarray:
    """(H, W, 3), before numbers become bytes."""
    wanted = {"size": SIDE, "steps": 2} | options
    return pipe.pixels(pipe.encode(scene, [seed], **wanted))[0].permute(1, 2, 0).numpy()


# The table.


def test_the_table_has_the_names_of_diffusers():
    for engine in ENGINES:
        names = {engine.pipeline, engine.start_pipeline, engine.inpaint_pipeline, *engine.classes}
        taken = inspect.signature(getattr(diffusers, engine.inpaint_pipeline).__call__).parameters
        assert {"image", "mask_image", "strength", engine.guidance} <= {*taken}
        for form in engine.controls:
            names |= {form.network, form.pipeline, form.start_pipeline, form.inpaint_pipeline, form.several}
            taken = inspect.signature(getattr(diffusers, form.pipeline).__call__).parameters
            assert {form.argument, "controlnet_conditioning_scale", engine.guidance} <= {*taken}
            assert not form.modes or "control_mode" in taken
            for other in filter(None, (form.start_pipeline, form.inpaint_pipeline)):
                taken = inspect.signature(getattr(diffusers, other).__call__).parameters
                assert {"image", "control_image", "strength"} <= {*taken}
                assert ("mask_image" in taken) == (other == form.inpaint_pipeline)
        assert not [name for name in names if name is not None and not hasattr(diffusers, name)]
        taken = inspect.signature(getattr(diffusers, engine.pipeline).__call__).parameters
        assert engine.guidance in taken and (not engine.negative or "negative_prompt" in taken)
        assert ("image" in taken) == (engine.references > 0) and ("gligen_boxes" in taken) == engine.boxes
        assert engine.pipeline in engine.classes and engine.rounded(engine.side) == engine.side
    families = {engine.name: engine for engine in ENGINES}
    assert all(network.kinds and {*network.kinds} <= {*KINDS} for network in NETWORKS)
    assert all(families[network.engine].controls for network in NETWORKS)


def test_every_family_is_tried():
    import tiny_pipelines

    assert [*tiny_pipelines.FAMILIES] == [engine.name for engine in ENGINES]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_family_draws_the_same_picture_of_a_seed_in_any_batch(engine, load, calls):
    pipe = load(engine.name)
    given = {"size": SIDE, "steps": 2, "guidance": 3.0}
    together = pipe.pixels(pipe.encode(SCENE, [1, 2], **given))
    alone = pipe.pixels(pipe.encode(SCENE, [2], **given))
    assert together.shape == (2, 3, SIDE, SIDE) and together.min() >= -1 and together.max() <= 1
    assert together.isfinite().all() and together.std() > 0.01
    assert torch.equal(together[1], alone[0]) and not torch.equal(together[0], together[1])
    name, arguments = calls[-1]
    assert name == engine.pipeline and arguments["prompt"] == scene_prompt(SCENE)
    assert arguments["width"] == arguments["height"] == SIDE and arguments["num_inference_steps"] == 2
    assert arguments[engine.guidance] == 3.0


# What a scene gives.


def test_a_scene_becomes_a_caption():
    things = [SceneObject("sheep"), SceneObject("sheep"), SceneObject("house", ("orange",)), SceneObject("sky-other")]
    things += [SceneObject("clouds")]
    relations = (Relation(0, "left of", 1), Relation(0, "behind", 2), Relation(1, "behind", 2))
    said = "two sheep, an orange house, sky, clouds; sheep left of another sheep; sheep behind orange house"
    assert scene_prompt(Scene(tuple(things), relations)) == said
    assert scene_prompt(Scene(tuple(things), relations), " watercolour ") == f"watercolour, {said}"


def test_the_part_of_the_prompt_that_is_not_read_is_said(load, caplog):
    caplog.set_level(25)
    pixels(load("sd15"), prompt="x" * 30)  # the tiny tokenizer has a token for each letter, and CLIP reads 75 of them
    whole = scene_prompt(SCENE, "x" * 30).replace(" ", "")
    (line,) = [one for one in caplog.messages if "left out" in one]
    assert "reads 77 tokens" in line and line.split("left out: ")[1].replace(" ", "") == whole[75:]
    caplog.clear()
    pixels(load("flux"))
    assert not [one for one in caplog.messages if "left out" in one]


CONTROLS = {
    # Family: networks by kind, pipeline, the argument of the pictures, modes.
    "sd15": ({"depth": "depth", "edges": "edges"}, "StableDiffusionControlNetPipeline", "image", None),
    "sdxl": ({"depth": "depth"}, "StableDiffusionXLControlNetPipeline", "image", None),
    "sdxl-union": (
        {"depth": "union", "edges": "union"},
        "StableDiffusionXLControlNetUnionPipeline",
        "control_image",
        [1, 3],
    ),
    "sd3": ({"depth": "edges", "edges": "edges"}, "StableDiffusion3ControlNetPipeline", "control_image", None),
    "flux": ({"segmentation": "depth"}, "FluxControlNetPipeline", "control_image", None),
    "flux-union": ({"depth": "union", "edges": "union"}, "FluxControlNetPipeline", "control_image", [2, 0]),
    "qwen-image": ({"depth": "union", "boxes": "union"}, "QwenImageControlNetPipeline", "control_image", None),
    "z-image": ({"scribble": "union"}, "ZImageControlNetPipeline", "control_image", None),
}


@pytest.mark.parametrize("case", CONTROLS)
def test_control_pictures_are_the_scene_s_pixel_by_pixel_and_arrive(case, load, tiny_diffusers, calls):
    networks, pipeline, argument, modes = CONTROLS[case]
    family = case.removesuffix("-union")
    pipe = load(family)
    control = [f"{kind}={tiny_diffusers(f'{family}-{name}')}@0.5" for kind, name in networks.items()]
    drawn = pixels(pipe, control=control)
    name, arguments = calls[-1]
    given = arguments[argument] if len(networks) > 1 else [arguments[argument]]
    wanted = draw_controls(SCENE, networks, SIDE, SIDE)
    assert name == pipeline and len(given) == len(wanted)
    for picture, kind in zip(given, networks, strict=True):
        assert picture.mode == "RGB" and np.array_equal(picture, wanted[kind].convert("RGB"))
    weights = arguments["controlnet_conditioning_scale"]
    assert weights == ([0.5] * len(networks) if len(networks) > 1 else 0.5)
    assert arguments.get("control_mode") == modes
    assert np.isfinite(drawn).all() and not np.array_equal(drawn, pixels(pipe)) and calls[-1][0] != pipeline
    assert np.array_equal(drawn, pixels(pipe, control=control))


def test_edges_are_where_masks_end(load, tiny_diffusers, calls):
    pixels(load("sd15"), control=f"edges={tiny_diffusers('sd15-edges')}")
    edges = np.asarray(calls[-1][1]["image"])[..., 0]
    shown = np.full((SIDE, SIDE), -1)  # by hand: grass, then the sheep, then the shell, which reaches lowest
    shown[16:] = 2
    shown[12:28, 4:16] = 0
    shown[8:30, 16:28] = 1
    ends = np.zeros((SIDE, SIDE), bool)
    ends[:, :-1] |= shown[:, :-1] != shown[:, 1:]
    ends[:-1] |= shown[:-1] != shown[1:]
    assert np.array_equal(edges, np.where(ends, 255, 0))


def test_things_without_a_mask_have_the_shapes_of_drawings(load, tiny_diffusers, calls):
    scene = Scene((SceneObject("tree", (), (0.2, 0.1, 0.8, 0.9)), SceneObject("unknown thing", (), (0, 0, 0.2, 0.2))))
    pixels(load("sd15"), scene=scene, control=f"edges={tiny_diffusers('sd15-edges')}")
    shaped = CollageRenderer().shaped(scene, 1, [False, False])
    assert shaped.objects[0].mask is not None and not shaped.objects[0].mask.all()
    wanted = draw_controls(shaped, ["edges"], SIDE, SIDE)["edges"].convert("RGB")
    assert np.array_equal(calls[-1][1]["image"], wanted)


def test_gligen_gets_phrases_and_boxes(load, calls):
    first = pixels(load("gligen"))
    arguments = calls[-1][1]
    assert arguments["gligen_phrases"] == ["white sheep", "tortoise shell", "grass"]
    assert arguments["gligen_boxes"][:2] == [list(thing.box) for thing in SCENE.objects[:2]]
    moved = SCENE.replace_object(0, box=(0.5, 0.0, 0.875, 0.5))
    assert not np.array_equal(first, pixels(load("gligen"), scene=moved))


def test_gligen_is_known_by_its_network(tiny_diffusers, tmp_path):
    shutil.copytree(tiny_diffusers("gligen"), tmp_path / "published")
    index = tmp_path / "published" / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionGLIGENPipeline", "StableDiffusionPipeline"))
    assert Pipeline.from_pretrained(image=f"diffusers:{tmp_path / 'published'}").renderer.model.engine.name == "gligen"


def test_pixels_of_regions_attend_to_their_prompts():
    from scenograph.pipelines.renderers.diffusers_regions import RegionAttention

    left = torch.zeros(1, 8, 8)
    left[:, :, :4] = 1
    corner = torch.zeros(1, 8, 8)
    corner[:, 7, 7] = 1
    seen = RegionAttention(torch.cat([left, corner]), tokens=3).bias(4)[0] == 0  # 2 x 2 pixels
    assert seen.shape == (4, 9) and seen[:, :3].all()
    assert seen[:, 3:6].all(1).tolist() == [True, False, True, False]
    assert seen[:, 6:].all(1).tolist() == [False, False, False, True]
    assert not seen[:, 3:6].any(1).tolist()[1]


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_regions_change_pictures_and_leave_the_model_as_it_was(family, load, tiny_diffusers, calls):
    pipe, control = load(family), f"depth={tiny_diffusers(f'{family}-depth')}"
    plain, controlled = pixels(pipe), pixels(pipe, control=control)
    with_regions, with_both = pixels(pipe, control="regions"), pixels(pipe, control=["regions", control])
    pictures = [plain, controlled, with_regions, with_both]
    assert len({picture.tobytes() for picture in pictures}) == 4
    arguments = calls[-1][1]
    assert "prompt" not in arguments and arguments["prompt_embeds"].shape[1] == 77 * 4  # the scene's, three objects'
    assert arguments["negative_prompt_embeds"].shape == arguments["prompt_embeds"].shape
    assert np.array_equal(plain, pixels(pipe)) and np.array_equal(controlled, pixels(pipe, control=control))


STARTS = [engine.name for engine in ENGINES if engine.start_pipeline]


@pytest.mark.parametrize("family", STARTS)
def test_pictures_are_changed_from_a_file_by_strength(family, load, calls, tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)).save(path)
    pipe = load(family)
    little, much = (pixels(pipe, start=str(path), steps=4, strength=strength) for strength in (0.25, 0.75))
    name, arguments = calls[-1]
    assert name == next(engine.start_pipeline for engine in ENGINES if engine.name == family)
    assert arguments["strength"] == 0.75 and arguments["image"].size == (SIDE, SIDE)
    cut = Image.open(path).crop((20, 0, 60, 40)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(arguments["image"], float) - np.asarray(cut, float)).mean() < 2
    assert not np.array_equal(little, much)


def test_strength_alone_starts_from_the_collage(load, tiny_diffusers, calls):
    scene = Scene((SceneObject("tree", (), (0.2, 0.1, 0.8, 0.9)), SceneObject("grass", (), (0, 0.5, 1, 1))))
    control = f"depth={tiny_diffusers('sd15-depth')}"
    pixels(load("sd15"), scene=scene, strength=0.5, control=control)
    name, arguments = calls[-1]
    assert name == "StableDiffusionControlNetImg2ImgPipeline" and arguments["control_image"].size == (SIDE, SIDE)
    collage = Pipeline.from_pretrained(image="collage")(scene, [1], size=SIDE).images[0]
    assert np.array_equal(arguments["image"], collage)


def test_pictures_start_from_our_models_in_their_names(load, calls):
    scene = Scene((SceneObject("cube", ("red",), (0.2, 0.1, 0.8, 0.9)),))
    pixels(load("sd15"), scene=scene, start="mise-rendered-64", strength=0.5)
    ours = Pipeline.from_pretrained(image="mise-rendered-64", device="cpu")(scene, [1], size=SIDE).images[0]
    assert np.abs(np.asarray(calls[-1][1]["image"], float) - np.asarray(ours, float)).max() <= 1


@pytest.mark.parametrize(("family", "most"), [("flux-kontext", 1), ("flux2-klein", 4)])
def test_references_are_what_starts_styles_and_crops_show(family, most, load, calls, caplog):
    caplog.set_level(25)
    crop = np.zeros((9, 7, 4), np.uint8)
    crop[:5] = (200, 0, 0, 255)
    scene = Scene(tuple(SceneObject("tree", (), (0.2, 0.1, 0.8, 0.9), crop=crop) for _ in range(3)))
    style = Image.new("RGB", (64, 80), "blue")
    pipe = load(family)
    drawn = pixels(pipe, scene=scene, style=style, start="collage")
    given = calls[-1][1]["image"]
    pictures = given if most > 1 else [given]
    assert len(pictures) == most and pictures[0].size == (64, 64)  # enlarged, as models want them
    assert f"takes {most} reference pictures of 5" in caplog.text
    if most > 1:
        assert pictures[1] == style and pictures[2].size == (64, 83)  # 7 x 9
        assert pictures[2].getpixel((0, 0)) == (200, 0, 0) and pictures[2].getpixel((0, 82)) == (255, 255, 255)
        assert not np.array_equal(drawn, pixels(pipe, scene=scene.replace_object(0, crop=None), style=style))


@pytest.mark.parametrize(("family", "wanted", "drawn"), [("sd15", 36, 32), ("sd15", 37, 40), ("flux", 41, 48)])
def test_sizes_are_rounded_as_the_family_needs(family, wanted, drawn, load, caplog):
    caplog.set_level(25)
    assert pixels(load(family), size=wanted).shape == (drawn, drawn, 3)
    multiple = next(engine.multiple for engine in ENGINES if engine.name == family)
    assert f"multiples of {multiple}: {wanted} becomes {drawn}" in caplog.text


@pytest.mark.parametrize("family", [engine.name for engine in ENGINES])
def test_steps_are_told_and_the_last_preview_is_the_picture(family, load):
    pipe, steps = load(family), []
    pipe.renderer.watch = lambda step: steps.append((step.number, step.of, step.preview()))
    drawn = pixels(pipe, steps=3)
    assert [step[:2] for step in steps] == [(1, 3), (2, 3), (3, 3)]
    previews = [step[2] for step in steps]
    if pipe.renderer.engine.latents == "none":
        assert previews == [None] * 3
    else:
        assert np.abs(np.asarray(previews[-1], float) / 127.5 - 1 - drawn).max() < 0.02
        assert not np.array_equal(previews[0], previews[-1])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_are_in_the_precision_that_is_asked_for(precision, load):
    pipe = load("sd15")
    full, half = pixels(pipe), pixels(pipe, precision=precision)
    assert next(pipe.renderer.model._base[1].unet.parameters()).dtype == getattr(
        torch, {"bf16": "bfloat16", "fp16": "float16"}[precision]
    )
    assert 0 < np.abs(full - half).mean() < 0.3


def test_negative_prompts_and_guidance_arrive(load, calls):
    pixels(load("qwen-image"))
    assert calls[-1][1]["negative_prompt"] == " "
    pixels(load("qwen-image"), negative="fog", guidance=0)
    assert calls[-1][1]["negative_prompt"] == "fog" and calls[-1][1]["true_cfg_scale"] == 0


# Errors.


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("sd15", {"control": "dept"}, "say which control picture it draws.*did you mean 'depth'"),
        ("sd15", {"control": "dept=a/b"}, "unknown control picture 'dept' .did you mean 'depth'"),
        ("sd15", {"control": "boxes"}, "known for sd15 are edges, depth, segmentation, scribble; name a network"),
        ("sd15", {"control": "a/b"}, "say which control picture it draws, as in edges=a/b .choose from: edges, depth"),
        ("sd15", {"control": "depth=a/b@3"}, "a weight is above 0 and at most 2"),
        ("sd15", {"control": "regions=a/b"}, "regions=a/b: is no network"),
        ("flux", {"control": "regions"}, "flux takes control networks, a picture to start from"),
        ("gligen", {"control": "depth"}, "gligen takes no control networks, but boxes"),
        ("gligen", {"strength": 0.5}, "gligen takes no picture to start from, but boxes"),
        ("qwen-image", {"control": "segmentation"}, "known for qwen-image are edges, depth"),
        ("flux", {"control": "depth={sd15-depth}"}, "a ControlNetModel, and flux takes FluxControlNetModel"),
        ("flux", {"control": "segmentation={flux-union}"}, "flux-union knows edges, depth"),
        ("sdxl", {"control": "depth={sdxl-depth},edges={sdxl-union}"}, "beside a ControlNetModel"),
        ("z-image", {"control": "depth={z-image-union},edges={z-image-union}"}, "with one control picture"),
        ("sd15", {"control": "depth={sd15}"}, "holds no config.json"),
        ("sd15", {"control": "depth={sdxl-depth}"}, "made for another model: its cross_attention_dim is 16, .* 8"),
        ("flux", {"negative": "fog"}, "flux takes no negative prompt"),
        ("sd15", {"style": Image.new("RGB", (8, 8))}, "takes no style"),
        ("flux-kontext", {"strength": 0.5}, "leave --strength out"),
        ("sd15", {"strength": 0.2, "steps": 4}, "strength 0.2 of 4 steps is none: give --steps 5"),
        ("sd15", {"strength": 0.5}, "--start collage: objects.1.: unknown category 'tortoise shell'"),
        ("sd15", {"start": "no.png"}, "--start no.png: no such file"),
        ("sd15", {"start": "mise-layout-rendered"}, "draws no pictures"),
        ("sd3", {"control": "edges={sd3-edges}", "start": "collage"}, "either control networks or a picture"),
        ("sd15", {"strength": 1.5}, "strength 1.5: must be at most 1"),
        ("sd15", {"precision": "fp32"}, "unknown precision 'fp32': use no, bf16, fp16"),
        ("sd15", {"control": 3}, "control: expected texts such as 'depth'"),
    ],
)
def test_what_a_family_does_not_have_is_said_before_anything_is_loaded(
    family, options, message, load, tiny_diffusers, monkeypatch
):
    if isinstance(control := options.get("control"), str):
        for name in ("sd15-depth", "sd15", "sd3-edges", "sdxl-depth", "sdxl-union", "flux-union", "z-image-union"):
            if f"{{{name}}}" in control:
                control = control.replace(f"{{{name}}}", tiny_diffusers(name))
        options = options | {"control": control}
    monkeypatch.setattr(DiffusersModel, "pipeline", None)
    with pytest.raises(UserError, match=message):
        load(family).encode(SCENE, [0], **options)


def test_families_that_are_not_in_the_table_are_refused_with_those_that_are(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    with pytest.raises(UserError, match="a WanPipeline, .*these are sd15, gligen, sdxl, sd3, flux"):
        Pipeline.from_pretrained(image=f"diffusers:{tmp_path}")
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(UserError, match=r"its model_index.json holds no settings, but \[\]"):
        Pipeline.from_pretrained(image=f"diffusers:{tmp_path}")


def test_folders_that_hold_no_model_and_names_of_none_are_said(tmp_path):
    with pytest.raises(UserError, match="holds no model_index.json: not a diffusers folder"):
        Pipeline.from_pretrained(image=f"diffusers:{tmp_path}")
    with pytest.raises(UserError, match="no folder nothing; give one, or an ID of the Hugging Face hub"):
        Pipeline.from_pretrained(image="diffusers:nothing")
    with pytest.raises(UserError, match="renders layouts and places nothing"):
        Pipeline.from_pretrained(layout="diffusers:a/b")
    with pytest.raises(UserError, match="takes no crops of a memory"):
        Pipeline.from_pretrained(image="diffusers:a/b", memory="drawings")


def hub_error(name: str, status: int) -> Exception:
    import httpx2
    from huggingface_hub import errors

    kind = getattr(errors, name)
    if not issubclass(kind, errors.HfHubHTTPError):
        return kind("not reached")
    response = httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/a/b"))
    return kind("refused", response=response)


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("GatedRepoError", 403, "agree to its licence on https://huggingface.co/a/b, then log in with: hf auth login"),
        ("RepositoryNotFoundError", 404, "the hub has no such model, or a private one"),
        (
            "LocalEntryNotFoundError",
            0,
            "and the hub cannot be reached; download it where it can, with: hf download a/b",
        ),
        ("RemoteEntryNotFoundError", 404, "no diffusers model"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_remedy(name, status, message, monkeypatch):
    def refuse(*_, **__):
        raise hub_error(name, status)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(UserError, match=f"a/b: .*{message}"):
        Pipeline.from_pretrained(image="diffusers:a/b")


def test_licences_are_said_before_a_download(load, monkeypatch, caplog):
    from scenograph.pipelines.renderers.diffusers_loading import say_licence

    caplog.set_level(25)
    monkeypatch.setattr("huggingface_hub.model_info", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    say_licence("black-forest-labs/FLUX.1-dev")
    assert (
        "licence flux-1-dev-non-commercial-license (https://huggingface.co/black-forest-labs/FLUX.1-dev)" in caplog.text
    )
    say_licence("somebody/something")
    assert "somebody/something: licence not known" in caplog.text
    card = type("Info", (), {"card_data": {"license": "mit"}})
    monkeypatch.setattr("huggingface_hub.model_info", lambda *_, **__: card)
    say_licence("somebody/something")
    assert "somebody/something: licence mit" in caplog.text


def test_weights_that_can_hold_code_are_not_loaded(tiny_diffusers, tmp_path):
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_diffusers("sd15"), folder)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(UserError, match="no weights as .safetensors; other forms are not loaded"):
        pixels(Pipeline.from_pretrained(image=f"diffusers:{folder}", device="cpu"))


def test_damaged_files_are_said_with_the_folder(tiny_diffusers, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_diffusers("sd15"), folder)
    pipe = Pipeline.from_pretrained(image=f"diffusers:{folder}", device="cpu")
    for file, damage, complaint in (
        ("unet/diffusion_pytorch_model.safetensors", lambda held: held[:-10], "its weights are damaged: .*; download"),
        ("text_encoder/config.json", lambda held: b"[]", r"\(TypeError\); check its files, or download it again"),
    ):
        held = (folder / file).read_bytes()
        (folder / file).write_bytes(damage(held))
        with pytest.raises(UserError, match=f"^{folder}: .*{complaint}"):
            pixels(pipe)
        (folder / file).write_bytes(held)
    (folder / "unet" / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"its unet/config.json holds no settings, but \[\]"):
        pixels(pipe, control=f"depth={tiny_diffusers('sd15-depth')}")


def test_code_beside_weights_is_not_run(tiny_diffusers, tmp_path):
    import shutil

    folder = tmp_path / "coded"
    shutil.copytree(tiny_diffusers("sd15"), folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["own", "Own"]
    (folder / "model_index.json").write_text(json.dumps(index))
    mark = tmp_path / "ran"
    (folder / "unet" / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(UserError):
        pixels(Pipeline.from_pretrained(image=f"diffusers:{folder}", device="cpu"))
    assert not mark.exists()


def test_memory_that_does_not_suffice_is_said_with_the_remedy(load, monkeypatch):
    pipe = load("sd15")

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "__call__", refuse)
    with pytest.raises(UserError, match="memory of cpu does not suffice; try --size 16 or --precision bf16"):
        pixels(pipe)


def test_the_missing_extra_is_said(load, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(UserError, match=r"needs the package diffusers: .*scenograph\[diffusers\]"):
        Pipeline.from_pretrained(image="diffusers:a/b")


# Parts that are painted again.


def noise_picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))


def sheep_mask() -> np.ndarray:
    """By hand: the box of the sheep, rows 12 to 28, columns 4 to 16, half a pixel's ramp, none of the nearer shell."""
    mask = np.zeros((SIDE, SIDE))
    mask[11:29, 3:16] = 0.5
    mask[12:28, 4:16] = 1
    mask[7:31, 16:] = 0
    mask[8:30, 15] *= 0.5
    mask[7, 15] = mask[30, 15] = 0
    return mask


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_object_is_painted_again_in_its_box_and_the_rest_stays(engine, load, calls):
    pipe, before = load(engine.name), noise_picture()
    drawn, same, other = (pixels(pipe, seed, start=before, repaint=(0,)) for seed in (1, 1, 2))
    name, arguments = calls[-1]
    assert name == engine.inpaint_pipeline and arguments["prompt"] == "a white sheep" and arguments["image"] == before
    mask = sheep_mask()
    assert np.array_equal(np.asarray(arguments["mask_image"]) > 0, mask > 0) and arguments["mask_image"].mode == "L"
    assert arguments["strength"] == 1 and arguments[engine.guidance] == usual_value(engine, engine.guidance)
    assert np.array_equal(drawn, same) and not np.array_equal(drawn, other)
    changed = (np.round((drawn + 1) * 127.5) != np.asarray(before)).any(axis=2)
    assert not changed[mask == 0].any() and changed[mask == 1].mean() > 0.9
    model = pipe.renderer.model
    parts, shared = model._ready[1].components, model._base[1].components
    assert all(parts[name] is part for name, part in shared.items() if name in parts), "nothing is loaded twice"


def test_masks_are_soft_boxes_without_those_of_nearer_things():
    masks = repaint_masks(SCENE, [0, 2], SIDE)
    assert [*masks] == [2, 0], "the farthest first"
    assert np.allclose(masks[0], sheep_mask())
    assert masks[2][20, 2] == 1 and not masks[2][:15].any() and not masks[2][20, 16:28].any()
    assert masks[2][20, 8] == 1, "the sheep is painted again after the grass"
    hidden = SCENE.replace_object(0, box=(0.55, 0.3, 0.8, 0.9))
    assert not repaint_masks(hidden, [0], SIDE)
    shore = Scene((SceneObject("sea", (), (0, 0.25, 1, 0.875)), SceneObject("grass", (), (0, 0.5, 1, 1))))
    sea, grass = (repaint_masks(shore, [number], SIDE)[number][:, 0] for number in (0, 1))
    assert sea.tolist() == [0] * 7 + [0.5] + [1] * 7 + [0.5] + [0] * 16, "a nearer region stays"
    assert grass.tolist() == [0] * 15 + [0.5] + [1] * 16
    ramp = soft_box((0.25, 0.25, 0.75, 0.75), 256)[128, 55:72]  # 8 pixels wide
    assert np.allclose(ramp, [0, *np.arange(0.0625, 1, 0.125), *[1] * 8])


def test_each_of_several_objects_is_painted_into_the_picture_of_those_before(load, calls):
    pipe, before = load("sd15"), noise_picture()
    drawn = pixels(pipe, start=before, repaint=(1, 0), prompt="woodcut")
    assert [arguments["prompt"] for _, arguments in calls] == ["woodcut, a white sheep", "woodcut, a tortoise shell"]
    first, second = (np.asarray(arguments["image"]) for _, arguments in calls)
    sheep, shell = repaint_masks(SCENE, (1, 0), SIDE).values()
    drawn = np.round((drawn + 1) * 127.5)
    assert np.array_equal(first, before) and np.array_equal(second[sheep == 0], first[sheep == 0])
    assert (second != first)[sheep == 1].mean() > 0.5 and (drawn != second)[shell == 1].mean() > 0.5
    assert np.array_equal(drawn[shell == 0], second[shell == 0])


@pytest.mark.parametrize("case", CONTROLS)
def test_control_networks_see_what_is_painted_again_where_the_family_can(case, load, tiny_diffusers, calls):
    networks, _, _, modes = CONTROLS[case]
    family = case.removesuffix("-union")
    control = [f"{kind}={tiny_diffusers(f'{family}-{name}')}@0.5" for kind, name in networks.items()]
    drawn = pixels(load(family), control=control, start=noise_picture(), repaint=(0,))
    name, arguments = calls[-1]
    assert np.isfinite(drawn).all() and arguments["mask_image"].size == (SIDE, SIDE)
    if family in ("sd3", "qwen-image", "z-image"):
        assert "control_image" not in arguments and "ControlNet" not in name
        return
    given = arguments["control_image"] if len(networks) > 1 else [arguments["control_image"]]
    wanted = draw_controls(SCENE, networks, SIDE, SIDE)
    assert all(np.array_equal(one, wanted[kind].convert("RGB")) for one, kind in zip(given, networks, strict=True))
    assert "ControlNet" in name and "Inpaint" in name and arguments.get("control_mode") == modes


def test_regions_and_strength_hold_where_an_object_is_painted_again(load, calls):
    pixels(load("sd15"), start=noise_picture(), repaint="0", control="regions", strength=0.5, steps=4)
    arguments = calls[-1][1]
    assert arguments["strength"] == 0.5 and arguments["prompt_embeds"].shape[1] == 77 * 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"repaint": 0}, "--repaint changes a picture; give it with --start"),
        ({"repaint": 7, "start": noise_picture()}, "--repaint 7: the scene has objects 0 to 2"),
        ({"repaint": [0, -1], "start": noise_picture()}, "repaint: expected numbers of objects"),
        ({"repaint": 0, "start": noise_picture(), "style": Image.new("RGB", (9, 9))}, "takes no style"),
    ],
)
def test_what_cannot_be_painted_again_is_said(options, complaint, load):
    with pytest.raises(UserError, match=complaint):
        pixels(load("sd15"), **options)


def test_hidden_objects_and_other_renderers_are_not_painted_again(load):
    hidden = SCENE.replace_object(0, box=(0.55, 0.3, 0.8, 0.9))
    pipe = load("sd15")
    assert pipe.renderer.repaintable(hidden, [0, 2], pipe.options) == [2]
    assert pipe.renderer.repaintable(hidden, [0], pipe.options.changed(style=noise_picture())) == []
    with pytest.raises(UserError, match="--repaint 0: nearer objects hide the box of this one"):
        pixels(load("sd15"), scene=hidden, repaint=0, start=noise_picture())
    with pytest.raises(UserError, match="collage: takes no repaint"):
        Pipeline.from_pretrained(image="collage")(Scene((SceneObject("tree", (), (0.2, 0.1, 0.8, 0.9)),)), repaint=0)


def test_control_grows_stronger_within_limits(load, tiny_diffusers, calls):
    def stronger(family: str, times: int, **options: object) -> dict:
        pipe = load(family)
        return pipe.renderer.stronger(pipe.options.changed(**options), times)

    assert [stronger("sd15", times)["guidance"] for times in (1, 2, 9)] == [9.38, 11.25, 11.25]
    assert stronger("flux", 1, guidance=0) == {}, "a model that is drawn from without guidance"
    network = f"depth={tiny_diffusers('sd15-depth')}"
    assert stronger("sd15", 1, control=[network, "regions"])["control"] == (f"{network}@1.25", "regions")
    assert stronger("sd15", 9, control=f"{network}@1.8")["control"] == (f"{network}@2",)
    assert stronger("z-image", 1, control=f"edges={tiny_diffusers('z-image-union')}")["control"][0].endswith("@0.938")
    edges = f"edges={tiny_diffusers('sd3-edges')}"
    assert [*stronger("sd3", 1, control=edges)] == ["control"], "which its pipeline that paints again does not see"
    assert stronger("sd3", 1, control=edges, repaint=0) == {"guidance": 8.75}
    assert stronger("sd15", 1, guidance=45)["guidance"] == 50
    assert stronger("gligen", 1, repaint=0) == {"guidance": 9.38}
    assert stronger("gligen", 1) == {"control": ("boxes@0.375",)}
    assert stronger("gligen", 2, control="boxes@0.9")["control"] == ("boxes@1",)
    pixels(load("gligen"), control="boxes@0.5")
    assert calls[-1][1]["gligen_scheduled_sampling_beta"] == 0.5
    with pytest.raises(UserError, match=r"--control boxes@1.5: of gligen, the weight is a share of steps, at most 1"):
        pixels(load("gligen"), control="boxes@1.5")


# What pictures were made with.


def test_records_tell_networks_and_start_pictures_from_others(scenograph, tiny_diffusers, tmp_path, caplog):
    network, start = tmp_path / "net", tmp_path / "start.png"
    shutil.copytree(tiny_diffusers("sd15-depth"), network)
    noise_picture().save(start)
    scene = tmp_path / "scene.json"
    scene.write_text(json.dumps(SCENE.to_dict()))
    named = ["--image", f"diffusers:{tiny_diffusers('sd15')}", "--control", f"depth={network}", "--start", str(start)]
    small = ["--size", "32", "--steps", "4", "--repaint", "0"]
    code, _, err = scenograph("generate", scene, *named, *small)
    assert code == 0, err
    (made,) = (tmp_path / "pictures").glob("*.png")
    digests = json.loads(read_record(made))["digests"]
    assert digests["picture to start from"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert len(digests[f"control network {network}"]) == 64
    again = ["generate", made, "--overwrite", "--out", "again", *named]
    code, _, err = scenograph(*again)
    assert code == 0 and "will differ" not in err + caplog.text
    assert np.array_equal(Image.open(tmp_path / "again" / made.name), Image.open(made))
    noise_picture().rotate(90).save(start)
    (network / "config.json").write_text((network / "config.json").read_text() + " ")
    code, _, err = scenograph(*again)
    said = f"the control network {network} and the picture to start from are not those that made {made}"
    assert code == 0 and f"{said}: the picture will differ" in " ".join((err + caplog.text).split())


def test_pictures_in_memory_have_the_digest_of_the_file_that_they_are_saved_as(load, tmp_path):
    pipe, given = load("sd15"), {"size": SIDE, "steps": 2}
    first = pipe(SCENE, [1], **given).images[0]
    first.save(tmp_path / "first.png")
    part = given | {"repaint": 0}
    made = pipe(SCENE, [2], start=first, **part).images[0]
    again = pipe(SCENE, [2], start=str(tmp_path / "first.png"), **part).images[0]
    records = [json.loads(one.record) for one in (made, again)]
    assert records[0]["digests"] == records[1]["digests"] and np.array_equal(made, again)
    assert records[0]["start"] == "(a picture in memory)" and records[0]["repaint"] == [0]


def test_the_digest_of_what_is_on_the_hub_is_its_commit(tmp_path, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "snapshots" / commit / "sub" / "net.safetensors"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: str(cached))
    assert source_digest("owner/name/sub/net.safetensors", "config.json") == commit
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda source, name: str(cached.parents[1] / name))
    assert source_digest("owner/name", "config.json") == commit
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: None)
    told = types.SimpleNamespace(commit_hash=commit)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda address: told)
    assert source_digest("owner/name/net.safetensors", "config.json") == commit


# Composing in rounds.


class Seen(Checker):
    """Finds the object of a number wrong until the pictures of some rounds were seen."""

    name = "a test"

    def __init__(self, number: int, rounds: int) -> None:
        self.number, self.rounds, self.pictures = number, rounds, list[np.ndarray]()

    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        self.pictures.append(np.asarray(picture).astype(int))
        wrong = len(self.pictures) <= self.rounds
        return Findings(tuple(Verdict(not wrong or n != self.number, 0.5) for n in range(len(scene.objects))), ())


def test_what_is_wrong_alone_is_painted_again_and_the_picture_is_made_again(load, tmp_path):
    pipe, checker, given = load("sd15"), Seen(0, 1), {"size": SIDE, "steps": 2}
    made = compose(SCENE, pipe, checker, seed=3, **given)
    assert len(made.rounds) == 2 and made.rounds[1].plan.repaint == (0,)
    told = ("white sheep: painted again (before: not right)", "stronger control: guidance 9.38")
    assert made.rounds[1].plan.changes == told
    assert np.array_equal(checker.pictures[0], pipe(SCENE, [3], **given).images[0]), "as generate draws it"
    changed = (checker.pictures[0] != checker.pictures[1]).any(axis=2)
    assert changed.any() and not changed[sheep_mask() == 0].any()
    made.save(tmp_path)
    record = json.loads(read_record(tmp_path / "composed.png"))
    assert record["start"] == "round 1" and record["repaint"] == [0] and record["guidance"] == 9.38
    with pytest.raises(UserError, match=r"made from another picture, .*'round 1'; give that with --start"):
        request_from_picture(tmp_path / "composed.png", dict(pipe.names), None, {})
    start = {"start": str(tmp_path / "composed-round1.png")}
    request = request_from_picture(tmp_path / "composed.png", dict(pipe.names), None, start)
    again = pipe(request.scenes, request.seeds, **request.options.chosen()).images[0]
    assert np.array_equal(again, made.picture) and pipe.digests(request.options) == request.digests


def test_control_grows_while_boxes_that_were_given_stay_wrong(load, tiny_diffusers):
    network = f"depth={tiny_diffusers('sd15-depth')}"
    made = compose(SCENE, load("sd15"), Seen(1, 9), rounds=4, size=SIDE, steps=2, control=network)
    _, second, draft, fourth = (one.plan for one in made.rounds)
    assert second.repaint == fourth.repaint == (1,) and draft.repaint == () and draft.options == {}
    assert second.options == {"control": (f"{network}@1.25",)} and fourth.options == {"control": (f"{network}@1.5",)}
    assert draft.changes == ("another draft, as the repairs did not help",)


# The command.


def test_the_command_draws_and_makes_a_picture_again(scenograph, tiny_diffusers, tmp_path):
    image, control = f"diffusers:{tiny_diffusers('sd15')}", f"edges={tiny_diffusers('sd15-edges')}@0.5"
    options = ["--image", image, "--control", control, "--control", "regions", "--size", "32", "--steps", "2"]
    code, out, err = scenograph("generate", "a sheep on grass", *options, "--guidance", "0", "--seeds", "0-1")
    assert code == 0, err
    made = sorted((tmp_path / "pictures").glob("*-seed?.png"))
    assert len(made) == 2 and "wrote" in out
    record = json.loads(read_record(made[0]))
    assert record["image"] == image and record["layout"] == "mise-layout-picture-book"
    assert record["control"] == [control, "regions"] and record["guidance"] == 0
    assert record["digests"]["image model"]
    code, out, err = scenograph("generate", made[1], "--out", "again")
    assert code == 2 and "does not ship in the package, and a picture does not decide what is loaded" in err
    code, out, err = scenograph("generate", made[1], "--out", "again", "--image", image)
    assert code == 2 and f"a picture does not decide that; add --control {control} --control regions" in err
    code, _, err = scenograph(
        "generate", made[1], "--out", "again", "--image", image, "--control", f"{control},regions"
    )
    assert code == 0, err
    (again,) = (tmp_path / "again").glob("*.png")
    assert np.array_equal(Image.open(again), Image.open(made[1])) and "will differ" not in err


def test_a_dry_run_loads_no_weights(scenograph, tiny_diffusers, tmp_path, monkeypatch):
    monkeypatch.setattr(DiffusersModel, "pipeline", None)
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(SCENE.to_dict()))
    image = f"diffusers:{tiny_diffusers('sd15')}"
    code, out, _ = scenograph("generate", path, "--image", image, "--control", "regions", "--dry-run")
    assert code == 0 and "would write" in out and not (tmp_path / "pictures").exists()


def test_the_page_lists_every_family():
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    for engine in ENGINES:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{engine.name}` "))
        assert engine.title in row and engine.example in row and engine.licence in row
        assert (
            f"`{engine.inpaint_pipeline}` |" in row and f"{engine.gigabytes:g} GB" in row and f"{engine.side} px" in row
        )
