from __future__ import annotations

import io
import json
import shutil
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import many_scenes
from scenograph.data import graphs, rendered
from scenograph.data.clevr import VOCABULARY, Clevr, ClevrOptions, clevr_scene
from scenograph.data.json_tables import JsonTables
from scenograph.data.loader import PackLoader, balanced_subset
from scenograph.data.pack import Pack, read_record, read_vocabulary, row_to_scene, stream_pack, verify_pack, write_pack
from scenograph.data.pictures import encode_picture
from scenograph.data.records import Skip
from scenograph.data.rendered import DIRECTION_MARGIN, SIZES, RenderSettings, render_dataset, sample_scene
from scenograph.data.source import Sample, Samples
from scenograph.errors import UserError
from scenograph.scenes.canonical import LOCATIONS, location_relations, minimal
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.sketch import Sketch


def sampled(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    scene = None
    while scene is None:
        scene = sample_scene(rng, RenderSettings(min_objects=4))
    return scene


def test_sampled_scenes_depend_on_the_seed_alone_and_do_not_collide():
    assert sampled(3) == sampled(3) != sampled(4)
    for seed in range(20):
        things = sampled(seed)["objects"]
        for i, one in enumerate(things):
            for other in things[:i]:
                distance = np.linalg.norm(np.subtract(one["3d_coords"][:2], other["3d_coords"][:2]))
                assert distance > SIZES[one["size"]] + SIZES[other["size"]]


def test_relations_are_clevrs():
    """``relationships[name][i]`` lists what is ``name`` of i; converses agree; close pairs stand in none."""
    scene = sampled(1)
    left, right = scene["relationships"]["left"], scene["relationships"]["right"]
    along = np.array([thing["3d_coords"] for thing in scene["objects"]]) @ np.array(scene["directions"]["left"])
    for i, others in enumerate(left):
        for j in range(len(along)):
            assert (j in others) == (j != i and along[j] - along[i] > DIRECTION_MARGIN)
            assert (j in others) == (i in right[j])


def test_clevr_scene_reads_relations_in_the_right_direction():
    scene = sampled(2)
    for thing in scene["objects"]:
        thing["box"] = [0.1, 0.1, 0.2, 0.2]
    for relation in clevr_scene(scene).relations:
        if relation.predicate == "left of":
            assert relation.subject in scene["relationships"]["left"][relation.object]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 4}, "--size 4"),
        ({"samples": 0}, "--samples 0"),
        ({"min_objects": 5, "max_objects": 2}, "need 1 <= min <= max"),
    ],
)
def test_bad_render_settings(settings, message):
    with pytest.raises(UserError, match=message):
        RenderSettings(**settings)


@pytest.mark.slow
def test_rendering_is_exact_resumable_and_the_same_on_any_number_of_processes(tmp_path):
    pytest.importorskip("mitsuba")
    settings = RenderSettings(size=32, samples=8, seed=5)
    one, two = tmp_path / "one", tmp_path / "two"
    assert len(list(render_dataset(one, 3, settings, workers=1))) == 3
    partly = render_dataset(two, 3, settings, workers=2)
    next(partly)
    partly.close()
    list(render_dataset(two, 3, settings, workers=2))
    for path in sorted(one.rglob("*.png")) + sorted(one.rglob("*.json")):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path
    source = Clevr(one, ClevrOptions(), tmp_path)
    for item in source.plan(lambda what, done: None).splits["train"]:
        sample = source.read(item)
        assert Image.open(sample.picture).size == (32, 32)
        for thing in sample.scene.objects:
            assert thing.mask.any(axis=0).all() or thing.mask.any(), "a box is the extent of its mask"
            assert thing.mask[0].any() and thing.mask[-1].any() and thing.mask[:, 0].any() and thing.mask[:, -1].any()
    with pytest.raises(UserError, match="was rendered with samples = 8, not 9"):
        next(render_dataset(one, 3, RenderSettings(size=32, samples=9, seed=5)))


