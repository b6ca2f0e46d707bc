"""Make CLEVR-style pictures with exact boxes and masks (Johnson et al., CVPR 2017, section 3).

Cubes, spheres and cylinders of eight colours, two materials and two sizes stand on a grey floor under
a soft key light. Scenes are written in the CLEVR v1.0 JSON format, so :mod:`scenograph.data.clevr`
reads these and the published ones alike, with two additions per scene: every object carries its exact
``box`` and the scene names a ``mask_filename`` (an index picture: 0 floor, i + 1 object i).

A scene depends only on ``(seed, index)``: neither the number of worker processes nor an interruption
changes a picture. A scene's JSON is written last, so a killed run resumes where it stopped.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.data.processes import WHOLE, Part, Workers, run_in_processes
from scenograph.errors import UserError, missing_extra
from scenograph.files import make_folder, read_json, write_atomically

log = logging.getLogger(__name__)

COLORS: dict[str, tuple[int, int, int]] = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
"""CLEVR's palette, sRGB 0..255."""

MATERIALS = ("rubber", "metal")
SHAPES = ("cube", "sphere", "cylinder")
SIZES = {"large": 0.7, "small": 0.4}
"""Half extents in world units. CLEVR's small is 0.35; 0.4 keeps it recognisable in a 64 px picture."""

ROOM = 10
"""Objects that fit on the floor at their full size; more are made smaller."""

DIRECTION_MARGIN = 0.2
"""CLEVR's margin in world units: pairs nearer than this along a direction have no relation on it."""


@dataclass(frozen=True)
class RenderSettings:
    """What to render. ``samples`` are light paths per pixel; object counts are inclusive."""

    size: int = 128
    samples: int = 64
    min_objects: int = 1
    max_objects: int = 6
    seed: int = 0
    split: str = "train"
    pictures: bool = True
    """Off, only scenes, boxes and masks are made, ten times faster: all that a layout model learns from."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise UserError(f"--size {self.size}: must lie between 16 and 4096 pixels")
        if self.samples < 1:
            raise UserError(f"--samples {self.samples}: must be at least 1")
        if not 1 <= self.min_objects <= self.max_objects <= 128:
            raise UserError(
                f"--min-objects {self.min_objects} --max-objects {self.max_objects}: need 1 <= min <= max <= 128"
            )
        if self.size < 2 * self.max_objects:
            raise UserError(
                f"--max-objects {self.max_objects}: so many are too small at {self.size} pixels; "
                f"--size {2 * self.max_objects} shows them"
            )


def render_dataset(
    folder: Path, count: int, settings: RenderSettings, workers: Workers | None = None, part: Part = WHOLE
) -> Iterator[Path]:
    """Render scenes; those that are there already are kept.

    Args:
        folder: Made if it is missing. In the end its ``scenes.json`` gathers all scenes in one CLEVR file.
        count: Scenes wanted.
        settings: Must be those of the scenes in the folder.
        workers: Processes, by default one per processor, or the address of a cluster.
        part: Which scenes to render. One part of several leaves ``scenes.json`` to the last step, which merges.

    Yields:
        The JSON path of each scene as it is finished or found.

    Raises:
        UserError: The folder holds scenes with other settings, ``count`` is less than 1, scenes to merge are missing,
            or Mitsuba is.
    """
    if count < 1:
        raise UserError(f"--count {count}: must be at least 1")
    _require_mitsuba()
    foreign = [f"{split}.json" for split in ("train", "validation", "test")]
    claim_settings(folder / RENDER_FILE, vars(settings), foreign, part)
    paths = [folder / "scenes" / f"{settings.split}_{index:06d}.json" for index in range(count)]
    missing = part.left(range(count), lambda index: paths[index].exists(), str(folder))
    for name in ("images", "masks", "scenes"):
        make_folder(folder / name)
    yield from (paths[index] for index in part.numbers(count) if paths[index].exists())
    tasks = [(folder, index, settings) for index in missing]
    yield from run_in_processes(_render_one, tasks, workers or os.cpu_count() or 1)
    if not part.finishes:
        return
    scenes = [read_json(path) for path in paths]
    info = {"split": settings.split, "version": "scenograph-rendered-1", "settings": vars(settings)}
    write_atomically(folder / "scenes.json", json.dumps({"info": info, "scenes": scenes}).encode())


def sample_scene(rng: np.random.Generator, settings: RenderSettings) -> dict[str, Any] | None:
    """Sample camera, light and objects: a CLEVR scene without pixel facts; None if the floor has no room for them."""
    camera = _Camera.sample(rng)
    objects: list[dict[str, Any]] = []
    count = int(rng.integers(settings.min_objects, settings.max_objects + 1))
    scale = _scale(count)
    for _ in range(count):
        placed = _place_object(rng, objects, camera, scale)
        if placed is None:
            return None
        objects.append(placed)
    scene: dict[str, Any] = {
        "split": settings.split,
        "directions": {name: vector.tolist() for name, vector in camera.directions().items()},
        "objects": objects,
        "light": rng.uniform(-0.5, 0.5, 3).round(6).tolist(),
        "camera": camera.position.tolist(),
    }
    scene["relationships"] = clevr_relationships(scene)
    return scene


def clevr_relationships(scene: dict[str, Any]) -> dict[str, list[list[int]]]:
    """CLEVR's relations: ``relationships[name][i]`` lists every j for which "j is ``name`` of i" holds."""
    result: dict[str, list[list[int]]] = {}
    positions = np.array([thing["3d_coords"] for thing in scene["objects"]])
    scale = _scale(len(positions))
    for name, direction in scene["directions"].items():
        if name in ("above", "below"):
            continue
        along = positions @ np.array(direction)
        result[name] = [
            [j for j in range(len(along)) if j != i and along[j] - along[i] > DIRECTION_MARGIN * scale]
            for i in range(len(along))
        ]
    return result


