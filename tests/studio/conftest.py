"""A service to try things on: what it draws is composed from drawings, which takes milliseconds."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from starlette.testclient import TestClient

from helpers import tiny
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.studio.server.app import create_app
from scenograph.studio.server.offer import Given, Offer
from scenograph.studio.server.service import Service
from scenograph.studio.server.work_queue import Ticket, one_by_one

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def spade_folder(tmp_path_factory):
    """A tiny SPADE of Scene Designer's size, with four labels."""
    folder = tmp_path_factory.mktemp("models") / "spade"
    names = Vocabulary(("sky", "grass", "sea", "tree"), ("left of",))
    tiny("spade", names, image_size=(256, 256), channels=1, norm_channels=4, edges=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def offer(spade_folder):
    return Offer(Given(images={"maps": spade_folder}))


@pytest.fixture
def service(offer, monkeypatch):
    monkeypatch.setattr(Offer, "load_first", lambda self: None)
    return Service(offer, most_waiting=8)


@pytest.fixture
def client(service):
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client


@pytest.fixture
def busy(service):
    """Keeps the model thread busy inside."""

    @contextmanager
    def inside():
        begun, end = threading.Event(), threading.Event()

        def work(_):
            begun.set()
            assert end.wait(30)

        service.models.put(Ticket(one_by_one(work), None))
        assert begun.wait(10)
        try:
            yield
        finally:
            end.set()

    return inside