def test_pack_round_trip(tmp_path):
    mask = np.random.default_rng(0).random((5, 9)) > 0.5
    sketch = Sketch((np.array([[0, 0.5], [1, 0.25]], np.float32),))
    things = (SceneObject("cube", ("red",), (0.125, 0.25, 0.5, 0.75), mask, sketch), SceneObject("sphere"))
    scene = Scene(things, (Relation(0, "behind", 1),))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "p.png")
    samples = Samples(VOCABULARY, {"train": [Sample("a", scene, tmp_path / "p.png"), Sample("b", scene)]})
    record = write_pack(tmp_path / "pack", samples, size=20)
    assert {name: record["splits"]["train"][name] for name in ("scenes", "objects", "relations")} == {
        "scenes": 2, "objects": 4, "relations": 2,
    }  # fmt: skip
    pack = Pack(tmp_path / "pack", "train")
    again, picture = pack[0]
    assert again.to_dict() == scene.to_dict() and np.array_equal(again.objects[0].mask, mask)
    assert picture.size == (27, 20) and pack[1][1] is None
    assert pack.vocabulary == VOCABULARY
    assert verify_pack(tmp_path / "pack") == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [], "no intermediate files"
    with pytest.raises(UserError, match="exists; delete it"):
        write_pack(tmp_path / "pack", samples)
    with pytest.raises(UserError, match="no split 'test' .it has: train."):
        Pack(tmp_path / "pack", "test")
    with pytest.raises(UserError, match="is not a pack"):
        Pack(tmp_path, "train")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_pack_does_not_depend_on_processes_or_interruptions(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 4)
    samples = Samples(VOCABULARY, {"train": many_scenes(10)})
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    write_pack(tmp_path / "a" / "pack", samples)
    write_pack(tmp_path / "b" / "pack", samples, workers=2)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    read, calls = samples.read, []

    def stop_at_seven(item):
        calls.append(item.identifier)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return read(item)

    monkeypatch.setattr(samples, "read", stop_at_seven)
    with pytest.raises(KeyboardInterrupt):
        write_pack(tmp_path / "c" / "pack", samples)
    assert not (tmp_path / "c" / "pack").exists()
    monkeypatch.setattr(samples, "read", lambda item: (calls.append(item.identifier), read(item))[1])
    write_pack(tmp_path / "c" / "pack", samples)
    assert calls[7:] == ["4", "5", "6", "7", "8", "9"], "finished parts are not made again"
    assert files_of(tmp_path / "a") == files_of(tmp_path / "c")


def test_one_process_at_a_time_makes_a_pack(tmp_path, monkeypatch):
    samples = Samples(VOCABULARY, {"train": many_scenes(3)})
    read, refused = samples.read, []

    def make_as_well(item):
        with pytest.raises(UserError, match="another command is at work there"):
            write_pack(tmp_path / "pack", samples)
        refused.append(item)
        return read(item)

    monkeypatch.setattr(samples, "read", make_as_well)
    assert write_pack(tmp_path / "pack", samples)["splits"]["train"]["scenes"] == len(refused) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_objects_without_extent_are_left_out(tmp_path):
    boxes = [(0.2, 0.2, 0.4, 0.4), (1.1, 0.2, 1.3, 0.4), (0.5, 0.5, 0.5, 0.9), None, (-0.3, 0.1, 0.1, 0.5)]
    relations = (Relation(0, "left of", 1), Relation(0, "behind", 3), Relation(4, "left of", 0))
    scene = Scene(tuple(SceneObject("cube", box=box) for box in boxes), relations)
    unseen = Scene((SceneObject("cube", box=boxes[1]),))
    record = write_pack(tmp_path / "pack", Samples(VOCABULARY, {"train": [Sample("a", scene), Sample("b", unseen)]}))
    assert record["remarks"] == {"object without extent in the picture is left out": 2}
    assert record["dropped"] == {"scene has no object": 1}
    (packed,) = (row_to_scene(row) for row in Pack(tmp_path / "pack", "train").rows([0]))
    assert [thing.box is None for thing in packed.objects] == [False, True, False]
    assert packed.relations == (Relation(0, "behind", 1), Relation(2, "left of", 0))
    assert verify_pack(tmp_path / "pack") == []


