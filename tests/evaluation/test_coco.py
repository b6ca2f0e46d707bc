"""COCO: which boxes a detector is measured against, and which protocol and metrics are chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.pack import write_pack
from scenograph.data.source import Plan, Sample, Samples
from scenograph.errors import UserError
from scenograph.evaluation.evaluate import evaluate, plan_evaluation
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.named import Named
from scenograph.evaluation.protocols import find_protocol
from scenograph.evaluation.tools import Tools
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

IDS = {"person": 1, "dog": 18, "bridge": 95, "sky-other": 157}
NAMES = Vocabulary(tuple(IDS), ("left of", "right of", "above", "below", "inside", "surrounding"))
NUMBERS = (632, 724, 139)
SIZE = (100, 80)
"""Of the real pictures."""


class Coco(Samples):
    """Samples that are packed as COCO's are."""

    title = "COCO 2017"

    def plan(self, progress: Any) -> Plan:
        """With COCO's ids."""
        return Plan(self.vocabulary, self.splits, published_ids=IDS)


def scene(number: int) -> Scene:
    """Two things and two regions of stuff, elsewhere in each picture."""
    x = 0.1 * number
    boxes = {"person": (x, 0.2, x + 0.3, 0.7), "dog": (0.5, 0.5, 0.9, 0.6 + x), "bridge": (0.0, 0.5, 1.0, 1.0)}
    boxes["sky-other"] = (0.0, 0.0, 1.0, 0.5)
    return Scene(tuple(SceneObject(name, box=box) for name, box in boxes.items()))


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    """A pack of three scenes, beside it their annotations in COCO's form and generated pictures of 32 pixels."""
    folder = tmp_path_factory.mktemp("coco")
    noise = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    (folder / "made").mkdir()
    for number in range(3):
        for repeat in range(2):
            Image.fromarray(noise[2 * number + repeat]).save(folder / "made" / f"sample_{number}_{repeat}.png")
    real = [Image.fromarray(pixels).resize(SIZE) for pixels in noise[6:]]
    samples = [Sample(str(NUMBERS[i]), scene(i), real[i]) for i in range(3)]
    write_pack(folder / "pack", Coco(NAMES, {"validation": samples}))
    (folder / "instances.json").write_text(json.dumps(instances()))
    return folder


