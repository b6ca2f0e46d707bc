"""Scenes that are searched for, and sketches that are named."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from helpers import tiny
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.pipelines.sketched import chances_of
from scenograph.scenes.sketch import sketch_from_points
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.studio.server.app import create_app
from scenograph.studio.server.offer import Given, Offer
from scenograph.studio.server.service import Service
from studio_scenes import picture_of, png

HOUSE = [[[0, 0, 50, 100, 100], [100, 40, 0, 40, 100]], [[0, 100], [100, 100]]]


@pytest.fixture(scope="module")
def index(painted, tmp_path_factory):
    pytest.importorskip("lancedb")
    from scenograph.retrieval.scene_build import build_index

    folder = tmp_path_factory.mktemp("indices") / "painted.index"
    build_index(folder, painted)
    return folder


def test_scenes_like_one_are_found_with_what_matches(index, monkeypatch):
    monkeypatch.setattr(Offer, "load_first", lambda self: None)
    with TestClient(create_app(Service(Offer(Given(searches={"mine": index})))), base_url="http://127.0.0.1") as client:
        (entry,) = client.get("/v1/models").json()["search"]
        assert entry["id"] == "mine" and entry["scenes"] > 5
        cube = {"category": "cube", "box": [0.1, 0.1, 0.4, 0.4]}
        found = client.post("/v1/search", json={"search": "mine", "scene": {"objects": [cube]}, "top": 3}).json()
        scores = [one["score"] for one in found["results"]]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True)
        for one in found["results"]:
            assert picture_of(one["thumbnail"]).size == (32, 32)
            ((query, place),) = one["matches"]
            assert query == 0
            thing = one["scene"]["objects"][place]
            assert (thing if isinstance(thing, str) else thing["category"]) == "cube"
        refused = client.post("/v1/search", json={"search": "mine", "scene": {"objects": ["zebra"]}})
        assert refused.status_code == 400 and str(index) not in refused.text and "mine" in refused.text
        unknown = client.post("/v1/search", json={"search": str(index), "scene": {"objects": ["cube"]}})
        assert unknown.status_code == 422
        assert client.post("/v1/search", json={"search": "other", "scene": {"objects": ["cube"]}}).status_code == 404


def test_no_message_tells_where_folders_are(index, built_memory, monkeypatch):
    monkeypatch.setattr(Offer, "load_first", lambda self: None)
    given = Given(memories={"mine": built_memory}, searches={"mine": index})  # one name for both
    with TestClient(create_app(Service(Offer(given))), base_url="http://127.0.0.1") as client:
        wrong = client.post("/v1/crops", json={"memory": "mine", "category": "gnomon"}).json()["error"]["message"]
        assert wrong.startswith("objects[0]: mine holds no crop of 'gnomon'")
        found = client.post("/v1/search", json={"search": "mine", "scene": {"objects": ["gnomon", "cube"]}}).json()
        (note,) = found["notes"]
        assert {query for one in found["results"] for query, _ in one["matches"]} == {1}  # by its number in the scene
        assert note.startswith("left out of the query: objects[0]: no scene of mine shows 'gnomon'")
        for told in (wrong, note):
            assert str(built_memory.parent) not in told and str(index.parent) not in told and "scenograph" not in told


def test_the_classifier_that_ships_names_a_house(client):
    roof = [[[0, 100], [40, 40]], [[40, 40, 60, 60], [100, 70, 70, 100]]]
    names = client.post("/v1/sketches", json={"strokes": HOUSE + roof}).json()["names"]
    assert names[0]["category"] == "house" and names[0]["probability"] > 0.5


@pytest.fixture
def classifier(offer, monkeypatch):
    """A classifier of sketches, as if it shipped."""
    torch.manual_seed(0)
    names = Vocabulary(("house", "sun", "tree"), ())
    model = tiny("object-classifier", names, input="sketch", groups=()).eval()
    assert isinstance(model, ObjectClassifier)
    monkeypatch.setattr(offer, "sketch_classifier", lambda: model)
    return model


def test_sketches_are_named_by_strokes_and_by_pictures(client, classifier):
    names = client.post("/v1/sketches", json={"strokes": HOUSE}).json()["names"]
    (chances,) = chances_of([sketch_from_points([np.array(stroke).T for stroke in HOUSE])], classifier)
    expected = dict(zip(classifier.vocabulary.categories, chances.tolist(), strict=True))
    assert {one["category"]: one["probability"] for one in names} == pytest.approx(expected, abs=1e-4)
    assert [one["probability"] for one in names] == sorted((one["probability"] for one in names), reverse=True)
    shifted = [[[x + 700 for x in xs], [3 * y for y in ys]] for xs, ys in HOUSE]  # any units, anywhere
    assert client.post("/v1/sketches", json={"strokes": shifted}).json()["names"] == names

    paper = Image.new("L", (300, 300), 255)
    for xs, ys in HOUSE:
        ImageDraw.Draw(paper).line([(x + 150, y + 120) for x, y in zip(xs, ys, strict=True)], fill=0, width=3)
    stream = io.BytesIO()
    paper.save(stream, "PNG")
    drawn = client.post("/v1/sketches", json={"picture": base64.b64encode(stream.getvalue()).decode()}).json()["names"]
    assert {one["category"]: one["probability"] for one in drawn} == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "bad_scene"),
        ({"strokes": [[[0, 1], [0]]]}, 400, "bad_scene"),
        ({"strokes": ["house"]}, 400, "bad_scene"),
        ({"strokes": [[[0, 1e99], [0, 1]]]}, 400, "bad_scene"),
        ({"strokes": [[[0], [0]]] * 2001}, 413, "too_many_strokes"),
        ({"picture": "x"}, 400, "not_a_png"),
        ({"picture": png(2, 2, "JPEG")}, 400, "not_a_png"),
        ({"strokes": "house"}, 422, "schema"),
    ],
)
def test_what_is_no_sketch_is_refused(client, classifier, body, status, code):
    answer = client.post("/v1/sketches", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_empty_paper_is_said(client, classifier):
    stream = io.BytesIO()
    Image.new("RGBA", (9, 9)).save(stream, "PNG")
    answer = client.post("/v1/sketches", json={"picture": base64.b64encode(stream.getvalue()).decode()})
    assert answer.json()["error"]["code"] == "no_ink"


def test_without_a_classifier_sketches_are_refused(client, monkeypatch):
    monkeypatch.setattr("scenograph.studio.server.offer.shipped_models", dict)
    answer = client.post("/v1/sketches", json={"strokes": HOUSE})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "no_sketch_classifier"
