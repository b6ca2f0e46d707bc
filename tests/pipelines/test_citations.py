"""What to cite, and that the table, CITATION.cff and the pages of the systems agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from helpers import succeed
from scenograph.data.sources import SOURCES
from scenograph.models.registry import MODELS
from scenograph.pipelines.citations import Work, citations, cited_for, works
from scenograph.version import __version__

ROOT = Path(__file__).parents[2]
USERS_OWN = {"coco-export", "folder", "labelme"}
"""Sources that read what the user annotated."""
OURS = {"detector", "mise", "mise-layers", "mise-layout", "object-classifier", "scene-encoder", "picture-book"}


def test_every_model_and_source_has_its_works():
    known = {name for work in works() for name in work.names}
    assert {*MODELS} <= known and {*SOURCES} - USERS_OWN <= known and not USERS_OWN & known
    assert {name for name in (*MODELS, *SOURCES) if name in works()[0].names} == OURS
    assert all(work.data == bool(not {*MODELS} & {*work.names}) for work in works())


def test_names_are_found_in_any_spelling_and_wrong_ones_refused(scenograph):
    assert [work.key for work in cited_for(["Scene Designer", "LostGAN_v1"])] == [
        "sun2019lostgan",
        "ribeiro2021scenedesigner",
    ]
    assert [work.key for work in cited_for(["attspade"])] == ["herzig2020canonical"] == [cited_for(["wsgc"])[0].key]
    assert {work.key for work in cited_for()} == {work.key for work in works() if not work.data}
    code, _, errors = scenograph("cite", "sg2imm")
    assert code == 2 and errors == "error: nothing to cite for 'sg2imm' (did you mean 'sg2im'?)\n"


def test_bibtex_is_well_formed():
    """An independent, small reading of it: every entry and field is there, braces are balanced."""
    names = [name for work in works() for name in work.names]
    text = citations(names)
    entries = dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL))
    assert [*entries] == [work.key for work in works()] and text.isascii()
    for work in works():
        body = entries[work.key]
        fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", body, re.MULTILINE))
        assert len(fields) == body.count("\n") and all(f.count("{") == f.count("}") for f in fields.values())
        assert fields["title"] == f"{{{work.title}}}" and fields["year"] == str(work.year)
        assert len(fields["author"].split(" and ")) == len(work.authors)
        assert (fields.get("eprint", ""), fields.get("doi", "")) == (work.arxiv, work.doi)
    assert "Doll{\\'a}r, Piotr" in entries["lin2014coco"]


def test_the_citation_file_is_what_the_command_prints(scenograph):
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert text == succeed(scenograph("cite", "--format", "cff"))
    held = yaml.safe_load(text)
    assert held["cff-version"] == "1.2.0" and held["version"] == __version__
    of_systems = [work for work in works()[1:] if not work.data]
    assert len(held["references"]) == len(of_systems) >= 8
    for work, row in zip(of_systems, held["references"], strict=True):
        assert (row["title"], row["year"], row.get("doi", "")) == (work.title, work.year, work.doi)
        assert tuple(f"{one['family-names']}, {one['given-names']}" for one in row["authors"]) == work.authors
        assert row.get("collection-title", row.get("journal")) == work.venue


def test_lines_of_text_name_who_where_and_when():
    assert " ".join(citations(["lama"], "text").split()) == (
        "Zejian Li, Jingyu Wu, Immanuel Koh, Yongchuan Tang, Lingyun Sun. Image Synthesis from Layout with "
        "Locality-Aware Mask Adaption. IEEE/CVF International Conference on Computer Vision (ICCV), 2021. "
        "doi:10.1109/ICCV48922.2021.01356"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"authors": []}, "authors"),
        ({"year": 18}, "year"),
        ({"arxiv": "1804"}, "arxiv"),
        ({"doi": "doi.org/10.1"}, "doi"),
        ({"arxiv": "", "doi": ""}, "an arXiv number, DOI or address"),
        ({"venue": ""}, "a venue"),
        ({"tilte": "x"}, "tilte"),
    ],
)
def test_a_row_that_lacks_something_is_refused(change, told):
    row = next(work for work in works() if work.key == "johnson2018sg2im").model_dump(by_alias=True)
    with pytest.raises(ValidationError, match=told):
        Work(**{**row, **change})


SYSTEMS = sorted(page for page in (ROOT / "docs" / "systems").glob("*.md") if page.stem != "index")


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda path: path.stem)
def test_every_page_of_a_system_says_how_to_cite_it(page):
    named = re.findall(r"`scenograph cite ([^`]+)`", page.read_text(encoding="utf-8"))
    assert len(named) == 1 and cited_for(named[0].split())