def test_a_failed_pack_leaves_no_pack(tmp_path):
    outside = Samples(VOCABULARY, {"train": [Sample("x", Scene((SceneObject("dragon"),)))]})
    with pytest.raises(UserError, match="x: objects.0.: unknown category 'dragon'"):
        write_pack(tmp_path / "pack", outside)
    with pytest.raises(UserError, match="nothing was kept .the source is empty."):
        write_pack(tmp_path / "empty", Samples(VOCABULARY, {"train": []}))
    assert not (tmp_path / "pack").exists() and not (tmp_path / "empty").exists()


def test_verify_finds_every_kind_of_damage(tmp_path, painted: Path):
    def damaged(name: str) -> Path:
        shutil.copytree(painted, tmp_path / name)
        return tmp_path / name

    assert verify_pack(painted) == []
    folder = damaged("bit")
    (arrow,) = (folder / "train").glob("*.arrow")
    content = bytearray(arrow.read_bytes())
    content[len(content) // 2] ^= 1
    arrow.write_bytes(bytes(content))
    assert verify_pack(folder) == [f"train/{arrow.name}: the checksum differs; the file was damaged or changed"]
    arrow.unlink()
    assert "the file is missing" in verify_pack(folder)[0]
    folder = damaged("names")
    (folder / "vocabulary.json").write_text(json.dumps({"categories": ["ball"], "predicates": ["on"]}))
    problems = verify_pack(folder)
    assert len(problems) == 32 and "unknown category" in problems[0]
    (folder / "pack.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*pack.json: not valid JSON: .*fetch or make it again"):
        verify_pack(folder)


def test_a_pack_is_what_datasets_opens_and_many_nodes_share(tmp_path, monkeypatch):
    import datasets
    from datasets.distributed import split_dataset_by_node

    monkeypatch.setattr("scenograph.data.pack.PART", 4)
    write_pack(tmp_path / "pack", Samples(VOCABULARY, {"train": many_scenes(16)}))
    table = datasets.load_from_disk(str(tmp_path / "pack" / "train"))
    assert len(table) == 16 and len(list((tmp_path / "pack" / "train").glob("*.arrow"))) == 4
    nodes = [[row["id"] for row in stream_pack(tmp_path / "pack", "train", rank, 2)] for rank in (0, 1)]
    assert sorted(map(int, nodes[0] + nodes[1])) == list(range(16)) and len(nodes[0]) == len(nodes[1]) == 8
    whole = split_dataset_by_node(table, 0, 1)
    assert len(whole) == 16


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_pictures_of_every_kind_become_rgb(tmp_path):
    def decoded(path: Path, **options) -> Image.Image:
        return Image.open(io.BytesIO(encode_picture(path, **{"size": None, **options})))

    gray16 = save(Image.fromarray(np.full((4, 6), 32896, np.uint16)), tmp_path / "16.png")
    assert np.unique(np.asarray(decoded(gray16))).tolist() == [128], "scaled, not cut off"
    gray = save(Image.new("L", (6, 4), 77), tmp_path / "gray.png")
    assert decoded(gray).mode == "RGB" and decoded(gray).getpixel((0, 0)) == (77, 77, 77)
    cmyk = save(Image.new("CMYK", (6, 4), (0, 255, 255, 0)), tmp_path / "cmyk.jpg")
    assert decoded(cmyk).mode == "RGB" and decoded(cmyk).getpixel((0, 0))[0] > 200
    glass = save(Image.new("RGBA", (6, 4), (255, 0, 0, 0)), tmp_path / "glass.png")
    assert decoded(glass).getpixel((0, 0)) == (255, 255, 255)
    plain = save(Image.new("RGB", (6, 4), "blue"), tmp_path / "plain.jpg")
    assert encode_picture(plain, None) == plain.read_bytes(), "what serves is kept as it is"
    large = save(Image.new("RGB", (640, 480), "blue"), tmp_path / "large.jpg")
    assert decoded(large, size=128).size == (171, 128) and decoded(large, size=128).format == "JPEG"
    assert decoded(large, size=32).size == (43, 32) and decoded(large, size=32).format == "PPM", "quick to read"


def test_exif_rotation_follows_the_annotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    path = save(Image.new("RGB", (40, 20)), tmp_path / "turned.jpg", exif=exif)

    def size(annotated) -> tuple[int, int]:
        return Image.open(io.BytesIO(encode_picture(path, None, annotated))).size

    assert size(None) == size((20, 40)) == (20, 40), "as viewers show it"
    assert size((40, 20)) == (40, 20), "annotated without the turn"
    with pytest.raises(Skip, match="another shape"):
        size((40, 40))


def test_pictures_that_cannot_be_trusted_are_skipped(tmp_path):
    whole = save(Image.effect_noise((64, 64), 50), tmp_path / "whole.png").read_bytes()
    claim = bytearray(whole)
    claim[16:24] = (60_000).to_bytes(4, "big") * 2  # a header that promises 3.6 gigapixels
    claim[29:33] = zlib.crc32(bytes(claim[12:29])).to_bytes(4, "big")
    for content, reason in (
        (whole[: len(whole) // 2], "damaged"),
        (b"not a picture", "damaged"),
        (bytes(claim), "damaged|too large"),
    ):
        with pytest.raises(Skip, match=reason):
            encode_picture(content, None)
    with pytest.raises(Skip, match="missing"):
        encode_picture(tmp_path / "nowhere.png", None)


def test_large_json_is_read_in_constant_memory(tmp_path):
    """A hundred times the records do not take more memory than a few."""
    path = tmp_path / "large.json"

    def peak(count: int) -> int:
        with path.open("w") as stream:
            stream.write('{"annotations": [')
            stream.write(",".join(json.dumps({"id": i, "points": list(range(50))}) for i in range(count)))
            stream.write("]}")
        tracemalloc.start()
        records = JsonTables(tmp_path / f"{count}.sqlite")
        records.add("annotations", path, "annotations.item", "id", lambda what, done: None)
        assert records.get("annotations", count - 1)[0]["points"][49] == 49
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)  # what is imported and allocated once
    assert peak(20_000) < 3 * peak(200) + 1_000_000


def clevr_scenes(relationships=None, **changes) -> str:
    """A CLEVR file of one scene of one object."""
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "box": [0, 0, 1, 1], **changes}
    scene = {"image_filename": "a.png", "objects": [thing], "relationships": relationships or {}}
    return json.dumps({"scenes": [scene]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        (
            '{"scenes": [{"image_filename": "a.png", "objects": [{}], "relationships": {}}]}',
            "CLEVR, item .*a.png.*: annotations of an unexpected form .KeyError",
        ),
        ('{"scenes": 3}', "expected an object with 'image_filename'"),
        (clevr_scenes(box=[0, [], 1, 1]), "CLEVR, .*unexpected form"),
        (clevr_scenes(size=["large"]), "CLEVR, .*unexpected form .TypeError"),
        (clevr_scenes(relationships={"left": [[1]]}), "unexpected form .IndexError: relation of objects 1 and 0 of 1"),
    ],
)
def test_bad_clevr_files(tmp_path, content, message):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError, match=message):
        write_pack(tmp_path / "pack", Clevr(tmp_path / "s.json", ClevrOptions(), tmp_path))


