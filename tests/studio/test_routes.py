"""Every route, and every error that a client can cause."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from starlette.testclient import TestClient

from scenograph.models.mise_layout import MiseLayout
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.provenance import request_from_picture
from scenograph.studio.server.app import create_app
from scenograph.studio.server.offer import Given, Offer
from scenograph.studio.server.service import Service
from studio_scenes import MEADOW, picture_of, pixels_of, png


def error_of(answer):
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message", "where"}
    return body["error"]


def test_models_are_listed_by_ids_that_are_no_paths(client):
    found = client.get("/v1/models").json()
    assert [entry["id"] for entry in found["layout"] if entry["default"]] == ["mise-layout-picture-book"]
    assert [entry["id"] for entry in found["image"] if entry["default"]] == ["collage"]
    by_id = {entry["id"]: entry for entry in found["image"]}
    assert by_id["collage"]["composed"] and by_id["collage"]["layers"] and by_id["collage"]["steps"] is None
    assert by_id["mise-rendered-64"]["sizes"] == [64] and by_id["mise-rendered-64"]["steps"] == 8
    assert found["label_maps"] == ["maps"] and found["memory"][0]["id"] == "drawings"
    assert found["search"] == [] and found["sketches"] is True
    assert "/" not in json.dumps([entry["id"] for role in ("layout", "image", "memory") for entry in found[role]])


def test_vocabulary_is_that_of_the_models(client):
    first = client.get("/v1/vocabulary").json()
    assert "sheep" in first["categories"] and first["synonyms"]["puppy"] == "dog" and "larger than" in first["spatial"]
    assert first["spoken"]["sky-other"] == "sky" and "sheep" not in first["spoken"]
    assert {first["synonyms"][word] for word in first["spoken"].values()} == set(first["spoken"])
    cubes = client.get("/v1/vocabulary", params={"image": "mise-rendered-64"}).json()
    assert cubes["categories"] == ["cube", "sphere", "cylinder"] and set(cubes["attributes"]) == {
        "size",
        "color",
        "material",
    }
    assert cubes["layout"] in ("mise-layout-rendered", "mise-layout-crowds")


def test_unknown_words_are_answered_by_the_names_that_are_nearest(client):
    said = client.post("/v1/texts", json={"text": "a tiger on the moon"}).json()["error"]["message"]
    assert "unknown word 'tiger' (nearest in meaning: bear, bird, cat" in said and "cube" not in said
    said = client.post("/v1/texts", json={"text": "a dog under a moonbeam"}).json()["error"]["message"]
    assert said == "text, clause 1: unknown word 'moonbeam'; no model here knows it"  # and no command of the terminal


def test_texts_become_scenes_with_notes_and_back(client):
    found = client.post("/v1/texts", json={"text": "two sheep standing on grass; a puppy"}).json()
    assert found["scene"]["objects"] == ["sheep", "sheep", "grass", "dog"]
    assert found["notes"] == ["puppy is taken as dog"]
    told = client.post("/v1/descriptions", json={"scene": found["scene"]}).json()
    assert client.post("/v1/texts", json={"text": told["text"]}).json()["scene"] == found["scene"]
    assert told["lines"][0] == "4 objects: 2 sheep, grass, dog"


def test_checks_name_contradictions_with_a_repair_unknown_words_and_what_holds(client):
    scene = {
        "objects": [*MEADOW["objects"], "tiger"],
        "relationships": [[0, "left of", 2], [2, "left of", 0], [0, "on", 1], [2, "larger than", 0], [0, "holding", 3]],
    }
    found = client.post("/v1/checks", json={"scene": scene}).json()
    assert found["contradictions"] == [{"relations": [0, 1], "repair": [1]}]
    assert [(one["object"], one["category"]) for one in found["unknown"]] == [(3, "tiger")]
    assert "cat" in found["unknown"][0]["nearest"]
    assert found["holds"] == [True, False, True, False, None]


def test_the_repair_of_a_cycle_is_the_relation_that_others_outvote(client):
    relations = [[2, "left of", 0], [0, "left of", 1], [1, "left of", 2], [0, "left of", 2], [1, "right of", 0]]
    scene = {"objects": ["sheep", "cow", "tree"], "relationships": relations}
    found = client.post("/v1/checks", json={"scene": scene}).json()["contradictions"]
    assert [one["repair"] for one in found] == [[0]]


def test_of_many_relations_fewer_contradictions_are_told_at_once(client):
    pairs = [(a, b) for a in range(0, 64, 2) for b in range(1, 64, 2)]
    for count, told in ((4, 4), (1024, 2), (2048, 1)):
        said = [[a, "left of", b] for a, b in pairs[: count // 2]] + [[b, "left of", a] for a, b in pairs[: count // 2]]
        scene = {"objects": ["sheep"] * 64, "relationships": said}
        found = client.post("/v1/checks", json={"scene": scene}).json()["contradictions"]
        assert len(found) == min(told, count // 2)


def test_contradictions_of_different_predicates_are_found(client):
    scene = {"objects": ["sheep", "cow"], "relationships": [[0, "inside", 1], [0, "larger than", 1]]}
    found = client.post("/v1/checks", json={"scene": scene}).json()["contradictions"]
    assert found == [{"relations": [0, 1], "repair": [1]}]


def test_layouts_place_what_has_no_box_and_leave_the_rest(client):
    scene = {"objects": [MEADOW["objects"][1], "sheep"], "relationships": [[1, "standing on", 0]]}
    first, again = (client.post("/v1/layouts", json={"scene": scene, "seed": 5}).json() for _ in range(2))
    assert first == again
    grass, sheep = first["scene"]["objects"]
    assert grass["box"] == MEADOW["objects"][1]["box"] and len(sheep["box"]) == 4
    assert client.post("/v1/checks", json={"scene": first["scene"]}).json()["holds"] == [True]


def test_layouts_of_few_candidates_are_drafts(client, monkeypatch):
    asked, sampled = [], MiseLayout.candidates

    def candidates_of(self, batch, count, given):
        asked.append(count)
        return sampled(self, batch, count, given)

    monkeypatch.setattr(MiseLayout, "candidates", candidates_of)
    wanted = {"scene": {"objects": ["sheep", "grass"], "relationships": [[0, "standing on", 1]]}, "seed": 2}
    for route in ("/v1/layouts", "/v1/pictures"):
        for candidates in (1, 2, None):
            answer = client.post(route, json=wanted | {"candidates": candidates}).json()
            assert all(len(thing["box"]) == 4 for thing in answer["scene"]["objects"])
    assert asked == [1, 2, 8]  # pictures begin with the layouts that were kept
    picture = client.post("/v1/pictures", json=wanted | {"candidates": 2}).json()["picture"]
    assert client.post("/v1/records", json={"png": picture}).json()["options"] == {"candidates": 2}


@pytest.mark.parametrize("candidates", [0, 33, 1.5, True, "2"])
@pytest.mark.parametrize("route", ["/v1/layouts", "/v1/pictures"])
def test_candidates_are_few(client, route, candidates):
    answer = client.post(route, json={"scene": {"objects": ["sheep"]}, "candidates": candidates})
    assert answer.status_code == 422 and error_of(answer)["where"] == "candidates"


def test_refine_moves_what_may_move(client):
    scene = {
        "objects": [
            {"category": "sheep", "box": [0.6, 0.5, 0.9, 0.8]},
            {"category": "cow", "box": [0.1, 0.5, 0.4, 0.8]},
        ],
        "relationships": [[0, "left of", 1]],
    }
    found = client.post("/v1/refine", json={"scene": scene, "movable": [False, True]}).json()["scene"]["objects"]
    assert found[0]["box"] == scene["objects"][0]["box"] and found[1]["box"][0] > 0.4
    wrong = client.post("/v1/refine", json={"scene": scene, "movable": [True]})
    assert wrong.status_code == 400 and error_of(wrong)["where"] == "movable"
    boxless = error_of(client.post("/v1/refine", json={"scene": {"objects": ["sheep"]}}))
    assert boxless["where"] == "objects[0]"


def test_a_picture_holds_its_record(client, tmp_path):
    asked = {"scene": MEADOW, "seed": 3, "size": 96}
    first, again = (client.post("/v1/pictures", json=asked).json() for _ in range(2))
    assert picture_of(first["picture"]).size == (96, 96) and first["picture"] == again["picture"]
    assert set(first["milliseconds"]) == {"wait", "layout", "render"}
    assert [thing["box"] for thing in first["scene"]["objects"]] == [thing["box"] for thing in MEADOW["objects"]]
    record = client.post("/v1/records", json={"png": first["picture"]}).json()
    assert record["seed"] == 3 and record["image"] == "collage" and record["options"] == {"size": 96}
    assert record["scene"] == MEADOW and record["layout"] == "mise-layout-picture-book"
    (tmp_path / "picture.png").write_bytes(base64.b64decode(first["picture"]))
    request = request_from_picture(tmp_path / "picture.png", {}, None, {})
    assert request.scenes[0].to_dict() == MEADOW
    pipe = Pipeline.from_pretrained(layout=request.models["layout"], image=request.models["image"])
    (made_again,) = pipe(request.scenes, request.seeds, **request.options.chosen()).images
    assert (np.asarray(made_again) == pixels_of(first["picture"])).all() and request.digests == pipe.digests()


def test_pictures_of_a_memory_name_where_its_crops_are_from(client):
    found = client.post("/v1/pictures", json={"scene": MEADOW, "memory": "drawings", "size": 64}).json()
    sheep = found["scene"]["objects"][0]
    assert "sheep" in sheep["origin"] or "ewe" in sheep["origin"]
    crops = client.post("/v1/crops", json={"memory": "drawings", "category": "puppy", "top": 2}).json()["crops"]
    assert len(crops) == 2 and crops[0]["licence"] and picture_of(crops[0]["png"]).mode == "RGBA"
    pinned = json.loads(json.dumps(MEADOW))
    pinned["objects"][0] |= {"crop": {"png": crops[0]["png"]}, "origin": crops[0]["origin"]}
    shown = client.post("/v1/pictures", json={"scene": pinned, "memory": "drawings", "size": 64}).json()
    assert shown["scene"]["objects"][0]["origin"] == crops[0]["origin"]
    assert (pixels_of(shown["picture"]) != pixels_of(found["picture"])).any()


def test_crops_of_a_memory_suit_an_object(built_memory, monkeypatch):
    monkeypatch.setattr(Offer, "load_first", lambda self: None)
    app = create_app(Service(Offer(Given(memories={"mine": built_memory}))))
    scene = {"objects": ["sphere", {"category": "cube", "attributes": ["red"], "box": [0.1, 0.1, 0.3, 0.3]}]}
    asked = {"memory": "mine", "category": "cube", "scene": scene, "object": 1, "top": 3}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        crops = client.post("/v1/crops", json=asked).json()["crops"]
        assert 0 < len(crops) <= 3 and crops[0]["author"] == "A. Painter" and crops[0]["licence"] == "CC0-1.0"
        refused = error_of(client.post("/v1/crops", json={"memory": "mine", "category": "zebra"}))
        assert "mine holds no crop of 'zebra'" in refused["message"] and str(built_memory) not in refused["message"]


@pytest.mark.parametrize("kind", ["layers", "openraster", "coco", "graph-svg", "layout-svg", "scene"])
def test_exports_are_files_to_save(client, kind):
    answer = client.post("/v1/exports", json={"kind": kind, "scene": MEADOW, "seed": 1, "size": 64})
    assert answer.status_code == 200 and "attachment; filename=" in answer.headers["content-disposition"]
    if kind in ("layers", "openraster"):
        names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
        assert ("mimetype" in names) if kind == "openraster" else (names[0] == "00-ground.png" and len(names) == 3)
    elif kind.endswith("svg"):
        assert answer.text.startswith("<svg") and answer.headers["content-type"] == "image/svg+xml"
    elif kind == "coco":
        assert len(answer.json()["annotations"]) == 3 and answer.json()["images"][0]["width"] == 64
    else:
        assert answer.json() == MEADOW


def test_drawings_of_any_names_are_well_formed_and_hold_no_script(client):
    scene = {"objects": ["<script>", "a\x01b", "x]]>&"], "relationships": [[0, '"><script>', 1]]}
    answer = client.post("/v1/exports", json={"kind": "graph-svg", "scene": scene})
    assert b"<script" not in answer.content and "a\\x01b" in ElementTree.fromstring(answer.content).itertext()


def recorded(**record):
    """A PNG that says it was made so."""
    info, stream = PngInfo(), io.BytesIO()
    info.add_text("scenograph", json.dumps({"scene": {"objects": ["sheep"]}, "seed": 1} | record))
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=info)
    return base64.b64encode(stream.getvalue()).decode()


def test_records_of_anybody_give_only_what_can_be_asked_for(client):
    found = client.post("/v1/records", json={"png": recorded(size="abc", steps=[1], image="../x")}).json()
    assert found["options"] == {} and found["image"] is None
    assert found["notes"] == ["made with the image '../x', which is not offered here"]
    found = client.post("/v1/records", json={"png": recorded(size=64, seed=2**63)}).json()
    assert found["options"] == {"size": 64} and found["seed"] == 0 and str(2**63) in found["notes"][0]


def test_layers_merge_to_the_picture(client):
    asked = {"scene": MEADOW, "seed": 1, "size": 64}
    file = zipfile.ZipFile(io.BytesIO(client.post("/v1/exports", json=asked | {"kind": "layers"}).content))
    canvas = Image.new("RGBA", (64, 64))
    for name in file.namelist():
        canvas.alpha_composite(Image.open(io.BytesIO(file.read(name))))
    picture = pixels_of(client.post("/v1/pictures", json=asked).json()["picture"])
    assert np.abs(np.asarray(canvas.convert("RGB")).astype(int) - picture).max() <= 4


def test_label_maps_as_scene_designers_client_sends_them(client):
    rows, columns = np.mgrid[:64, :64]
    labels = np.where(rows < 32, 0, np.where(columns < 32, 1, 255))
    body = {
        "layout": labels.tolist(),
        "instances": (columns // 16).tolist(),
        "real_image": pixels_of(png(8, 8)).tolist(),
    }
    answer = client.post("/", json=body)
    numbers = np.array(answer.json())
    assert numbers.shape == (1, 3, 256, 256) and numbers.min() >= -1 and numbers.max() <= 1
    picture = ((numbers[0].transpose(1, 2, 0) + 1) / 2 * 255).round()  # the client's step
    asked = {"layout": body["layout"], "instances": body["instances"], "picture": png(8, 8)}
    own = client.post("/v1/label-maps", json=asked).json()
    assert np.abs(pixels_of(own["picture"]) - picture).max() <= 1
    larger = {name: np.kron(body[name], np.ones((4, 4), int)).tolist() for name in ("layout", "instances")}
    assert client.post("/v1/label-maps", json=asked | larger).json() == own


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"layout": [[0, 9]]}, "layout"),
        ({"layout": [[0], [0, 1]]}, "layout"),
        ({"layout": [[0.5]]}, "layout"),
        ({"layout": [["a"]]}, "layout"),
        ({"layout": ["x" * 1_000_000] + [""] * 1_000_000}, "layout"),  # as text of one width: 4 TB
        ({"layout": [[10**400]]}, "layout"),
        ({"layout": [[True]]}, "layout"),
        ({"layout": [[1, 2], [3]]}, "layout"),
        ({"layout": []}, "layout"),
        ({"layout": [[0]], "instances": [[0, 1]]}, "instances"),
        ({"layout": [[0]], "picture": "!"}, "picture"),
        ({"layout": [[0]], "image": "collage"}, "image"),
    ],
)
def test_wrong_label_maps_are_refused(client, body, where):
    answer = client.post("/v1/label-maps", json=body)
    assert answer.status_code in (400, 404) and error_of(answer)["where"] == where


def test_without_a_spade_model_label_maps_say_how_to_get_one(service, client, monkeypatch):
    monkeypatch.setattr(service.offer, "_images", {"mise-rendered-64": "mise-rendered-64"})
    answer = client.post("/v1/label-maps", json={"layout": [[0]]})
    assert answer.status_code == 404 and "--image NAME=FOLDER" in error_of(answer)["message"]


PICTURE = "/v1/pictures"


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "where"),
    [
        (PICTURE, {"scene": {"objects": ["sheep", "gras"]}}, 400, "unknown_category", "objects[1]"),
        (PICTURE, {"scene": {"objects": []}}, 400, "bad_scene", None),
        (
            PICTURE,
            {"scene": {"objects": ["sheep"], "relationships": [[0, "on", 1]]}},
            400,
            "bad_scene",
            "relationships[0]",
        ),
        (
            PICTURE,
            {"scene": {"objects": [{"category": "sheep", "box": [0, 0, 0, 0]}]}},
            400,
            "bad_scene",
            "objects[0].box",
        ),
        (
            PICTURE,
            {"scene": {"objects": ["sheep"], "relationships": [[0, "zaps", 0]]}},
            400,
            "unknown_predicate",
            "relationships[0]",
        ),
        (PICTURE, {"scene": MEADOW, "image": "nothing"}, 404, "unknown_image", "image"),
        (PICTURE, {"scene": MEADOW, "layout": "nothing"}, 404, "unknown_layout", "layout"),
        (PICTURE, {"scene": MEADOW, "memory": "nothing"}, 404, "unknown_memory", "memory"),
        (PICTURE, {"scene": MEADOW, "image": "../../etc/passwd"}, 422, "schema", "image"),
        (PICTURE, {"scene": MEADOW, "image": "owner/name"}, 422, "schema", "image"),
        (
            PICTURE,
            {"scene": MEADOW, "image": "mise-rendered-64", "memory": "drawings"},
            400,
            "takes_no_crops",
            "memory",
        ),
        (PICTURE, {"scene": MEADOW, "sead": 3}, 422, "schema", "sead"),
        (PICTURE, {"scene": MEADOW, "seed": -1}, 422, "schema", "seed"),
        (PICTURE, {"scene": MEADOW, "seed": "1"}, 422, "schema", "seed"),
        (PICTURE, {"scene": MEADOW, "size": 5000}, 422, "schema", "size"),
        (PICTURE, {"scene": [1]}, 422, "schema", "scene"),
        (PICTURE, {}, 422, "schema", "scene"),
        (PICTURE, {"scene": {"objects": ["sheep"] * 65}}, 413, "too_many_objects", "objects"),
        (
            PICTURE,
            {"scene": {"objects": ["sheep"], "relationships": [[0, "on", 0]] * 2049}},
            413,
            "too_many_relationships",
            "relationships",
        ),
        ("/v1/texts", {"text": "65 sheep"}, 413, "too_many_objects", "text"),
        ("/v1/texts", {"text": "a sheep on"}, 400, "bad_scene", None),
        ("/v1/texts", {"text": "x" * 10_001}, 422, "schema", "text"),
        ("/v1/exports", {"kind": "svg", "scene": MEADOW}, 422, "schema", "kind"),
        ("/v1/crops", {"memory": "nothing", "category": "sheep"}, 404, "unknown_memory", "memory"),
        ("/v1/crops", {"memory": "drawings", "category": "zeppelin"}, 400, "unknown_category", "objects[0]"),
        (
            "/v1/crops",
            {"memory": "drawings", "category": "sheep", "scene": MEADOW, "object": 3},
            400,
            "bad_scene",
            "object",
        ),
        ("/v1/records", {"png": png(4, 4)}, 400, "no_record", "png"),
        ("/v1/records", {"png": "!"}, 400, "not_a_png", "png"),
        ("/v1/jobs", {"kind": "film", "request": {}}, 422, "schema", "kind"),
        ("/v1/jobs", {"kind": "picture", "request": {"seed": 1}}, 422, "schema", "request.scene"),
        (
            "/v1/jobs",
            {"kind": "picture", "request": {"scene": MEADOW, "image": "nothing"}},
            404,
            "unknown_image",
            "image",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_form(client, path, body, status, code, where):
    answer = client.post(path, json=body)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["where"]) == (status, code, where), error
    assert error["message"] and "\n" not in error["message"]


def test_layers_of_pictures_that_have_none_are_refused(client):
    scene = {"objects": [{"category": "cube", "box": [0.1, 0.1, 0.5, 0.5]}]}
    body = {"kind": "layers", "scene": scene, "image": "mise-rendered-64"}
    assert "no layers" in error_of(client.post("/v1/exports", json=body))["message"]


def test_bodies_that_are_no_json_are_refused(client):
    for body in (b"{", b"", b"[1", b"[" * 100_000, b"9" * 10_000, b"\xff\xfe"):
        answer = client.post("/v1/texts", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), body[:10]
        assert error_of(answer)["code"] in ("bad_json", "schema"), body[:10]


def test_addresses_without_anything_behind_them(client):
    assert error_of(client.get("/nothing"))["code"] == "not_found"
    assert error_of(client.get("/../pyproject.toml"))["code"] == "not_found"
    assert error_of(client.get("/%2e%2e/%2e%2e/commands.py"))["code"] == "not_found"
    assert error_of(client.post("/v1/models", json={}))["code"] == "method_not_allowed"
    assert client.put("/v1/models").status_code == 405
    assert error_of(client.get("/v1/jobs/nothing/events"))["code"] == "unknown_job"
    assert error_of(client.delete("/v1/jobs/nothing"))["code"] == "unknown_job"


def test_a_fault_of_the_service_is_said_without_its_details(client, service, monkeypatch, caplog):
    def broken(asked):
        raise RuntimeError("secret")

    monkeypatch.setattr(service.scenes, "text", broken)
    answer = client.post("/v1/texts", json={"text": "a sheep"})
    assert answer.status_code == 500 and error_of(answer)["code"] == "internal" and "secret" not in answer.text


def test_the_description_of_the_routes_needs_nothing_from_elsewhere(client):
    described = client.get("/openapi.json").json()
    routes = {
        "/v1/models",
        "/v1/vocabulary",
        "/v1/texts",
        "/v1/descriptions",
        "/v1/checks",
        "/v1/layouts",
        "/v1/refine",
    }
    routes |= {"/v1/pictures", "/v1/records", "/v1/exports", "/v1/crops", "/v1/label-maps", "/", "/v1/jobs"}
    assert routes <= set(described["paths"]) and "/v1/jobs/{job}/events" in described["paths"]
    for path in ("/docs", "/docs.js", "/docs.css"):
        answer = client.get(path)
        assert answer.status_code == 200 and not re.search(r"(src|href|url\(|import)\W{1,3}(https?:)?//", answer.text)
    assert 'src="/docs.js"' in client.get("/docs").text and "<script>" not in client.get("/docs").text
    again = client.get("/docs.js", headers={"If-None-Match": client.get("/docs.js").headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_health_and_metrics_count(client):
    assert client.get("/healthz").json()["status"] == "ok"
    client.post("/v1/texts", json={"text": "a sheep"})
    client.post("/v1/texts", json={"text": ""})
    text = client.get("/metrics").text
    assert 'scenograph_answers_total{method="POST",route="/v1/texts",status="200"} 1' in text
    assert 'scenograph_answers_total{method="POST",route="/v1/texts",status="422"} 1' in text
    assert 'scenograph_waiting{queue="models"} 0' in text
    for line in text.splitlines():
        assert re.fullmatch(
            r"# (HELP|TYPE) scenograph_\w+ .+|scenograph_\w+(\{\w+=\"[^\"]*\"(,\w+=\"[^\"]*\")*\})? [\d.e+-]+", line
        )
