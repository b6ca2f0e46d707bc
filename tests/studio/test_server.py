"""A server that listens: the client, clients that vanish or dawdle, and the end."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from scenograph.errors import UserError
from scenograph.studio.client import Studio, StudioError
from scenograph.studio.server import security
from scenograph.studio.server.app import create_app
from scenograph.studio.server.run import Connection, Server, listen, run_service
from scenograph.studio.server.work_queue import Ticket, one_by_one
from studio_scenes import MEADOW, picture_of

BODY = json.dumps({"scene": MEADOW, "size": 32}).encode()


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def running(service, token=None):
    """The address of a server in a thread, and the server."""
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(service, token=token), log_config=None, http=Connection, ws="none", timeout_graceful_shutdown=10
    )
    server = Server(config, service, lambda: None)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield listening.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        assert not thread.is_alive()


@pytest.fixture
def port(service):
    with running(service) as (port, _):
        yield port


@pytest.fixture
def studio(port):
    return Studio(f"http://127.0.0.1:{port}", timeout=60)


def test_the_client_does_what_the_routes_do(studio, tmp_path):
    assert {entry["id"] for entry in studio.models()["memory"]} == {"drawings"}
    assert studio.vocabulary(image="mise-rendered-64")["categories"] == ["cube", "sphere", "cylinder"]
    scene = studio.scene("a sheep standing on grass")
    assert studio.describe(scene) == "sheep standing on grass" and studio.check(scene)["holds"] == [None]
    placed = studio.place(scene, seed=1)
    assert all("box" in thing for thing in placed["objects"])
    assert studio.refine(placed)["relationships"] == scene["relationships"]
    picture = studio.picture(placed, seed=1, size=40)
    picture.save(tmp_path / "picture.png")
    assert picture_of(base64.b64encode(picture.png).decode()).size == (40, 40)
    assert studio.record(picture.png)["scene"] == placed
    assert studio.export("graph-svg", scene).startswith(b"<svg")
    assert studio.recognise([[[0, 50, 100, 0], [0, 90, 0, 0]]])
    assert studio.crops("drawings", "sheep", top=1)[0]["licence"]
    told = list(studio.watch("picture", scene=placed, seed=1, size=40))
    assert told[0][0] == "queued" and base64.b64decode(told[-1][1]["picture"]) == picture.png


def test_the_client_raises_what_the_service_refuses(studio, port):
    with pytest.raises(StudioError, match="unknown category 'gras'") as caught:
        studio.picture({"objects": ["gras"]})
    assert (caught.value.status, caught.value.code, caught.value.where) == (400, "unknown_category", "objects[0]")
    with pytest.raises(StudioError, match="gras"):
        list(studio.watch("picture", scene={"objects": ["gras"]}))
    with pytest.raises(OSError, match=r"refused"):
        Studio("http://127.0.0.1:9").models()


def test_the_client_waits_for_a_full_queue_as_long_as_it_has_patience(service, port, busy):
    patient, hasty = (Studio(f"http://127.0.0.1:{port}", patience=patience) for patience in (20, 0))
    with ThreadPoolExecutor(1) as pool:
        with busy():
            for number in range(8):
                service.models.put(Ticket(one_by_one(str), number))
            with pytest.raises(StudioError) as caught:
                hasty.picture(MEADOW, size=32)
            assert caught.value.status == 429 and caught.value.retry_after
            picture = pool.submit(patient.picture, MEADOW, size=32)
            time.sleep(0.2)
        assert picture.result(30).scene["objects"]


def test_the_client_knows_the_token(service):
    with running(service, token="correct-horse-battery") as (port, _):
        assert Studio(f"http://127.0.0.1:{port}", token="correct-horse-battery").models()["layout"]
        with pytest.raises(StudioError) as caught:
            Studio(f"http://127.0.0.1:{port}", token="wrong").models()
        assert caught.value.status == 401


def test_events_arrive_as_they_happen_and_a_job_nobody_watches_is_cancelled(service, studio, busy):
    with busy():
        watched = studio.watch("picture", scene=MEADOW, size=32)
        assert next(watched) == ("queued", {"position": 0})
        watched.close()
        until(lambda: len(service.models) == 0)


def test_requests_of_clients_that_vanish_leave_the_queue(service, port, busy):
    with busy():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/v1/pictures", BODY, {"Content-Type": "application/json"})
        until(lambda: len(service.models) == 1)
        connection.close()
        until(lambda: len(service.models) == 0)
    until(lambda: 'status="499"} 1' in service.metrics_text())


def test_bodies_that_do_not_arrive_are_given_up(port, monkeypatch):
    monkeypatch.setattr(security, "SECONDS", 0.3)
    head = (
        b"POST /v1/texts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(head + b'{"text"')
        answer = b""
        while part := slow.recv(10_000):  # head and body may come one after the other
            answer += part
    assert answer.startswith(b"HTTP/1.1 408") and b'"too_slow"' in answer
    with socket.create_connection(("127.0.0.1", port), timeout=10) as cut:
        cut.sendall(head + b'{"text"')
    assert Studio(f"http://127.0.0.1:{port}").scene("a sheep")["objects"] == ["sheep"]


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_connections_that_say_nothing_are_closed(service, monkeypatch, begun):
    monkeypatch.setattr("scenograph.studio.server.run.SECONDS", 0.3)
    with (
        running(service) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=10) as silent,
        socket.create_connection(("127.0.0.1", port), timeout=10) as second,
    ):
        silent.sendall(begun)
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += second.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200")
        second.sendall(begun)
        assert silent.recv(100) == second.recv(100) == b""


def test_the_answer_to_an_oversized_body_can_be_read(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/texts", b" " * (security.MOST_BYTES + 1), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 413 and json.loads(answer.read())["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    ],
)
def test_requests_that_are_none_do_no_harm(port, raw):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw)
        assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403", b"")
    assert Studio(f"http://127.0.0.1:{port}").scene("a sheep")


def test_the_end_finishes_what_was_begun_and_refuses_the_rest(service, busy):
    begun, end = threading.Event(), threading.Event()
    draw = service.drawing.pictures
    service.drawing.pictures = lambda tasks: (begun.set(), end.wait(20), draw(tasks))[-1]
    with running(service) as (port, server), ThreadPoolExecutor(4) as pool:
        studio = Studio(f"http://127.0.0.1:{port}")
        first = pool.submit(studio.picture, MEADOW, size=32)
        assert begun.wait(20)
        second = pool.submit(studio.picture, MEADOW, size=40)
        until(lambda: len(service.models) == 1)
        events = pool.submit(lambda: list(studio.watch("picture", scene=MEADOW, size=48)))
        until(lambda: len(service.models) == 2)
        server.should_exit = True
        for refused in (second, events):
            with pytest.raises(StudioError) as caught:
                refused.result(20)
            assert caught.value.code == "shutting_down"
        assert second.exception().status == 503
        with pytest.raises((OSError, StudioError)):
            studio.models()
        end.set()
        assert first.result(20).scene["objects"]


def test_a_taken_port_is_passed_over_for_the_next():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] <= port + 20
    with pytest.raises(UserError, match=r"--host no\.such\.host\.invalid"):
        listen("no.such.host.invalid", 0)


def serve(**changed):
    given = {
        "port": 0,
        "host": "127.0.0.1",
        "browser": False,
        "layouts": [],
        "images": [],
        "memories": [],
        "searches": [],
        "token": None,
    }
    run_service(**(given | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"token": "short"}, "at least 16"),
        ({"token": "with spaces and quotes;"}, "letters, digits"),
        ({"layouts": ["x"]}, "expected NAME=FOLDER"),
        ({"layouts": ["../x=/tmp"]}, "expected NAME=FOLDER"),
        ({"images": ["collage=/tmp"]}, "there is a 'collage' already"),
        ({"memories": ["drawings=/tmp"]}, "there is a 'drawings' already"),
        ({"images": ["mine=/no/such/folder"]}, "is no folder"),
        ({"images": ["mine=."]}, "holds no config.json"),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(changed, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        serve(**changed)


def test_models_must_be_what_they_are_given_as(spade_folder):
    with pytest.raises(UserError, match="a spade places no objects"):
        serve(layouts=[f"mine={spade_folder}"])


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_beyond_loopback_a_token_is_made_and_said(host, wanted, monkeypatch, capsys):
    apps, opened = [], []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(
        Server, "run", lambda self, sockets: (apps.append(self.config.app), self.opened(), sockets[0].close())
    )
    serve(host=host, browser=True)
    (guard,), said = apps, capsys.readouterr().out
    assert (guard.token is not None) == wanted == ("?token=" in said) and (guard.hosts is None) == wanted
    assert opened[0] in said and opened[0].startswith("http://127.0.0.1:")


def test_a_missing_extra_is_named_with_its_remedy(scenograph, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "scenograph.studio.server.run")
    code, _, said = scenograph("studio", "--no-browser")
    assert code == 2 and "uvicorn" in said and "pip install 'scenograph[studio]'" in said


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-m", "scenograph", "serve", "--port", "0"]
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": source}
    ) as process:
        said = process.stdout.readline()
        studio = Studio(said.split()[4])
        assert said.startswith("the studio is at http://127.0.0.1:")
        assert studio.picture(studio.scene("a sheep on grass"), size=32).png
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0 and process.stdout.read() == "the studio has ended\n"
