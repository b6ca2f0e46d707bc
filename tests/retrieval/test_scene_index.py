"""An index of scenes finds what is asked for, says why, and stays whole whatever happens to it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers import succeed, tiny
from scenograph import SceneIndex
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import NOTE, UserError
from scenograph.files import digest
from scenograph.retrieval import scene_build, scene_index
from scenograph.retrieval.rows import cut_from
from scenograph.retrieval.scene_build import build_index
from scenograph.retrieval.scene_encoder import SceneEncoder
from scenograph.retrieval.scene_index import StoredScenes
from scenograph.retrieval.scene_rows import LAYOUT, LEARNED, differing_bits, licences_of, picture_hash
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import SHOWN
from scenograph.scenes.scene import Relation, Scene, SceneObject, save_scenes
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

pytest.importorskip("lancedb")

NAMES = Vocabulary(("dog", "sea", "sky-other", "tree"), ("chasing", "left of", "on"), {"colour": ("red", "white")})
STROKE = Sketch((np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),))


def thing(name, x, y=0.5, side=0.3, *attributes, **fields):
    return SceneObject(name, attributes, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), **fields)


def photo(seed, size=(48, 48)):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)


SCENES = {
    "left": Scene((thing("dog", 0.2), thing("tree", 0.8)), (Relation(0, "chasing", 1),)),
    "right": Scene((thing("dog", 0.8, 0.5, 0.3, "red"), thing("tree", 0.2))),
    "two": Scene((thing("dog", 0.9), thing("tree", 0.5), thing("dog", 0.1, 0.5, 0.3, "white"))),
    "sea": Scene((thing("sea", 0.5, 0.8, 0.4), thing("sky-other", 0.5, 0.2, 0.4))),
    "alone": Scene((SceneObject("dog"),)),
}


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A pack as of somebody's own photographs: no pixels of objects, two licences, and a copy of one picture."""
    samples = []
    for number, (name, scene) in enumerate(SCENES.items()):
        objects = tuple(
            replace(one, origin=f"camera, Ada, {'MIT' if number % 2 else 'CC0-1.0'}") for one in scene.objects
        )
        samples.append(Sample(name, replace(scene, objects=objects), photo(number, (64, 48))))
    samples.append(Sample("copy", samples[0].scene, photo(0, (64, 48)).resize((80, 60))))
    folder = tmp_path_factory.mktemp("photographs") / "pack"
    write_pack(folder, Samples(NAMES, {"train": samples}))
    return folder


@pytest.fixture(scope="session")
def built(photographs, tmp_path_factory):
    """Their index; not to be changed."""
    folder = tmp_path_factory.mktemp("indices") / "photos.index"
    build_index(folder, photographs)
    return folder


