"""Pictures as scenes, by a detector of our own and by tiny random networks of transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import NOTE, UserError
from scenograph.models.base import Model
from scenograph.models.detector import Detected, Detector
from scenograph.nn.overlaps import box_overlaps, generalized_overlaps, without_repeats
from scenograph.pipelines.pictured import nearest_relations, scene_of_picture
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_iou
from scenograph.scenes.scene import Relation, Scene, SceneObject, load_scenes
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.detector import DetectorObjective, DetectorObjectiveConfig, matched, peaks

CUBE, SPHERE = (VOCABULARY.categories.index(name) for name in ("cube", "sphere"))
SCENES = [
    Scene((SceneObject("cube", box=(0.1, 0.1, 0.4, 0.5)), SceneObject("sphere", box=(0.55, 0.5, 0.95, 0.9)))),
    Scene((SceneObject("sphere", box=(0.2, 0.4, 0.6, 0.7)), SceneObject("cube"))),
]


def test_overlaps_of_boxes():
    first = torch.rand(50, 4).reshape(-1, 2, 2).sort(1).values.flatten(1)
    second = torch.rand(50, 4).reshape(-1, 2, 2).sort(1).values.flatten(1)
    overlaps = box_overlaps(first, second)
    np.testing.assert_allclose(overlaps, box_iou(first.numpy(), second.numpy()), atol=1e-5)
    general = generalized_overlaps(first, second)
    assert (general <= overlaps + 1e-6).all() and (general >= -1).all()
    one, far = torch.tensor([0.0, 0.0, 0.1, 0.1]), torch.tensor([0.9, 0.9, 1.0, 1.0])
    torch.testing.assert_close(generalized_overlaps(one, far), torch.tensor(-0.98))
    torch.testing.assert_close(generalized_overlaps(one, one), torch.tensor(1.0))


def test_of_boxes_that_overlap_the_likeliest_is_kept():
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.6], [0, 0, 1, 0.95], [0.0, 0, 0.3, 0.3]])
    assert without_repeats(torch.tensor([0, 0, 1, 1, 0]), boxes) == [0, 2, 4]
    assert without_repeats(torch.zeros(0), torch.zeros(0, 4)) == []


def test_peaks_stand_at_centres_and_fall_off_as_far_as_boxes_reach():
    boxes = torch.tensor([[0.0, 0.25, 0.5, 0.5], [0.5, 0.0, 0.75, 1.0]])
    targets = peaks(boxes, torch.tensor([1, 1]), torch.tensor([0, 0]), torch.zeros(1, 3, 8, 8))
    assert (targets == 1).nonzero().tolist() == [[0, 1, 3, 2], [0, 1, 4, 5]]
    assert targets[0, 1, 3, 3] > targets[0, 1, 4, 2]  # wider than high
    assert targets[0, [0, 2]].eq(0).all()


def test_a_detector_learns_where_objects_are():
    """On two pictures with a square where each object is."""
    torch.manual_seed(0)
    batch = SceneBatch.from_scenes(SCENES, VOCABULARY)
    images = -torch.ones(2, 3, 32, 32)
    for category, owner, box in zip(batch.objects, batch.object_to_image, batch.boxes, strict=True):
        if not box.isnan().any():
            x0, y0, x1, y1 = (32 * box).round().int().tolist()
            images[owner, int(category), y0:y1, x0:x1] = 1
    batch.__dict__["images"] = images
    model = tiny("detector", width=24, channels=(16, 24, 32))
    assert isinstance(model, Detector)
    objective = DetectorObjective(DetectorObjectiveConfig(), model)
    totals = type("Totals", (), {"objects": 3})
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    model.train()
    for _ in range(120):
        loss, _ = objective.loss("model", batch, totals, [], {})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        figures = objective.validate(model.eval(), batch, [])
        first, second = model.detect(images)
    assert figures == {"recall": (3, 3), "precision": (3, 3)}
    assert sorted(first.categories.tolist()) == sorted([CUBE, SPHERE]) and second.categories.tolist() == [SPHERE]
    assert box_overlaps(second.boxes[0], batch.boxes[2]) > 0.6


def test_each_true_object_is_found_once():
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.45], [0.5, 0.5, 1.0, 1.0]])
    found = Detected(torch.tensor([0, 0, 1]), torch.tensor([0.9, 0.8, 0.7]), boxes)
    assert matched(found, torch.tensor([0, 0]), boxes[[0, 2]]) == 1
    assert matched(found, torch.tensor([0, 1]), boxes[[0, 2]]) == 2


def test_objects_are_related_to_the_nearest():
    boxes = [(0.0, 0.4, 0.2, 0.6), (0.3, 0.4, 0.5, 0.6), (0.8, 0.4, 1.0, 0.6), (0.05, 0.45, 0.15, 0.55)]
    objects = [SceneObject("cube", box=box) for box in boxes]
    assert nearest_relations(objects) == [
        Relation(0, "surrounding", 3),
        Relation(1, "right of", 0),
        Relation(2, "right of", 1),
    ]
    assert nearest_relations(objects[:1]) == []
    assert len(nearest_relations(objects, Vocabulary(("cube",), ("right of",)))) == 2


@pytest.fixture
def photo(tmp_path) -> str:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def always(model: Model, category: int) -> Model:
    """The detector, which now sees one large object of a category in the middle."""
    assert isinstance(model, Detector)
    peaked, shaped = model.peaks[-1], model.shapes[-1]
    for layer in (peaked, shaped):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, -4.0)
    with torch.no_grad():
        peaked.bias[category] = 2.0
        shaped.bias.view(2, 4)[:] = torch.tensor([0.0, 0.0, 0.0, 0.0])
    return model


def test_commands_read_pictures_with_a_detector_trained_here(photo, scenograph, tmp_path):
    always(tiny("detector"), SPHERE).save_pretrained(tmp_path / "detector")
    output = succeed(scenograph("scene", "from-picture", photo, "--detector", "detector"))
    assert "wrote photo.json" in output
    (scene,) = load_scenes(tmp_path / "photo.json")
    assert {thing.category for thing in scene.objects} == {"sphere"} and scene.relations
    assert all(len(thing.attributes) <= 2 for thing in scene.objects)
    VOCABULARY.check([scene])
    succeed(scenograph("scene", "check", "photo.json"))
    tiny("sg2im").save_pretrained(tmp_path / "sg2im")
    (tmp_path / "text.png").write_text("no picture")
    for arguments, complaint in (
        ((photo, "--detector", "sg2im"), "--detector sg2im: is a sg2im, not a detector"),
        (
            (photo, "--detector", "object-classifier-picture-book"),
            "--detector object-classifier-picture-book: is an object-classifier, not a detector",
        ),
        ((photo, "--detector", "nowhere"), "no model 'nowhere'"),
        ((photo, "--detector", "detector", "--threshold", "0.99"), "nothing is found with a score of 0.99"),
        ((photo, "--detector", "detector", "--attributes", "sg2im"), "is no classifier of objects"),
        ((photo, "--detector", "detector", "--out", "photo.txt"), "name ends in .json"),
        (("text.png", "--detector", "detector"), "cannot read text.png"),
        (("none.png", "--detector", "detector"), "cannot read none.png"),
    ):
        code, _, errors = scenograph("scene", "from-picture", *arguments, "--overwrite")
        assert code == 2 and complaint in errors and errors.count("\n") == 1, errors


def test_the_shipped_detector_reads_what_the_collage_shows(scenograph, tmp_path):
    meadow = Path(__file__).parents[2] / "examples" / "meadow.json"
    succeed(scenograph("generate", meadow, "--image", "collage", "--out", "pictures"))
    succeed(scenograph("scene", "from-picture", "pictures/meadow-seed0.png", "--out", "read.json"))
    (scene,) = load_scenes(tmp_path / "read.json")
    assert {"sheep", "grass", "tree"} <= {thing.category for thing in scene.objects}
    said = succeed(scenograph("compose", meadow, "--check", "detector", "--rounds", "1", "--image", "collage"))
    assert "round 1: " in said and "objects" in said


def test_detectors_of_transformers(photo, tmp_path, caplog):
    transformers = pytest.importorskip("transformers")
    caplog.set_level(NOTE)
    torch.manual_seed(0)
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[32, 32],
        patch_size=16, num_detection_tokens=6, id2label={0: "dog", 1: "sofa", 2: "gizmo"},
    )  # fmt: skip
    folder = tmp_path / "yolos"
    transformers.YolosForObjectDetection(config).save_pretrained(folder)
    transformers.YolosImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    scene = scene_of_picture(tmp_path / "photo.png", str(folder), least=0.0, device="cpu")
    assert scene.objects and {thing.category for thing in scene.objects} <= {"dog", "sofa", "gizmo"}
    for thing in scene.objects:
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 and not thing.attributes
    names = Vocabulary(("couch", "dog"), ("left of", "right of", "above", "below"))
    known = scene_of_picture(tmp_path / "photo.png", str(folder), names, least=0.0, device="cpu")
    expected = [{"sofa": "couch"}.get(t.category, t.category) for t in scene.objects if t.category != "gizmo"]
    assert [thing.category for thing in known.objects] == expected
    names.check([known])
    with pytest.raises(UserError, match="nothing is found with a score of 1"):
        scene_of_picture(tmp_path / "photo.png", str(folder), least=1.0, device="cpu")
    for file, content, complaint in (
        (
            "preprocessor_config.json",
            b'{"image_processor_type": "YolosImageProcessor", "size": {"height": 0}}',
            "yolos",
        ),
        ("model.safetensors", b"\x10" + bytes(7) + b"{", "cannot load the detector .*yolos: .*; give a folder"),
    ):
        (folder / file).write_bytes(content)
        with pytest.raises(UserError, match=complaint):
            scene_of_picture(tmp_path / "photo.png", str(folder), least=0.0, device="cpu")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load the detector"):
        scene_of_picture(tmp_path / "photo.png", str(tmp_path / "empty"), device="cpu")


def test_code_beside_a_detector_is_neither_run_nor_asked_about(photo, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    folder = tmp_path / "coded"
    folder.mkdir()
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}')
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UserError, match="cannot load the detector .*coded: .*custom code"):
        scene_of_picture(tmp_path / "photo.png", str(folder), device="cpu")
    assert not mark.exists()


@pytest.fixture
def clip_tokenizer(tmp_path):
    """One token per letter; OWL-ViT ignores texts that begin with token 0."""
    transformers = pytest.importorskip("transformers")
    letters = [chr(number) for number in range(ord("a"), ord("z") + 1)]
    tokens = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=40), len(tokens)


def test_open_detectors_and_attributes_of_transformers(photo, tmp_path, clip_tokenizer):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    tokenizer, count = clip_tokenizer
    text = {"vocab_size": count, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": 2}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 16}  # fmt: skip
    for name, kind, config in (
        ("owl", "OwlViTForObjectDetection", "OwlViTConfig"),
        ("clip", "CLIPModel", "CLIPConfig"),
    ):
        made = getattr(transformers, config)(text_config=text, vision_config=vision, projection_dim=16)
        getattr(transformers, kind)(made).save_pretrained(tmp_path / name)
    size = {"height": 32, "width": 32}
    transformers.OwlViTProcessor(transformers.OwlViTImageProcessorPil(size=size), tokenizer).save_pretrained(
        tmp_path / "owl"
    )
    transformers.CLIPProcessor(
        transformers.CLIPImageProcessorPil(size=size, crop_size=size), tokenizer
    ).save_pretrained(tmp_path / "clip")
    names = Vocabulary(
        ("sky-other", "cat"), ("left of", "above"), {"color": ("red", "blue"), "size": ("large", "small")}
    )
    asked = (tmp_path / "photo.png", str(tmp_path / "owl"), names, str(tmp_path / "clip"), 0.0, "cpu")
    scene = scene_of_picture(*asked)
    assert scene.objects and {thing.category for thing in scene.objects} <= {"sky-other", "cat"}
    names.check([scene])
    assert all(set(thing.attributes) <= {"red", "blue"} for thing in scene.objects)
