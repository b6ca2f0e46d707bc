"""Composing in rounds: repairs of what is wrong, the best round kept, the same picture for the same seed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph.errors import UserError
from scenograph.evaluation import composing
from scenograph.evaluation.checking import UNTOLD, Checker, Findings, ProbesChecker, Verdict, judge_relations
from scenograph.evaluation.composing import compose
from scenograph.evaluation.composing_report import as_html, as_markdown, draw_verdicts
from scenograph.evaluation.repairs import is_cramped, with_more_room, with_region_seen
from scenograph.pipelines import Pipeline
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.collage import CollageRenderer, CropCollage
from scenograph.pipelines.renderers.crops import crop_source
from scenograph.pipelines.renderers.network import NetworkRenderer
from scenograph.scenes.batch import pixels_to_tensor
from scenograph.scenes.fields import looks_of
from scenograph.scenes.scene import Relation, Scene, SceneObject, keep_objects, load_scenes
from scenograph.scenes.settling import broken
from scenograph.scenes.vocabulary import Vocabulary

RIGHT, WRONG = Verdict(True, 0.9), Verdict(False, 0.1, "looks like nothing")
SIDE = 40


class Blocks(Renderer):
    """Every object is a rectangle whose colour its looks decide, on a background of the picture's seed."""

    name, digest, device, places = "blocks", "blocks", torch.device("cpu"), False
    vocabulary: Vocabulary | None = None

    def __init__(self, looks: bool = True) -> None:
        self.looks = looks

    def check(self, scenes: Sequence[Scene]) -> None:
        pass

    def has_looks(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        return [[self.looks] * len(scene.objects) for scene in scenes]

    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        return ConditionedScenes(list(scenes), list(seeds), None, options)

    def render(self, conditioned: ConditionedScenes) -> torch.Tensor:
        pictures = torch.zeros((len(conditioned.scenes), 3, SIDE, SIDE))
        for picture, scene, seed in zip(pictures, conditioned.scenes, conditioned.seeds, strict=True):
            picture[0] = seed % 97 / 97
            for number, thing in enumerate(scene.objects):
                x0, y0, x1, y1 = (round(SIDE * value) for value in thing.box or ())
                picture[:, y0:y1, x0:x1] = -(zlib.crc32(f"{looks_of(thing.seed, seed, number)}".encode()) % 89) / 89
        return pictures


class Told(Checker):
    """Says what a function of the round, from 0, and the scene says of each object, and of relations if of them all."""

    name = "a test"

    def __init__(self, objects: Callable[[int, Scene], Sequence[bool]], relations: bool | None = None) -> None:
        self.objects, self.relations, self.rounds = objects, relations, 0

    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        verdicts = tuple(RIGHT if right else WRONG for right in self.objects(self.rounds, scene))
        self.rounds += 1
        shown = judge_relations(scene, verdicts, [thing.box for thing in scene.objects])
        if self.relations is not None:
            shown = (replace(RIGHT, right=self.relations),) * len(scene.relations)
        return Findings(verdicts, shown)


PLACED = Scene(
    (
        SceneObject("cube", box=(0.1, 0.5, 0.4, 0.8)),
        SceneObject("sphere", box=(0.6, 0.5, 0.9, 0.8)),
        SceneObject("cylinder", box=(0.4, 0.1, 0.6, 0.4)),
    ),
    (Relation(0, "left of", 1),),
)
SHORE = Scene(
    (
        SceneObject("sky", box=(0.0, 0.0, 1.0, 0.4)),
        SceneObject("sea", box=(0.0, 0.4, 1.0, 1.0)),
        SceneObject("grass", box=(0.0, 0.45, 1.0, 1.0)),
    ),
    (Relation(0, "above", 1), Relation(1, "above", 2)),
)
FARM = Scene(tuple(SceneObject(name, box=(0.1, 0.1, 0.5, 0.5)) for name in ("grass", "sheep", "sheep", "cow")))
OPEN = Scene((SceneObject("cube"), SceneObject("sphere"), PLACED.objects[2]), PLACED.relations)


@pytest.fixture(scope="module")
def layout():
    torch.manual_seed(0)
    return tiny("mise-layout")


def seeds(scene: Scene) -> list[object]:
    return [thing.seed for thing in scene.objects]


def boxes(scene: Scene) -> list[object]:
    return [thing.box for thing in scene.objects]


def test_what_is_wrong_alone_is_redrawn_until_nothing_is():
    made = compose(PLACED, Pipeline(Blocks()), Told(lambda number, _: (True, number == 1, True)), rounds=5)
    assert len(made.rounds) == 2 and made.best == 1, "it ends when all is right"
    first, second = (one.plan for one in made.rounds)
    assert seeds(first.scene) == [(0, 0), (0, 1), (0, 2)] and seeds(second.scene)[::2] == [(0, 0), (0, 2)]
    assert isinstance(second.scene.objects[1].seed, int)
    assert first.seed == second.seed and boxes(first.scene) == boxes(second.scene), "boxes were given"
    assert second.changes == ("sphere: other looks (before: looks like nothing)",)
    changed = np.argwhere((np.asarray(made.rounds[0].picture) != np.asarray(made.picture)).any(axis=2)) / SIDE
    assert changed.min(axis=0).tolist() == [0.5, 0.6] and (changed.max(axis=0) < (0.8, 0.9)).all()
    assert made.findings.all_right and made.scene is second.scene and "round 2 kept" in repr(made)


def test_the_same_seed_composes_the_same_and_another_one_another_picture():
    made = [
        compose(PLACED, Pipeline(Blocks()), Told(lambda number, _: (number > 1,) * 3), seed=seed) for seed in (3, 3, 4)
    ]
    pictures = [[np.asarray(one.picture).tobytes() for one in each.rounds] for each in made]
    assert pictures[0] == pictures[1] and len(set(pictures[0])) == 3 and pictures[0][0] != pictures[2][0]


def test_a_worse_round_is_never_kept_and_equal_ones_keep_the_first():
    worse = compose(PLACED, Pipeline(Blocks()), Told(lambda number, _: (number == 0, True, False)), rounds=4)
    assert worse.best == 0 and len(worse.rounds) == 4 and worse.picture is worse.rounds[0].picture
    equal = compose(PLACED, Pipeline(Blocks()), Told(lambda number, _: (True, True, False)), rounds=3)
    assert equal.best == 0


def test_an_object_that_was_right_before_comes_back_beside_what_is_right_now():
    def told(number: int, scene: Scene) -> tuple[bool, bool, bool]:
        return ((True, False, False), (False, True, True), (True, True, True))[number]

    made = compose(PLACED, Pipeline(Blocks()), Told(told, relations=True), rounds=3)
    first, second, third = (seeds(one.plan.scene) for one in made.rounds)
    assert first[1] != second[1] and first[2] != second[2] and made.best == 2
    # The second round is the best then; its cube was right in the first one, with looks that both have.
    assert third == [first[0], second[1], second[2]]
    assert made.rounds[2].plan.changes[0] == "cube: as in round 1, where it was right"


def test_what_has_no_looks_of_its_own_gets_another_picture():
    made = compose(PLACED, Pipeline(Blocks(looks=False)), Told(lambda *_: (True, True, False)), rounds=3)
    assert len({one.plan.seed for one in made.rounds}) == 3 and made.rounds[0].plan.seed == 0
    assert made.rounds[1].plan.changes == ("another seed of the picture: cylinder cannot be redrawn alone",)
    assert all(boxes(one.plan.scene) == boxes(PLACED) for one in made.rounds)


class Painter(Blocks):
    """Paints objects again, a shade brighter where they are, except the first one of a scene."""

    def check_options(self, options: GenerateOptions) -> None:
        """It takes all."""

    def __init__(self) -> None:
        super().__init__(looks=False)
        self.asked: list[GenerateOptions] = []

    def repaintable(self, scene: Scene, numbers: Sequence[int], options: GenerateOptions) -> list[int]:
        return [number for number in numbers if number]

    def stronger(self, options: GenerateOptions, times: int) -> dict[str, object]:
        return {"guidance": float((options.guidance or 1) + times)}

    def render(self, conditioned: ConditionedScenes) -> torch.Tensor:
        options = conditioned.options
        self.asked.append(options)
        if not options.repaint:
            return super().render(conditioned)
        pictures = pixels_to_tensor(np.asarray(options.start)[None]).clone()
        for number in options.repaint:
            x0, y0, x1, y1 = (round(SIDE * value) for value in conditioned.scenes[0].objects[number].box or ())
            pictures[..., y0:y1, x0:x1] += 0.2
        return pictures


def test_what_a_renderer_can_paint_again_is_painted_in_the_best_picture():
    painter = Painter()
    told = Told(lambda number, _: [(True, False, False), (True, True, False), (True, True, True)][number])
    made = compose(PLACED, Pipeline(painter), told, guidance=2.0)
    first, second, third = (one.plan for one in made.rounds)
    assert (second.repaint, third.repaint) == ((1, 2), (2,)) and first.seed != second.seed != third.seed
    assert [one.guidance for one in painter.asked] == [2, 3, 4], "the sphere was wrong once, the cylinder twice"
    assert painter.asked[2].start is made.rounds[1].picture and painter.asked[2].strength == 1
    assert second.changes == (
        "sphere: painted again (before: looks like nothing)",
        "cylinder: painted again (before: looks like nothing)",
        "stronger control: guidance 3.0",
    )
    changed = (np.asarray(made.rounds[1].picture) != np.asarray(made.picture)).any(axis=2)
    assert changed[4:16, 16:24].all() and changed.sum() == 12 * 8, "the cylinder's box alone"
    assert json.loads(made.picture.record)["start"] == "round 2" and boxes(third.scene) == boxes(PLACED)


def test_what_cannot_be_painted_again_gets_another_picture_and_stronger_control():
    made = compose(PLACED, Pipeline(Painter()), Told(lambda *_: (False, True, True)), rounds=2)
    told = ("another seed of the picture: cube cannot be redrawn alone", "stronger control: guidance 2.0")
    assert made.rounds[1].plan.changes == told and made.rounds[1].plan.repaint == ()


def test_what_was_painted_again_in_vain_is_moved_if_it_can_be(layout):
    told = Told(lambda number, _: (number > 0, False, True))
    made = compose(OPEN, Pipeline(Painter(), layout), told, rounds=3)
    second, third = (one.plan for one in made.rounds[1:])
    assert second.repaint == (1,) and third.repaint == () and third.options == {"guidance": 3.0}
    assert third.changes == ("sphere: placed again, as nothing else helped", "stronger control: guidance 3.0")


def test_where_repairs_do_not_help_another_draft_is_tried(layout):
    made = compose(OPEN, Pipeline(Blocks(), layout), Told(lambda *_: (True, False, True)), rounds=4)
    first, repaired, draft, again = (one.plan for one in made.rounds)
    assert draft.changes == ("another draft, as the repairs did not help",) and made.best == 0
    assert all(one not in boxes(first.scene) for one in boxes(draft.scene)[:2])
    assert not {*seeds(draft.scene)} & {*seeds(first.scene)} and draft.scene.objects[2].box == OPEN.objects[2].box
    assert seeds(again.scene)[0] == seeds(repaired.scene)[0] == seeds(first.scene)[0], "the best one is repaired"


def test_what_cannot_be_redrawn_alone_and_stays_wrong_is_placed_again(layout):
    told = Told(lambda number, _: (number > 0, False, True))
    made = compose(OPEN, Pipeline(Blocks(looks=False), layout), told, rounds=3)
    second, third = (one.plan for one in made.rounds[1:])
    assert third.changes == ("sphere: placed again, as nothing else helped",) and third.seed == second.seed
    assert [one == other for one, other in zip(boxes(second.scene), boxes(third.scene), strict=True)] == [
        True,
        False,
        True,
    ]


def test_given_seeds_stay(layout):
    asked = PLACED.replace_object(0, seed=7)
    made = compose(asked, Pipeline(Blocks(), layout), Told(lambda *_: (False, False, True)), rounds=3)
    assert {one.plan.scene.objects[0].seed for one in made.rounds} == {7}
    assert len({one.plan.scene.objects[1].seed for one in made.rounds}) == 3


def test_objects_whose_relation_does_not_show_are_placed_again_unless_their_boxes_were_given(layout):
    pipe = Pipeline(Blocks(), layout)
    made = compose(OPEN, pipe, Told(lambda *_: (True, True, True), relations=False), rounds=2)
    first, second = (boxes(one.plan.scene) for one in made.rounds)
    assert first[0] != second[0] and first[1] != second[1] and first[2] == second[2] == OPEN.objects[2].box
    assert made.rounds[1].plan.changes == ("cube, sphere: placed again, as a relation does not show",)
    assert seeds(made.rounds[0].plan.scene) == seeds(made.rounds[1].plan.scene)
    fixed = compose(PLACED, pipe, Told(lambda *_: (True, True, True), relations=False), rounds=2)
    assert boxes(fixed.rounds[1].plan.scene) == boxes(PLACED)
    assert fixed.rounds[1].plan.changes == ("another seed of the picture",), "something has to change"


def test_a_small_thing_grows_on_its_foot_as_far_as_relations_allow():
    small = Scene((SceneObject("cube", box=(0.4, 0.5, 0.5, 0.6)), SceneObject("sphere", box=(0.7, 0.4, 0.82, 0.52))))
    assert is_cramped(small, 0) and not is_cramped(small.replace_object(0, box=(0.1, 0.1, 0.4, 0.4)), 0)
    larger = with_more_room(small, 0)
    assert larger is not None and larger.objects[0].box == (0.375, 0.45, 0.525, 0.6)
    told = replace(small, relations=(Relation(0, "smaller than", 1),))
    kept = with_more_room(told, 0)
    assert kept is None or not broken(kept)
    assert with_more_room(small.replace_object(0, box=(0.0, 0.0, 1.0, 0.6)), 0) is None, "regions do not grow"
    assert with_more_room(small.replace_object(0, attributes=["small"]), 0) is None
    touching = small.replace_object(1, box=(0.38, 0.58, 0.52, 0.72)).add_relation(0, "riding", 1)
    assert with_more_room(touching, 0) is None is with_more_room(touching, 1)


def test_a_hidden_thing_comes_out():
    scene = Scene((SceneObject("cube", box=(0.3, 0.4, 0.5, 0.6)), SceneObject("sphere", box=(0.28, 0.38, 0.55, 0.65))))
    out = with_more_room(scene, 0)
    assert out is not None
    (x0, _, x1, y1), (other, _, end, _) = (thing.box for thing in out.objects)  # type: ignore[misc]
    assert y1 == 0.6 and out.objects[1] is scene.objects[1]
    assert (min(x1, end) - max(x0, other)) / (x1 - x0) < 0.75


def test_a_region_that_another_hides_is_seen():
    seen = with_region_seen(SHORE, 1)
    assert seen is not None and not broken(seen)
    _, top, _, bottom = seen.objects[1].box or ()
    assert bottom == pytest.approx(0.49) and top == pytest.approx(0.29)
    assert with_region_seen(SHORE, 2) is None and with_region_seen(seen, 1) is None


def test_relations_need_both_objects_and_boxes_that_show_them():
    relations = (
        Relation(0, "left of", 1),
        Relation(1, "left of", 0),
        Relation(0, "eating", 1),
        Relation(0, "above", 2),
    )
    scene = replace(PLACED, relations=relations)
    found = judge_relations(scene, [RIGHT, RIGHT, UNTOLD], boxes(scene))  # type: ignore[arg-type]
    assert [verdict.right for verdict in found] == [True, False, None, None]
    wrong = judge_relations(scene, [RIGHT, WRONG, UNTOLD], boxes(scene))  # type: ignore[arg-type]
    assert [verdict.right for verdict in wrong] == [False, False, False, None]
    assert wrong[0].seen == "sphere is wrong" and found[1].seen == "the boxes do not show it"


def test_probes_see_what_is_hidden():
    hidden = Scene((*PLACED.objects, SceneObject("cube", box=(0.61, 0.51, 0.8, 0.7)), PLACED.objects[1]))
    pipe = Pipeline(Blocks())
    made = compose(hidden, pipe, ProbesChecker(pipe), rounds=1)
    # Both spheres are in one place, and the last one covers the cube.
    assert [verdict.right for verdict in made.findings.objects] == [True, False, True, False, True]
    assert made.findings.objects[3].seen == "nothing changes there without it"
    alone = compose(Scene(hidden.objects[:1]), pipe, ProbesChecker(pipe), rounds=2)
    assert alone.findings.objects == (UNTOLD,) and len(alone.rounds) == 1 and str(alone.rounds[0]).startswith("nothing")


@pytest.mark.parametrize(
    ("rounds", "scene", "complaint"),
    [
        (0, PLACED, "rounds 0: give a whole number from 1 to 1000"),
        (True, PLACED, "rounds True: give a whole number"),
        (3, [PLACED, PLACED], "2 scenes: compose one at a time"),
        (3, OPEN, "blocks needs a box for every object"),
    ],
)
def test_what_cannot_be_composed_is_said(rounds, scene, complaint):
    with pytest.raises(UserError, match=complaint):
        compose(scene, Pipeline(Blocks()), Told(lambda *_: (True,) * 3), rounds=rounds)


def test_looks_are_pinned_where_objects_have_their_own():
    (lama,) = NetworkRenderer(tiny("lama")).with_looks([PLACED.replace_object(1, seed=5)], [3])
    assert seeds(lama) == [(3, 0), 5, (3, 2)]
    (mise,) = NetworkRenderer(tiny("mise")).with_looks([PLACED], [3])
    assert seeds(mise) == [None] * 3
    (shown,) = CollageRenderer().with_looks([FARM], [3])
    assert seeds(shown) == [None, (3, 1), (3, 2), (3, 3)]
    (same,) = CollageRenderer().with_looks([shown], [4])
    assert seeds(same) == seeds(shown)


def renderer(name: str) -> Renderer:
    if name == "collage":
        return CollageRenderer()
    return CropCollage(crop_source("drawings")) if name == "crops" else NetworkRenderer(tiny(name))


@pytest.mark.parametrize(
    ("name", "scene"),
    [("collage", FARM), ("crops", FARM), ("lama", PLACED), ("lostgan", PLACED), ("mise-layers", PLACED)],
)
def test_pinned_looks_are_those_of_the_picture_and_stay_whatever_else_changes(name, scene):
    pipe = Pipeline(renderer(name))
    pinned = pipe.renderer.with_looks([scene], [3])[0]
    assert torch.equal(pipe.pixels(pipe.encode(scene, [3])), pipe.pixels(pipe.encode(pinned, [3])))
    fewer = keep_objects(pinned, range(1, len(scene.objects)))  # numbers change, looks do not
    (again,) = pipe.renderer.with_looks([fewer], [9])
    assert seeds(again) == seeds(pinned)[1:]


@pytest.mark.parametrize(("name", "text"), [("collage", "two sheep left of a boat on a lake"), ("sg2im", None)])
def test_the_first_round_is_the_picture_that_generate_makes(name, text, tmp_path):
    """Also of renderers that place objects themselves; its record makes it again."""
    scene = text or Scene((SceneObject("cube"), SceneObject("sphere")), (Relation(0, "left of", 1),))
    pipe = Pipeline.from_pretrained(image="collage") if text else Pipeline(NetworkRenderer(tiny(name)))
    made = compose(scene, pipe, Told(lambda _, shown: (False, *(True,) * (len(shown.objects) - 1))), rounds=2, seed=5)
    plain = pipe(scene, seeds=[5]).images[0]
    assert np.array_equal(made.rounds[0].picture, plain) and all(boxes(made.rounds[1].plan.scene))
    made.save(tmp_path)
    again = pipe(load_scenes(tmp_path / "composed-round1.png"), seeds=[5]).images[0]
    assert np.array_equal(again, plain)


def test_a_report_shows_every_round_and_what_was_changed():
    asked = PLACED.replace_object(1, category="a|<b>")
    made = compose(asked, Pipeline(Blocks()), Told(lambda number, _: (number > 0, number > 1, True)))
    page, text = as_html(made, "<scene>"), as_markdown(made, "scene")
    assert page.count("<img") == 4 and "Round 3 (kept)" in page and "Round 1 of" not in page
    assert (
        "a|&lt;b&gt;: other looks (before: looks like nothing)" in page and "<b>:" not in page and "<scene>" not in page
    )
    assert (
        "| [3](scene-round3.png) (kept) | 3 of 3 | 1 of 1 | a\\|&lt;b>: other looks (before: looks like nothing) |"
        in text
    )
    assert "| 0 cube | right | 0.90 |  |" in text
    marked = np.asarray(draw_verdicts(made.picture, made.scene, (RIGHT, WRONG, UNTOLD), side=400)).astype(int)
    green, red, grey = marked[310, 40], marked[310, 360], marked[150, 240]
    assert green[1] > green[0] + 50 and red[0] > red[1] + 50 and np.ptp(grey) < 40


def test_a_composed_picture_is_made_again_and_nothing_is_replaced_unasked(scenograph, tmp_path):
    command = ("compose", "red cube left of blue sphere", "--steps", "1", "--candidates", "1", "--rounds", "2")
    output = succeed(scenograph(*command))
    assert "round 1" in output and "wrote composed/red-cube-left-of-blue-sphere-seed0.png" in output
    stem = "red-cube-left-of-blue-sphere-seed0"
    kept = tmp_path / "composed" / f"{stem}.png"
    assert (tmp_path / "composed" / f"{stem}.html").is_file() and (tmp_path / "composed" / f"{stem}.md").is_file()
    rounds = sorted(kept.parent.glob(f"{stem}-round*.png"))
    assert rounds and kept.read_bytes() in [path.read_bytes() for path in rounds]
    succeed(scenograph("generate", kept, "--out", "again"))
    (again,) = (tmp_path / "again").glob("*.png")
    assert np.array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(kept)))
    files = {path: path.read_bytes() for path in kept.parent.iterdir()}
    assert "1 of 1 picture was there already" in succeed(scenograph(*command))
    for other in (("--rounds", "1"), ("--check", "detector"), ("--candidates", "2")):
        code, _, errors = scenograph(*command, *other)
        assert code == 2 and f"{stem}.png exists" in errors and "--overwrite" in errors
    assert files == {path: path.read_bytes() for path in kept.parent.iterdir()}