@dataclass(frozen=True)
class _Camera:
    position: np.ndarray
    target: np.ndarray
    field_of_view: float = 31.0

    @staticmethod
    def sample(rng: np.random.Generator) -> _Camera:
        position = np.array([0.0, -8.4, 5.6]) + rng.uniform(-0.4, 0.4, 3)
        return _Camera(position.round(6), np.array([0.0, 0.1, 0.3]))

    def directions(self) -> dict[str, np.ndarray]:
        behind = self.target - self.position
        behind[2] = 0.0
        behind /= np.linalg.norm(behind)
        left = np.array([-behind[1], behind[0], 0.0])
        above = np.array([0.0, 0.0, 1.0])
        return {"left": left, "right": -left, "behind": behind, "front": -behind, "above": above, "below": -above}

    def project(self, point: np.ndarray, size: int) -> list[float]:
        """World point to (x pixel, y pixel, distance along the view axis)."""
        forward = self.target - self.position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        offset = point - self.position
        depth = float(offset @ forward)
        scale = size / (2 * math.tan(math.radians(self.field_of_view) / 2) * depth)
        return [size / 2 + float(offset @ right) * scale, size / 2 - float(offset @ up) * scale, depth]


def _scale(objects: int) -> float:
    """Scale of objects, so that this many fit on the floor with room between them."""
    return 1.0 if objects <= ROOM else 1.2 / math.sqrt(objects)