def instances() -> dict[str, Any]:
    """COCO's own: things alone, a small one that no layout has, a crowd, and a picture that is not packed."""
    rows = []
    for place, image_id in enumerate(NUMBERS):
        for thing in scene(place).objects[:2]:
            x0, y0, x1, y1 = np.array(thing.box) * [*SIZE, *SIZE]
            rows.append({"image_id": image_id, "category_id": IDS[thing.category], "bbox": [x0, y0, x1 - x0, y1 - y0]})
        rows.append({"image_id": image_id, "category_id": 18, "bbox": [5 + place, 5, 3, 3]})
    rows.append({"image_id": 632, "category_id": 1, "bbox": [0, 0, 90, 20], "iscrowd": 1})
    rows.append({"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5]})
    sizes = {"width": SIZE[0], "height": SIZE[1]}
    return {
        "images": [{"id": number, "file_name": f"{number}.jpg", **sizes} for number in (9, *reversed(NUMBERS))],
        "categories": [{"id": IDS[name], "name": name} for name in ("person", "dog")],
        "annotations": [{"id": i, "iscrowd": 0, **row} for i, row in enumerate(rows)],
    }


def fed_back(annotations: dict[str, Any], path: Path, **changes: Any) -> Path:
    """Every annotated box of the packed pictures as a detection."""
    kept = ("image_id", "category_id", "bbox")
    rows = [row for row in annotations["annotations"] if row["image_id"] in NUMBERS]
    path.write_text(json.dumps([{key: row[key] for key in kept} | {"score": 0.9} | changes for row in rows]))
    return path


def detected(coco: Path, out: Path, **files: Path) -> dict[str, float]:
    """The figures of the metric ``detection``, of pictures made elsewhere."""
    changes = {"metrics": ("detection",), "repeats": 2}
    done = evaluate(coco / "pack", coco / "made", "lama-coco", out, changes=changes, tools=Tools(**files))
    assert done is not None
    assert {"annotations.json", "image_id.txt"} <= {path.name for path in done.paths}
    return {figure.name: figure.value for figure in done.figures}


def test_every_thing_box_fed_back_gives_an_ap_of_1(coco, tmp_path):
    pytest.importorskip("pycocotools")
    assert detected(coco, tmp_path / "e") == {}, "there are no detections yet"
    annotations = json.loads((tmp_path / "e" / "annotations.json").read_text())
    assert {row["name"]: row["id"] for row in annotations["categories"]} == {"person": 1, "dog": 18}
    assert [row["id"] for row in annotations["images"]] == list(NUMBERS)
    assert (tmp_path / "e" / "image_id.txt").read_text().splitlines() == [f"{number:.18e}" for number in NUMBERS]
    for row in annotations["images"]:
        with Image.open(tmp_path / "e" / row["file_name"]) as picture:
            assert picture.size == (row["width"], row["height"])
    found = detected(coco, tmp_path / "e", detections=fed_back(annotations, tmp_path / "d.json"))
    assert list(found.values()) == pytest.approx([1, 1, 1])
    shifted = fed_back(annotations, tmp_path / "s.json", bbox=[0, 0, 1, 1])
    assert detected(coco, tmp_path / "e", detections=shifted)["detector_ap"] == 0


def test_cocos_own_annotations_are_the_truth_where_they_are_given(coco, tmp_path):
    pytest.importorskip("pycocotools")
    own = coco / "instances.json"
    perfect = fed_back(instances(), tmp_path / "d.json")
    found = detected(coco, tmp_path / "e", detections=perfect, annotations=own)
    assert list(found.values()) == pytest.approx([1, 1, 1])
    written = json.loads((tmp_path / "e" / "annotations.json").read_text())
    assert {(row["width"], row["height"]) for row in written["images"]} == {SIZE}
    assert len(written["annotations"]) == 10 and sum(row["iscrowd"] for row in written["annotations"]) == 1
    # What the layouts never had is missing from what is found of them.
    of_layouts = tmp_path / "l.json"
    rows = [row for row in json.loads(perfect.read_text()) if row["bbox"][2:] != [3, 3]]
    of_layouts.write_text(json.dumps(rows))
    assert detected(coco, tmp_path / "e", detections=of_layouts, annotations=own)["detector_ap"] < 0.8


@pytest.mark.parametrize(
    ("detections", "annotations", "message"),
    [
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], None, "image_id 1 is no picture"),
        ([{"filename": "sample_0_0.png", "objects": []}], None, "no entry of sample_1_0"),
        ([{"objects": []}], None, "entries of 1 pictures, where annotations.json has 3"),
        (None, None, "no such file"),
        ([], [1], "not COCO's annotations"),
        ([], {**instances(), "images": instances()["images"][:2]}, "has no picture 632"),
    ],
)
def test_files_for_detection_are_checked_before_anything_is_rendered(
    coco, tmp_path, monkeypatch, detections, annotations, message
):
    pytest.importorskip("pycocotools")
    monkeypatch.chdir(tmp_path)
    files = {"detections": Path("d.json")}
    if detections is not None:
        files["detections"].write_text(json.dumps(detections))
    if annotations is not None:
        files["annotations"] = Path("a.json")
        files["annotations"].write_text(json.dumps(annotations))
    with pytest.raises(UserError, match=message):
        detected(coco, Path("e"), **files)
    assert not Path("e").exists()


