"""A memory made from a pack, in parts that processes share and that an interrupted run goes on from."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scenograph.data.loader import random_sg2im_relations
from scenograph.data.pack import DAMAGED, PART, Pack, Tally, make_pieces, open_picture, read_record, row_to_scene
from scenograph.data.processes import WHOLE, Part, Workers
from scenograph.data.records import Skip
from scenograph.data.source import Progress
from scenograph.errors import UserError, reason
from scenograph.files import make_folder, reserved, write_atomically
from scenograph.retrieval.encoder import APPEARANCE, GRAPH, CropEncoder
from scenograph.retrieval.memory import INDEXED, RECORD, TABLE, MemoryRecord
from scenograph.retrieval.rows import Candidate, check_area, context_of, cut_from, schema, table_of
from scenograph.retrieval.store import check_target, connect, replacing
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene
from scenograph.version import __version__

BATCH = 4096
"""Rows per batch of the table."""
ROUNDS, SAMPLES = 10, 64
"""How often the centres of the index are moved, and vectors per centre that they are found from."""
SCENES = 64
"""Scenes whose graphs are encoded at once."""


def build_memory(
    folder: Path,
    pack: Path,
    split: str = "train",
    encoders: Sequence[str] | None = None,
    licence: str = "",
    author: str = "",
    workers: Workers = 1,
    overwrite: bool = False,
    progress: Progress = lambda what, done: None,
    scenes: int | None = None,
    part: Part = WHOLE,
) -> MemoryRecord | None:
    """Put every object of a pack into a memory: its own pixels where the pack has such, else what its box shows.

    Args:
        folder: Appears complete or not at all.
        pack: A folder that ``scenograph data pack`` made, or the address of one.
        split: Of the pack.
        encoders: Names of models, see :class:`~scenograph.retrieval.encoder.CropEncoder`; by default those that ship.
        licence: Of the crops that do not say their own.
        author: The same.
        workers: Processes, or the address of a cluster.
        overwrite: Replace a memory that is there. Who reads it meanwhile is told to begin again.
        progress: Called with what is done and how many scenes so far.
        scenes: Only the first so many.
        part: What of the work to do.

    Returns:
        What ``memory.json`` says; None if only a part was made.

    Raises:
        UserError: ``folder`` exists, the pack is damaged, no object has pixels, pieces to merge are missing, or the
            disk is full.
    """
    check_target(folder, RECORD, overwrite)
    opened = Pack(pack, split)
    names = tuple(encoders) if encoders else ()
    encoder = _encoder(names)
    own, count = opened.has_cells("crops"), min(len(opened), scenes or len(opened))
    if not own:
        opened.check_pictures("to cut crops from")
    source = str(read_record(pack)["source"])
    state = hashlib.sha256(
        json.dumps([opened.fingerprint, split, count, encoder.digest, licence, author, PART, __version__]).encode()
    ).hexdigest()
    work = make_folder(folder.absolute().parent / f".{folder.name}.{state[:12]}.partial")
    defaults = Origin(source, author, licence)
    with reserved(work, part.lock):
        pieces = {
            f"{start // PART:06d}": (pack, split, range(start, min(start + PART, count)), own, names, defaults)
            for start in range(0, count, PART)
        }
        made = make_pieces(
            folder,
            work,
            _write_part,
            pieces,
            workers,
            part,
            lambda done: progress("encoding scenes", done.kept["scenes"]),
        )
        if made is None:
            return None
        tally = Tally.sum(made.values())
        if not tally.kept["crops"]:
            shutil.rmtree(work, ignore_errors=True)
            raise UserError(f"{pack}: no crop can be taken from split {split!r} ({_reasons(tally)})")
        record = MemoryRecord(
            source=f"{source}, split {split}" + (f", the first {count} scenes" if count < len(opened) else ""),
            state=state,
            encoders=list(encoder.names),
            encoder=encoder.digest,
            sizes=encoder.sizes,
            dropped=dict(sorted(tally.dropped.items())),
        )
        parts = [path for path in sorted(work.glob("*.arrow")) if path.stat().st_size]
        write_memory(folder, work / "memory", record, _by_category(parts, record.sizes, progress))
        shutil.rmtree(work, ignore_errors=True)
    return record


def write_memory(folder: Path, temporary: Path, record: MemoryRecord, batches: Iterator[Any]) -> None:
    """Write rows under a temporary name beside ``folder`` and rename it; a memory that is there is replaced.

    Args:
        folder: The memory.
        temporary: On the same disk; what is there is deleted.
        record: What ``memory.json`` shall say.
        batches: Arrow batches of the columns that :func:`~scenograph.retrieval.rows.schema` lists.

    Raises:
        UserError: It cannot be written, because the disk is full for example.
    """
    import pyarrow as pa

    columns = schema(record.sizes)
    with replacing(folder, temporary):
        reader = pa.RecordBatchReader.from_batches(columns, batches)
        table = connect(temporary).create_table(TABLE, reader, schema=columns)
        _index(table, record.sizes)
        write_atomically(temporary / RECORD, (record.model_dump_json(indent=1) + "\n").encode(), durable=True)


def query_scene(row: Mapping[str, Any]) -> Scene:
    """The scene of a pack's row with two relations per object, as people write them: stored ones, or of its boxes."""
    scene, rng = row_to_scene(row), np.random.default_rng(zlib.crc32(str(row["id"]).encode()))
    if not scene.relations and all(thing.box is not None for thing in scene.objects):
        return replace(scene, relations=random_sg2im_relations(scene, rng))
    kept = np.sort(rng.permutation(len(scene.relations))[: 2 * len(scene.objects)])
    return replace(scene, relations=tuple(scene.relations[number] for number in kept))