def same(first, second) -> bool:
    return all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_batches_depend_on_seed_and_step_alone(painted: Path):
    loader = PackLoader(painted, "train", (16, 16), 8, relations="subset")
    batches = [loader.batch(0, step, 8) for step in range(6)]
    fresh = PackLoader(painted, "train", (16, 16), 8, relations="subset")
    assert same(fresh.batch(0, 5, 8), batches[5])
    assert not same(fresh.batch(1, 5, 8), batches[5])
    halves = [fresh.batch(0, 2, 8, range(4)), fresh.batch(0, 2, 8, range(4, 8))]
    assert torch.equal(torch.cat([half.objects for half in halves]), batches[2].objects)
    epoch = torch.cat([batch.images.flatten(1).sum(1) for batch in batches[:3]])
    assert len(epoch.unique()) > 20, "an epoch shows every scene once"


def test_a_balanced_part_names_rare_predicates_as_often_as_common_ones():
    stored = [Relation(0, "left of", other) for other in range(1, 41)] + [Relation(41, "riding", 42)]
    rng = np.random.default_rng(0)
    parts = [balanced_subset(stored, 20, rng) for _ in range(400)]
    assert all(len(set(part)) == len(part) and [r for r in stored if r in part] == list(part) for part in parts)
    assert 18 < np.mean([len(part) for part in parts]) < 22
    few = [part for _ in range(2000) if len(part := balanced_subset(stored, 1, rng)) == 1]
    named = [part[0].predicate for part in few]
    assert 0.4 < named.count("riding") / len(named) < 0.6