@pytest.fixture(scope="session")
def designer(tmp_path_factory):
    """A tiny model. Untrained, its backbones pass next to nothing on, which is enlarged."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoders") / "designer"
    model = tiny("scene-designer")
    for encoder in (model.photo_encoder, model.sketch_encoder):
        encoder.head[-1].weight.data.mul_(1e8)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def learned(painted, designer, tmp_path_factory):
    """The index of ``painted`` with the vectors of a model; not to be changed."""
    folder = tmp_path_factory.mktemp("indices") / "painted.index"
    build_index(folder, painted, encoder=str(designer))
    return folder


def ids(found):
    return [hit.id for hit in found]


def test_a_text_finds_the_scenes_whose_relations_hold(built):
    found = SceneIndex.open(built).search("dog left of tree")
    assert ids(found) == ["left", "two", "right", "alone"] and found[0].copies == ("copy",)
    assert found.why(found[0]) == "dog = dog (0) 1.00, tree = tree (1) 1.00"
    assert found[1].match.pairs[0][1] == 2  # of the two dogs the one that is left of the tree
    assert found.why(found[2]).endswith("lacks dog left of tree") and found.why(found[3]).endswith(
        "lacks tree, dog left of tree"
    )
    assert ids(SceneIndex.open(built).search("dog chasing tree", top=1)) == ["left"]
    assert ids(SceneIndex.open(built).search("a white dog", top=1)) == ["two"]


def test_sheets_say_what_each_picture_shows(built, monkeypatch):
    monkeypatch.setattr("scenograph.retrieval.scene_search.draw_found", lambda query, found: found)
    first, second, third, _ = (one.caption for one in SceneIndex.open(built).search("dog left of tree").sheet)
    assert first.startswith("1   1.00   dog, tree\n") and first.endswith("\nleft")
    assert second.partition("\n")[0].startswith("2   ") and "2 dogs" in second
    assert third.endswith("\nlacks dog left of tree  ·  right")


def test_boxes_synonyms_filters_and_thresholds(built, caplog):
    caplog.set_level(NOTE)
    index = SceneIndex.open(built)
    assert ids(index.search(Scene((thing("dog", 0.78), thing("tree", 0.25))), top=1)) == ["right"]
    assert ids(index.search(Scene((thing("ocean", 0.5, 0.8, 0.4),)), top=1)) == ["sea"]
    assert caplog.messages == ["ocean is taken as sea"]
    assert set(ids(index.search("dog", licences=["mit"]))) == {"right"}
    assert set(ids(index.search("dog", categories=["tree"]))) == {"left", "right", "two"}
    none = index.search(Scene((thing("dog", 0.5, 0.1, 0.1),)), threshold=0.99)
    assert not none and none.nearest.score < 0.99
    with pytest.raises(UserError, match="nothing was found"):
        _ = none.sheet
    with pytest.raises(UserError, match=r"small picture of left is damaged \(cannot identify"):
        _ = replace(index.search("dog chasing tree")[0].stored, jpeg=b"damaged").thumbnail
    with pytest.raises(UserError, match=r"--category: no scene of .* shows 'catt'"):
        index.search("dog", categories=["catt"])
    with pytest.raises(UserError, match=r"under GPL alone; there are CC0-1.0, MIT"):
        index.search("dog", licences=["GPL"])


def test_what_the_index_lacks_is_left_out_or_refused(built, caplog):
    caplog.set_level(NOTE)
    index = SceneIndex.open(built)
    assert ids(index.search(Scene((thing("giraffe", 0.5), thing("sea", 0.5, 0.8, 0.4))), top=1)) == ["sea"]
    assert "left out of the query: objects[0]: no scene of" in caplog.text
    with pytest.raises(UserError, match=r"objects\[0\]: no scene of .* shows 'giraffe' .nearest in meaning: dog"):
        index.search(Scene((thing("giraffe", 0.5),)))
    with pytest.raises(UserError, match="the scene is empty"):
        index.search(Scene(()))


@pytest.mark.parametrize(
    ("box", "strokes", "complaint"),
    [
        ((0.1, 0.1, 0.4, 0.4), (), "its sketch is empty"),
        (None, STROKE.strokes, "its sketch has no box"),
        ((0.1, 0.1, 0.4, 0.4), (np.array([[4.0, 5.0], [6.0, 6.0]]),), "its strokes lie outside the canvas"),
    ],
)
def test_sketches_that_cannot_be_seen_are_refused(built, box, strokes, complaint):
    query = Scene((thing("tree", 0.5), SceneObject("dog", box=box, sketch=Sketch(strokes))))
    with pytest.raises(UserError, match=rf"objects\[1\] \(dog\): {complaint}"):
        SceneIndex.open(built).search(query)


def test_all_of_fifty_objects_are_used(built):
    query = Scene((thing("dog", 0.8), thing("tree", 0.2), *(thing("tree", 0.02 * n, 0.1, 0.05) for n in range(48))))
    found = SceneIndex.open(built).search(query)
    assert len(found.query.objects) == 50 and found[0].match.pairs[0][0] == 0 and len(found[0].match.pairs) == 2


def test_a_picture_is_known_by_its_id_its_looks_or_its_record(built, tmp_path):
    index = SceneIndex.open(built)
    assert "left" not in ids(index.like("left")) and ids(index.like("left"))[0] == "copy"
    photo(1, (64, 48)).resize((96, 72)).save(tmp_path / "again.jpg", quality=80)
    assert ids(index.like_picture(tmp_path / "again.jpg")) == ids(index.like("right"))
    info = PngInfo()
    info.add_itxt(SHOWN, json.dumps(Scene((thing("dog", 0.8), thing("tree", 0.2))).to_dict()))
    photo(7).save(tmp_path / "made.png", pnginfo=info)
    assert ids(index.like_picture(tmp_path / "made.png", top=1)) == ["right"]
    with pytest.raises(UserError, match=r"other.png holds no scene, and is no picture of .*give that with --scene"):
        photo(99).save(tmp_path / "other.png")
        index.like_picture(tmp_path / "other.png")
    with pytest.raises(UserError, match="no scene 'nothing'"):
        index.like("nothing")
    with pytest.raises(UserError, match="neither a file nor the id"):
        index.like_picture("nothing.png")
    with pytest.raises(UserError, match="not a picture"):
        (tmp_path / "text.png").write_text("text")
        index.like_picture(tmp_path / "text.png")


def test_hashes_of_copies_differ_in_few_bits():
    hashes = np.array([picture_hash(photo(0).resize((200, 200))), picture_hash(photo(1))])
    bits = differing_bits(hashes, picture_hash(photo(0)))
    assert bits[0] <= 4 and bits[1] > 12


def test_a_model_adds_its_vectors_and_finds_a_scene_by_its_own_crops(learned, painted, designer):
    index, pack = SceneIndex.open(learned), Pack(painted, "train")
    assert index.record.encoder == str(designer.resolve()) and index.sizes[LEARNED] == 16
    assert index.vectors(LEARNED, range(24)).var(axis=0).sum() * 2 == pytest.approx(1, abs=0.1)
    scene, picture = pack[5]
    cut = [
        replace(one, mask=None, sketch=None, crop=cut_from(picture, replace(one, mask=None))) for one in scene.objects
    ]
    (encoded,) = index.encoder.encode([Scene(tuple(cut))], [picture])
    whole = (encoded.scene - np.array(index.record.centre)) / index.record.units[LEARNED]
    assert np.allclose(whole, index.vectors(LEARNED, [5])[0], atol=2e-2)
    found = index.search(Scene(tuple(cut)))
    assert found[0].id == pack.ids[5] and found[0].score > 0.95
    sketched = index.search(Scene(tuple(replace(one, crop=None, sketch=STROKE) for one in cut)))
    assert sketched[0].score != found[0].score
    assert pack.ids[5] not in ids(index.like(pack.ids[5]))


def test_what_all_vectors_have_in_common_does_not_hide_what_differs(learned, painted, designer, tmp_path, monkeypatch):
    found = SceneEncoder._vectors
    monkeypatch.setattr(SceneEncoder, "_vectors", lambda *given: found(*given) + np.float32(20 * scale))
    one = SceneIndex.open(learned)
    scale = one.record.units[LEARNED]
    build_index(tmp_path / "far", painted, encoder=str(designer))
    other = SceneIndex.open(tmp_path / "far")
    np.testing.assert_allclose(other.vectors(LEARNED, range(24)), one.vectors(LEARNED, range(24)), atol=0.01)
    for number in range(0, 24, 5):
        query = other.vectors(LEARNED, [number])[0]
        assert other.nearest(LEARNED, query, 1).tolist() == [number]
        assert other.nearest(LEARNED, query, 3).tolist() == one.nearest(LEARNED, query, 3).tolist()


def test_an_encoder_that_changed_or_went_is_told_where_it_is_needed(learned, designer, tmp_path):
    shutil.copytree(designer, tmp_path / "model")
    shutil.copytree(learned, tmp_path / "index")
    record = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps(record | {"encoder": str(tmp_path / "model")}))
    sketched = Scene((thing("cube", 0.5, sketch=STROKE),))
    assert SceneIndex.open(tmp_path / "index").search(sketched)
    torch.manual_seed(1)
    tiny("scene-designer").save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="another version of its encoder"):
        SceneIndex.open(tmp_path / "index").search(sketched)
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(UserError, match="an encoder that cannot be loaded"):
        SceneIndex.open(tmp_path / "index").search(sketched)
    assert SceneIndex.open(tmp_path / "index").search("a cube")  # which needs none


def test_models_of_other_roles_and_packs_without_pictures_are_refused(photographs, designer, crop_encoders, tmp_path):
    with pytest.raises(UserError, match="sg2im encodes no scenes; give a model that does"):
        build_index(tmp_path / "i", photographs, encoder=crop_encoders[0])
    write_pack(tmp_path / "bare", Samples(NAMES, {"train": [Sample("one", SCENES["left"], None)]}))
    with pytest.raises(UserError, match="have no picture for the encoder to see"):
        build_index(tmp_path / "i", tmp_path / "bare", encoder=str(designer))
    build_index(tmp_path / "i", tmp_path / "bare")
    (hit,) = SceneIndex.open(tmp_path / "i").search("dog")
    assert hit.image is None and SceneIndex.open(tmp_path / "i").search("dog").sheet.width > 300


def test_a_build_that_is_killed_goes_on_and_a_damaged_scene_is_named(painted, tmp_path, monkeypatch):
    monkeypatch.setattr(scene_build, "PART", 10)
    build_index(tmp_path / "whole", painted)
    real, calls = scene_build._write_part, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(scene_build, "_write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "parts", painted)
    assert not (tmp_path / "parts").exists()
    build_index(tmp_path / "parts", painted)
    assert len(calls) == 2 + 2  # of three parts one was kept
    names = ["index.json", "layout.f16"]
    assert [digest(tmp_path / "whole" / name) for name in names] == [
        digest(tmp_path / "parts" / name) for name in names
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "whole"]

    opened = scene_build.open_picture
    monkeypatch.setattr(
        scene_build, "open_picture", lambda row: opened(row if row["id"] != "painted-3" else {"image": b"no picture"})
    )
    with pytest.raises(UserError, match="exists; choose another --out, or add --overwrite"):
        build_index(tmp_path / "parts", painted)
    record = build_index(tmp_path / "parts", painted, overwrite=True)
    assert record.scenes == 23 and record.dropped == {"damaged scene": 1}
    assert record.examples["damaged scene"][0].startswith("painted-3: cannot identify image")
    assert len(SceneIndex.open(tmp_path / "parts")) == 23


def test_damage_replacement_and_other_versions_are_told(built, photographs, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="is not an index of scenes; make one with"):
        SceneIndex.open(tmp_path)
    shutil.copytree(built, tmp_path / "i")
    (tmp_path / "i" / "layout.f16").write_bytes(b"short")
    with pytest.raises(UserError, match=r"damaged \(layout.f16 has 5 bytes instead of .*build it again with"):
        SceneIndex.open(tmp_path / "i")
    shutil.rmtree(tmp_path / "i")
    shutil.copytree(built, tmp_path / "i")
    index = SceneIndex.open(tmp_path / "i")
    build_index(tmp_path / "i", photographs, overwrite=True)  # of the same
    with pytest.raises(UserError, match="was replaced while it was read; run the command again"):
        index.search("dog")
    record = (tmp_path / "i" / "index.json").read_text()
    for wrong, complaint in (('"dog": 0', "categories.dog: Input should be greater than 0"), ('"dog": 4.5', "dog")):
        (tmp_path / "i" / "index.json").write_text(re.sub(r'"dog": \d+', wrong, record))
        with pytest.raises(UserError, match=complaint):
            SceneIndex.open(tmp_path / "i")
    (tmp_path / "i" / "index.json").write_text(record)
    for path in (tmp_path / "i" / "scenes.lance" / "data").glob("*"):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged .*build it again with"):
        SceneIndex.open(tmp_path / "i").search("dog")
    monkeypatch.setattr(scene_index, "settings_digest", lambda: "other")
    with pytest.raises(UserError, match="built by another version of scenograph"):
        SceneIndex.open(built)


def test_an_index_replaced_while_it_is_opened_is_not_mixed_with_the_other(built, tmp_path, monkeypatch):
    shutil.copytree(built, tmp_path / "i")
    matrix = StoredScenes._matrix

    def replaced_meanwhile(*arguments):
        save = tmp_path / "new.json"
        shutil.copy(built / "index.json", save)
        save.replace(tmp_path / "i" / "index.json")
        return matrix(*arguments)

    monkeypatch.setattr(StoredScenes, "_matrix", replaced_meanwhile)
    with pytest.raises(UserError, match="was replaced while it was read; run the command again"):
        SceneIndex.open(tmp_path / "i")


def test_a_default_licence_is_of_what_says_none():
    default, own = Origin("pack", "Ada", "MIT"), Origin("drawing", "Bo", "CC0-1.0").text
    assert licences_of([own, own], default) == ("CC0-1.0", "Bo")
    assert licences_of([own, ""], default) == ("CC0-1.0, MIT", "Ada, Bo")
    assert licences_of([], default) == licences_of(["", ""], default) == ("MIT", "Ada")


def test_lancedb_finds_the_same_where_there_are_too_many_to_compare_with_all(painted, tmp_path, monkeypatch):
    scene, _ = Pack(painted, "train")[7]
    exact = build_index(tmp_path / "exact", painted)
    monkeypatch.setattr(scene_build, "EXACT", 10)
    indexed = build_index(tmp_path / "indexed", painted)
    assert exact.exact and not indexed.exact and not (tmp_path / "indexed" / "layout.f16").exists()
    one, other = SceneIndex.open(tmp_path / "exact"), SceneIndex.open(tmp_path / "indexed")
    query = one.vectors(LAYOUT, [7])[0]
    assert one.nearest(LAYOUT, query, 5).tolist() == other.nearest(LAYOUT, query, 5).tolist()
    assert one.nearest(LAYOUT, query, 1).tolist() == [7]
    condition = one.condition(["cube"], [])
    assert one.nearest(LAYOUT, query, 3, condition).tolist() == other.nearest(LAYOUT, query, 3, condition).tolist()
    assert ids(one.search(scene, top=3)) == ids(other.search(scene, top=3))


def test_the_commands_build_and_search(scenograph, photographs, tmp_path):
    output = succeed(scenograph("search", "build", "--pack", photographs, "--out", "photos.index", "--workers", "1"))
    assert "wrote photos.index: 6 scenes of 4 categories" in output
    output = succeed(
        scenograph("search", "photos.index", "--scene", "dog left of tree", "--out", "a.png", "--out", "a.json")
    )
    assert "left  CC0-1.0, 1 near-duplicate folded" in output and "dog = dog (0) 1.00, tree = tree (1) 1.00" in output
    results = json.loads((tmp_path / "a.json").read_text())
    assert [one["id"] for one in results["results"]] == ["left", "two", "right", "alone"]
    assert results["results"][0]["copies"] == ["copy"] and results["results"][0]["matched"][0]["likeness"] == 1
    assert Image.open(tmp_path / "a.png").width > 1000
    save_scenes(tmp_path / "sketch.json", [Scene((thing("dog", 0.8, sketch=STROKE), thing("tree", 0.2)))])
    output = succeed(scenograph("search", "photos.index", "--sketch", "sketch.json", "--top", "1"))
    assert "right" in output and "note: the index has no encoder" in output
    (tmp_path / "drawing.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path id="dog" d="M70 50 L90 70 L90 50"/>'
        '<path id="tree" d="M10 50 L30 70 L30 50"/></svg>'
    )
    output = succeed(scenograph("search", "photos.index", "--sketch", "drawing.svg", "--top", "1"))
    assert "  right" in output.splitlines()[1]
    photo(5).save(tmp_path / "crop.png")
    assert "sea" in succeed(scenograph("search", "photos.index", "--crop", "sea=crop.png", "--top", "1"))
    assert "copy" in succeed(scenograph("search", "photos.index", "--like", "left", "--top", "1"))
    succeed(scenograph("search", "photos.index", "--scene", "ocean", "--crop", "ocean=crop.png", "--out", "o.json"))
    assert len(json.loads((tmp_path / "o.json").read_text())["query"]["objects"]) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give one of --scene, --sketch, --picture and --like"),
        (("--scene", "dog", "--like", "left"), "give one of --scene"),
        (("--like", "left", "--crop", "dog=x.png"), "--like and --crop: a picture has its own looks"),
        (("--scene", "dog", "--crop", "=x.png"), "expected an object's number and what shows it"),
        (("--crop", "dog=x.png", "--crop", "dog=y.png"), "object 0 is given two crops"),
        (("--crop", "0=x.png"), "there is no scene yet; give one with --scene, or a name"),
        (("--scene", "dog", "--out", "a.gif"), "expected a file that ends in .png or .json"),
        (("--scene", "dog left of sea", "--threshold", "0.99"), "no scene reaches --threshold 0.99; the best one"),
        (("--scene", "elephant"), "shows 'elephant' (nearest in meaning: dog)"),
        (("--scene", "dog left of qwertz"), "shows 'qwertz' (choose from: dog, sea, sky-other, tree)"),
        (("--sketch", "nowhere.json"), "cannot read nowhere.json"),
        (("--sketch", "scene.json"), "scene.json: no object has a sketch"),
        (
            ("--scene", "dog", "--category", "sea", "--licence", "CC0-1.0"),
            "no scene is left by --category and --licence",
        ),
    ],
)
def test_a_search_that_cannot_be_answered_says_why(scenograph, built, tmp_path, arguments, complaint):
    save_scenes(tmp_path / "scene.json", [SCENES["left"]])
    code, _, errors = scenograph("search", built, *arguments)
    assert code == 2 and complaint in errors and "Traceback" not in errors


def test_a_pack_that_went_is_noted(scenograph, photographs, tmp_path):
    shutil.copytree(photographs, tmp_path / "pack")
    succeed(scenograph("search", "build", "--pack", "pack", "--out", "i", "--workers", "1"))
    shutil.rmtree(tmp_path / "pack")
    output = succeed(scenograph("search", "i", "--scene", "dog", "--top", "1"))
    assert "is not there any more; what is found is as it was when i was built" in output
