"""What differs on Windows and macOS, as far as it can be tested elsewhere."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path, PureWindowsPath

import pytest
import torch

from helpers import succeed
from scenograph.data.loader import PackLoader, _use_one_thread
from scenograph.data.pack import read_record
from scenograph.files import flush_to_disk, portable_name, reserved, safe_names, write_atomically

DEVICES = ["con", "NUL", "Aux", "prn", "com1", "LPT9", "com²"]


@pytest.mark.parametrize("name", [*DEVICES, "con.x", "nul .json"])
def test_no_name_of_a_file_is_a_device(name):
    """Windows reads ``nul.png`` as its null device, and would lose the picture without a word."""
    for safe in (portable_name(name), *safe_names([name])):
        assert PureWindowsPath(name).is_reserved() and not PureWindowsPath(safe).is_reserved()


@pytest.mark.parametrize(
    ("name", "portable"),
    [("12:30", "12_30"), ("what?", "what_"), ("end. .", "end"), ("...", "_"), ("a b", "a b"), ("content", "content")],
)
def test_names_keep_what_every_system_can_hold(name, portable):
    assert portable_name(name) == portable


def test_names_that_differ_in_how_accents_are_stored_alone_are_told_apart():
    """macOS holds one file for both forms."""
    assert safe_names(["caf\u00e9", "cafe\u0301"]) == ["caf\u00e9", "caf\u00e9-2"]


def test_a_scene_file_named_like_a_time_makes_pictures_that_windows_can_hold(scenograph, tmp_path):
    (tmp_path / "12:30.json").write_text('{"objects": ["cube"]}')
    succeed(scenograph("scene", "draw", "12:30.json"))
    assert all(":" not in path.name for path in (tmp_path / "drawings").iterdir())
    assert any(path.name.startswith("12_30") for path in (tmp_path / "drawings").iterdir())


def test_files_are_flushed_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    """Windows refuses to open folders, and to flush what is open for reading alone."""
    opened, flushed = {}, []

    def open_there(path, flags, *rest, real=os.open):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        handle = real(path, flags, *rest)
        opened[handle] = flags
        return handle

    def flush_there(handle):
        if not opened[handle] & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EBADF, "Bad file descriptor")
        flushed.append(handle)

    monkeypatch.setattr(os, "open", open_there)
    monkeypatch.setattr(os, "fsync", flush_there)
    write_atomically(tmp_path / "file", b"held", durable=True)
    flush_to_disk(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"held" and len(flushed) == 1


def test_a_folder_is_released_where_locked_files_cannot_be_deleted(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    with monkeypatch.context() as there:
        there.setattr(Path, "unlink", refuse)
        with reserved(tmp_path):
            pass
    with reserved(tmp_path):  # nobody holds it
        pass
    assert not (tmp_path / ".lock").exists()


def test_what_makes_batches_ahead_can_be_sent_to_a_process_that_starts_anew(painted):
    """Windows and macOS copy no memory to a new process: what it works on is pickled."""
    loader = PackLoader(painted, "train", (32, 32), 16, flip=True)
    sent, _ = pickle.loads(pickle.dumps((loader._sharing_cache(2), _use_one_thread)))
    ours, theirs = loader.batch(0, 3, 4), sent.batch(0, 3, 4)
    assert torch.equal(ours.images, theirs.images) and torch.equal(ours.boxes, theirs.boxes)


def test_files_of_a_pack_are_named_alike_on_every_system(painted):
    splits = read_record(painted)["splits"]
    names = [name for split, known in splits.items() for name in known["files"] if name.startswith(f"{split}/")]
    assert len(names) == sum(len(known["files"]) for known in splits.values()) > 0
    assert not any("\\" in name or ":" in name for name in names)