def test_relation_policies(painted: Path):
    def first(**options):
        return PackLoader(painted, "train", (16, 16), 8, **options).fixed_batch(0, 8)

    stored = first()
    assert len(first(relations="none").triples) == 0 < len(first(relations="subset").triples) < len(stored.triples)
    assert torch.bincount(first(max_objects=2).object_to_image).max() == 2
    with pytest.raises(
        UserError, match="'above' is not in the pack's vocabulary|'below' is not|'inside' is not|'surrounding' is not"
    ):
        PackLoader(painted, "train", (16, 16), 8, relations="sg2im").fixed_batch(0, 24)


def test_damaged_packs_are_one_line(tmp_path, painted: Path):
    shutil.copytree(painted, tmp_path / "pack")
    (tmp_path / "pack" / "vocabulary.json").write_text(json.dumps({"categories": ["ball"], "predicates": ["on"]}))
    with pytest.raises(UserError, match="is not in the pack's vocabulary.json"):
        PackLoader(tmp_path / "pack", "train", (16, 16), 8).batch(0, 0, 2)
    for names in ({"categories": [1], "predicates": []}, {"categories": [], "predicates": [], "attributes": {"a": 5}}):
        (tmp_path / "pack" / "vocabulary.json").write_text(json.dumps(names))
        with pytest.raises(UserError, match=r"vocabulary.json: vocabulary: expected lists"):
            read_vocabulary(tmp_path / "pack")
    record = json.loads((painted / "pack.json").read_text())
    for changes, message in (({"splits": []}, "splits: Input should be"), ({"remarks": 5}, "remarks: Input should be")):
        (tmp_path / "pack" / "pack.json").write_text(json.dumps(record | changes))
        with pytest.raises(UserError, match=f"pack.json: {message}"):
            read_record(tmp_path / "pack")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_made_ahead_are_the_same_and_start_anywhere(painted: Path, workers):
    loader = PackLoader(painted, "train", (16, 16), 8, relations="subset", flip=True)
    shares = [range(4), range(4, 8)]
    ahead = list(loader.batches(0, range(3, 6), 8, shares, workers))
    fresh = PackLoader(painted, "train", (16, 16), 8, relations="subset", flip=True)
    expected = [fresh.batch(0, step, 8, share) for step in range(3, 6) for share in shares]
    assert len(ahead) == 6 and all(same(a, b) for a, b in zip(ahead, expected, strict=True))


def test_flipping_mirrors_pictures_and_relations(painted: Path):
    plain = PackLoader(painted, "train", (16, 16), 8)
    flipped = PackLoader(painted, "train", (16, 16), 8, flip=True)
    turned = 0
    for step in range(3):
        one, two = plain.batch(0, step, 8), flipped.batch(0, step, 8)
        for i in range(8):
            is_turned = not torch.equal(one.images[i], two.images[i])
            view = one.images[i].flip(-1) if is_turned else one.images[i]
            assert torch.equal(view, two.images[i])
            mine, theirs = (b.triples[b.triple_to_image == i][:, 1] for b in (one, two))
            assert len(mine) == 0 or torch.equal(mine, theirs) != is_turned
            turned += is_turned
    assert 6 <= turned <= 18, "about half"