def _place_object(
    rng: np.random.Generator, placed: list[dict[str, Any]], camera: _Camera, scale: float
) -> dict[str, Any] | None:
    size = str(rng.choice(list(SIZES)))
    shape = str(rng.choice(SHAPES))
    reach = SIZES[size] * scale
    radius = reach / math.sqrt(2) if shape == "cube" else reach
    # With many objects, nearly every scene would otherwise hide one of them.
    gap = 0.25 if scale == 1 else 1.1
    for _ in range(50):
        x, y = rng.uniform((-2.1, -2.1), (2.1, 2.4))
        centre = np.array([x, y, radius])
        column, row, depth = camera.project(centre, 1)
        margin = 1.3 * reach / (2 * math.tan(math.radians(camera.field_of_view) / 2) * depth)
        inside = margin < column < 1 - margin and margin < row < 1 - margin
        apart = all(
            math.dist((x, y), other["3d_coords"][:2]) > reach + scale * (SIZES[other["size"]] + gap) for other in placed
        )
        if inside and apart:
            return {
                "shape": shape,
                "size": size,
                "material": str(rng.choice(MATERIALS)),
                "color": str(rng.choice(list(COLORS))),
                "rotation": round(float(rng.uniform(0, 360)), 6),
                "3d_coords": [round(float(value), 6) for value in centre],
            }
    return None


def _render_one(folder: Path, index: int, settings: RenderSettings) -> Path:
    """Render scene ``index``, sampled again until every object shows enough pixels (CLEVR's rule)."""
    import mitsuba

    if mitsuba.variant() != "scalar_rgb":
        mitsuba.set_variant("scalar_rgb")
        mitsuba.Thread.thread().logger().set_log_level(mitsuba.LogLevel.Error)
    rng = np.random.default_rng([settings.seed, index])
    while True:
        scene = sample_scene(rng, settings)
        if scene is None:
            continue
        smallest = 0.003 * (settings.size * _scale(len(scene["objects"]))) ** 2
        world, owners = _load_world(mitsuba, scene, settings)
        mask = _index_picture(mitsuba, world, owners, index)
        areas = np.bincount(mask.ravel(), minlength=len(scene["objects"]) + 1)[1:]
        if areas.min() >= smallest and not _touches_border(mask):
            break
    name = f"{settings.split}_{index:06d}"
    _add_pixel_facts(scene, mask, settings.size)
    scene |= {"image_index": index, "image_filename": f"{name}.png", "mask_filename": f"{name}.png"}
    if settings.pictures:
        picture = _robust_render(mitsuba, world, settings.samples, index)
        bitmap = mitsuba.Bitmap(picture).convert(mitsuba.Bitmap.PixelFormat.RGB, mitsuba.Struct.Type.UInt8, True)
        _save_png(folder / "images" / f"{name}.png", np.array(bitmap))
    _save_png(folder / "masks" / f"{name}.png", mask)
    path = folder / "scenes" / f"{name}.json"
    write_atomically(path, json.dumps(scene).encode())
    return path


def _robust_render(mitsuba: Any, world: Any, samples: int, index: int) -> np.ndarray:
    """(H, W, 3) float32 radiance: the mean of independent passes without each pixel's brightest pass.

    Light that a metal object throws on the floor is found by few paths, each very bright (fireflies);
    such a path brightens one pass only, and leaving that pass out costs little elsewhere.
    """
    passes = min(4, samples)
    per_pass = math.ceil(samples / passes)
    layers = np.stack(
        [np.array(mitsuba.render(world, spp=per_pass, seed=index * passes + k))[..., :3] for k in range(passes)]
    )
    if passes < 4:
        return layers.mean(axis=0)
    brightest = layers.sum(axis=-1).argmax(axis=0)[None, ..., None]
    kept = layers.sum(axis=0) - np.take_along_axis(layers, brightest, axis=0)[0]
    return (kept / (passes - 1)).astype(np.float32)


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _add_pixel_facts(scene: dict[str, Any], mask: np.ndarray, size: int) -> None:
    camera = _Camera(np.array(scene["camera"]), np.array([0.0, 0.1, 0.3]))
    for index, thing in enumerate(scene["objects"], start=1):
        rows, columns = np.nonzero(mask == index)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        thing["box"] = [float(value) / size for value in box]
        thing["pixel_coords"] = [round(value, 4) for value in camera.project(np.array(thing["3d_coords"]), size)]


