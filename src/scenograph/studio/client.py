"""A client of the studio's service in one file that needs nothing but Python: copy it wherever it is of use.

>>> studio = Studio("http://127.0.0.1:8765")
>>> scene = studio.scene("two sheep standing on grass")
>>> picture = studio.picture(scene, seed=3)
>>> picture.save("sheep.png")
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

Scene = dict[str, Any]


class StudioError(Exception):
    """What the service refused: ``status`` of HTTP, ``code``, ``message``, and ``where``, a part of the request."""

    def __init__(
        self, status: int, code: str, message: str, where: str | None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.where, self.retry_after = status, code, message, where, retry_after


@dataclass(frozen=True)
class Picture:
    """A picture, and what it shows."""

    png: bytes
    """A file that holds its record: the service, and ``scenograph generate``, make it again."""
    scene: Scene
    notes: list[str]
    milliseconds: dict[str, int]

    def save(self, path: str | Path) -> None:
        """Write the file."""
        Path(path).write_bytes(self.png)


class Studio:
    """The service at an address.

    Args:
        address: Such as ``http://127.0.0.1:8765``.
        token: If the service wants one.
        timeout: Seconds to wait for an answer.
        patience: Seconds for which a request that a full queue refused is sent again; 0 raises at once.

    All methods raise :class:`StudioError` for what the service refuses, and ``OSError`` where it is not reached.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8765",
        token: str | None = None,
        timeout: float = 120,
        patience: float = 0,
    ) -> None:
        self.address, self.timeout, self.patience = address.rstrip("/"), timeout, patience
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def models(self) -> dict[str, Any]:
        """What can be asked for, by id."""
        return self._json("GET", "/v1/models")

    def vocabulary(self, layout: str | None = None, image: str | None = None) -> dict[str, Any]:
        """The names that scenes may use."""
        query = urlencode({name: value for name, value in (("layout", layout), ("image", image)) if value})
        return self._json("GET", f"/v1/vocabulary?{query}")

    def scene(self, text: str) -> Scene:
        """A text as a scene."""
        return self._post("/v1/texts", text=text)["scene"]

    def describe(self, scene: Scene) -> str:
        """A scene as a text."""
        return self._post("/v1/descriptions", scene=scene)["text"]

    def check(self, scene: Scene) -> dict[str, Any]:
        """What contradicts in a scene, what is unknown, and which relations its boxes show."""
        return self._post("/v1/checks", scene=scene)

    def place(self, scene: Scene, seed: int = 0, candidates: int | None = None, **models: str) -> Scene:
        """The scene with a box for every object. ``models`` are ``layout``, ``image`` and ``memory``, by id.

        Of 8 ``candidates`` the best is kept; a draft with 1 takes about half the time.
        """
        return self._post("/v1/layouts", scene=scene, seed=seed, candidates=candidates, **models)["scene"]

    def refine(self, scene: Scene, movable: list[bool] | None = None) -> Scene:
        """The scene with boxes moved so that every spatial relation holds."""
        return self._post("/v1/refine", scene=scene, movable=movable)["scene"]

    def picture(
        self,
        scene: Scene,
        seed: int = 0,
        size: int | None = None,
        steps: int | None = None,
        candidates: int | None = None,
        **models: str,
    ) -> Picture:
        """A picture of the scene. ``models`` are ``layout``, ``image`` and ``memory``, by id."""
        options = {"size": size, "steps": steps, "candidates": candidates}
        return _picture(self._post("/v1/pictures", scene=scene, seed=seed, **options, **models))

    def record(self, png: bytes) -> dict[str, Any]:
        """What a picture was made from."""
        return self._post("/v1/records", png=base64.b64encode(png).decode())

    def export(self, kind: str, scene: Scene, seed: int = 0, **options: Any) -> bytes:
        """A file: ``layers``, ``openraster``, ``coco``, ``graph-svg``, ``layout-svg`` or ``scene``."""
        return self._send("POST", "/v1/exports", {"kind": kind, "scene": scene, "seed": seed, **options})

    def crops(self, memory: str, category: str, top: int = 12) -> list[dict[str, Any]]:
        """Crops of a memory."""
        return self._post("/v1/crops", memory=memory, category=category, top=top)["crops"]

    def search(self, search: str, scene: Scene, top: int = 12) -> list[dict[str, Any]]:
        """Scenes of a collection that are like one, the best first."""
        return self._post("/v1/search", search=search, scene=scene, top=top)["results"]

    def recognise(self, strokes: list[list[list[float]]]) -> dict[str, float]:
        """What a sketch may show, with probabilities; strokes are [[x, ...], [y, ...]] in any units."""
        return {one["category"]: one["probability"] for one in self._post("/v1/sketches", strokes=strokes)["names"]}

    def watch(self, kind: str, **request: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Begin a job, and yield its events as they happen: ``queued``, ``progress``, ``preview``, then ``done``.

        Args:
            kind: ``picture``, ``layout`` or ``refine``.
            **request: As for the route of this kind.

        Raises:
            StudioError: The job failed, too.
        """
        job = quote(self._post("/v1/jobs", kind=kind, request=_given(request))["id"])
        try:
            yield from self._events(job)
        except GeneratorExit:  # nobody listens any more
            self._json("DELETE", f"/v1/jobs/{job}")
            raise

    def _events(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        request = Request(f"{self.address}/v1/jobs/{job}/events", headers=self._headers)
        with urlopen(request, timeout=self.timeout) as answer:
            name = ""
            for line in answer:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                    if name == "failed":
                        raise StudioError(0, **data["error"])
                    yield name, data

    def _post(self, path: str, **values: Any) -> dict[str, Any]:
        return self._json("POST", path, _given(values))

    def _json(self, method: str, path: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._send(method, path, values))
        return found

    def _send(self, method: str, path: str, values: dict[str, Any] | None = None) -> bytes:
        """The body of an answer; a full queue is asked again as long as ``patience`` allows."""
        body = None if values is None else json.dumps(values).encode()
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        until = time.monotonic() + self.patience
        while True:
            try:
                with urlopen(
                    Request(self.address + path, body, headers, method=method), timeout=self.timeout
                ) as answer:
                    found: bytes = answer.read()
                    return found
            except HTTPError as error:
                refused = _refused(error)
            except URLError as error:
                raise error.reason if isinstance(error.reason, OSError) else error from error
            if refused.status != 429 or time.monotonic() + (refused.retry_after or 1) > until:
                raise refused
            time.sleep(refused.retry_after or 1)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _picture(answer: dict[str, Any]) -> Picture:
    return Picture(base64.b64decode(answer["picture"]), answer["scene"], answer["notes"], answer["milliseconds"])


def _refused(error: HTTPError) -> StudioError:
    """The service's own words, if the answer is of it."""
    retry_after = error.headers.get("Retry-After")
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    try:
        told = json.loads(error.read())["error"]
        return StudioError(error.code, told["code"], told["message"], told["where"], seconds)
    except (ValueError, KeyError, TypeError):
        return StudioError(error.code, "unknown", str(error), None, seconds)