def test_cropping_shows_a_window_of_pictures_and_scenes(painted: Path):
    plain = PackLoader(painted, "train", (20, 20), 8)
    cropped = PackLoader(painted, "train", (16, 16), 8, crop=0.8)
    corners = set()
    for step in range(3):
        one, two = plain.batch(0, step, 8), cropped.batch(0, step, 8)
        for i in range(8):
            found = [
                (x, y)
                for y in range(5)
                for x in range(5)
                if torch.equal(one.images[i][:, y : y + 16, x : x + 16], two.images[i])
            ]
            (x, y) = found[0]
            corners.add((x, y))
            boxes = one.boxes[one.object_to_image == i] * 20 - torch.tensor([x, y, x, y])
            seen = boxes.clamp(0, 16)
            seen = seen[(seen[:, 0] < seen[:, 2]) & (seen[:, 1] < seen[:, 3])] / 16
            torch.testing.assert_close(two.boxes[two.object_to_image == i], seen)
    assert len(corners) > 8, "windows are random"


def test_a_window_without_objects_is_not_chosen(tmp_path: Path):
    corner = Scene((SceneObject("cube", box=(0.0, 0.0, 0.02, 0.02)),))
    write_pack(tmp_path / "pack", Samples(VOCABULARY, {"train": [Sample("corner", corner)]}))
    loader = PackLoader(tmp_path / "pack", "train", (16, 16), 8, crop=0.5)
    batch = loader.batch(0, 0, 32)
    assert batch.num_images == len(batch.objects) == 32


def test_crowds_are_smaller_and_small_sets_as_ever():
    crowd = sample_scene(np.random.default_rng(0), RenderSettings(size=128, min_objects=40, max_objects=40))
    assert len(crowd["objects"]) == 40 and max(thing["3d_coords"][2] for thing in crowd["objects"]) < 0.2
    assert any(crowd["relationships"]["left"])
    few = sample_scene(np.random.default_rng(0), RenderSettings(min_objects=3, max_objects=3))
    assert {thing["3d_coords"][2] for thing in few["objects"]} <= {
        round(r / d, 6) for r in (0.7, 0.4) for d in (1, 2**0.5)
    }
    with pytest.raises(UserError, match="--max-objects 128: so many are too small at 64 pixels; --size 256 shows them"):
        RenderSettings(size=64, max_objects=128)


@pytest.mark.slow
def test_twins_are_two_objects():
    mitsuba = pytest.importorskip("mitsuba")
    mitsuba.set_variant("scalar_rgb")
    settings = RenderSettings(size=64, min_objects=2, max_objects=2)
    scene = sample_scene(np.random.default_rng(3), settings)
    for thing in scene["objects"]:
        thing |= {"shape": "cube", "material": "metal", "color": "red"}
    world, owners = rendered._load_world(mitsuba, scene, settings)
    assert sorted(owner for owner in owners if owner >= 0) == [0, 1]
    assert set(np.unique(rendered._index_picture(mitsuba, world, owners, 0))) == {0, 1, 2}


def in_a_row(sizes: range) -> Samples:
    """Scenes of as many cubes in a row as ``sizes`` says, with all that is left of what."""
    samples = []
    for size in sizes:
        chain = tuple(Relation(a, "left of", b) for a in range(size) for b in range(a + 1, size))
        cubes = tuple(SceneObject("cube", box=(0.1 * i, 0.1, 0.1 * i + 0.05, 0.3)) for i in range(size))
        samples.append(Sample(f"{size}", Scene(cubes, chain)))
    return Samples(VOCABULARY, {"train": samples})


def graphs_of(pack: Path, policy: str, max_objects: int | None = None) -> list[tuple[Relation, ...]]:
    loader = PackLoader(pack, "train", (16, 16), 4, policy, max_objects)
    return [scene.relations for scene in loader.scenes(0, len(loader))]


def test_the_minimal_policy_keeps_what_nothing_implies(tmp_path):
    write_pack(tmp_path / "pack", in_a_row(range(4, 5)))
    assert graphs_of(tmp_path / "pack", "minimal") == [tuple(Relation(a, "left of", a + 1) for a in range(3))]


