"""A pack at an address is the pack that it is at home: fetched once, checked, and refused if it is another or none."""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch

from helpers import succeed
from scenograph.data import remote
from scenograph.data.hub import pull_pack, push_pack
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack, read_record
from scenograph.errors import UserError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """No pack in the cache, and nothing stored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    remote.at_hand.cache_clear()
    storage = fsspec.filesystem("memory")
    yield storage
    storage.store.clear()
    remote.at_hand.cache_clear()


def assert_same_batch(one, two):
    assert torch.equal(one.images, two.images) and torch.equal(one.boxes, two.boxes)
    assert torch.equal(one.triples, two.triples) and torch.equal(one.masks, two.masks)


def cached(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*.arrow"))


@pytest.mark.parametrize("as_path", [False, True])
def test_batches_are_those_of_the_local_pack(painted, tmp_path, as_path):
    address = "memory://bucket/packs/painted/"
    push_pack(painted, address)
    place = Path(address) if as_path else address  # options and recipes hold paths
    assert read_record(place) == read_record(painted) and cached(tmp_path) == []
    loader, local = (PackLoader(where, "train", (32, 32), 16, flip=True) for where in (place, painted))
    assert loader.pack.fingerprint == local.pack.fingerprint and len(cached(tmp_path)) == 1, "one split is fetched"
    for step in (0, 7):
        assert_same_batch(loader.batch(3, step, 8), local.batch(3, step, 8))
    with pytest.raises(UserError, match="no split 'test' .it has: train, validation."):
        Pack(place, "test")


def test_an_interrupted_fetch_goes_on_and_damage_is_refused(painted, tmp_path, fresh, monkeypatch):
    push_pack(painted, "memory://p")
    (name,) = (path for path in fresh.store if path.endswith(".arrow") and "/train/" in path)
    sound, asked = fresh.store[name].getvalue(), []
    fresh.store[name].seek(0)
    fresh.store[name].write(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(
        UserError, match=r"train/data-.*: its checksum differs from that in pack.json; push the pack again"
    ):
        Pack("memory://p", "train")
    assert cached(tmp_path) == [] and not list((tmp_path / "cache").rglob("*.tmp"))
    fresh.store[name].seek(0)
    fresh.store[name].write(sound)
    get = type(fresh).get_file
    monkeypatch.setattr(type(fresh), "get_file", lambda self, path, *rest, **more: (asked.append(path), get(self, path, *rest, **more)))  # fmt: skip
    Pack("memory://p", "train")
    Pack("memory://p", "train")
    assert asked == [name]


def test_a_pack_that_changes_is_fetched_again(painted, tmp_path, fresh):
    push_pack(painted, "memory://p")
    first = remote.at_hand("memory://p")
    remote.at_hand.cache_clear()
    assert remote.at_hand("memory://p") == first
    remote.at_hand.cache_clear()
    fresh.pipe_file("/p/pack.json", fresh.cat_file("/p/pack.json").replace(b'"source"', b' "source"'))
    assert remote.at_hand("memory://p") != first


def test_a_pack_is_pulled_from_an_address(painted, scenograph, tmp_path):
    assert succeed(scenograph("data", "push", painted, "memory://shelf/p")) == "wrote memory://shelf/p\n"
    assert "wrote" in succeed(scenograph("data", "pull", "memory://shelf/p", "--out", tmp_path / "p"))
    assert (tmp_path / "p" / "pack.json").read_bytes() == (painted / "pack.json").read_bytes()
    assert Pack(tmp_path / "p", "validation").fingerprint == Pack(painted, "validation").fingerprint
    assert "validation" in succeed(scenograph("data", "show", "memory://shelf/p"))
    assert "ok: " in succeed(scenograph("data", "verify", "memory://shelf/p"))


def test_what_is_no_pack_is_named(painted, fresh, monkeypatch):
    with pytest.raises(UserError, match=r"^memory://nowhere is no pack: there is no pack.json$"):
        read_record("memory://nowhere")
    fresh.pipe_file("/odd/pack.json", b'{"splits": 3}')
    with pytest.raises(UserError, match=r"memory://odd/pack.json: not the record of a pack"):
        Pack("memory://odd", "train")
    fresh.pipe_file("/odd/pack.json", b'{"splits": {"../..": {"files": {}}}}')
    with pytest.raises(UserError, match=r"pack.json names '../../state.json', which is no file of a pack"):
        Pack("memory://odd", "train")
    with pytest.raises(UserError, match=r"cannot reach nothing://x: .*nothing"):
        read_record("nothing://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(UserError, match=r"^s3://b/p: what reads s3:// is missing: .*'scenograph\[s3\]'$"):
        read_record("s3://b/p")


def test_a_web_server_is_enough(painted, tmp_path):
    pytest.importorskip("aiohttp")
    shutil.copytree(painted, tmp_path / "site" / "p")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/p"
        loader, local = (PackLoader(where, "validation", (32, 32), 16) for where in (address, painted))
        assert loader.pack.fingerprint == local.pack.fingerprint
        assert_same_batch(loader.batch(0, 0, 8), local.batch(0, 0, 8))
        with pytest.raises(UserError, match=f"{address}x is no pack: there is no pack.json"):
            Pack(f"{address}x", "validation")
        server.shutdown()


@pytest.mark.slow
def test_a_pack_in_object_storage(painted, tmp_path, bucket):
    push_pack(painted, f"{bucket}/packs/p")
    loader, local = (PackLoader(where, "train", (32, 32), 16) for where in (Path(f"{bucket}/packs/p"), painted))
    assert_same_batch(loader.batch(0, 5, 8), local.batch(0, 5, 8))
    assert pull_pack(f"{bucket}/packs/p", tmp_path / "p") == tmp_path / "p"
    with pytest.raises(UserError, match=f"^{bucket}/packs/q is no pack: there is no pack.json$"):
        read_record(f"{bucket}/packs/q")
    with pytest.raises(UserError, match=r"^cannot reach s3://elsewhere/p: .*bucket does not exist"):
        push_pack(painted, "s3://elsewhere/p")