def test_entries_of_darknet_are_known_by_their_files(coco, tmp_path):
    pytest.importorskip("pycocotools")
    entries = []
    for number in (2, 0, 1):  # as lists are that are sorted otherwise
        objects = []
        for thing in scene(number).objects[:2]:
            x0, y0, x1, y1 = thing.box
            place = {"center_x": (x0 + x1) / 2, "center_y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}
            objects.append({"name": thing.category, "relative_coordinates": place, "confidence": 0.9})
        entries += [{"filename": f"x/sample_{number}_{repeat}.png", "objects": objects} for repeat in (1, 0)]
    (tmp_path / "d.json").write_text(json.dumps(entries))
    assert detected(coco, tmp_path / "e", detections=tmp_path / "d.json")["detector_ap"] > 0.95


def test_a_layout_model_is_given_graphs(coco):
    pack = coco / "pack"
    assert Named(image="b").protocol(pack, None, {}).name == "lama-coco"
    assert Named(layout="a", image="b").protocol(pack, None, {}).name == "sg2im"
    assert Named(layout="a").protocol(pack, None, {}).name == "wsgc"
    assert Named(layout="a", image="b").protocol(pack, "lama-coco", {"given": "graph"}).given == "graph"
    for name, changes in (("lama-coco", {}), (None, {"given": "masks"})):
        with pytest.raises(UserError, match="--layout a: .* so that it would place nothing; add --protocol sg2im or"):
            Named(layout="a", image="b").protocol(pack, name, changes)
    with pytest.raises(UserError, match="either pictures"):
        Named(layout="a", pictures=Path("p"))


def test_a_model_that_places_and_renders_is_given_graphs(coco, tmp_path):
    for name, protocol in (("sg2im", "sg2im"), ("lama", "lama-coco")):
        tiny(name, NAMES).save_pretrained(tmp_path / name)
        assert Named(model=str(tmp_path / name)).protocol(coco / "pack", None, {}).name == protocol


def test_what_no_classifier_knows_is_left_out_and_told(coco, tmp_path, scenograph):
    tiny("sg2im", NAMES).save_pretrained(tmp_path / "model")
    asked = ("evaluate", "--pack", str(coco / "pack"), "--model", "model", "--protocol", "rendered", "--scenes", "2")
    output = succeed(scenograph(*asked, "--metrics", "agreement,quality,layout", "--out", "e"))
    told = " ".join(output.split())
    assert "agreement not measured: no classifier that ships knows 'bridge'; give one with" in told
    assert "quality not measured:" in told and "or take --encoder inception" in told
    assert max(map(len, output.splitlines())) <= 80
    report = json.loads((tmp_path / "e" / "report.json").read_text())
    relations = next(row for row in report["figures"] if row["name"] == "relations")
    assert relations["value"] is None and relations["notes"] == [
        "not defined: the scenes have no relations that boxes can show"
    ]
    page = (tmp_path / "e" / "report.html").read_text()
    lead = (
        "Pictures generated from scene graphs: 2 scenes of COCO 2017, split validation, measured by protocol rendered"
    )
    assert lead in page and page.count("<div class=card>") == 1 and "<h2>Layouts</h2>" in page
    assert page.count("<figcaption>") == 2 and "Scene 0: person, dog, bridge, sky" in page
    code, _, error = scenograph(*asked, "--metrics", "agreement", "--out", "f")
    assert code == 2 and "cannot measure agreement: no classifier that ships knows" in error
    code, _, error = scenograph(*asked, "--classifier", "object-classifier-rendered", "--out", "f")
    assert code == 2 and "the classifier does not know 'person' and 3 more" in error


def test_a_dry_run_names_what_would_be_fetched_and_fetches_nothing(coco, tmp_path, scenograph, monkeypatch):
    monkeypatch.setattr("scenograph.pretrained.networks.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(
        "scenograph.pretrained.networks.hub.download_url_to_file", lambda *a, **k: pytest.fail("fetched")
    )
    tiny("lama", NAMES).save_pretrained(tmp_path / "model")
    asked = ("evaluate", "--pack", str(coco / "pack"), "--model", "model", "--dry-run", "--out", "e")
    output = succeed(scenograph(*asked))
    for name in ("weights-inception-2015-12-05-6726825d.pth (91 MB)", "alexnet-owt-7be5be79.pth (233 MB)"):
        assert f"would download {name}\n  from https://" in output
    assert "metrics: diversity, quality, objects" in output and not (tmp_path / "e").exists()
    (tmp_path / "i.pth").write_bytes(b"no weights")
    code, _, error = scenograph(*asked, "--weights", "inception=i.pth")
    assert code == 2 and "i.pth" in error
    once = plan_evaluation(coco / "pack", coco / "made", "lama-coco", changes={"repeats": 1})
    assert once.left_out == {"diversity": "it takes two pictures per layout: --repeats 2"}


def test_options_and_settings_do_not_contradict_each_other(scenograph, painted):
    asked = ("evaluate", "--pack", str(painted))
    for options, message in (
        (("--scenes", "3", "--set", "layouts=5"), "--set layouts=5: --scenes sets layouts, too"),
        (("--given", "boxes", "--set", "given=graph"), "--set given=graph: --given sets given, too"),
        (("--set", "lpips=vgg", "--set", "lpips=alex"), "--set lpips=alex: another --set sets lpips, too"),
    ):
        code, _, error = scenograph(*asked, *options)
        assert code == 2 and message in error


def test_the_first_scenes_have_the_numbers_of_their_pictures(coco):
    layouts = Layouts(coco / "pack", find_protocol("lama-coco", {"layouts": 2}))
    assert layouts.names(0) == ["632", "724"] and layouts.ids(0) == [632, 724]
