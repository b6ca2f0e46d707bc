"""Words that people use are read as the names of a vocabulary, and this is said."""

from __future__ import annotations

import pytest

from scenograph.errors import NOTE, UserError
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import CATEGORIES, PREDICATES, synonyms, with_known_names
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary

NAMES = Vocabulary(("sky-other", "sea", "grass", "sheep", "boat", "person"), ("above", "next to", "on", "inside"))


def names_of(scene):
    return [thing.category for thing in scene.objects], [r.predicate for r in scene.relations]


def test_scenes_and_texts_are_read_alike(caplog):
    caplog.set_level(NOTE)
    scene = Scene.from_dict(
        {"objects": ["sky", "ocean", "ship", "sheep"], "relationships": [[2, "by", 1], [0, "over", 3]]}
    )
    (known,) = with_known_names([scene], NAMES)
    assert names_of(known) == (["sky-other", "sea", "boat", "sheep"], ["next to", "above"])
    said = (
        "ocean is taken as sea, ship is taken as boat, sky is taken as sky-other, by is taken as next to, over is taken"
    )
    assert said in caplog.text and caplog.records[0].levelname == "note"
    caplog.clear()
    text = scene_from_text("the ship by the ocean; a man on top of grass; ship on grass", NAMES)
    assert names_of(text) == (["boat", "sea", "person", "grass"], ["next to", "on", "on"])
    said = "ship is taken as boat, ocean is taken as sea, man is taken as person, by is taken as next to, on top of is taken as on"
    assert caplog.messages == [said]


def test_known_names_stay_and_nothing_is_said(caplog):
    caplog.set_level(NOTE)
    scene = Scene.from_dict({"objects": ["sea", "sheep"], "relationships": [[1, "next to", 0]]})
    assert with_known_names([scene], NAMES)[0] is scene and not caplog.text
    both = Vocabulary(("ocean", "sea"), ("by", "next to"))
    assert names_of(scene_from_text("ocean by sea", both)) == (["ocean", "sea"], ["by"])


def test_what_stands_for_nothing_known_is_an_error():
    assert synonyms(CATEGORIES, {"road"}) == {"street": "road"}
    with pytest.raises(UserError, match="unknown word 'street'"):
        scene_from_text("street", NAMES)


def test_parts_of_things_are_left_out(caplog):
    graph = {"objects": ["tail", "sheep", "leg", "sea"], "relationships": [[1, "has", 0], [1, "by", 3], [1, "has", 3]]}
    (known,) = with_known_names([Scene.from_dict(graph)], NAMES)
    assert names_of(known) == (["sheep", "sea"], ["next to", "next to"])
    assert "leaving out leg, tail: parts are drawn with their things" in caplog.text
    caplog.clear()
    alone = Scene.from_dict({"objects": ["tail"]})
    assert with_known_names([alone], NAMES)[0] is alone and not caplog.text  # it is refused as unknown
    legs = Vocabulary(("leg", "sheep"), ())
    assert names_of(with_known_names([Scene.from_dict({"objects": ["leg", "sheep"]})], legs)[0])[0] == ["leg", "sheep"]


def test_tables_are_well_formed():
    for table in (CATEGORIES, PREDICATES):
        assert all(word == word.casefold().strip() and candidates for word, candidates in table.items())
        assert all(word not in candidates or len(candidates) == 1 for word, candidates in table.items())