@pytest.mark.parametrize(
    ("policy", "options", "read"),
    [
        ("none", {}, False),
        ("sg2im", {"max_objects": 2}, False),
        ("none", {"max_objects": 2, "objects": "related"}, True),
        ("minimal", {}, False),
        ("minimal", {"max_objects": 2}, True),
        ("canonical", {}, True),
        ("subset", {}, True),
        ("balanced", {}, True),
    ],
)
def test_stored_relations_are_read_where_they_matter(tmp_path, policy, options, read, monkeypatch):
    write_pack(tmp_path / "pack", in_a_row([3]))
    graphs_of(tmp_path / "pack", "minimal")  # those that follow from scenes are there
    seen = []
    read_scene = "scenograph.data.loader.row_to_scene"
    monkeypatch.setattr(read_scene, lambda *given: seen.append(row_to_scene(*given)) or seen[-1])
    kept = PackLoader(tmp_path / "pack", "train", (16, 16), 4, policy, **options).scenes(0, 1)
    assert [len(scene.relations) for scene in seen] == [3 if read else 0]
    assert len(kept[0].objects) == options.get("max_objects", 3)


@pytest.mark.parametrize("policy", ["minimal", "canonical"])
def test_graphs_that_follow_from_scenes_are_made_once_per_pack(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(graphs, "PART", 2)
    pack = tmp_path / "pack"
    write_pack(pack, in_a_row(range(1, 6)))
    made = graphs_of(pack, policy)
    assert [len(graph) for graph in made] == ([0, 1, 2, 3, 4] if policy == "minimal" else [0, 3, 7, 12, 18])
    (folder,) = (pack / "graphs").iterdir()
    assert [path.name for path in sorted(folder.iterdir())] == ["00000.npz", "00001.npz", "00002.npz"]

    calls = []
    monkeypatch.setattr(graphs, "location_relations", lambda *of: calls.append(of) or location_relations(*of))
    monkeypatch.setattr(graphs, "minimal", lambda of: calls.append(of) or minimal(of))
    assert graphs_of(pack, policy) == made and not calls, "read, not made again"
    whole = (folder / "00001.npz").read_bytes()
    changed = [whole[:i] + bytes([whole[i] ^ 0x5A]) + whole[i + 1 :] for i in range(0, len(whole), 9)]
    for damaged in [whole[:100], *changed]:
        (folder / "00001.npz").write_bytes(damaged)
        assert graphs_of(pack, policy) == made
    assert len(calls) > len(changed), "damaged parts are made again, of two scenes each"
    assert verify_pack(pack) == []


def test_graphs_of_other_rows_are_not_taken(tmp_path):
    for name, sizes in (("first", range(1, 3)), ("second", range(3, 5))):
        write_pack(tmp_path / name, in_a_row(sizes))
    graphs_of(tmp_path / "first", "minimal")
    shutil.copytree(tmp_path / "first" / "graphs", tmp_path / "second" / "graphs")
    assert [len(graph) for graph in graphs_of(tmp_path / "second", "minimal")] == [2, 3]
    limited = graphs_of(tmp_path / "second", "minimal", max_objects=3)
    assert [len(graph) for graph in limited] == [2, 2], "of what is left of the larger scene"


def test_packs_that_cannot_be_written_to_are_read_all_the_same(tmp_path, caplog):
    write_pack(tmp_path / "pack", in_a_row(range(1, 4)))
    (tmp_path / "pack" / "graphs").write_text("in the way")
    assert [len(graph) for graph in graphs_of(tmp_path / "pack", "minimal")] == [0, 1, 2]
    (message,) = caplog.messages
    assert "cannot make folder" in message and "made anew in each run" in message


def test_the_canonical_policy_adds_the_location_graph(painted):
    loader = PackLoader(painted, "validation", (16, 16), 16, relations="canonical")
    stored = PackLoader(painted, "validation", (16, 16), 16)
    for plain, full in zip(stored.scenes(0, 4), loader.scenes(0, 4), strict=True):
        added = full.relations[len(plain.relations) :]
        assert full.relations[: len(plain.relations)] == plain.relations
        assert added and {relation.predicate for relation in added} <= set(LOCATIONS)
