"""The report of licences."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from helpers import succeed
from scenograph.models.registry import shipped_models
from scenograph.pipelines.licences import UNKNOWN, dependency_licences, licence_of, shipped_licences

ROOT = Path(__file__).parents[2]


def packaged(folder: Path, name: str, *lines: str) -> Distribution:
    """An installed package with these lines of metadata."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""]))
    return Distribution.at(info)


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: x"], "MIT OR Apache-2.0"),
        (["Classifier: License :: OSI Approved :: BSD License", "License: long"], "BSD License"),
        (["Classifier: License :: OSI Approved", "License: ISC"], "ISC"),
        ([f"License: {'Permission is hereby granted ' * 5}"], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_a_licence_is_read_from_every_form_of_metadata(tmp_path, lines, licence):
    assert licence_of(packaged(tmp_path, "one", *lines)) == licence


def test_dependencies_are_followed_with_the_extras_that_are_asked_for(tmp_path, monkeypatch):
    packaged(tmp_path, "first", 'Requires-Dist: Se_cond[y]>=1; extra == "more"', "Requires-Dist: absent")
    extras = 'Requires-Dist: third; extra == "x"', "Requires-Dist: fourth (>=1); python_version > '3' and extra == 'y'"
    packaged(tmp_path, "se.cond", "Requires-Dist: first", *extras, "License: ISC")
    packaged(tmp_path, "third", "License: GPL")
    packaged(tmp_path, "fourth", "License: MIT")
    monkeypatch.syspath_prepend(tmp_path)
    found = [(row.name, row.version, row.licence) for row in dependency_licences("first")]
    assert found == [("fourth", "1.0", "MIT"), ("se.cond", "1.0", "ISC")]
    assert dependency_licences("absent") == []


def test_all_that_ships_has_a_licence_that_the_notice_knows(scenograph):
    rows = shipped_licences()
    assert {row.name for row in rows} >= {*shipped_models(), "scenograph"}
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for row in rows:
        assert row.licence in ("Apache-2.0", "MIT")
        author = re.fullmatch(r"drawings by (.+)", row.name)
        assert author is None or author[1] in notice
    told = succeed(scenograph("env", "--licences"))
    assert "mise-rendered-64" in told and re.search(rf"^numpy +{re.escape(distribution('numpy').version)} ", told, re.M)
