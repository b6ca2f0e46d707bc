"""Errors of the service: one class, one form, and what other exceptions become."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from scenograph.errors import UserError, readable

PLACE = re.compile(r"\b(?:objects|relationships)\[\d+\](?:\.\w+(?:\[\d+\])*)*")
"""The part of a scene that a message names."""
UNKNOWN = re.compile(r"\bunknown (category|predicate|attribute|word|field)\b")
STATUS_CODES = {404: "not_found", 405: "method_not_allowed"}
COMMANDS = re.compile(r" ?\([^()]*\bscenograph [a-z][^()]*\)"), re.compile(r";[^;]*\bscenograph [a-z][^;]*")
"""Remedies on the command line, which clients do not have: in brackets, and as a part of a sentence."""
LONGEST_PART = 60
"""Characters of a part of a request that an error names."""


class ServiceError(Exception):
    """An answer other than success.

    Args:
        status: Of HTTP.
        code: For programs.
        message: For people, one sentence.
        where: The part of the request that is wrong.
        retry_after: Seconds after which it is worth asking again.
    """

    def __init__(
        self, status: int, code: str, message: str, where: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.where, self.retry_after = status, code, message, where, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        return {"error": {"code": self.code, "message": self.message, "where": self.where}}

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(self.body, self.status, self.headers)


def of_user_error(error: UserError, ids: Mapping[str, str] | None = None) -> ServiceError:
    """A complaint about a scene or an option, as :func:`for_clients` tells it."""
    message = for_clients("; ".join(readable(str(error)).splitlines()), ids or {})
    place, unknown = PLACE.search(message), UNKNOWN.search(message)
    code = f"unknown_{unknown[1]}" if unknown else "bad_scene"
    if "contradict each other" in message:
        code = "contradiction"
    return ServiceError(400, code, message, place[0] if place else None)


def for_clients(message: str, ids: Mapping[str, str]) -> str:
    """A message without remedies on the command line; ``ids`` replaces paths, which are no client's business, by names.

    Longer paths are replaced first: they may begin with shorter ones.
    """
    for command in COMMANDS:
        message = command.sub("", message)
    for path in sorted(ids, key=len, reverse=True):
        message = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w-])", ids[path], message)  # not a part of another word
    return message


def of_validation(error: ValidationError | RequestValidationError, inside: str = "") -> ServiceError:
    """A request of another form than its schema's: its first fault."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ServiceError(400, "bad_json", f"the body is no valid JSON: {first.get('ctx', {}).get('error', '')}")
    parts = [str(part)[:LONGEST_PART] for part in first["loc"] if part not in ("body", "query", "path")]
    where = ".".join(([inside] if inside else []) + parts)
    rule = str(first["msg"]).removeprefix("Value error, ")
    return ServiceError(422, "schema", f"{where or 'the request'}: {rule}", where or None)


def of_status(status: int, detail: str) -> ServiceError:
    """What the framework refuses."""
    if status == 400:
        return ServiceError(400, "bad_json", "the body is no JSON in UTF-8, nests too deeply, or holds a huge number")
    return ServiceError(status, STATUS_CODES.get(status, "refused"), detail)
