"""Messages about a run: what they say, and that neither they nor their addresses do any harm."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from scenograph.errors import UserError
from scenograph.training.curves import draw_curves
from scenograph.training.notifications import Notifier
from scenograph.training.recipe import Recipe, load_recipe
from scenograph.training.trainer import Trainer

TOKEN = "swordfish"


@pytest.fixture
def inbox():
    """A server that keeps what it is sent, and its address with a password in it."""
    received: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield received, f"json://me:{TOKEN}@127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def recipe(pack, notify, **training) -> Recipe:
    base = load_recipe("tiny-mise-layout", [f"data.pack={pack}", "model.width=32"]).model_dump(mode="json")
    steps = {"steps": 4, "batch_size": 4, "validate_every": 1, "validation_scenes": 4, "checkpoint_every": 2}
    base["training"] |= steps | {"log_every": 1} | training | {"notify": notify}
    return Recipe.model_validate(base)


def test_a_run_tells_of_validations_and_its_end(painted, tmp_path, inbox, caplog):
    received, address = inbox
    given = recipe(painted, address, notify_every=2)
    Trainer(given, tmp_path / "run", torch.device("cpu")).run()
    assert [message["title"] for message in received] == [
        "tiny-mise-layout: step 2 of 4",
        "tiny-mise-layout: finished",
    ]
    figures = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    name = next(name for name in figures if name not in ("step", "kind"))
    assert f"{name} {figures[name]:.4g}" in received[-1]["message"]
    assert received[-1]["attachments"][0]["filename"] == "curves.png"
    texts = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in text for text in texts) and TOKEN not in caplog.text
    assert TOKEN not in repr(given) and "training.notify" not in given.settings()
    assert Trainer(recipe(painted, (), steps=5), tmp_path / "run", torch.device("cpu")).begins is False


def test_a_failure_is_told(painted, tmp_path, inbox, monkeypatch):
    received, address = inbox
    trainer = Trainer(recipe(painted, [address]), tmp_path / "run", torch.device("cpu"))
    monkeypatch.setattr(trainer, "_update", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    assert received[0]["title"] == "tiny-mise-layout: failed at step 0"
    assert received[0]["message"] == "ZeroDivisionError: division by zero"


def test_messages_that_cannot_be_sent_are_said_once(painted, tmp_path, caplog):
    address = f"json://me:{TOKEN}@127.0.0.1:9/"
    trainer = Trainer(recipe(painted, address), tmp_path / "run", torch.device("cpu"))
    trainer.run()
    assert trainer.step == 4 and trainer._notifier.failed == 4
    assert [line for line in caplog.messages if "could not be sent" in line] == [
        "a message about the run could not be sent to all addresses; training goes on"
    ]
    assert TOKEN not in caplog.text


def test_a_service_that_raises_stops_nothing(monkeypatch):
    notifier = Notifier(["json://127.0.0.1:9/"], "run")

    def broken(**message: object) -> None:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr(notifier._services, "notify", broken)
    notifier.send("step 1")
    assert notifier.failed == 1


def test_addresses_of_no_kind_are_refused_without_being_shown(painted, tmp_path):
    with pytest.raises(UserError, match=r"training\.notify, address 2 of 2: .* begins with nosuch://") as caught:
        Trainer(recipe(painted, ["json://localhost", f"nosuch://{TOKEN}"]), tmp_path / "run")
    assert TOKEN not in str(caught.value)
    with pytest.raises(UserError, match="begins with no KIND://") as caught:
        Notifier([TOKEN], "run")
    assert TOKEN not in str(caught.value)


def test_without_apprise_it_says_what_to_install(painted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UserError, match=r"needs the package apprise: python -m pip install 'scenograph\[notify\]'"):
        Trainer(recipe(painted, "json://localhost"), tmp_path / "run")


def test_curves_of_a_run():
    sheet = draw_curves({"train loss": [(1, 3.0), (2, 1.0), (3, 2.0)], "lone": [(1, 1.0)], "bad": [(1, float("nan"))]})
    assert sheet is not None and sheet.size == (780, 130)
    assert draw_curves({"lone": [(1, 1.0)]}) is None
