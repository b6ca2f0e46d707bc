"""Placed scenes in the forms of other tools, against small files written from the forms' definitions."""

from __future__ import annotations

import base64
import io
import json
import logging
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from scenograph.errors import UserError
from scenograph.scenes.exports import EXPORTS, export_scene
from scenograph.scenes.palettes import instance_color
from scenograph.scenes.scene import Relation, Scene, SceneObject

MASK = np.array([[False, True], [True, True]])
PROMPT = "black cat left of ball"
CAT = SceneObject("cat", ("black",), box=(0, 0.5, 0.5, 1))
SCENE = Scene((CAT, SceneObject("ball", box=(0.5, 0.25, 1, 0.75), mask=MASK)), (Relation(0, "left of", 1),))


def exported(form: str, scene: Scene = SCENE, width: int = 64, height: int = 32) -> dict[str, bytes]:
    return export_scene(scene, form, width, height, "pair")


def test_gligen_has_the_arguments_of_the_pipeline_in_diffusers():
    (name, content), *others = exported("gligen").items()
    assert name == "pair-gligen.json" and not others
    assert json.loads(content) == {
        "prompt": PROMPT,
        "gligen_phrases": ["black cat", "ball"],
        "gligen_boxes": [[0, 0.5, 0.5, 1], [0.5, 0.25, 1, 0.75]],
        "gligen_scheduled_sampling_beta": 1.0,
        "width": 64,
        "height": 32,
    }


def test_of_more_boxes_than_gligen_takes_the_smallest_are_left_out(caplog):
    things = [SceneObject("cat", box=(0, 0, 0.5, 0.5 + number / 100)) for number in range(30)]
    crowd = Scene((SceneObject("red ball", box=(0, 0, 0.1, 0.1)), *things))
    with caplog.at_level(logging.INFO):
        boxes = json.loads(exported("gligen", crowd)["pair-gligen.json"])["gligen_boxes"]
    assert [box[3] for box in boxes] == pytest.approx([0.5 + number / 100 for number in range(30)])
    assert "GLIGEN takes 30 boxes; the smallest are left out: red ball" in caplog.text


def sampling(positive: str, first: int, model: str = "1") -> dict[str, dict]:
    """The nodes of ComfyUI that follow a prompt."""
    negative, latent, sampler, decoded, saved = (str(first + i) for i in range(5))
    settings = {"seed": 0, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": [model, 0], "positive": [positive, 0], "negative": [negative, 0], "latent_image": [latent, 0]}
    return {
        negative: {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": [model, 1]}},
        latent: {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 32, "batch_size": 1}},
        sampler: {"class_type": "KSampler", "inputs": links | settings},
        decoded: {"class_type": "VAEDecode", "inputs": {"samples": [sampler, 0], "vae": [model, 2]}},
        saved: {"class_type": "SaveImage", "inputs": {"images": [decoded, 0], "filename_prefix": "pair"}},
    }


CHECKPOINT = {
    "class_type": "CheckpointLoaderSimple",
    "inputs": {"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"},
}


def text_node(text: str) -> dict:
    return {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}}


def test_comfyui_has_a_workflow_in_the_api_form_with_an_area_for_each_object():
    def area(source: str, x: float, y: float) -> dict:
        place = {"conditioning": [source, 0], "x": x, "y": y, "width": 0.5, "height": 0.5, "strength": 1.0}
        return {"class_type": "ConditioningSetAreaPercentage", "inputs": place}

    def both(one: str, other: str) -> dict:
        links = {"conditioning_1": [one, 0], "conditioning_2": [other, 0]}
        return {"class_type": "ConditioningCombine", "inputs": links}

    nodes = {
        "1": CHECKPOINT,
        "2": text_node(PROMPT),
        **{"3": text_node("black cat"), "4": area("3", 0, 0.5), "5": both("2", "4")},
        **{"6": text_node("ball"), "7": area("6", 0.5, 0.25), "8": both("5", "7")},
    }
    assert json.loads(exported("comfyui")["pair-comfyui.json"]) == nodes | sampling("8", 9)


def test_comfyui_gligen_has_a_box_in_pixels_for_each_object():
    def box(before: str, text: str, x: int, y: int) -> dict:
        links = {"conditioning_to": [before, 0], "clip": ["1", 1], "gligen_textbox_model": ["2", 0]}
        place = {"text": text, "width": 32, "height": 16, "x": x, "y": y}
        return {"class_type": "GLIGENTextBoxApply", "inputs": links | place}

    nodes = {
        "1": CHECKPOINT,
        "2": {"class_type": "GLIGENLoader", "inputs": {"gligen_name": "gligen_sd14_textbox_pruned.safetensors"}},
        "3": text_node(PROMPT),
        "4": box("3", "black cat", 0, 16),
        "5": box("4", "ball", 32, 8),
    }
    assert json.loads(exported("comfyui-gligen")["pair-comfyui-gligen.json"]) == nodes | sampling("5", 6)


