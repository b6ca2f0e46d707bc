"""Checkers: what a classifier and detectors say of objects and relations."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.evaluation.agreement import object_agreement
from scenograph.evaluation.checking import ClassifierChecker, DetectorChecker, count_right
from scenograph.evaluation.finders import FAINT, Finder
from scenograph.pipelines.pictured import OwnDetector, load_detector
from scenograph.pretrained.detectors import Found
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Relation, Scene, SceneObject

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8))
LEFT, RIGHT = (0.1, 0.4, 0.4, 0.8), (0.6, 0.4, 0.9, 0.8)
SHEEP = Scene(
    (SceneObject("sheep", box=LEFT), SceneObject("sheep", box=RIGHT), SceneObject("unicorn", box=(0.0, 0.0, 0.2, 0.2))),
    (Relation(0, "left of", 1), Relation(0, "right of", 2)),
)


def test_a_classifier_says_what_the_agreement_metric_counts():
    torch.manual_seed(0)
    classifier = tiny("object-classifier", groups=("color",)).eval()
    rng = np.random.default_rng(0)
    things = []
    for _ in range(24):
        low = rng.uniform(0, 0.5, 2)
        colour = (str(rng.choice(VOCABULARY.attributes["color"])),) if rng.random() < 0.5 else ()
        box = (*low.tolist(), *(low + 0.4).tolist())
        things.append(SceneObject(str(rng.choice(VOCABULARY.categories)), colour, box))
    scene = Scene((*things, SceneObject("unicorn", box=LEFT)), (Relation(0, "left of", 24),))
    found = ClassifierChecker(classifier).check(PICTURE, scene, 0)
    (right,), (count,) = object_agreement([PICTURE], [Scene(tuple(things))], classifier)["all"]
    assert count_right(found.objects) == (right, count) and 0 < right < count
    assert found.objects[24].right is None, "the classifier does not know it"
    wrong = [verdict for verdict in found.objects[:24] if not verdict.right]
    assert all(verdict.seen.startswith("looks ") and 0 <= verdict.confidence <= 1 for verdict in wrong)
    assert any(verdict.seen.startswith("looks like ") for verdict in wrong)
    assert all(verdict.seen == "" for verdict in found.objects if verdict.right)


class Sees(Finder):
    """What finds sheep, whatever the picture."""

    def __init__(self, *found: tuple[Box, float]) -> None:
        super().__init__(SimpleNamespace(least=0.5, names=["sheep", "dog"]), "a test")
        self.found = [Found("sheep", score, box) for box, score in found]

    def find(self, picture: Image.Image, scene: Scene) -> list[list[Found] | None]:
        return [self.found if thing.category == "sheep" else None for thing in scene.objects]


def test_a_detector_finds_each_object_once_and_where_it_is():
    found = DetectorChecker(Sees((LEFT, 0.9), (RIGHT, 0.4))).check(PICTURE, SHEEP, 0)
    assert [verdict.right for verdict in found.objects] == [True, False, None]
    assert found.objects[1].confidence == 0.4 and found.objects[0].confidence == 0.9
    assert [verdict.right for verdict in found.relations] == [False, None]
    both = DetectorChecker(Sees((RIGHT, 0.6), (LEFT, 0.7))).check(PICTURE, SHEEP, 0)
    assert [verdict.confidence for verdict in both.objects[:2]] == [0.7, 0.6]
    assert both.relations[0].right is True
    once = DetectorChecker(Sees(((0.2, 0.4, 0.5, 0.8), 0.9))).check(PICTURE, SHEEP, 0)
    assert [verdict.right for verdict in once.objects] == [True, False, None]
    assert once.objects[1].seen == "found elsewhere or too few times"
    nothing = DetectorChecker(Sees()).check(PICTURE, SHEEP, 0)
    assert nothing.objects[0].right is False and nothing.objects[0].seen == "not found"


def test_relations_are_those_of_the_boxes_that_a_detector_finds():
    scene = Scene((SceneObject("sheep", box=(0.1, 0.4, 0.6, 0.8)), SceneObject("sheep", box=(0.3, 0.4, 0.9, 0.8))))
    scene = Scene(scene.objects, (Relation(0, "wider than", 1), Relation(1, "wider than", 0)))
    seen = Sees(((0.0, 0.4, 0.6, 0.8), 0.9), ((0.5, 0.4, 0.9, 0.8), 0.9))
    found = DetectorChecker(seen).check(PICTURE, scene, 0)
    assert [verdict.right for verdict in found.relations] == [True, False]


def test_a_detector_of_coco_is_asked_by_category():
    class Darknet:
        least, names = 0.5, ("sheep", "tvmonitor", "dog")

        def __call__(self, picture, least, names=()):
            assert least == FAINT and list(names) == ["sheep", "tvmonitor"] and picture.mode == "RGB"
            return [Found("sheep", 0.8, LEFT), Found("dog", 0.7, LEFT), Found("tvmonitor", 0.2, RIGHT)]

    scene = Scene((*SHEEP.objects, SceneObject("tv", box=RIGHT)))
    one, other, unicorn, screen = Finder(Darknet(), "x").find(PICTURE, scene)
    assert one == other == [Found("sheep", 0.8, LEFT)] and unicorn is None
    assert screen == [Found("tvmonitor", 0.2, RIGHT)], "the original's name of what COCO calls tv"


def test_a_detector_that_was_trained_here_is_a_checker_too(tmp_path):
    torch.manual_seed(0)
    tiny("detector").save_pretrained(tmp_path)
    finder = Finder(load_detector(str(tmp_path), torch.device("cpu")), "own")
    assert isinstance(finder.detector, OwnDetector)
    cube, unicorn = finder.find(PICTURE, Scene((SceneObject("cube", box=LEFT), SceneObject("unicorn", box=RIGHT))))
    assert cube is not None and unicorn is None and all(one.name == "cube" for one in cube)


@pytest.fixture(scope="module", params=["owlvit", "owlv2"])
def owl(request, tmp_path_factory):
    """The folder of a tiny detector of an open vocabulary, with random weights."""
    transformers, tokenizers = pytest.importorskip("transformers"), pytest.importorskip("tokenizers")
    kind = {"owlvit": "OwlViT", "owlv2": "Owlv2"}[request.param]
    text = {
        "vocab_size": 16,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "max_position_embeddings": 16,
    }
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8}
    heads = {"num_attention_heads": 2}
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        text_config=text | heads, vision_config=vision | heads, projection_dim=8
    )
    folder = tmp_path_factory.mktemp(request.param)
    getattr(transformers, f"{kind}ForObjectDetection")(config).save_pretrained(folder)
    words = {name: number for number, name in enumerate(("[PAD]", "[UNK]", "a", "photo", "of", "sheep", "unicorn"))}
    split = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    split.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=split, pad_token="[PAD]", model_max_length=16)
    pixels = getattr(transformers, f"{kind}ImageProcessorPil")(size={"height": 32, "width": 32})
    getattr(transformers, f"{kind}Processor")(pixels, tokenizer).save_pretrained(folder)
    return folder


def test_a_detector_of_an_open_vocabulary_is_asked_in_words(owl, monkeypatch):
    finder = Finder(load_detector(str(owl), torch.device("cpu")), "owl")
    network, asked = finder.detector._network, {}
    one, other, unicorn = finder.find(PICTURE, SHEEP)
    assert one == other and one is not None and unicorn is not None and one + unicorn
    assert all(0 <= score <= 1 and 0 <= min(box) <= max(box) <= 1 for _, score, box in [*one, *unicorn])

    def fake(**inputs):
        asked.update(inputs)
        boxes = torch.tensor([[[0.25, 0.3, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]]])
        return SimpleNamespace(logits=torch.tensor([[[4.0, -4.0], [-4.0, 0.0]]]), pred_boxes=boxes)

    fake.config = network.config  # type: ignore[attr-defined]
    monkeypatch.setattr(finder.detector, "_network", fake)
    (sheep,), _, (unicorn,) = finder.find(PICTURE, SHEEP)
    assert asked["pixel_values"].shape == (1, 3, 32, 32) and asked["input_ids"].shape == (2, 16)
    assert asked["input_ids"][0, :5].tolist() == [2, 3, 4, 2, 5], "a photo of a sheep"
    down = 1.5 if network.config.model_type == "owlv2" else 1.0  # of the square that holds 48 x 32 pixels
    assert sheep.box == pytest.approx((0.15, 0.2 * down, 0.35, 0.4 * down))
    assert sheep.score == pytest.approx(0.982, abs=1e-3) and unicorn.score == pytest.approx(0.5)
    assert unicorn.box == (0, 0, 1, 1)


def test_a_detector_that_is_none_is_said(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="cannot load the detector .*; give a folder or a model"):
        load_detector(str(tmp_path), torch.device("cpu"))
