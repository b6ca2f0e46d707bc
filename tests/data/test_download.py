"""Downloads against a local server that behaves as badly as real ones."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import many_scenes
from scenograph.cli.main import app
from scenograph.data import download as module
from scenograph.data.clevr import VOCABULARY
from scenograph.data.download import RemoteFile, check_space, download, remote_files, sizes_of, through_mirror, unpack
from scenograph.data.hub import pull_pack, push_pack
from scenograph.data.pack import write_pack
from scenograph.data.source import Samples
from scenograph.errors import UserError


class Server:
    """Files by path; the first ``drops`` answers to each break off half-way."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.drops: Counter[str] = Counter()
        self.requests: list[tuple[str, str, str | None]] = []
        self.headers: dict[str, str] = {}
        self.ranges = True
        self.lengths: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                path = self.path.partition("?")[0]
                outer.requests.append((self.command, path, self.headers.get("Range")))
                content = outer.files.get(path)
                if content is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                tag = f'"{hashlib.md5(content).hexdigest()}"'
                start, asked = 0, self.headers.get("Range")
                same = self.headers.get("If-Range", tag) == tag
                if asked and outer.ranges and same:
                    start = int(asked.removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                rest = content[start:]
                self.send_header("Content-Length", str(len(rest)) if outer.lengths is None else outer.lengths)
                self.send_header("ETag", tag)
                self.close_connection = outer.lengths is not None
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if not body:
                    return
                if outer.drops[path] > 0:
                    outer.drops[path] -= 1
                    self.wfile.write(rest[: len(rest) // 2])
                    self.close_connection = True
                    self.connection.close()
                else:
                    self.wfile.write(rest)

            def log_message(self, *arguments) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "CHUNK", 1000)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    running = Server()
    yield running
    running.server.shutdown()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


CONTENT = bytes(range(256)) * 100


def test_dropped_connections_are_taken_up_where_they_broke(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    server.drops["/a.bin"] = 3
    counted = []
    download(
        tmp_path,
        [RemoteFile(f"{server.url}/a.bin", "a.bin", hashlib.md5(CONTENT).hexdigest())],
        progress=counted.append,
    )
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT), "the bar ends full"
    starts = [asked for _, _, asked in server.requests]
    assert starts[0] is None and all(asked is not None for asked in starts[1:]) and len(starts) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.bin.done", "a.bin"]
    download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")])
    assert len(server.requests) == 4, "what is complete is not fetched again"


def test_a_killed_download_goes_on(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:5000])
    download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")])
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and server.requests[0][2] == "bytes=5000-"


def test_a_file_that_changed_meanwhile_starts_anew(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(b"old" * 1000)
    (tmp_path / "a.bin.part.etag").write_text('"old"')
    counted = []
    download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")], progress=counted.append)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and sum(counted) == len(CONTENT)


def test_servers_without_ranges_work(server, tmp_path):
    server.files["/a.bin"], server.ranges = CONTENT, False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:5000])
    download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")])
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_wrong_bytes_are_refused(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    with pytest.raises(UserError, match="checksum differs from 00; what came was deleted"):
        download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin", "00")])
    assert not any(path.name.startswith("a.bin") for path in tmp_path.iterdir())
    server.headers["x-goog-hash"] = "crc32c=AAAA,md5=AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(UserError, match="checksum differs from 0{32}"):
        download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")])


@pytest.mark.parametrize("length", ["many", "-5", "", "1e3", "9" * 5000])
def test_lengths_that_are_no_numbers_count_as_none(server, tmp_path, length):
    server.files["/a.bin"] = CONTENT
    server.lengths = length
    files = [RemoteFile(f"{server.url}/a.bin", "a.bin", hashlib.md5(CONTENT).hexdigest())]
    assert sizes_of(files) == [-1]
    download(tmp_path, files)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("value", ["md5=no hash at all", "md5=AAAA", "md5=A", "md5=", "md5=é"])
def test_checksums_that_are_none_are_left_aside(server, tmp_path, value):
    server.files["/a.bin"] = CONTENT
    server.headers = {"x-goog-hash": value}
    download(tmp_path, [RemoteFile(f"{server.url}/a.bin", "a.bin")])
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_missing_files_and_dead_servers_are_one_line(server, tmp_path):
    with pytest.raises(UserError, match="/gone.zip: the server answers 404"):
        download(tmp_path, [RemoteFile(f"{server.url}/gone.zip", "gone.zip")])
    with pytest.raises(UserError, match="answers 404"):
        sizes_of([RemoteFile(f"{server.url}/gone.zip", "gone.zip")])
    server.files["/a.bin"], server.drops["/a.bin"] = b"", 99
    with pytest.raises(UserError, match="cannot reach the server"):
        sizes_of([RemoteFile("http://127.0.0.1:9/a.bin", "a.bin")])
    with pytest.raises(UserError, match="lost the connection 6 times in a row"):
        download(tmp_path, [RemoteFile("http://127.0.0.1:9/a.bin", "a.bin")])


def test_space_is_checked_before_anything_is_fetched(server, tmp_path, monkeypatch):
    server.files["/a.zip"] = CONTENT
    files = [RemoteFile(f"{server.url}/a.zip", "a.zip")]
    sizes = sizes_of(files)
    assert sizes == [len(CONTENT)]
    check_space(tmp_path, files, sizes)
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=len(CONTENT)))
    with pytest.raises(UserError, match=r"needs 0.0 GB, but only 0.0 GB are free"):
        check_space(tmp_path, files, sizes)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    check_space(tmp_path, files, sizes)  # half of it is there already