def _load_world(mitsuba: Any, scene: dict[str, Any], settings: RenderSettings) -> tuple[Any, list[int]]:
    """The Mitsuba scene and, per Mitsuba shape, the object it belongs to (-1: floor and lights)."""
    look_at = mitsuba.ScalarTransform4f().look_at
    camera = _Camera(np.array(scene["camera"]), np.array([0.0, 0.1, 0.3]))
    key = np.array([-5.5, -3.5, 8.5]) + scene["light"]
    world: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 5, "hide_emitters": True},
        "sensor": {
            "type": "perspective",
            "fov": camera.field_of_view,
            "to_world": look_at(origin=camera.position.tolist(), target=camera.target.tolist(), up=[0, 0, 1]),
            "film": {
                "type": "hdrfilm",
                "width": settings.size,
                "height": settings.size,
                "rfilter": {"type": "gaussian", "stddev": 0.45},
            },
            "sampler": {"type": "multijitter"},
        },
        "sky": _studio(mitsuba),
        "key": _panel(mitsuba, key, 2.9, 6.6),
        "floor": {
            "type": "rectangle",
            "to_world": mitsuba.ScalarTransform4f().scale([60, 60, 1]),
            "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.45}},
        },
    }
    scale = _scale(len(scene["objects"]))
    for index, thing in enumerate(scene["objects"]):
        for part, shape in enumerate(_shapes(mitsuba, thing, scale)):
            world[f"object-{index}-{part}"] = shape
    # Otherwise cubes of one colour and material would become one shape, which no object owns.
    loaded = mitsuba.load_dict(world, optimize=False)
    # Mitsuba reorders shapes between loads, so ownership is read back from the ids.
    ids = [shape.id() for shape in loaded.shapes()]
    return loaded, [int(name.split("-")[1]) if name.startswith("object-") else -1 for name in ids]


def _studio(mitsuba: Any) -> dict[str, Any]:
    """Surroundings that metal mirrors: a bright wall on the camera's side, soft columns, a dark far side.

    So the flat top of a metal object looks dark from the camera, and that of a rubber one lit.
    """
    azimuth, elevation = np.meshgrid(np.linspace(-np.pi, np.pi, 128), np.linspace(np.pi / 2, -np.pi / 2, 64))
    columns = np.clip(np.cos(3 * azimuth + 0.8), 0, None) ** 4
    wall = np.exp(-((azimuth / 1.1) ** 4)) * np.exp(-(((elevation - 0.65) / 0.45) ** 4))
    radiance = np.where(elevation > -0.1, 0.12 + 0.5 * columns * np.cos(elevation) + 1.5 * wall, 0.1)
    bitmap = mitsuba.Bitmap(np.repeat(radiance[..., None], 3, axis=-1).astype(np.float32))
    y_up_to_z_up = mitsuba.ScalarTransform4f().rotate([1, 0, 0], 90)
    return {"type": "envmap", "bitmap": bitmap, "to_world": y_up_to_z_up, "sampling_weight": 0.7}


def _panel(mitsuba: Any, position: np.ndarray, half_side: float, radiance: float) -> dict[str, Any]:
    facing = mitsuba.ScalarTransform4f().look_at(origin=position.tolist(), target=[0, 0, 0], up=[0, 1, 0.1])
    return {
        "type": "rectangle",
        "to_world": facing @ mitsuba.ScalarTransform4f().scale([half_side, half_side, 1]),
        "emitter": {"type": "area", "sampling_weight": 1.0, "radiance": {"type": "rgb", "value": radiance}},
    }


