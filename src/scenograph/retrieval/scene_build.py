"""An index of scenes made from a pack, in parts that processes share and that an interrupted run goes on from."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.data.pack import DAMAGED, PART, Pack, Tally, make_pieces, open_picture, read_record, row_to_scene
from scenograph.data.pictures import to_rgb
from scenograph.data.processes import WHOLE, Part, Workers
from scenograph.data.records import Skip
from scenograph.data.source import Progress
from scenograph.errors import UserError, reason
from scenograph.files import digest, make_folder, reserved, write_atomically
from scenograph.retrieval.rows import cut_from
from scenograph.retrieval.scene_encoder import SceneEncoder
from scenograph.retrieval.scene_index import EXACT, RECORD, TABLE, SceneIndexRecord, state_of
from scenograph.retrieval.scene_rows import LAYOUT, LEARNED, SceneRow, licences_of, plain_columns, schema, vector_column
from scenograph.retrieval.scene_vectors import encode_layouts, settings_digest
from scenograph.retrieval.store import check_target, connect, replacing
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene
from scenograph.version import __version__

SCENES = 64
"""Scenes that are read and encoded at once."""
EVEN = 1e-4
"""Of the mean squared length of vectors, the part that their distances are taken to be where they hardly differ."""
FAR = 8.0
"""In every place of the vectors of scenes in which the model sees nothing: far from all others, which are about 1."""
UNSEEN = ("masks", "sketches", "seeds", "crops")
"""Columns of a pack that an index does without: crops are cut from the pictures, as a photograph shows them."""


def build_index(
    folder: Path,
    pack: Path,
    split: str = "train",
    encoder: str | None = None,
    licence: str = "",
    author: str = "",
    workers: Workers = 1,
    overwrite: bool = False,
    progress: Progress = lambda what, done: None,
    part: Part = WHOLE,
) -> SceneIndexRecord | None:
    """Make the scenes of a pack searchable.

    Args:
        folder: Appears complete or not at all.
        pack: A folder that ``scenograph data pack`` made, or the address of one.
        split: Of the pack.
        encoder: A model that encodes scenes, whose vectors come to those that need no learning.
        licence: Of pictures that do not say their own.
        author: The same.
        workers: Processes, or the address of a cluster.
        overwrite: Replace an index that is there. Who reads it meanwhile is told to begin again.
        progress: Called with what is done and how many scenes so far.
        part: What of the work to do.

    Returns:
        What ``index.json`` says; None if only a part was made.

    Raises:
        UserError: ``folder`` exists, the pack is damaged, a scene lacks the picture that the encoder needs, no scene is
            left, pieces to merge are missing, or the disk is full.
    """
    check_target(folder, RECORD, overwrite)
    opened = Pack(pack, split)
    model = _encoder(encoder) if encoder else None
    if model is not None:
        opened.check_pictures("for the encoder to see")
    source, known = str(read_record(pack)["source"]), model.digest if model else ""
    state = state_of(opened.fingerprint, split, known, licence, author, PART, settings_digest(), __version__)
    work = make_folder(folder.absolute().parent / f".{folder.name}.{state[:12]}.partial")
    default = Origin(source, author, licence)
    with reserved(work, part.lock):
        pieces = {
            f"{start // PART:06d}": (pack, split, range(start, min(start + PART, len(opened))), encoder, default)
            for start in range(0, len(opened), PART)
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
        if not tally.kept["scenes"]:
            shutil.rmtree(work, ignore_errors=True)
            reasons = "; ".join(tally.dropped.described(why) for why, _ in tally.dropped.most_common(3))
            raise UserError(f"{pack}: split {split!r} holds no scene that can be searched ({reasons or 'it is empty'})")
        record = SceneIndexRecord(
            source=source,
            pack=str(opened.folder.resolve()),
            split=split,
            pack_digest=digest(opened.folder / "pack.json"),
            state=state,
            layout=settings_digest(),
            encoder=model.name if model else "",
            encoder_digest=known,
            size=model.size if model else 0,
            scenes=tally.kept["scenes"],
            names=opened.vocabulary.to_dict(),
            categories={},
            licences={},
            exact=tally.kept["scenes"] <= EXACT,
            dropped=dict(sorted(tally.dropped.items())),
            examples=dict(sorted(tally.dropped.examples.items())),
        )
        record = write_index(folder, work / "index", record, Parts(sorted(work.glob("*.arrow"))), progress)
        shutil.rmtree(work, ignore_errors=True)
    return record


def write_index(
    folder: Path, temporary: Path, record: SceneIndexRecord, parts: Parts, progress: Progress = lambda what, done: None
) -> SceneIndexRecord:
    """Write rows under a temporary name and rename it; an index that is there is replaced.

    Args:
        folder: The index.
        temporary: On the same disk; what is there is deleted.
        record: Its counts and units are filled in.
        parts: The rows, with vectors in float32.
        progress: Called with what is done and how many scenes so far.

    Raises:
        UserError: It cannot be written, because the disk is full for example.
    """
    import pyarrow as pa

    units, centre = parts.spread(record.size)
    counts: dict[str, Counter[str]] = {"categories": Counter(), "licence": Counter()}
    columns = schema(record.size)
    with replacing(folder, temporary):
        with ExitStack() as files:
            matrices = {}
            if record.exact:
                for key in (LAYOUT, LEARNED)[: 1 + bool(record.size)]:
                    matrices[key] = files.enter_context((temporary / f"{key}.f16").open("wb"))

            def batches() -> Iterator[Any]:
                done = 0
                for table in parts:
                    batch = _finished(table, done, columns, units, centre)
                    for key, stream in matrices.items():
                        stream.write(np.ascontiguousarray(batch.column(key).flatten().to_numpy()).tobytes())
                    counts["licence"].update(batch.column("licence").to_pylist())
                    for names in batch.column("categories").to_pylist():
                        counts["categories"].update(set(names))
                    done += len(batch)
                    progress("writing scenes", done)
                    yield batch

            reader = pa.RecordBatchReader.from_batches(columns, batches())
            table = connect(temporary).create_table(TABLE, reader, schema=columns)
        _index(table, record)
        record = record.model_copy(
            update={
                "units": units,
                "centre": centre.tolist(),
                "categories": dict(sorted(counts["categories"].items())),
                "licences": dict(sorted(counts["licence"].items())),
            }
        )
        write_atomically(temporary / RECORD, (record.model_dump_json(indent=1) + "\n").encode(), durable=True)
    return record


@dataclass(frozen=True)
class Parts:
    """Arrow files of rows, one table each: those that have any."""

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[Any]:
        import pyarrow as pa

        for path in self.paths:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            if len(table):
                yield table.combine_chunks()

    def spread(self, size: int) -> tuple[dict[str, float], np.ndarray]:
        """How far apart the model's vectors are.

        Returns:
            The root of the mean squared distance between two of them, of scenes and of objects; and the mean of those
            of scenes (D,).
        """
        if not size:
            return {}, np.zeros(0)
        found, means = {}, {}
        for key in (LEARNED, "looks"):
            count, total, squares = 0, np.zeros(size), 0.0
            for table in self:
                rows = _array(table.column(key), size) if key == LEARNED else _looks(table.column(key), size)
                rows = rows[~np.isnan(rows).any(axis=1)].astype(np.float64)
                count, total, squares = count + len(rows), total + rows.sum(axis=0), squares + np.square(rows).sum()
            mean = squares / max(count, 1)
            means[key] = total / max(count, 1)
            spread = 2 * (mean - np.square(means[key]).sum())
            found[key] = float(max(spread, EVEN * mean, 1e-12) ** 0.5)
        return found, means[LEARNED]


def index_vectors(table: Any, record: SceneIndexRecord) -> None:
    """Make the indices by which LanceDB finds the nearest vectors of very many scenes."""
    from lancedb.index import IvfFlat

    table.create_index(LAYOUT, config=IvfFlat(distance_type="dot"))
    if record.size:
        table.create_index(LEARNED, config=IvfFlat(distance_type="l2"))


def _finished(table: Any, first: int, columns: Any, units: dict[str, float], centre: np.ndarray) -> Any:
    """Rows of a part as a batch of the index: numbered, their vectors in half precision.

    What all of the model's vectors have in common is taken off before: it would leave no digits for what differs.
    """
    import pyarrow as pa

    arrays = {name: table.column(name).combine_chunks() for name in table.column_names}
    arrays["number"] = pa.array(range(first, first + len(table)), pa.int32())
    arrays[LAYOUT] = vector_column(_array(table.column(LAYOUT), columns.field(LAYOUT).type.list_size))
    if units:
        size = columns.field(LEARNED).type.list_size
        learned = (_array(table.column(LEARNED), size) - centre) / units[LEARNED]
        arrays[LEARNED] = vector_column(np.nan_to_num(learned, nan=FAR))
        cells = table.column("looks").to_pylist()
        scaled = [(np.frombuffer(cell, np.float32) / units["looks"]).astype(np.float16).tobytes() for cell in cells]
        arrays["looks"] = pa.array(scaled, pa.binary())
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns.names], schema=columns)


def _array(column: Any, size: int) -> np.ndarray:
    """A column of vectors as (N, D) float32."""
    return np.asarray(column.combine_chunks().flatten().to_numpy(), dtype=np.float32).reshape(-1, size)


def _looks(column: Any, size: int) -> np.ndarray:
    """The vectors of all objects of a part, (O, D) float32."""
    return np.frombuffer(b"".join(column.to_pylist()), np.float32).reshape(-1, size)


def _index(table: Any, record: SceneIndexRecord) -> None:
    """Look-up of ids, categories and licences; and of vectors, if there are too many to compare with all."""
    from lancedb.index import Bitmap, BTree, LabelList

    table.create_index("id", config=BTree())
    table.create_index("categories", config=LabelList())
    table.create_index("licence", config=Bitmap())
    if not record.exact:
        index_vectors(table, record)


def _write_part(path: Path, pack: Path, split: str, indices: range, encoder: str | None, default: Origin) -> Tally:
    """The rows of some scenes as an Arrow file and, last, their tally."""
    import pyarrow as pa

    opened, model, tally = _pack(pack, split), _encoder(encoder) if encoder else None, Tally()
    batches = []
    for start in range(indices.start, indices.stop, SCENES):
        numbers = range(start, min(start + SCENES, indices.stop))
        rows = []
        for row in opened.rows(numbers, without=tuple(name for name in UNSEEN if name in opened.table.column_names)):
            try:
                rows.append(_read(row, default))
            except (*DAMAGED, Skip) as error:
                tally.dropped.note("damaged scene", f"{row['id']}: {reason(error)}")
        tally.kept.update(scenes=len(rows))
        batches.append(table_of(rows, model))
    table = pa.concat_tables(batches)

    def write(stream: Any) -> None:
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)

    write_atomically(path.with_suffix(".arrow"), write)
    write_atomically(path.with_suffix(".json"), tally.to_json().encode())
    return tally


def table_of(rows: Sequence[SceneRow], model: SceneEncoder | None = None) -> Any:
    """Rows with their vectors in float32, those of the model unscaled, as an Arrow table without numbers."""
    import pyarrow as pa

    size = model.size if model is not None else 0
    columns = schema(size)
    vectors = {LAYOUT, LEARNED, "looks", "number"}
    plain = pa.schema([field for field in columns if field.name not in vectors])
    table = pa.Table.from_pylist([plain_columns(row) for row in rows], schema=plain)
    layouts = (
        encode_layouts([row.scene for row in rows]) if rows else np.zeros((0, columns.field(LAYOUT).type.list_size))
    )
    table = table.append_column(LAYOUT, _float32_column(layouts))
    if model is not None:
        encoded = model.encode([_with_crops(row) for row in rows], [row.picture for row in rows])
        whole = [one.scene if one.scene is not None else np.full(size, np.nan, np.float32) for one in encoded]
        table = table.append_column(LEARNED, _float32_column(np.stack(whole) if whole else np.zeros((0, size))))
        table = table.append_column("looks", pa.array([one.objects.tobytes() for one in encoded], pa.binary()))
    return table


def _float32_column(vectors: np.ndarray) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _read(row: dict[str, Any], default: Origin) -> SceneRow:
    """A pack's row. Raises what its damaged cells raise."""
    scene, opened = row_to_scene(row), open_picture(row)
    if not scene.objects:
        raise Skip("no object")
    picture: Image.Image | None = None if opened is None else to_rgb(opened)
    licence, author = licences_of(row.get("origins", ()), default)
    return SceneRow(row, scene, str(row["id"]), licence, author, picture)


def _with_crops(row: SceneRow) -> Scene:
    """The scene with what its boxes show as crops."""
    objects = []
    for thing in row.scene.objects:
        crop = None
        if thing.box is not None and row.picture is not None:
            with suppress(Skip):  # where next to nothing of it is in the picture
                crop = cut_from(row.picture, thing)
        objects.append(replace(thing, crop=crop))
    return replace(row.scene, objects=tuple(objects))


@lru_cache(maxsize=1)
def _encoder(name: str) -> SceneEncoder:
    """Once per process."""
    return SceneEncoder(name)


@lru_cache(maxsize=1)
def _pack(folder: Path, split: str) -> Pack:
    """Once per process."""
    return Pack(folder, split)