def test_invokeai_reads_regions_from_the_metadata_of_a_picture():
    opened = Image.open(io.BytesIO(exported("invokeai")["pair-invokeai.png"]))
    assert opened.size == (64, 32) and opened.getpixel((0, 31)) == instance_color(0)
    metadata = json.loads(opened.info["invokeai_metadata"])
    canvas = metadata.pop("canvas_v2_metadata")
    assert metadata == {"positive_prompt": PROMPT, "width": 64, "height": 32}
    cat, ball = canvas.pop("regionalGuidance")
    assert canvas == {"controlLayers": [], "inpaintMasks": [], "rasterLayers": [], "referenceImages": []}
    red, green, blue = instance_color(0)
    color = {"r": red, "g": green, "b": blue}
    assert cat == {
        "id": "regional_guidance:0",
        "name": "black cat",
        "isEnabled": True,
        "isLocked": False,
        "type": "regional_guidance",
        "position": {"x": 0, "y": 16},
        "opacity": 0.5,
        "objects": [
            {
                "id": "rect:0",
                "type": "rect",
                "rect": {"x": 0, "y": 0, "width": 32, "height": 16},
                "color": {**color, "a": 1},
            }
        ],
        "fill": {"style": "solid", "color": color},
        "positivePrompt": "black cat",
        "negativePrompt": None,
        "referenceImages": [],
        "autoNegative": False,
    }
    (shape,) = ball["objects"]
    assert ball["position"] == {"x": 32, "y": 8} and shape["type"] == "image"
    assert (shape["image"]["width"], shape["image"]["height"]) == (32, 16)
    kind, encoded = shape["image"]["dataURL"].split(",")
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    assert kind == "data:image/png;base64"
    assert (mask[..., 3] == np.kron(MASK, np.ones((8, 16))) * 255).all()


def test_regional_prompter_has_a_prompt_and_a_colour_for_each_visible_object():
    hidden = SceneObject("mouse", box=(0.1, 0.6, 0.2, 0.7))
    files = exported("regional-prompts", Scene((hidden, *SCENE.objects)))
    assert list(files) == ["pair-regional-prompts.json", "pair-regional-prompts.png"]
    request = json.loads(files["pair-regional-prompts.json"])
    assert request["prompt"] == "mouse; black cat; ball ADDBASE\nblack cat BREAK\nball"
    assert (request["width"], request["height"]) == (64, 32)
    settings = request["alwayson_scripts"]["Regional Prompter"]["args"]
    assert settings == [
        *(True, False, "Mask", "Columns", "Mask", "Prompt", "1,1,1", "0.2", True, False, False),
        *("Attention", False, "0", "0", "0", "pair-regional-prompts.png", "0", "0", False),
    ]
    mask = np.asarray(Image.open(io.BytesIO(files["pair-regional-prompts.png"])))
    expected = np.full((32, 64, 3), 255)
    expected[16:, :32] = (128, 64, 64)  # hue 0, half saturated and half bright
    expected[8:24, 32:][np.kron(MASK, np.ones((8, 16))) > 0] = (64, 128, 128)  # hue 1/2
    assert (mask == expected).all()


def test_colours_of_regional_prompter_halve_the_circle_of_hues():
    things = tuple(SceneObject("cat", box=(number / 8, 0, (number + 1) / 8, 1)) for number in range(6))
    mask = np.asarray(Image.open(io.BytesIO(exported("regional-prompts", Scene(things))["pair-regional-prompts.png"])))
    assert [tuple(mask[0, 8 * number + 4]) for number in range(6)] == [
        (128, 64, 64),
        (64, 128, 128),
        (96, 128, 64),
        (96, 64, 128),
        (128, 112, 64),
        (64, 128, 80),
    ]  # fmt: skip; hues 0, 180, 90, 270, 45 and 135


def test_coco_has_annotations_of_the_picture():
    content = json.loads(exported("coco")["pair-coco.json"])
    assert content["images"] == [{"id": 1, "file_name": "pair.png", "width": 64, "height": 32}]
    assert [one["bbox"] for one in content["annotations"]] == [[0, 16, 32, 16], [32, 8, 32, 16]]
    assert content["annotations"][1]["area"] == 32 * 16 * 3 / 4


def test_svg_has_a_layer_for_each_object_the_farthest_first():
    drawing = ElementTree.fromstring(exported("svg")["pair.svg"].decode())
    assert drawing.get("viewBox") == "0 0 64 32"
    title, ball, cat = drawing
    assert title.text == PROMPT
    label = "{http://www.inkscape.org/namespaces/inkscape}"
    assert [layer.get(label + "label") for layer in (ball, cat)] == ["ball", "black cat"]
    assert {layer.get(label + "groupmode") for layer in (ball, cat)} == {"layer"}
    assert ball[0].get("d") == "M48 8L64 8L64 24L32 24L32 16L48 16Z"
    assert cat[0].attrib == {"x": "0", "y": "16", "width": "32", "height": "16"}


def test_names_of_data_sets_are_said_as_people_say_them():
    stuff = ("sky-other", "wall-brick", "window-other", "door-stuff", "t-shirt")
    scene = Scene(tuple(SceneObject(name, box=(0, 0, 1, 1)) for name in stuff))
    content = json.loads(exported("gligen", scene)["pair-gligen.json"])
    assert content["gligen_phrases"] == ["sky", "brick wall", "window", "door", "t shirt"]
    assert content["prompt"] == "sky; brick wall; window; door; t shirt"


@pytest.mark.parametrize("form", EXPORTS)
def test_objects_beyond_the_canvas_are_cut_at_its_borders(form):
    things = (SceneObject("cat", box=(-0.5, -0.5, 0.5, 0.5)), SceneObject("tree", box=(0.9, 0.9, 3, 3), mask=MASK))
    assert all(exported(form, Scene(things)).values())


def test_wrong_requests_are_named():
    with pytest.raises(UserError, match=r"unknown form of export 'comfy' \(did you mean 'comfyui'\?\)"):
        exported("comfy")
    with pytest.raises(UserError, match="size 5000x32: sides go from 8 to 4096 pixels"):
        exported("coco", width=5000)
    with pytest.raises(UserError, match=r"objects\[0\]: cat has no box"):
        exported("coco", Scene((SceneObject("cat"),)))
