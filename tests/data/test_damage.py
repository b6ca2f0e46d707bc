"""What is said of packs that were damaged on the way, or edited: the file, never a crash."""

from __future__ import annotations

import errno
import json
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from helpers import many_scenes
from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.data.pack import Pack, read_record, read_vocabulary, write_pack
from scenograph.data.source import Samples
from scenograph.errors import UserError
from scenograph.scenes.fields import MaskField


@pytest.fixture
def pack(painted, tmp_path) -> Path:
    return Path(shutil.copytree(painted, tmp_path / "pack"))


def arrow_file(pack: Path) -> Path:
    (path,) = (pack / "train").glob("*.arrow")
    return path


def read_all(pack: Path) -> None:
    loader = PackLoader(pack, "train", (32, 32), 16, "stored")
    loader.fixed_batch(0, len(loader))
    opened = Pack(pack, "train")
    for index in range(len(opened)):
        opened[index]


def test_a_flipped_byte_is_an_error(pack):
    """A crash would end pytest."""
    path = arrow_file(pack)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in [*rng.integers(0, len(whole), 60), *range(8, 600, 24)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(UserError, match=re.escape(str(pack))):
            read_all(pack)
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1000):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=rf"{path.name}: not a readable data set"):
            read_all(pack)


def test_damage_to_content_is_named_when_its_rows_are_read(tmp_path, monkeypatch):
    """One bit of a box: only the part of the pack that holds it is refused, and no part is read twice to see it."""
    monkeypatch.setattr("scenograph.data.pack.PART", 4)
    folder = tmp_path / "pack"
    write_pack(folder, Samples(VOCABULARY, {"train": many_scenes(10)}))
    path = sorted((folder / "train").glob("*.arrow"))[1]
    content = bytearray(path.read_bytes())
    content[content.find(np.array(Pack(folder, "train").rows([5])[0]["boxes"], np.float32).tobytes()) + 2] ^= 1
    path.write_bytes(bytes(content))
    pack = Pack(folder, "train")
    assert len(pack.rows([0, 3, 8, 9])) == 4
    with pytest.raises(
        UserError, match=rf"{path.name}, rows 4 to 7: its checksum differs from that in pack.json; .*again"
    ):
        pack.rows([6])
    monkeypatch.setattr("scenograph.data.pack.digest", lambda path: pytest.fail("read again"))
    assert len(pack.rows([1])) == 1
    (folder / "pack.json").unlink()
    with pytest.raises(UserError, match=r"pack is no pack, or a damaged one: pack.json is missing; [^(]*data pack$"):
        Pack(folder, "train").rows([0])


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_edited_descriptions_are_named(pack, name):
    path = pack / "train" / name
    whole = json.loads(path.read_text())
    edits = [*({key: value for key, value in whole.items() if key != gone} for gone in whole), [], None, "text"]
    edits += [dict.fromkeys(whole, other) for other in (None, 7, [], {}, [7], "text", {"a": "b"})]
    for edit in edits:
        path.write_text(json.dumps(edit))
        try:
            read_all(pack)
        except UserError as error:
            assert str(pack / "train") in str(error) and "fetch or make it again" in str(error), error
    for content in (b"\xff\xfe", b"{", b"[" * 100_000, b"1" * 5000, None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="train.*fetch or make it again"):
            read_all(pack)


@pytest.mark.parametrize(("name", "field"), [("pack.json", "splits"), ("vocabulary.json", "categories")])
def test_edited_records_say_what_to_do(pack, name, field):
    value = json.loads((pack / name).read_text())
    for edit in ({**value, field: 7}, {**value, field: {"train": {}}}, [], None):
        (pack / name).write_text(json.dumps(edit))
        with pytest.raises(UserError, match=f"{name}.*fetch or make it again"):
            read_record(pack), read_vocabulary(pack)


def test_a_split_that_lacks_says_how_to_make_it(tmp_path):
    for options, source, remedy in (
        ({"validation_count": 0}, "CLEVR", "pack again with validation_count=N"),
        ({}, "picture-book", "scenograph data render picture-book --split validation"),
        ({}, "COCO 2017", "add its files to the source, and pack again"),
    ):
        folder = tmp_path / source
        write_pack(folder, Samples(VOCABULARY, {"train": many_scenes(2)}))
        record = json.loads((folder / "pack.json").read_text())
        (folder / "pack.json").write_text(json.dumps(record | {"options": options, "source": source}))
        with pytest.raises(UserError, match=f"no split 'validation' .it has: train.; .*{remedy}"):
            Pack(folder, "validation")


def test_a_description_cannot_name_other_files_or_forms(pack, tmp_path):
    path = pack / "train" / "state.json"
    state = json.loads(path.read_text())
    for edit in (
        {"_data_files": [{"filename": f"../validation/{arrow_file(pack).name}"}]},
        {"_data_files": [{"filename": str(arrow_file(pack))}]},
        {"_format_type": "numpy"},
        {"_format_columns": ["id"]},
    ):
        path.write_text(json.dumps(state | edit))
        with pytest.raises(UserError, match=r"state.json: .*fetch or make it again"):
            Pack(pack, "train")
    path.write_text(json.dumps(state))
    info = pack / "train" / "dataset_info.json"
    described = json.loads(info.read_text())
    described["features"]["image"] = {"_type": "Image"}
    info.write_text(json.dumps(described))
    with pytest.raises(UserError, match="train"):
        Pack(pack, "train")


def test_masks_that_cannot_be_decoded_are_named(painted):
    pack = Pack(painted, "train")
    (row,) = pack.rows([3])
    whole = row["masks"][0]
    bomb = whole[:4] + zlib.compress(bytes(10**7))
    for content in (whole[:5], whole[:-3], whole[:4] + b"junk", b"\0\0\0\0" + whole[4:], b"\xff" * 4 + whole[4:], bomb):
        with pytest.raises(UserError, match=r"split 'train', row 3: .*data verify names all"), pack.reading(3):
            MaskField().from_cell(content, None)


def test_a_full_disk_leaves_no_pack_and_the_same_command_goes_on(tmp_path, monkeypatch):
    from datasets.arrow_writer import ArrowWriter

    source, write = Samples(VOCABULARY, {"train": many_scenes(3)}), ArrowWriter.write

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ArrowWriter, "write", full)
    with pytest.raises(UserError, match=r"cannot write .*pack: No space left on device"):
        write_pack(tmp_path / "pack", source)
    assert not (tmp_path / "pack").exists()
    monkeypatch.setattr(ArrowWriter, "write", write)
    write_pack(tmp_path / "pack", source)
    assert len(Pack(tmp_path / "pack", "train")) == 3