def test_composing_goes_on_where_it_was_interrupted(scenograph, tmp_path, monkeypatch):
    command = ("compose", "cube", "--steps", "1", "--candidates", "1", "--seeds", "0-2", "--rounds", "2")
    succeed(scenograph(*command, "--out", "whole"))
    made: list[object] = []

    def interrupted(*arguments: Any, **options: Any) -> composing.Composition:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(arguments)
        return compose(*arguments, **options)

    monkeypatch.setattr(composing, "compose", interrupted)
    assert scenograph(*command)[0] == 130
    monkeypatch.setattr(composing, "compose", compose)
    assert "1 of 3 pictures were there already" in succeed(scenograph(*command))
    whole, parts = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("whole", "composed"))
    assert parts == whole
    succeed(scenograph(*command[:-1], "1", "--overwrite"))
    assert not list((tmp_path / "composed").glob("*-round2.png"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--rounds", "0"), "'--rounds'"),
        (("--image", "nothing-here"), "nothing-here"),
        (("--classifier", "mise-rendered-64"), "is a mise, not an object-classifier"),
    ],
)
def test_wrong_options_are_one_line(scenograph, options, complaint):
    code, _, errors = scenograph("compose", "cube", *options)
    assert code == 2 and complaint in errors and "Traceback" not in errors


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_rendered(scenograph, tmp_path):
    (tmp_path / "taken").write_text("")
    code, output, errors = scenograph("compose", "cube", "--check", "probes", "--rounds", "1", "--out", "taken")
    assert code == 2 and "cannot make folder taken: it is a file" in errors and "round" not in output
