"""The packed form of every data set: Hugging Face ``datasets`` folders, memory-mapped Arrow.

A pack is a folder with one data set per split (what ``datasets.load_from_disk`` opens), a ``vocabulary.json`` and
a ``pack.json`` that says what it was made from, what was left out and why, and the checksum of every file.
Sources are converted once; training reads packs only.

Packing runs in parts of ``PART`` items. Each part is a file of its own, so that processes share the work, an
interrupted run goes on where it stopped, and the result does not depend on either.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

from scenograph.data.arrow import MAKE_AGAIN, blaming_damage, check_columns, check_files, features
from scenograph.data.pictures import encode_picture
from scenograph.data.processes import WHOLE, Part, Workers, run_in_processes
from scenograph.data.records import Reasons, Skip
from scenograph.data.remote import at_hand, fetch_split
from scenograph.data.source import Plan, Progress, Sample, Source
from scenograph.errors import MALFORMED, UserError, counted, expecting, reason, validate
from scenograph.files import digest, flush_to_disk, in_turn, make_folder, read_json, reserved, write_atomically
from scenograph.scenes.fields import FIELDS, Box, Field, Sizes, parse_box
from scenograph.scenes.html import html_picture, html_table
from scenograph.scenes.scene import MAX_OBJECTS, Relation, Scene, SceneObject, keep_objects
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.version import __version__

RELATION_COLUMNS = ("relation_ends", "relation_predicates")
FORM = "annotations of an unexpected form"
ROUNDING = 1e-6
"""Pixels; what is lost when boxes become fractions."""
DAMAGED = (OSError, SyntaxError, ValueError, LookupError, TypeError, zlib.error)
"""What reading a row raises whose cells are damaged: pictures, masks and numbers each in their way."""
LEFT_OUT = "left-out.jsonl"
"""File of a pack that names every sample that was left out while reading, and why."""
PART = 500
"""Scenes per part, and per Arrow file: small enough to spread one data set over many nodes."""


def write_pack(
    folder: Path,
    source: Source,
    size: int | None = None,
    workers: Workers = 1,
    progress: Progress = lambda what, done: None,
    work: Path | None = None,
    part: Part = WHOLE,
) -> dict[str, Any] | None:
    """Convert a source to a pack, which appears complete or not at all.

    Args:
        folder: The pack's, which must not exist yet.
        source: What is packed.
        size: Longest side of masks and shorter side of pictures as they are stored, in pixels; neither is ever
            enlarged. By default all keep their size.
        workers: Processes of this machine, or the address of a Dask scheduler whose workers convert.
        progress: Is called with what is done, and how much of it.
        work: Keeps finished pieces for a later call, or for those that make other parts, and is removed at the end;
            :func:`work_folder` by default.
        part: What this call does of the work: all by default.

    Returns:
        What ``pack.json`` records; None if only a part was made.

    Raises:
        UserError: The folder exists, inputs are missing, nothing was kept, pieces to merge are missing, or another
            process is making the same.
    """
    if folder.exists():
        raise UserError(f"{folder} exists; delete it or choose another name")
    if not folder.parent.is_dir():
        raise UserError(f"cannot write {folder}: there is no folder {folder.parent}")
    work = work or work_folder(folder, source, size)
    with reserved(work, part.lock):
        try:
            # Who makes the first part reads the annotations into tables, which the others share.
            with in_turn(work, ".plan.lock"), expecting(f"{source.title}, reading annotations: {FORM}"):
                plan = source.plan(progress)
            pieces = _pieces(source, plan, size)

            def hear(done: Tally) -> None:
                progress("packing", done.kept["scenes"] + done.dropped.total())

            made = make_pieces(folder, work, _write_part, pieces, workers, part, hear)
            if made is None:
                return None
            tallies = {
                split: Tally.sum(tally for name, tally in made.items() if name.rpartition("-")[0] == split)
                for split in plan.splits
            }
            record = _assemble(work, source, plan, tallies, size)
            for path in [*(work / "pack").rglob("*"), work / "pack"]:
                flush_to_disk(path)
            (work / "pack").rename(folder)
            flush_to_disk(folder.parent)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {reason(error)}") from error
        except UserError:
            if part.finishes and not any(work.glob("*.arrow")):
                shutil.rmtree(work, ignore_errors=True)  # nothing worth going on with
            raise
        shutil.rmtree(work, ignore_errors=True)
    return record


@dataclass
class Tally:
    """What was kept (scenes, objects, relations), what was left out and why, and what was noted about the kept."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Reasons = field(default_factory=Reasons)
    remarks: Reasons = field(default_factory=Reasons)
    listed: list[tuple[str, str]] = field(default_factory=list)
    """All that was left out: the reason, and which it is."""

    def leave_out(self, reason: str, example: str) -> None:
        """Note a sample that is left out."""
        self.dropped.note(reason, example)
        self.listed.append((reason, example))

    def add(self, other: Tally) -> None:
        """Sum up."""
        self.kept.update(other.kept)
        self.dropped.include(other.dropped)
        self.remarks.include(other.remarks)
        self.listed += other.listed

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Of all."""
        total = cls()
        for one in tallies:
            total.add(one)
        return total

    def to_json(self) -> str:
        """As a part's file holds it."""
        return json.dumps({**vars(self), "examples": [self.dropped.examples, self.remarks.examples]})

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """What :meth:`to_json` wrote."""
        value = json.loads(text)
        dropped, remarks = map(Reasons, (value["dropped"], value["remarks"]), value["examples"])
        return cls(Counter(value["kept"]), dropped, remarks, [(why, which) for why, which in value["listed"]])


