"""Names in annotations become files under the root, and none outside it."""

import os
import pickle

import pytest

from scenograph.data.picture_files import PictureFiles, split_of
from scenograph.data.records import Skip


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "data/a.jpg"),
        ("images/a.jpg", "data/a.jpg"),
        ("train\\b.jpg", "images/train/b.jpg"),
        ("C:\\Users\\me\\pics\\a.jpg", "data/a.jpg"),
        ("/home/me/export/train/b.jpg", "images/train/b.jpg"),
        ("../data/a.jpg", "data/a.jpg"),
        ("../../elsewhere/a.jpg", "data/a.jpg"),
        ("file:///home/me/a.jpg", "data/a.jpg"),
        ("https://example.org/pics/a.jpg", "data/a.jpg"),
        ("/data/local-files/?d=pics%5Ca.jpg", "data/a.jpg"),
        ("my%20cat.png", "my cat.png"),
        ("100%.png", "100%.png"),
        ("A.JPG", "data/a.jpg"),
        ("caf\u00e9.png", "cafe\u0301.png"),
    ],
)
def test_a_name_of_any_tool_and_machine_is_found(tmp_path, name, file):
    fill(tmp_path, "data/a.jpg", "images/train/b.jpg", "images/val/b.jpg", "my cat.png", "100%.png", "cafe\u0301.png")
    fill(tmp_path, "data/._a.jpg", ".cache/a.jpg", "annotations/x.json")
    assert PictureFiles(tmp_path).find(name, tmp_path / "annotations").resolve() == (tmp_path / file).resolve()


def test_two_files_of_one_name_are_told_apart_or_named(tmp_path):
    fill(tmp_path, "images/train/b.jpg", "images/val/b.jpg", "c.jpg", "more/C.jpg")
    files = PictureFiles(tmp_path)
    with pytest.raises(Skip, match="several files") as caught:
        files.find("b.jpg")
    assert "images/train/b.jpg" in caught.value.example and "images/val/b.jpg" in caught.value.example
    assert files.find("b.jpg", split="validation") == tmp_path / "images/val/b.jpg"
    assert files.find("C.jpg") == tmp_path / "more/C.jpg"
    with pytest.raises(Skip, match="missing"):
        files.find("b.jpg", split="test")


@pytest.mark.parametrize("name", [None, 7, "", "none.jpg", "a\0b", "x" * 400, "..", "/", "\ud800.jpg", "?d="])
def test_a_name_of_no_file_is_a_reason(tmp_path, name):
    fill(tmp_path, "a.jpg")
    with pytest.raises(Skip) as caught:
        PictureFiles(tmp_path).find(name)
    assert caught.value.example


def test_nothing_outside_the_root_is_read_unless_asked(tmp_path):
    root = tmp_path / "root"
    fill(tmp_path, "secret.png", "away/far.png", "root/own.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path / "away")
    (root / "alias.png").symlink_to(root / "own.png")
    (tmp_path / "also").symlink_to(root)
    names = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "folder/far.png", "x/link.png", "../rootless"]
    fill(tmp_path, "rootless")  # its path begins like the root's
    for name in names:
        with pytest.raises(Skip, match="outside the root; outside=true"):
            PictureFiles(root).find(name)
        assert PictureFiles(root, outside=True).find(name).is_file()
    assert PictureFiles(root).find("alias.png").name == "alias.png"
    assert PictureFiles(tmp_path / "also").find("own.png").is_file(), "the root itself may be a link"


def test_a_missing_picture_is_named_with_the_places_searched(tmp_path):
    with pytest.raises(Skip) as caught:
        PictureFiles(tmp_path).find("a.jpg", tmp_path / "images", tmp_path / "data")
    assert caught.value.example == "a.jpg (looked for in images, data, and all of --root)"


def test_copies_share_an_index_and_a_new_one_looks_again(tmp_path):
    fill(tmp_path, "x/a.jpg")
    files = PictureFiles(tmp_path)
    assert files.find("a.jpg")
    fill(tmp_path, "x/b.jpg")
    with pytest.raises(Skip):
        pickle.loads(pickle.dumps(files)).find("b.jpg")
    assert PictureFiles(tmp_path).find("b.jpg")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"), ("val2017", "validation"), ("valid", "validation"), ("test-dev2015", "test"),
        ("VAL", "validation"), ("images/validation", "validation"), ("trainval", None), ("latest", None),
        ("instances_festival", None), ("contest_photos", None), ("train_val", None), ("interval2", None),
    ],
)  # fmt: skip
def test_only_whole_words_tell_a_split(name, split):
    assert split_of(name) == split


def test_names_that_are_web_addresses_with_a_query(tmp_path):
    for name in ("a.png", "b?c.png"):
        (tmp_path / name).touch()
    files = PictureFiles(tmp_path)
    assert files.find("https://host/bucket/a.png?signature=x%2Fy").name == "a.png"
    assert files.find("b?c.png").name == "b?c.png"


@pytest.mark.parametrize(
    ("name", "out"),
    [("../../x/a.png", True), ("..\\..\\x\\a.png", True), ("x/../../a.png", True), ("x/../a.png", False), ("D:\\x\\a.png", False)],
)  # fmt: skip
def test_a_file_taken_for_one_outside_is_remarked(tmp_path, name, out):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.png").touch()
    remarks = []
    assert PictureFiles(tmp_path).find(name, remarks=remarks) == tmp_path / "inside" / "a.png"
    assert len(remarks) == out


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "a.png")  # reading it would wait for ever
    with pytest.raises(Skip, match="picture is missing or unreadable"):
        PictureFiles(tmp_path).find("x/a.png")