def _shapes(mitsuba: Any, thing: dict[str, Any], scale: float) -> list[dict[str, Any]]:
    transform = mitsuba.ScalarTransform4f
    x, y, _ = thing["3d_coords"]
    surface = _surface(thing)
    radius = SIZES[thing["size"]] * scale
    if thing["shape"] == "sphere":
        return [{"type": "sphere", "center": [x, y, radius], "radius": radius, "bsdf": surface}]
    turn = transform().translate([x, y, 0]).rotate([0, 0, 1], thing["rotation"])
    if thing["shape"] == "cube":
        half = radius / math.sqrt(2)  # as in CLEVR, so that a turned cube needs no more floor than the others
        return [{"type": "cube", "to_world": turn.translate([0, 0, half]).scale(half), "bsdf": surface}]
    height = 2 * radius
    cap = turn.translate([0, 0, height]).scale(radius)
    return [
        {"type": "cylinder", "p0": [x, y, 0], "p1": [x, y, height], "radius": radius, "bsdf": surface},
        {"type": "disk", "to_world": cap, "bsdf": surface},
    ]


def _surface(thing: dict[str, Any]) -> dict[str, Any]:
    encoded = np.array(COLORS[thing["color"]]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    if thing["material"] == "metal":
        # Roughness 0.13 spreads the mirrored lights over several pixels: clear highlights without fireflies.
        tint = {"type": "rgb", "value": np.clip(0.03 + 1.5 * linear, 0, 0.97).tolist()}
        return {"type": "roughconductor", "material": "none", "alpha": 0.13, "specular_reflectance": tint}
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": linear.tolist()}}}


def _index_picture(mitsuba: Any, world: Any, owners: list[int], seed: int) -> np.ndarray:
    """(H, W) uint8: 0 where the floor shows, i + 1 where object i does, by one ray through each pixel centre."""
    size = world.sensors()[0].film().size()
    film = {
        "type": "hdrfilm",
        "width": int(size[0]),
        "height": int(size[1]),
        "pixel_format": "luminance",
        "rfilter": {"type": "box"},
    }
    original = world.sensors()[0]
    parameters = mitsuba.traverse(original)
    sensor = mitsuba.load_dict(
        {
            "type": "perspective",
            "fov": float(parameters["x_fov"]),
            "to_world": original.world_transform(),
            "film": film,
            "sampler": {"type": "independent", "sample_count": 1},
        }
    )
    integrator = mitsuba.load_dict({"type": "aov", "aovs": "index:shape_index"})
    layer = np.array(mitsuba.render(world, integrator=integrator, sensor=sensor, spp=1, seed=seed))[..., -1]
    lookup = np.array([0, *(owner + 1 for owner in owners)], dtype=np.uint8)
    return lookup[np.rint(layer).astype(int)]


def _save_png(path: Path, pixels: np.ndarray) -> None:
    write_atomically(path, lambda stream: Image.fromarray(pixels).save(stream, "PNG"))


RENDER_FILE = "render.json"
"""Holds the settings of a folder of CLEVR-style renders."""


def claim_settings(path: Path, settings: Mapping[str, Any], foreign: Iterable[str], part: Part) -> None:
    """Note the settings of a folder of renders; ``UserError`` if it holds scenes with others.

    Merging begins no folder: its name may be mistyped. ``foreign`` names the files in which another renderer, whose
    scenes have the same names, notes its settings.
    """
    if found := [name for name in foreign if (path.parent / name).exists()]:
        raise UserError(f"{path.parent} holds scenes of another renderer (its {found[0]}); choose another folder")
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        found = read_json(path)
        changed = [name for name in wanted if found.get(name) != wanted[name]]
        if changed:
            name = changed[0]
            raise UserError(
                f"{path.parent} was rendered with {name} = {found.get(name)!r}, not {wanted[name]!r}: "
                "use the same settings to resume, or another folder"
            )
    elif not part.merges:
        make_folder(path.parent)
        write_atomically(path, json.dumps(wanted, indent=1).encode())


def _require_mitsuba() -> None:
    try:
        import mitsuba  # noqa: F401
    except ImportError as error:
        raise missing_extra("mitsuba", "render") from error
