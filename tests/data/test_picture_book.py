"""Picture-book scenes: exact, made again from a seed in any part, packed like any other data set."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from itertools import islice

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("resvg_py")

from scenograph.data.pack import Pack, read_vocabulary, verify_pack, write_pack
from scenograph.data.picture_book.compose import HIDDEN, PAGE, compose, compose_page
from scenograph.data.picture_book.drawings import Drawings, read_table
from scenograph.data.picture_book.pairs import PAIRS
from scenograph.data.picture_book.relations import PREDICATES
from scenograph.data.picture_book.render import (
    PictureBookSettings,
    kept_drawings,
    render_picture_book,
    scene_of,
)
from scenograph.data.picture_book.source import PictureBook, PictureBookOptions
from scenograph.data.picture_book.worlds import WORLDS
from scenograph.data.processes import part_of
from scenograph.errors import UserError
from scenograph.scenes.geometry import SG2IM_PREDICATES, mask_centre, sg2im_relation


@pytest.fixture(scope="module")
def drawings():
    return Drawings(None)


def composed(drawings, world, seed=0, side=96):
    rng = np.random.default_rng([7, seed])
    return compose(drawings, kept_drawings(drawings.rows, "train"), side, rng, world)


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_is_known_exactly(drawings, world):
    found = [composed(drawings, world, seed) for seed in range(3)]
    assert any(one.things for one in found)
    for one in found:
        assert one.picture.shape == (96, 96, 3) and one.picture.dtype == np.uint8
        assert [thing.foot for thing in one.things] == sorted(thing.foot for thing in one.things)
        for thing in one.things:
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            opaque = thing.crop[..., 3] >= 128
            assert thing.mask.shape == opaque.shape and not (thing.mask & ~opaque).any()
            assert thing.visible == pytest.approx(thing.mask.sum() / opaque.sum(), abs=0.02)
            assert thing.visible >= 1 - HIDDEN


def test_pairs_are_data_that_fits_the_world(drawings):
    names = set(drawings.categories())
    for pair in PAIRS:
        assert (
            {pair.host, pair.guest} <= names | {"*"}
            and pair.predicate in PREDICATES
            and set(pair.worlds) <= set(WORLDS)
        )
    for world in WORLDS:
        for drawing in read_table():
            here = [pair for pair in PAIRS if pair.host == drawing.category and world in (pair.worlds or WORLDS)]
            fitting = [pair for pair in here if any(fnmatchcase(drawing.key, pattern) for pattern in pair.hosts)]
            assert sum(pair.share for pair in fitting) <= 1


def paired(drawings, predicate, host, worlds):
    """Composed scenes with a guest of such a pair, and its number."""
    for seed in range(200):
        one = composed(drawings, worlds[seed % len(worlds)], seed, 128)
        for number, thing in enumerate(one.things):
            if thing.pair is not None and (thing.pair.predicate, thing.pair.host) == (predicate, host):
                yield one, number


@pytest.mark.parametrize(
    ("predicate", "host", "worlds"),
    [
        ("riding", "horse", ("meadow", "farm")),
        ("riding", "bicycle", ("park", "street")),
        ("in", "boat", ("river", "sea")),
        ("holding", "person", ("beach", "park")),
        ("under", "umbrella", ("beach",)),
        ("on", "couch", ("living room",)),
    ],
)
def test_guests_are_where_their_hosts_have_them(drawings, predicate, host, worlds):
    found = list(islice(paired(drawings, predicate, host, worlds), 3))
    assert found
    for one, number in found:
        guest, its_host = one.things[number], one.things[one.things[number].host]
        assert its_host.drawing.category == host and abs(guest.foot - its_host.foot) < 0.001
        assert (guest.foot > its_host.foot) == guest.pair.nearer and guest.visible >= 1 - HIDDEN
        (x0, y0, x1, y1), (left, top, right, bottom) = guest.box, its_host.box
        if predicate == "under":
            assert left < (x0 + x1) / 2 < right and y0 > top and y1 == pytest.approx(bottom, abs=0.02)
        elif predicate == "holding":
            assert x0 < right + 0.02 and x1 > left - 0.02 and y0 < bottom and y1 > top
        else:  # it sits on the upper half of its host
            assert left < (x0 + x1) / 2 < right and top < y1 < bottom and y0 + y1 < top + bottom
        scene = scene_of(one, None)
        first = len(scene.objects) - len(one.things)
        ends = (number + first, guest.host + first)
        said = [r.predicate for r in scene.relations if {r.subject, r.object} == set(ends)]
        assert set(said) - set(SG2IM_PREDICATES) == {predicate}
        turned = ends[::-1] if predicate == "holding" else ends
        assert any((r.subject, r.predicate, r.object) == (turned[0], predicate, turned[1]) for r in scene.relations)
        if predicate != "under":  # what another thing carries stands on no ground and is neither near nor far
            others = {r.predicate for r in scene.relations if r.subject == ends[0] and r.object != ends[1]}
            assert not others & {"standing on", "behind", "in front of", "next to"}


def test_what_stands_at_the_water_is_next_to_it(drawings):
    for seed in range(20):
        one = composed(drawings, "beach", seed)
        scene = scene_of(one, None)
        names = [thing.category for thing in scene.objects]
        near = [r for r in scene.relations if r.predicate == "next to" and names[r.object] == "sea"]
        for relation in near:
            assert type(relation)(relation.object, "next to", relation.subject) in scene.relations
            foot = scene.objects[relation.subject].box[3]
            top, bottom = (scene.objects[relation.object].box[i] for i in (1, 3))
            assert top - 0.1 < foot < bottom + 0.1
        if near:
            return
    pytest.fail("nothing stands at the sea on twenty beaches")


def test_pages_show_every_category_alone(monkeypatch):
    # Drawing takes most of the time: each drawing of a colour is drawn once for all pages.
    monkeypatch.setattr("scenograph.data.picture_book.compose.VARIANTS", 1)
    monkeypatch.setattr("scenograph.data.picture_book.drawings.SPRITES", 1000)
    drawings = Drawings(None)
    rng = np.random.default_rng(0)
    kept = kept_drawings(drawings.rows, "train")
    pages = [compose_page(drawings, kept, 96, rng) for _ in range(300)]
    for page in pages:
        assert page.world == PAGE and page.backdrop.names == ("paper",) and page.things
        assert all(thing.visible == 1 for thing in page.things)
        relations = scene_of(page, None).relations
        assert {relation.predicate for relation in relations} <= set(SG2IM_PREDICATES)
    shown = Counter(thing.drawing.category for page in pages for thing in page.things)
    assert set(shown) == set(drawings.categories())
    assert max(shown.values()) < 4 * sum(shown.values()) / len(shown)


def test_a_share_of_scenes_are_pages(tmp_path):
    settings = PictureBookSettings(size=64, pages=0.5)
    records = [json.loads(path.read_text()) for path in render_picture_book(tmp_path, range(16), settings, None, 1)]
    assert 2 <= sum(record["world"] == PAGE for record in records) <= 14
    with pytest.raises(UserError, match=r"--pages 1\.5: must lie between 0 and 1"):
        PictureBookSettings(pages=1.5)


def test_the_nearest_thing_is_painted_as_its_crop_says(drawings):
    for seed in range(10):
        one = composed(drawings, "meadow", seed)
        if not one.things or one.backdrop.light.name != "day":
            continue
        nearest = one.things[-1]
        left, top = round(nearest.box[0] * 96), round(nearest.box[1] * 96)
        height, width = nearest.crop.shape[:2]
        solid = nearest.crop[..., 3] == 255
        painted = one.picture[top : top + height, left : left + width][solid].astype(int)
        tint = 1 + one.backdrop.light.strength * (np.array(one.backdrop.light.tint) - 1)
        assert np.abs(painted - (nearest.crop[..., :3][solid] * tint).clip(0, 255)).max() <= 2
        return
    pytest.fail("no meadow by day in ten")


def test_relations_are_those_of_the_picture(drawings):
    for seed in range(6):
        one = composed(drawings, "farm", seed)
        scene = scene_of(one, np.random.default_rng(0))
        first = len(scene.objects) - len(one.things)
        for relation in scene.relations:
            subject, other = scene.objects[relation.subject], scene.objects[relation.object]
            if relation.predicate in ("left of", "right of", "above", "below", "inside", "surrounding"):
                centres = mask_centre(subject.box, subject.mask), mask_centre(other.box, other.mask)
                assert relation.predicate == sg2im_relation(subject.box, other.box, *centres)
            elif relation.predicate in ("behind", "in front of"):
                one_foot, other_foot = (one.things[n - first].foot for n in (relation.subject, relation.object))
                assert (one_foot < other_foot) == (relation.predicate == "behind")
        assert all(thing.origin and thing.crop is not None and thing.sketch for thing in scene.objects[first:])


def render(folder, count, parts=1, **settings):
    for part in range(1, parts + 1):
        indices = part_of(count, part, parts)
        list(render_picture_book(folder, indices, PictureBookSettings(**settings), None, workers=1))


def test_parts_make_the_same_set_and_resume(tmp_path):
    render(tmp_path / "whole", 5, size=64)
    render(tmp_path / "parts", 5, parts=3, size=64)
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*"))
    assert len(files) == 11
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    gone = tmp_path / "parts" / "scenes" / "train_000003.json"
    before = gone.read_bytes()
    gone.unlink()
    render(tmp_path / "parts", 5, size=64)
    assert gone.read_bytes() == before
    with pytest.raises(UserError, match="was rendered with seed = 0, not 1"):
        render(tmp_path / "parts", 5, size=64, seed=1)
    assert [list(part_of(5, k, 3)) for k in (1, 2, 3)] == [[0], [1, 2], [3, 4]]


def test_a_rendered_set_becomes_a_pack(tmp_path):
    render(tmp_path / "set", 3, size=64)
    render(tmp_path / "set", 2, size=64, split="validation")
    source = PictureBook(tmp_path / "set", PictureBookOptions(), tmp_path)
    write_pack(tmp_path / "pack", source)
    assert not verify_pack(tmp_path / "pack")
    names = read_vocabulary(tmp_path / "pack")
    assert "sky-other" in names.categories and "behind" in names.predicates
    pack = Pack(tmp_path / "pack", "train")
    assert len(pack) == 3 and len(Pack(tmp_path / "pack", "validation")) == 2
    scene, picture = pack[0]
    record = json.loads((tmp_path / "set" / "scenes" / "train_000000.json").read_text())
    assert picture.size == (64, 64) and len(scene.objects) == len(record["scene"]["objects"])
    plain = PictureBook(tmp_path / "set", PictureBookOptions(crops=False, sketches=False), tmp_path)
    scene = plain.read("train_000000").scene
    assert all(thing.crop is None and thing.sketch is None for thing in scene.objects)
    loose = PictureBook(tmp_path / "set", PictureBookOptions(crops=False, hand="loose"), tmp_path)
    redrawn, again = (loose.read("train_000000").scene for _ in range(2))
    original = source.read("train_000000").scene
    assert redrawn.to_dict() == again.to_dict() and all(thing.crop is None for thing in redrawn.objects)
    hands = [(a.sketch, b.sketch) for a, b in zip(original.objects, redrawn.objects, strict=True) if a.crop is not None]
    assert hands and all(before.to_dict() != after.to_dict() for before, after in hands)
    render(tmp_path / "layouts", 2, size=64, pictures=False)
    write_pack(tmp_path / "unpictured", PictureBook(tmp_path / "layouts", PictureBookOptions(), tmp_path))
    scene, picture = Pack(tmp_path / "unpictured", "train")[0]
    assert picture is None and all(thing.crop is None for thing in scene.objects)
    with pytest.raises(UserError, match="holds no rendered scenes; make some with"):
        write_pack(tmp_path / "none", PictureBook(tmp_path, PictureBookOptions(), tmp_path))


def test_splits_hold_out_whole_drawings(drawings):
    rows = read_table()
    train, validation, test = (kept_drawings(rows, split) for split in ("train", "validation", "test"))
    many = [row for row in rows if row.category == "bird"]
    assert len(many) > 4
    for one, other in ((train, validation), (train, test), (validation, test)):
        assert not {row.key for row in many} & one & other
    assert all({row.key for row in rows if row.category == name} & train for name in {row.category for row in rows})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--part", "0/4"), "--part '0/4': expected K/N with K from 1 to N"),
        (("--part", "5/4"), "--part '5/4': expected K/N"),
        (("--world", "moon"), "--world 'moon': unknown"),
        (("--size", "8"), "--size 8: must lie between 32 and 1024"),
        (("--split", "tran"), "--split 'tran': expected train, validation, test"),
        (("--drawings", "empty"), "npm install @iconify-json/noto"),
    ],
)
def test_wrong_wishes_are_refused(scenograph, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    code, _, errors = scenograph("data", "render", "picture-book", "--count", "1", *arguments)
    assert code == 2 and message in errors and errors.count("\n") == 1


def test_the_command_renders_packs_and_shows(scenograph, tmp_path):
    for command in (
        ("data", "render", "picture-book", "--count", "4", "--size", "64", "--out", "set", "--workers", "1"),
        ("data", "pack", "picture-book", "--root", "set", "--out", "pack", "--workers", "1"),
        ("data", "show", "pack", "--out", "sheet.png"),
    ):
        code, said, errors = scenograph(*command)
        assert code == 0, errors
        if "render" in command:
            assert "categories from" in said and "next: scenograph data pack picture-book" in said
    assert Image.open(tmp_path / "sheet.png").size[0] > 100


@pytest.mark.parametrize("renderer", [(), ("picture-book",)])
def test_merging_in_a_mistyped_folder_leaves_nothing_there(scenograph, tmp_path, renderer):
    if not renderer:
        pytest.importorskip("mitsuba")
    code, _, errors = scenograph("data", "render", *renderer, "--count", "2", "--out", "sett", "--part", "merge")
    assert code == 2 and "2 of 2 pieces not made yet" in errors
    assert not any((tmp_path / "sett").iterdir()), "and other settings can begin there"


def test_a_folder_of_another_renderer_is_refused(tmp_path):
    (tmp_path / "render.json").write_text("{}")
    with pytest.raises(UserError, match="holds scenes of another renderer"):
        list(render_picture_book(tmp_path, range(1), PictureBookSettings(size=64), None, 1))
