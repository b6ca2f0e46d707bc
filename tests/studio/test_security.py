"""Each rule of the service's guard, by the requests that it must refuse, and those that it must not."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from starlette.testclient import TestClient

from scenograph.scenes.png import SIGNATURE
from scenograph.studio.server import security
from scenograph.studio.server.app import create_app
from scenograph.studio.server.security import Guard, is_loopback
from studio_scenes import MEADOW, png

ADDRESS = "http://127.0.0.1:8765"
TOKEN = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}
TEXT = json.dumps({"text": "a sheep"})


def code_of(answer):
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Origin": "null"},
        {"Origin": "https://example.com"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost:8765"},
        {"Origin": "http://127.0.0.1:8765.example.com"},
        {"Origin": "http://127.0.0.1:8765/"},
        {"Origin": ""},
        {"Origin": "http://["},
    ],
)
def test_other_sites_are_refused(client, headers):
    for answer in (
        client.post("/v1/texts", content=TEXT, headers=JSON | headers),
        client.get("/v1/models", headers=headers),
        client.get("/metrics", headers=headers),
        client.delete("/v1/jobs/x", headers=headers),
    ):
        assert code_of(answer) == (403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin", "Origin": ADDRESS}, {"Sec-Fetch-Site": "none"}, {"Origin": ADDRESS}],
)
def test_the_page_and_programs_are_not(client, headers):
    assert client.post("/v1/texts", content=TEXT, headers=JSON | headers).status_code == 200


def test_other_sites_may_link_to_the_page_but_not_embed_it(client):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert code_of(client.get("/v1/models", headers=link)) == (403, "cross_site")
    assert code_of(client.get("/", headers=link | {"Sec-Fetch-Dest": "iframe"})) == (403, "cross_site")
    assert code_of(client.post("/", content="{}", headers=JSON | link)) == (403, "cross_site")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "text/json",
    ],
)
def test_only_json_is_taken(client, content_type):
    answer = client.post("/v1/texts", content=TEXT, headers={"Content-Type": content_type} if content_type else {})
    assert code_of(answer) == (415, "not_json")
    assert client.post(
        "/v1/texts", content=TEXT, headers={"Content-Type": "application/json; charset=utf-8"}
    ).is_success


def test_there_is_no_cors(client):
    answer = client.options("/v1/texts", headers={"Origin": ADDRESS, "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 405
    for headers in ({}, {"Origin": ADDRESS}):
        assert not [
            name for name in client.get("/v1/models", headers=headers).headers if name.startswith("access-control")
        ]


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com:8765", "", "user@127.0.0.1", "[::1", "127.0.0.1/x"]
)
def test_rebound_names_are_refused(client, host):
    assert code_of(client.get("/v1/models", headers={"Host": host})) == (403, "unknown_host")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:8765", "[::1]:8765"])
def test_names_of_this_machine_are_known(client, host):
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_beyond_loopback_a_token_is_wanted(service, monkeypatch):
    compared = []
    real = security.secrets.compare_digest
    monkeypatch.setattr(security.secrets, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    with TestClient(create_app(service, None, TOKEN), base_url="http://example.com", follow_redirects=False) as client:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN[:-1]},
            {"Cookie": "scenograph-token-80=x"},
            {"Cookie": f"scenograph-token-8765={TOKEN}"},  # of another service on this host
        ):
            assert code_of(client.get("/v1/models", headers=headers)) == (401, "wrong_token")
            assert code_of(client.get("/", headers=headers)) == (401, "wrong_token")
        assert code_of(client.get(f"/v1/models?token={TOKEN}")) == (401, "wrong_token")  # addresses end up in logs
        assert client.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert len(compared) >= 10
        first = client.get(f"/?token={TOKEN}")
        assert first.status_code == 303 and first.headers["location"] == "/"
        assert "HttpOnly" in first.headers["set-cookie"] and "SameSite=Strict" in first.headers["set-cookie"]
        assert first.headers["referrer-policy"] == "no-referrer"
        assert client.get("/v1/models").status_code == 200  # by the cookie
        assert code_of(client.get("/v1/models", headers={"Origin": "http://evil.example"})) == (403, "cross_site")


def test_what_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.com", "")))


def test_every_answer_has_the_headers(client):
    answers = [
        client.get("/"),
        client.get("/nothing"),
        client.get("/v1/models", headers={"Host": "example.com"}),
        client.post("/v1/exports", json={"kind": "graph-svg", "scene": MEADOW}),
        client.post("/v1/texts", json={}),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert "server" not in answer.headers
    assert answers[3].headers["content-disposition"].startswith("attachment")
    assert client.get("/v1/models").headers["cache-control"] == "no-store"


def test_large_bodies_are_refused(client, monkeypatch):
    monkeypatch.setattr(security, "MOST_BYTES", 1000)
    large = json.dumps({"text": "x" * 2000})
    assert code_of(client.post("/v1/texts", content=large, headers=JSON)) == (413, "too_large")

    def in_parts():
        for _ in range(100):
            yield b" " * 100

    assert code_of(client.post("/v1/texts", content=in_parts(), headers=JSON)) == (413, "too_large")
    assert client.post("/v1/texts", content=TEXT, headers=JSON).status_code == 200


def test_the_bodies_of_all_requests_together_are_bounded_and_let_go(service, client, monkeypatch):
    guard = client.app
    assert isinstance(guard, Guard)
    monkeypatch.setattr(security, "MOST_HELD", 10)
    answer = client.post("/v1/texts", content=TEXT, headers=JSON)
    assert code_of(answer) == (429, "busy") and answer.headers["retry-after"] and guard._held == 0
    monkeypatch.undo()
    for body in (TEXT, "{", json.dumps({"text": ""})):
        client.post("/v1/texts", content=body, headers=JSON)
    assert guard._held == 0


def test_bodies_where_none_belong_are_not_held(service, client, monkeypatch):
    monkeypatch.setattr(security, "MOST_HELD", 10)
    monkeypatch.setattr(security, "SECONDS", 0.0)
    for _ in range(2):
        assert client.request("GET", "/healthz", content=b" " * 100).status_code == 200
    assert client.request("DELETE", "/v1/jobs/x", content=b" " * 100).status_code == 404


def uploaded(**fields):
    return {"scene": {"objects": [{"category": "sheep", "box": [0, 0, 1, 1], **fields}]}}


SVG = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>').decode()
HUGE = base64.b64encode(
    base64.b64decode(png(4, 4))[:16] + (5000).to_bytes(4) + (5000).to_bytes(4) + b"\0" * 40
).decode()


@pytest.mark.parametrize(
    ("fields", "status", "code", "where"),
    [
        ({"crop": {"png": SVG}}, 400, "not_a_png", "objects[0].crop.png"),
        ({"sketch": {"png": SVG}}, 400, "not_a_png", "objects[0].sketch.png"),
        ({"crop": {"png": png(4, 4, "JPEG")}}, 400, "not_a_png", "objects[0].crop.png"),
        ({"crop": {"png": png(4, 4, "GIF")}}, 400, "not_a_png", "objects[0].crop.png"),
        ({"crop": {"png": "file:///etc/passwd"}}, 400, "not_a_png", "objects[0].crop.png"),
        ({"crop": {"png": HUGE}}, 413, "too_many_pixels", "objects[0].crop.png"),
        ({"mask": {"size": [5000, 5000], "counts": [25_000_000]}}, 413, "too_many_pixels", "objects[0].mask"),
        ({"sketch": {"strokes": [[[0], [0]]] * 2001}}, 413, "too_many_strokes", "objects[0].sketch"),
        (
            {"sketch": {"strokes": [[[0.5] * 100_001, [0.5] * 100_001]] * 2}},
            413,
            "too_many_strokes",
            "objects[0].sketch",
        ),
    ],
)
def test_uploads_are_measured_before_they_are_decoded(client, fields, status, code, where):
    answer = client.post("/v1/descriptions", json=uploaded(**fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["where"]) == (status, code, where)


def two_headers(small, large):
    """A PNG whose second header says another size, which decoders take."""

    def chunk(kind, content):
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    heads = [chunk(b"IHDR", side.to_bytes(4) * 2 + bytes((8, 0, 0, 0, 0))) for side in (small, large)]
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 20)) + chunk(b"IEND", b"")
    return base64.b64encode(SIGNATURE + b"".join(heads) + pixels).decode()


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/v1/records", {"png": two_headers(4, 5000)}, "png"),
        ("/v1/sketches", {"picture": two_headers(4, 5000)}, "picture"),
        ("/v1/descriptions", uploaded(crop={"png": two_headers(4, 4000)}), "objects[0].crop.png"),
    ],
)
def test_a_second_header_does_not_get_around_the_measure(client, monkeypatch, path, body, where):
    decoded = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded.append)
    error = client.post(path, json=body).json()["error"]
    assert error["where"] == where and "two headers" in error["message"] and not decoded


@pytest.mark.parametrize(
    ("scene", "code", "where"),
    [
        ({"objects": ["x" * 201]}, "too_long_name", "objects[0].category"),
        ({"objects": [{"category": "x" * 201}]}, "too_long_name", "objects[0].category"),
        (
            {"objects": [{"category": "x", "attributes": ["red", "x" * 201]}]},
            "too_long_name",
            "objects[0].attributes[1]",
        ),
        ({"objects": [{"category": "x", "attributes": ["red"] * 65}]}, "too_many_attributes", "objects[0].attributes"),
        ({"objects": ["x", "y"], "relationships": [[0, "x" * 201, 1]]}, "too_long_name", "relationships[0]"),
    ],
)
def test_names_are_bounded(client, scene, code, where):
    error = client.post("/v1/checks", json={"scene": scene}).json()["error"]
    assert (error["code"], error["where"]) == (code, where)


def test_names_of_200_characters_are_taken(client):
    scene = {"objects": ["x" * 200, "sheep"], "relationships": [[0, "y" * 200, 1]]}
    assert client.post("/v1/checks", json={"scene": scene}).json()["unknown"][0]["category"] == "x" * 200


def test_errors_do_not_repeat_what_is_long(client):
    answer = client.post("/v1/texts", json={"x" * 10_000: 1, "text": "a sheep"})
    assert answer.status_code == 422 and len(answer.content) < 500


def test_pixels_are_counted_over_all_pictures(client):
    scene = {"objects": [{"category": "sheep", "box": [0, 0, 1, 1], "crop": {"png": png(2000, 2000)}}] * 5}
    assert code_of(client.post("/v1/descriptions", json={"scene": scene})) == (413, "too_many_pixels")


def test_uploaded_pictures_come_back_encoded_anew(client):
    content = base64.b64decode(png(6, 6))
    # Whatever hides in a file beside its pixels: here after its end.
    hidden = base64.b64encode(content + b"<script>alert(1)</script>").decode()
    found = client.post("/v1/refine", json=uploaded(crop={"png": hidden})).json()["scene"]["objects"][0]["crop"]["png"]
    assert b"script" not in base64.b64decode(found) and found != hidden


def test_damaged_pictures_are_refused(client):
    cut = base64.b64encode(base64.b64decode(png(64, 64))[:60]).decode()
    assert client.post("/v1/descriptions", json=uploaded(crop={"png": cut})).status_code == 400
    assert code_of(client.post("/v1/records", json={"png": cut})) == (400, "not_a_png")


def test_no_name_of_a_client_is_opened(client, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    opened = []
    monkeypatch.setattr("scenograph.models.registry.find_model", lambda *names: opened.append(names))
    for name in ("mine", "spade"):
        for role in ("layout", "image", "memory"):
            answer = client.post("/v1/pictures", json={"scene": MEADOW, role: name})
            assert answer.status_code == 404
    assert not opened
