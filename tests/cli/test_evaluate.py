"""``scenograph evaluate``."""

from __future__ import annotations

import json

import numpy as np
import torch
from PIL import Image

from helpers import succeed
from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.data.pack import read_vocabulary
from scenograph.models.lama import Lama, LamaConfig
from scenograph.models.object_classifier import ObjectClassifier, ObjectClassifierConfig
from scenograph.models.wsgc import Wsgc, WsgcConfig


def test_folders_and_vectors_are_compared(scenograph, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    output = succeed(scenograph("evaluate", "folders", "made", "real", "--encoder", "classifier"))
    assert "fd_classifier" in output and "too few for a covariance" in " ".join(output.split())
    (tmp_path / "made" / "9.png").write_bytes(b"no picture")
    code, _, errors = scenograph("evaluate", "folders", "made", "real", "--encoder", "classifier")
    assert code == 2 and "9.png: not a readable picture" in errors
    (tmp_path / "empty").mkdir()
    code, _, errors = scenograph("evaluate", "folders", "empty", "real", "--encoder", "classifier")
    assert code == 2 and "holds no .png or .jpg pictures" in errors
    np.save(tmp_path / "q.npy", np.eye(12))
    assert "mAP" in succeed(scenograph("evaluate", "retrieval", "q.npy", "q.npy"))
    code, _, errors = scenograph("evaluate", "retrieval", "q.npy", "none.npy")
    assert code == 2 and "cannot read none.npy" in errors
    np.savez(tmp_path / "q.npz", np.eye(12))
    (tmp_path / "empty.npy").touch()
    for file in ("q.npz", "empty.npy", "made/9.png"):
        code, _, errors = scenograph("evaluate", "retrieval", "q.npy", file)
        assert code == 2 and f"cannot read {file}" in errors and errors.count("\n") == 1


def test_protocols_are_listed(scenograph):
    output = succeed(scenograph("evaluate", "protocols"))
    for name in ("lama-coco", "lostgan-coco", "ldm-2048", "sg2im", "rendered"):
        assert name in output


def test_layouts_are_measured_without_pictures(scenograph, tmp_path, painted):
    """A layout model alone, whose names no image model here needs to know."""
    torch.manual_seed(0)
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    config = WsgcConfig(vocabulary=Wsgc.vocabulary_for(read_vocabulary(painted)).to_dict(), **shape)
    Wsgc(config).save_pretrained(tmp_path / "layout")
    options = ("--pack", str(painted), "--split", "validation", "--metrics", "layout,robustness")
    succeed(scenograph("evaluate", *options, "--layout", str(tmp_path / "layout"), "--out", "e"))
    report = json.loads((tmp_path / "e" / "report.json").read_text())
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert list(report["models"]) == ["layout"]
    assert 0 <= figures["box_iou"] <= 1 and {"box_iou_noisy", "box_iou_agreed"} <= set(figures)
    assert not (tmp_path / "e" / "pictures").exists()
    page = (tmp_path / "e" / "report.html").read_text()
    assert page.count("<span>true layout</span><") == page.count("<span>predicted layout</span><") == 8
    assert len((tmp_path / "e" / "results.csv").read_text().splitlines()) > 8
    succeed(scenograph("evaluate", *options, "--layout", str(tmp_path / "layout"), "--precision", "bf16", "--out", "h"))
    half = json.loads((tmp_path / "h" / "report.json").read_text())["models"]["layout"]
    assert half == report["models"]["layout"] | {"precision": "bf16"}
    one = (*options[:-1], "layout", "--set", "candidates=1")
    held = {}
    for refine in ("false", "true"):
        command = ("evaluate", *one, "--set", f"refine={refine}", "--layout", str(tmp_path / "layout"))
        succeed(scenograph(*command, "--out", refine))
        figures = json.loads((tmp_path / refine / "report.json").read_text())["figures"]
        held[refine] = next(figure["value"] for figure in figures if figure["name"] == "relations")
    assert held["false"] < 1 and held["true"] == 1
    # Relations drawn from boxes, of which the data has not all names.
    drawn = ("--protocol", "wsgc", "--layout", str(tmp_path / "layout"), "--out", "canonical")
    assert "box_iou_equivalent" in succeed(scenograph("evaluate", *options, *drawn))
    # Published: one layout per graph. The best of several serves it better.
    succeed(scenograph("evaluate", *options, *drawn[:-1], "best", "--set", "candidates=8"))
    one, best = (json.loads((tmp_path / out / "report.json").read_text()) for out in ("canonical", "best"))
    assert [report["protocol"]["candidates"] for report in (one, best)] == [1, 8]
    held = [next(f["value"] for f in r["figures"] if f["name"] == "relations") for r in (one, best)]
    assert held[0] < held[1]
    code, _, error = scenograph("evaluate", "compare", "canonical", "best")
    assert code == 2 and "candidates: 1 against 8: the best of several layouts" in error
    code, _, error = scenograph("evaluate", *options, "--layout", "mise-rendered-64", "--out", "f")
    assert code == 2 and "places no objects" in error


def test_two_evaluations_are_drawn_side_by_side(scenograph, tmp_path, painted):
    options = ("--pack", str(painted), "--split", "validation", "--scenes", "3")
    for name, size in (("red", 24), ("blue", 32)):
        (tmp_path / name).mkdir()
        for layout in range(3):
            Image.new("RGB", (size, size), name).save(tmp_path / name / f"sample_{layout}_0.png")
        succeed(scenograph("evaluate", *options, "--pictures", name, "--metrics", "agreement", "--out", f"of-{name}"))
    compared = ("evaluate", "compare", "of-red", "of-blue/report.json", "--sheet", "beside.png")
    assert "wrote beside.png: pairs of of-red and of-blue/report.json" in succeed(scenograph(*compared))
    sheet = Image.open(tmp_path / "beside.png")
    assert sheet.size == (6 * 34 - 2, 32)
    assert [sheet.getpixel((34 * place + 16, 16)) for place in range(6)] == [(255, 0, 0), (0, 0, 255)] * 3
    three = ("evaluate", "compare", "of-red", "of-blue", "of-red", "--sheet", "three.png")
    output = succeed(scenograph(*three))
    assert "columns of-red, of-blue and of-red" in output and "| | of-red | of-blue | of-red |" in output
    columns = Image.open(tmp_path / "three.png")
    assert columns.size == (3 * 26 - 2, 3 * 26 - 2)
    assert [columns.getpixel((26 * place + 12, 40)) for place in range(3)] == [(255, 0, 0), (0, 0, 255), (255, 0, 0)]
    sheet.rotate(180).save(tmp_path / "beside.png")
    code, _, error = scenograph(*compared)
    assert code == 2 and "beside.png exists and differs; add --overwrite" in error
    succeed(scenograph(*compared, "--overwrite"))
    (tmp_path / "red" / "sample_2_0.png").unlink()
    code, _, error = scenograph(*compared)
    assert code == 2 and "there is no sample_2_0.png" in error
    # Where one has layouts alone, both are drawn so, and of scenes that are not the same nothing.
    torch.manual_seed(0)
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    Wsgc(WsgcConfig(vocabulary=read_vocabulary(painted).to_dict(), **shape)).save_pretrained(tmp_path / "layout")
    for out in ("one", "other"):
        placed = ("--layout", "layout", "--metrics", "layout", "--out", out)
        succeed(scenograph("evaluate", *options, *placed))
    succeed(scenograph("evaluate", "compare", "one", "other", "--sheet", "layouts.png"))
    pairs = np.asarray(Image.open(tmp_path / "layouts.png"))
    assert pairs.shape[:2] == (2 * 242 - 2, 4 * 242 - 2) and np.array_equal(pairs[:240, :240], pairs[:240, 242:482])
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    report["data"]["files"] = "of another pack"
    (tmp_path / "other" / "report.json").write_text(json.dumps(report))
    code, _, error = scenograph("evaluate", "compare", "one", "other", "--sheet", "none.png", "--force")
    assert code == 2 and "--sheet: the evaluations are of other scenes; measure both on one pack" in error
    assert not (tmp_path / "none.png").exists()


def test_the_inception_score_says_what_it_needs(scenograph, painted):
    options = ("evaluate", "--pack", str(painted), "--metrics", "score", "--scenes", "4")
    code, _, error = scenograph(*options)
    assert code == 2 and "the score metric is Inception's: --encoder inception" in error
    code, _, error = scenograph(*options, "--encoder", "inception")
    assert code == 2 and "the score metric needs 5 pictures, one per split: take more --scenes" in error


def test_models_that_lack_a_name_of_the_data_are_refused_before_anything_is_drawn(scenograph, tmp_path, painted):
    fewer = {"categories": ["cube", "sphere"], "predicates": list(VOCABULARY.predicates), "attributes": {}}
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    Wsgc(WsgcConfig(vocabulary=fewer, **shape)).save_pretrained(tmp_path / "layout")
    plain = fewer | {"categories": list(VOCABULARY.categories)}
    Lama(LamaConfig(vocabulary=plain, image_size=64, channels=8, latent_size=16)).save_pretrained(tmp_path / "image")
    # By the protocol Inception would be downloaded for the first.
    data, layout = ("evaluate", "--pack", str(painted), "--split", "validation"), ("--layout", "layout")
    scenes = PackLoader(painted, "validation", (64, 64), 16).scenes(0, 8)
    first = next(i for i, one in enumerate(scenes) if any(thing.category == "cylinder" for thing in one.objects))
    cases = (
        (
            ("--image", "image", "--protocol", "sg2im"),
            "layout 0: the image model (lama): objects[0]: unknown attribute",
        ),
        ((*layout, "--metrics", "layout"), f"layout {first}: the layout model (wsgc): objects["),
        (("--image", "image", *layout, "--metrics", "layout"), "the image model (lama)"),
    )
    for options, message in cases:
        code, _, error = scenograph(*data, *options, "--out", "e")
        assert code == 2 and f"{painted}, " in error and message in error and error.count("\n") == 1
    assert not (tmp_path / "e").exists()
    other = ("--classifier", "judge", "--minutes", "0.01", "--out", "b")
    vocabulary = ObjectClassifierConfig(vocabulary=fewer, groups=(), channels=(8, 8))
    ObjectClassifier(vocabulary).save_pretrained(tmp_path / "judge")
    code, _, error = scenograph("bench", "quality", "tiny-lama", "--pack", str(painted), *other)
    assert code == 2 and "the classifier does not know 'cylinder'" in error and not (tmp_path / "b").exists()


def test_other_pictures_are_another_evaluation(scenograph, tmp_path, painted):
    for folder, shade in (("light", 250), ("dark", 5)):
        (tmp_path / folder).mkdir()
        for number in range(8):
            Image.new("RGB", (64, 64), (shade,) * 3).save(tmp_path / folder / f"sample_{number}_0.png")
    measured = ("evaluate", "--pack", str(painted), "--split", "validation", "--metrics", "agreement", "--out", "e")
    succeed(scenograph(*measured, "--pictures", "light"))
    succeed(scenograph(*measured, "--pictures", "light"))  # goes on
    code, _, error = scenograph(*measured, "--pictures", "dark")
    assert code == 2 and "e holds another evaluation" in error
    code, _, error = scenograph(*measured, "--pictures", "light", "--model", "mise")
    assert code == 2 and "either pictures (light) or models that draw them (mise)" in error