def make_pieces(
    target: Path,
    work: Path,
    make: Callable[..., Tally],
    pieces: Mapping[str, tuple[Any, ...]],
    workers: Workers,
    part: Part,
    hear: Callable[[Tally], None],
) -> dict[str, Tally] | None:
    """Make what is missing of the pieces of ``target``, which are files in a folder, each with its tally beside it.

    Args:
        target: What they are pieces of.
        work: The folder. Its name begins with that of ``target`` and tells the request, so that only its like share it.
        make: Is called with the path of a piece without suffix, and its arguments. It writes the piece and then, last,
            its tally (``.json``), which it returns.
        pieces: The arguments of each, by name.
        workers: See :func:`~scenograph.data.processes.run_in_processes`.
        part: Which of them to make.
        hear: Is called with the sum of what is done, each time.

    Returns:
        The tallies of all pieces in their order, or None if others remain to be made by other parts.

    Raises:
        UserError: Pieces to merge are missing, or workers write to folders of their own.
    """

    def is_done(name: str) -> bool:
        return (work / f"{name}.json").is_file()

    def tally(name: str) -> Tally:
        return Tally.from_json((work / f"{name}.json").read_text(encoding="utf-8"))

    if part.merges and not any(map(is_done, pieces)):
        shutil.rmtree(work, ignore_errors=True)
        others = [
            path.name for path in sorted(work.parent.glob(f".{target.name}.*.partial")) if any(path.glob("*.json"))
        ]
        found = f"; {', '.join(others)} holds pieces made of other inputs or with other options" if others else ""
        raise UserError(f"{target}: no piece of this request is made, to be merged{found}")
    left = part.left([*pieces], is_done, str(target))
    done = Tally()
    for name in pieces.keys() - {*left} if part.finishes else ():
        done.add(tally(name))
    for made in run_in_processes(make, [(work / name, *pieces[name]) for name in left], workers):
        done.add(made)
        hear(done)
    if lost := [name for name in left if not is_done(name)]:
        raise UserError(
            f"{work} has no {lost[0]}.json, which a worker wrote; workers need the file system of this machine"
        )
    return {name: tally(name) for name in pieces} if part.finishes else None