def _index(table: Any, sizes: dict[str, int]) -> None:
    """Look-up of ids and categories; and of vectors, if there are too many of one category to compare with all."""
    from lancedb.index import Bitmap, BTree

    if not table.count_rows():
        return
    table.create_index("id", config=BTree())
    table.create_index("category", config=Bitmap())
    categories = table.search().select(["category"]).limit(None).to_arrow().column("category")
    if max(row["counts"] for row in categories.value_counts().to_pylist()) > INDEXED:
        index_vectors(table, sizes)


def index_vectors(table: Any, sizes: Iterable[str]) -> None:
    """Make the index of vectors of each key, by which the nearest of very many crops of a category are found."""
    from lancedb.index import IvfFlat

    for key in sizes:  # whole vectors, since the search goes on exactly; few rounds, since centres need not be the best
        table.create_index(key, config=IvfFlat(distance_type="l2", max_iterations=ROUNDS, sample_rate=SAMPLES))


def _write_part(
    path: Path, pack: Path, split: str, indices: range, own: bool, encoders: tuple[str, ...], defaults: Origin
) -> Tally:
    """The rows of some scenes as an Arrow file and, last, their tally."""
    import pyarrow as pa

    opened, encoder, tally = _pack(pack, split), _encoder(encoders), Tally()
    candidates: list[Candidate] = []
    graphs: list[np.ndarray] = []
    for start in range(indices.start, indices.stop, SCENES):
        numbers = range(start, min(start + SCENES, indices.stop))
        read = []
        for index, row in zip(numbers, opened.rows(numbers, without=("sketches",)), strict=True):
            try:
                read.append((row, query_scene(row)))
            except DAMAGED as error:
                tally.dropped.note("damaged scene", f"row {index}: {reason(error)}")
        vectors = encoder.graph_vectors([scene for _, scene in read]) if encoder.graph else [None] * len(read)
        for (row, scene), found in zip(read, vectors, strict=True):
            for number, one in _candidates(row, scene, own, defaults, tally):
                candidates.append(one)
                if found is not None:
                    graphs.append(found[number])
        tally.kept.update(scenes=len(read))
    keys: dict[str, np.ndarray] = {}
    if encoder.graph is not None:
        keys[GRAPH] = np.stack(graphs) if graphs else np.zeros((0, encoder.graph.vector_size), np.float32)
    if encoder.classifier is not None:
        keys[APPEARANCE] = encoder.appearance_vectors([_crop(one) for one in candidates])
    tally.kept.update(crops=len(candidates))
    table = table_of(candidates, keys, encoder.digest, encoder.sizes)

    def write(stream: Any) -> None:
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)

    write_atomically(path.with_suffix(".arrow"), write)
    write_atomically(path.with_suffix(".json"), tally.to_json().encode())
    return tally


def _candidates(
    row: dict[str, Any], scene: Scene, own: bool, defaults: Origin, tally: Tally
) -> Iterator[tuple[int, Candidate]]:
    """The objects of a scene that have pixels, with their numbers."""
    contexts = context_of(scene)
    picture = None
    for number, thing in enumerate(scene.objects):
        if thing.crop is None and (own or thing.box is None):
            continue
        name = f"{row['id']}/{number}"
        try:
            crop = thing.crop
            if crop is None:
                picture = picture or open_picture(row)
                assert picture is not None, "packs without pictures are refused"
                crop = cut_from(picture, thing)
            check_area(crop)
        except Skip as skip:
            tally.dropped.note(str(skip), name)
            continue
        except DAMAGED as error:
            tally.dropped.note("damaged picture", f"{name}: {reason(error)}")
            return
        origin = Origin.parse(thing.origin) if thing.origin else Origin(f"{defaults.source}/{row['id']}")
        origin = replace(origin, author=origin.author or defaults.author, licence=origin.licence or defaults.licence)
        yield number, Candidate(name, replace(thing, crop=crop), origin, row["id"], contexts[number])


def _by_category(parts: Sequence[Path], sizes: dict[str, int], progress: Progress) -> Iterator[Any]:
    """The rows of all parts, each sorted by category, as batches sorted by category: a category lies in one place."""
    import pyarrow as pa

    runs: dict[str, list[Any]] = {}
    for path in parts:
        table, start = pa.ipc.open_file(pa.memory_map(str(path))).read_all(), 0
        for run in table.column("category").value_counts().to_pylist():  # in the order in which they begin
            runs.setdefault(run["values"], []).append(table.slice(start, run["counts"]))
            start += run["counts"]
    done = 0
    for category in sorted(runs):
        whole = pa.concat_tables(runs[category])
        for start in range(0, len(whole), BATCH):
            yield from whole.slice(start, BATCH).combine_chunks().to_batches()
        done += len(whole)
        progress("writing crops", done)


def _crop(one: Candidate) -> np.ndarray:
    assert one.thing.crop is not None
    return one.thing.crop


def _reasons(tally: Tally) -> str:
    most = "; ".join(tally.dropped.described(why) for why, _ in tally.dropped.most_common(3))
    return most or "no object has pixels of its own, or a box in a picture"


@lru_cache(maxsize=1)
def _encoder(names: tuple[str, ...]) -> CropEncoder:
    """Once per process."""
    return CropEncoder(names) if names else CropEncoder()


@lru_cache(maxsize=1)
def _pack(folder: Path, split: str) -> Pack:
    """Once per process."""
    return Pack(folder, split)