def test_archives_are_unpacked_safely(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(**{"images__1.txt": b"one", "panoptic.zip": zipped(**{"deep__2.txt": b"two"})}))
    unpack(archive, tmp_path)
    assert (tmp_path / "images" / "1.txt").read_bytes() == b"one" and (tmp_path / "deep" / "2.txt").exists()
    archive.write_bytes(zipped(**{"..__outside.txt": b"x"}))
    with pytest.raises(UserError, match="points outside the folder"):
        unpack(archive, tmp_path)
    archive.write_bytes(zipped(**{"a.txt": CONTENT})[:-30])
    with pytest.raises(UserError, match="damaged archive"):
        unpack(archive, tmp_path)
    assert not archive.exists()


def test_archives_damaged_anywhere_are_one_line(tmp_path):
    archive, whole = tmp_path / "a.zip", zipped(**{"a.txt": CONTENT})
    refused = 0
    for place in range(len(whole)):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        (tmp_path / "a.txt").unlink(missing_ok=True)
        try:
            unpack(archive, tmp_path)
        except (UserError, OSError) as error:  # a place in the archive before its start is the system's to refuse
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(whole) / 2


def test_every_collection_says_what_to_do():
    for name, collection in module.COLLECTIONS.items():
        assert collection.licence
        if collection.instead or name == "quickdraw":
            with pytest.raises(UserError, match=r"scenograph data pack|--classes"):
                remote_files(name)
        else:
            assert all(file.url.startswith("http") for file in remote_files(name)[1])
    _, (file,) = remote_files("quickdraw", ["hot air balloon"])
    assert file.url.endswith("/simplified/hot%20air%20balloon.ndjson")
    with pytest.raises(UserError, match="did you mean 'coco'"):
        remote_files("coc")


def test_from_download_to_pack_on_the_command_line(server, tmp_path):
    drawing = json.dumps({"word": "cat", "recognized": True, "drawing": [[[0, 9], [0, 9]]]})
    server.files["/quickdraw_dataset/full/simplified/cat.ndjson"] = (drawing + "\n").encode() * 5
    runner, folder = CliRunner(), tmp_path / "drawings"
    arguments = ["data", "download", "quickdraw", "--classes", "cat", "--mirror", server.url, "--out", str(folder)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0 and "licence of quickdraw: CC BY 4.0" in result.output
    result = runner.invoke(app, ["data", "pack", "quickdraw", "--root", str(folder), "--out", str(tmp_path / "pack")])
    assert result.exit_code == 0 and "train: 5 scenes" in result.output
    assert through_mirror([RemoteFile("https://a.b/c/d.zip", "d.zip")], "http://m/") == [
        RemoteFile("http://m/c/d.zip", "d.zip")
    ]


@pytest.fixture
def small_pack(tmp_path) -> Path:
    write_pack(tmp_path / "pack", Samples(VOCABULARY, {"train": many_scenes(3)}))
    return tmp_path / "pack"


def test_pull_from_a_hub(server, small_pack, tmp_path, monkeypatch):
    """The hub's own protocol, as far as a download needs it."""
    commit = "0" * 40
    files = {str(p.relative_to(small_pack)): p.read_bytes() for p in sorted(small_pack.rglob("*")) if p.is_file()}
    info = {"id": "me/scenes", "sha": commit, "siblings": [{"rfilename": name} for name in files]}
    tree = [{"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()} for n, c in files.items()]
    server.files["/api/datasets/me/scenes/revision/main"] = json.dumps(info).encode()
    for revision in ("main", commit):
        server.files[f"/api/datasets/me/scenes/tree/{revision}"] = json.dumps(tree).encode()
    for name, content in files.items():
        server.files[f"/datasets/me/scenes/resolve/{commit}/{name}"] = content
    server.headers["X-Repo-Commit"] = commit
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        server.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    pull_pack("me/scenes", tmp_path / "pulled")
    pulled = {
        str(p.relative_to(tmp_path / "pulled")): p.read_bytes() for p in (tmp_path / "pulled").rglob("*") if p.is_file()
    }
    assert pulled == files
    with pytest.raises(UserError, match="exists; delete it"):
        pull_pack("me/scenes", tmp_path / "pulled")
    with pytest.raises(UserError, match="cannot download me/other"):
        pull_pack("me/other", tmp_path / "other")


def test_push_sends_the_whole_pack_and_a_card(small_pack, monkeypatch):
    sent = {}
    monkeypatch.setattr(
        "huggingface_hub.HfApi.create_repo", lambda self, name, **options: sent.update(name=name, **options)
    )
    monkeypatch.setattr(
        "huggingface_hub.HfApi.upload_file", lambda self, **options: sent.update(card=options["path_or_fileobj"])
    )
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda self, **options: sent.update(options))
    assert push_pack(small_pack, "me/scenes", private=True).endswith("/datasets/me/scenes")
    assert sent["name"] == "me/scenes" and sent["private"] and sent["folder_path"] == small_pack
    assert sent["ignore_patterns"] == "graphs/*", "they follow from the rows"
    assert b"train: 3 scenes, 3 objects" in sent["card"]
    with pytest.raises(UserError, match="pack.json is missing"):
        push_pack(small_pack.parent, "me/scenes")

    def refuse(self, name, **options):
        raise OSError("401 Client Error")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(UserError, match=r"401 Client Error .log in with: hf auth login"):
        push_pack(small_pack, "me/scenes")