def work_folder(folder: Path, source: Source, size: int | None) -> Path:
    """The hidden folder beside ``folder`` where parts are kept until the pack is whole.

    Its name tells the source, its options and the state of its inputs, so that a run continues only its like.
    """
    for path in source.inputs():
        if not path.is_file():
            raise UserError(f"{source.title}: there is no {path}; is --root right?")
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in source.inputs()]
    columns = [field.column for field in FIELDS]  # parts of an earlier version may have fewer
    identity = [type(source).__name__, str(source.root.resolve()), source.options.model_dump_json(), states, size, PART]
    identity += [columns]
    state = hashlib.sha256(json.dumps([*identity, __version__]).encode()).hexdigest()[:12]
    return make_folder(folder.parent / f".{folder.name}.{state}.partial")


class Pack:
    """Random access to one split of a pack.

    Args:
        folder: The pack's, or its address, such as ``s3://bucket/packs/coco``, from which the split is fetched once.
        split: One of the pack's, such as ``train``.

    Raises:
        UserError: There is no pack, no such split in it, or its files are damaged.
    """

    def __init__(self, folder: str | Path, split: str) -> None:
        import datasets

        place, folder = folder, at_hand(folder)
        self.folder, self.split = folder, split
        self.vocabulary = read_vocabulary(folder)
        splits = pack_splits(folder)
        if split not in splits:
            raise UserError(_without_split(folder, split, splits))
        fetch_split(place, split)
        self._files = check_files(folder / split)
        self._ends = np.cumsum(list(self._files.values()))
        self._sound: set[int] = set()
        """Which files have been found to be as they were written."""
        try:
            self.table = datasets.load_from_disk(str(folder / split))
        except Exception as error:  # of edited state.json and dataset_info.json the library raises almost anything
            raise UserError(f"{folder / split}: not a readable data set: {reason(error)}; {MAKE_AGAIN}") from error
        check_columns(self.table.features.arrow_schema, folder / split / "dataset_info.json")
        self._narrowed: dict[tuple[str, ...], Any] = {(): self.table}

    def __repr__(self) -> str:
        return f"<Pack {self.folder}, split {self.split}: {counted(len(self), 'scene')}>"

    def _repr_html_(self) -> str:
        """What the pack holds and the first scenes of its split, as notebooks show them."""
        from scenograph.data.sheet import pack_sheet  # which imports packs

        record = read_record(self.folder)
        numbers = {
            f"split {name}": ", ".join(counted(split[what], what[:-1]) for what in ("scenes", "objects", "relations"))
            for name, split in record["splits"].items()
        }
        names = self.vocabulary
        rows = {"pack": str(self.folder), "source": record["source"], **numbers, "shown": f"split {self.split}"}
        rows |= {"categories": ", ".join(names.categories), "predicates": ", ".join(names.predicates)}
        return html_table(rows) + html_picture(pack_sheet(self, count=4), f"the first scenes of {self.folder}")

    @property
    def fingerprint(self) -> str:
        """The same for the same rows."""
        return str(self.table._fingerprint)

    @cached_property
    def ids(self) -> list[str]:
        """The id of each scene, which is its picture's."""
        found: list[str] = self.table.data.column("id").to_pylist()
        return found

    @property
    def pictured(self) -> int:
        """How many scenes have a picture."""
        import pyarrow.compute as pc

        lengths = pc.binary_length(self.table.data.column("image"))
        return int(pc.sum(pc.greater(lengths, 0)).as_py() or 0)

    def check_pictures(self, purpose: str) -> None:
        """Raise ``UserError``, which goes on with ``purpose``, if a scene has no picture."""
        if blind := len(self) - self.pictured:
            raise UserError(
                f"{self.folder}: {blind} of {len(self)} scenes of split {self.split!r} have no picture {purpose}"
            )

    def has_cells(self, column: str) -> bool:
        """Whether any object has a cell in a column of bytes, such as ``crops``, pixels of its own, or ``sketches``."""
        import pyarrow.compute as pc

        cells = self.table.data.column(column) if column in self.table.column_names else None
        return cells is not None and bool(pc.any(pc.greater(pc.binary_length(pc.list_flatten(cells)), 0)).as_py())

    def check_objects(self, column: str, wanted: str) -> None:
        """Make sure that some object has a cell in a column.

        Args:
            column: Of bytes, such as ``sketches``.
            wanted: What the error says that no object of the split does, such as ``has a sketch``.

        Raises:
            UserError: No object has one.
        """
        if not self.has_cells(column):
            raise UserError(f"{self.folder}: no object of split {self.split!r} {wanted}")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Scene, Image.Image | None]:
        (row,) = self.rows([index])
        with self.reading(index):
            picture = open_picture(row)
            if picture is not None:
                picture.load()
            return row_to_scene(row), picture

    @contextmanager
    def reading(self, index: int) -> Iterator[None]:
        """Name the row in the ``UserError`` for whatever its damaged cells raise inside."""
        try:
            yield
        except DAMAGED as error:
            where = f"{self.folder}, split {self.split!r}, row {index}"
            raise UserError(f"{where}: {reason(error)}; scenograph data verify names all that is damaged") from error

    def rows(self, indices: Sequence[int], without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Several rows in one read.

        Args:
            indices: From 0, in any order.
            without: Columns that are not read.

        Returns:
            A dictionary of columns for each row, in the order of the indices.

        Raises:
            UserError: The file that holds a row was damaged.
        """
        if not len(indices):
            return []
        self._check_content(indices)
        if without not in self._narrowed:  # once: it takes longer than to read a row
            self._narrowed[without] = self.table.remove_columns(list(without))
        columns = self._narrowed[without][list(indices)]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _check_content(self, indices: Sequence[int]) -> None:
        """Compare the files of rows with their checksums, each once: nothing else tells damaged pictures and numbers.

        Raises ``UserError`` naming the file that differs, and its rows.
        """
        for number in set(np.searchsorted(self._ends, indices, side="right").tolist()) - self._sound:
            name = list(self._files)[number]
            last = int(self._ends[number]) - 1
            known = self._checksums.get(f"{self.split}/{name}")
            if known is None or known != digest(self.folder / self.split / name):
                wrong = "checksum differs from that in pack.json" if known else "checksum is not in pack.json"
                rows = f"rows {last + 1 - self._files[name]} to {last}"
                raise UserError(f"{self.folder / self.split / name}, {rows}: its {wrong}; {MAKE_AGAIN}")
            self._sound.add(number)

    @cached_property
    def _checksums(self) -> dict[str, str]:
        split = read_record(self.folder)["splits"].get(self.split)
        return dict(split["files"]) if split else {}


def stream_pack(folder: Path, split: str, rank: int, world_size: int) -> Any:
    """The rows of a split that are one node's, of ``world_size`` nodes: an iterable ``datasets`` data set.

    Every Arrow file is read by one node alone, so nodes need not share a disk cache.
    """
    import datasets
    from datasets.distributed import split_dataset_by_node

    pack = Pack(folder, split)
    assert isinstance(pack.table, datasets.Dataset)
    return split_dataset_by_node(pack.table.to_iterable_dataset(num_shards=len(pack._files)), rank, world_size)


def read_vocabulary(folder: Path) -> Vocabulary:
    """The names that the scenes of a pack use.

    Args:
        folder: The pack's, or its address.

    Returns:
        Its vocabulary.

    Raises:
        UserError: There is no pack, or it is damaged.
    """
    path = at_hand(folder) / "vocabulary.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a pack; make one with: scenograph data pack")
    with blaming_damage():
        return Vocabulary.load(path)


class _Split(BaseModel):
    scenes: int
    objects: int
    relations: int
    files: dict[str, str]


class _Record(BaseModel):
    source: str
    options: dict[str, Any]
    picture_size: int | None
    splits: dict[str, _Split]
    dropped: dict[str, int]
    examples: dict[str, list[str]] = {}
    remarks: dict[str, int]
    published_ids: dict[str, int] = {}


def read_record(folder: Path) -> dict[str, Any]:
    """What ``pack.json`` says; ``UserError`` if it is missing or damaged."""
    path = at_hand(folder) / "pack.json"
    if not path.is_file():
        raise UserError(
            f"{folder} is no pack, or a damaged one: pack.json is missing; make it with: scenograph data pack"
        )
    with blaming_damage():
        return validate(_Record, read_json(path), str(path)).model_dump()


def pack_splits(folder: Path) -> list[str]:
    """Names of a pack's splits."""
    return sorted(child.parent.name for child in at_hand(folder).glob("*/dataset_info.json"))


def _without_split(folder: Path, split: str, splits: Sequence[str]) -> str:
    """Why a pack has no such split, and how to make it."""
    record = read_record(folder)
    if split in record["splits"]:
        return f"{folder / split / 'dataset_info.json'}: the file is missing; {MAKE_AGAIN}"
    lacking = f"{folder}: no split {split!r} (it has: {', '.join(splits)})"
    if record["source"] == "picture-book":
        return f"{lacking}; make it with scenograph data render picture-book --split {split}, and pack again"
    if "validation_count" in record["options"] and split == "validation":
        return f"{lacking}; to set N scenes of train aside for it, pack again with validation_count=N"
    return f"{lacking}; to have it, add its files to the source, and pack again"


def open_picture(row: Mapping[str, Any]) -> Image.Image | None:
    """The picture of a row, not yet decoded."""
    return Image.open(io.BytesIO(row["image"])) if row["image"] else None


def row_to_scene(row: Mapping[str, Any], sizes: Sizes | None = None) -> Scene:
    """A pack's columns as a Scene.

    Args:
        row: Without the columns of relations there are none; packs made before a field was known lack its column.
        sizes: Of masks; as stored without them.

    Raises:
        UserError: A sketch or a crop is damaged.
    """
    columns = {
        field.name: [field.from_cell(cell, sizes) if cell else field.missing for cell in row[field.column]]
        for field in FIELDS
        if field.column in row
    }
    objects = [SceneObject(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    relations = [
        Relation(subject, predicate, target)
        for (subject, target), predicate in zip(*(row.get(name, ()) for name in RELATION_COLUMNS), strict=True)
    ]
    return Scene(tuple(objects), tuple(relations))


def verify_pack(folder: Path, progress: Progress = lambda what, done: None) -> list[str]:
    """Compare files with their checksums, then read every row.

    Args:
        folder: The pack's, or its address.
        progress: Is called with what is done, and how much of it.

    Returns:
        A line for everything that is wrong; none if the pack is sound.

    Raises:
        UserError: There is no pack.
    """
    problems = []
    record = read_record(folder)
    for split in record["splits"]:
        fetch_split(folder, split)
    folder = at_hand(folder)
    checksums = {name: known for split in record["splits"].values() for name, known in split["files"].items()}
    for number, (name, known) in enumerate(sorted(checksums.items()), start=1):
        if not (folder / name).is_file():
            problems.append(f"{name}: the file is missing")
        elif digest(folder / name) != known:
            problems.append(f"{name}: the checksum differs; the file was damaged or changed")
        progress("checking files", number)
    if problems:
        return problems  # rows of damaged files would only repeat it
    done = 0
    for split in record["splits"]:
        pack = Pack(folder, split)
        for index in range(len(pack)):
            row = pack.table[index]
            try:
                picture = open_picture(row)
                if picture is not None:
                    picture.load()
                scene = Scene.from_dict(row_to_scene(row).to_dict(), "scene")
                pack.vocabulary.check([scene])
            except DAMAGED as error:
                problems.append(f"{split}, row {index} ({row['id']}): {reason(error)}")
            done += 1
            progress("checking rows", done)
    return problems


def _pieces(source: Source, plan: Plan, size: int | None) -> dict[str, tuple[Any, ...]]:
    """The pieces of a pack, split by split: the name of each, and what :func:`_write_part` needs for it."""
    return {
        f"{split}-{start // PART:05d}": (source, plan.vocabulary, size, items[start : start + PART])
        for split, items in plan.splits.items()
        for start in range(0, len(items), PART)
    }


def _write_part(path: Path, source: Source, vocabulary: Vocabulary, size: int | None, items: Sequence[Any]) -> Tally:
    """One Arrow file and, last, its tally."""
    from datasets.arrow_writer import ArrowWriter

    tally, rows = Tally(), []
    for item in items:
        where = str(item)[:60]
        try:
            sample = _without_empty_boxes(_examined(source.read(item)))
            rows.append(_checked_row(sample, vocabulary, size))
        except Skip as skip:
            tally.leave_out(str(skip), skip.example or where)
            continue
        except UserError:
            raise
        except MALFORMED as error:
            told = f"{source.title}, item {where}: {FORM} ({type(error).__name__}: {reason(error)})"
            tally.leave_out(FORM, told)
            continue
        relations = len(sample.scene.relations)
        tally.kept.update(scenes=1, objects=len(sample.scene.objects), relations=relations)
        for remark in sample.remarks:
            tally.remarks.note(remark, f"scene {sample.identifier}")
    if rows:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")  # two may make one piece in a cluster
        with (
            expecting(f"{source.title}, one of {len(rows)} scenes up to {rows[-1]['id']}: {FORM}"),
            ArrowWriter(path=str(temporary), features=features()) as writer,
        ):
            for row in rows:
                writer.write(row)
            writer.finalize()
        flush_to_disk(temporary)
        temporary.replace(path.with_name(f"{path.name}.arrow"))  # a killed run may have left one
    write_atomically(path.with_name(f"{path.name}.json"), tally.to_json().encode(), durable=True)
    return tally


def _assemble(work: Path, source: Source, plan: Plan, tallies: Mapping[str, Tally], size: int | None) -> dict[str, Any]:
    """Parts to data sets, and the two JSON files."""
    shutil.rmtree(work / "pack", ignore_errors=True)
    whole = Tally()
    whole.dropped.include(plan.dropped)
    whole.remarks.include(plan.remarks)
    folded: dict[str, str] = {}
    for name in plan.vocabulary.categories:
        if (other := folded.setdefault(name.strip().casefold(), name)) != name:
            whole.remarks.note("categories differ in case or spaces alone", f"{other!r} and {name!r}")
    splits: dict[str, Any] = {}
    for split, tally in tallies.items():
        whole.add(tally)
        files = sorted(work.glob(f"{split}-*.arrow"))
        if not files:
            continue
        checksums = _save_split(work / "pack" / split, files)
        splits[split] = {**tally.kept, "files": {f"{split}/{name}": known for name, known in checksums.items()}}
    if not splits:
        reasons = "; ".join(whole.dropped.described(why) for why, _ in whole.dropped.most_common(3))
        raise UserError(f"{source.title}: nothing was kept ({reasons or 'the source is empty'})")
    record = {
        "format": 1,
        "source": source.title,
        "options": source.options.model_dump(mode="json"),
        "picture_size": size,
        "splits": splits,
        "dropped": dict(sorted(whole.dropped.items())),
        "examples": dict(sorted((whole.dropped.examples | whole.remarks.examples).items())),
        "remarks": dict(sorted(whole.remarks.items())),
        "published_ids": dict(plan.published_ids),
    }
    if whole.listed:
        lines = [json.dumps({"reason": why, "which": which}) + "\n" for why, which in whole.listed]
        write_atomically(work / "pack" / LEFT_OUT, "".join(lines).encode())
    write_atomically(work / "pack" / "vocabulary.json", plan.vocabulary.to_json().encode())
    write_atomically(work / "pack" / "pack.json", json.dumps(record, indent=1).encode())
    return record


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without the library's progress bar, which would tell notebooks of a data set that is empty yet."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            enable_progress_bars()


def _save_split(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """Parts as the files of one data set, linked rather than copied; returns their names and checksums."""
    from datasets import Dataset

    checksums = [digest(path) for path in files]
    names = [f"data-{number:05d}-of-{len(files):05d}.arrow" for number in range(len(files))]
    columns = features()
    frame = Dataset.from_dict({name: [] for name in columns}, features=columns)
    # Everything in a pack is a function of its rows; the library would put a random number here.
    frame._fingerprint = hashlib.sha256("".join(checksums).encode()).hexdigest()[:16]
    with _without_bars():
        frame.save_to_disk(str(folder))
    for empty in folder.glob("*.arrow"):
        empty.unlink()
    for path, name in zip(files, names, strict=True):
        try:
            (folder / name).hardlink_to(path)
        except OSError:  # not every file system can
            shutil.copy(path, folder / name)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    state["_data_files"] = [{"filename": name} for name in names]
    write_atomically(folder / "state.json", json.dumps(state, indent=1).encode())
    return dict(zip(names, checksums, strict=True))


def _examined(sample: Sample) -> Sample:
    """With a remark for every object whose mask or box has no pixel of the picture for itself."""
    remarks = []
    for thing in sample.scene.objects:
        if thing.mask is not None and not thing.mask.any():
            remarks.append("object's mask has no pixel")
        if sample.size is not None and thing.box is not None and _has_extent(thing.box):
            x0, y0, x1, y1 = thing.box
            if (x1 - x0) * sample.size[0] < 1 - ROUNDING or (y1 - y0) * sample.size[1] < 1 - ROUNDING:
                remarks.append("object's box is narrower than a pixel")
    return replace(sample, remarks=(*sample.remarks, *remarks)) if remarks else sample


def _without_empty_boxes(sample: Sample) -> Sample:
    """Without objects whose boxes are empty or outside the picture, as some annotations have them."""
    objects = sample.scene.objects
    kept = [number for number, thing in enumerate(objects) if thing.box is None or _has_extent(thing.box)]
    remarks = ["object without extent in the picture is left out"] * (len(objects) - len(kept))
    if not remarks:
        return sample
    return replace(sample, scene=keep_objects(sample.scene, kept), remarks=(*sample.remarks, *remarks))


def _has_extent(box: Box) -> bool:
    """On the canvas, once it is stored."""
    try:
        parse_box(np.array(box, dtype=np.float32).tolist(), "box")
    except UserError:
        return False
    return True


def _checked_row(sample: Sample, vocabulary: Vocabulary, size: int | None) -> dict[str, Any]:
    """A pack's columns. Raises ``Skip`` for scenes that are none, or have names that the source does not list."""
    scene = sample.scene
    if not scene.objects:
        raise Skip("scene has no object", f"{sample.identifier}{''.join(f': {why}' for why in sample.remarks[-1:])}")
    if len(scene.objects) > MAX_OBJECTS:
        raise Skip(f"scene has more than {MAX_OBJECTS} objects", sample.identifier)
    try:
        vocabulary.check([scene])
    except UserError as error:
        raise Skip("scene has a name that the vocabulary lacks", f"{sample.identifier}: {error}") from error
    for relation in scene.relations:
        ends = relation.subject, relation.object
        if not all(isinstance(end, int | np.integer) and not isinstance(end, bool) for end in ends):
            raise TypeError(f"relation of {ends[0]!r} and {ends[1]!r}, which are no numbers of objects")
        if not 0 <= min(ends) <= max(ends) < len(scene.objects):
            raise IndexError(f"relation of objects {ends[0]} and {ends[1]} of {len(scene.objects)}")
    return {
        "id": sample.identifier,
        "image": encode_picture(sample.picture, size, sample.size) if sample.picture else b"",
        **{field.column: [_cell(field, thing, size) for thing in scene.objects] for field in FIELDS},
        "relation_ends": [[relation.subject, relation.object] for relation in scene.relations],
        "relation_predicates": [relation.predicate for relation in scene.relations],
    }


def _cell(field: Field[Any], thing: SceneObject, size: int | None) -> Any:
    """What a pack holds of one field of an object, empty where the object lacks it."""
    value = getattr(thing, field.name)
    empty: Any = {"binary": b"", "string": ""}.get(field.cell, [])
    return field.to_cell(value, size) if field.is_given(value) else empty
