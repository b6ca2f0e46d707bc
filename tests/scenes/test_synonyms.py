"""Words that people use are read as the names of a vocabulary, and this is said."""

from __future__ import annotations

from importlib.resources import files

import pytest

from scenograph.data.clevr import VOCABULARY as CLEVR
from scenograph.data.vocabularies import shipped_vocabulary
from scenograph.errors import NOTE, UserError
from scenograph.scenes.lexicon import ATTRIBUTES, CATEGORIES, PREDICATES, plural, singulars
from scenograph.scenes.scene import Relation, Scene
from scenograph.scenes.synonyms import name_for, nearest_names, predicate_for, synonyms, with_known_names
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
    said = "ocean is taken as sea, ship is taken as boat, by is taken as next to, over is taken"
    assert said in caplog.text and caplog.records[0].levelname == "note"
    caplog.clear()
    text = scene_from_text("the ship by the ocean; a man on top of grass; ship on grass", NAMES)
    assert names_of(text) == (["boat", "sea", "person", "grass"], ["next to", "on", "on"])
    said = "man is taken as person, ocean is taken as sea, ship is taken as boat, by is taken as next to, on top of is taken as on"
    assert caplog.messages == [said]


def test_known_names_stay_and_nothing_is_said(caplog):
    caplog.set_level(NOTE)
    scene = Scene.from_dict({"objects": ["sea", "sheep"], "relationships": [[1, "next to", 0]]})
    assert with_known_names([scene], NAMES)[0] is scene and not caplog.text
    both = Vocabulary(("ocean", "sea"), ("by", "next to"))
    assert names_of(scene_from_text("ocean by sea", both)) == (["ocean", "sea"], ["by"])


def test_what_stands_for_nothing_known_is_an_error():
    assert synonyms(CATEGORIES, ["road"])["street"] == "road" and "car" not in synonyms(CATEGORIES, ["road"])
    with pytest.raises(UserError, match="unknown word 'street'"):
        scene_from_text("street", NAMES)


MEANT = {
    "sky": "sky-other", "automobile": "car", "taxi": "car", "men": "person", "trees": "tree", "street": "road",
    "lake": "river", "puppy": "dog", "lamp": "light", "sofa": "couch", "bike": "bicycle", "shirt": "clothes",
    "field": "grass", "hedge": "bush", "castle": "building-other", "sidewalk": "pavement", "mug": "cup",
    "tracks": "railroad", "unicorn": None, "room": None, "sphere": None, "tail": None,
}  # fmt: skip


@pytest.mark.parametrize("word", MEANT)
def test_everyday_words_have_names_in_coco_stuff(word):
    assert name_for(word, CATEGORIES, shipped_vocabulary("coco-stuff").category_index) == MEANT[word]


def test_names_of_coco_stuff_have_everyday_words():
    everyday = ("sky", "building", "table", "car", "person", "water")
    names = ("sky-other", "building-other", "dining table", "car", "person", "water-other")
    assert tuple(name_for(name, CATEGORIES, everyday) for name in names) == everyday


@pytest.mark.parametrize(
    ("word", "known", "name"),
    [
        ("standing on", ("on", "above"), "on"),
        ("standing on", ("above",), "above"),
        ("grazing on", ("standing on", "on"), "standing on"),
        ("sitting down next to", ("next to",), "next to"),
        ("near", ("left of", "behind"), "left of"),
        ("beneath", ("on", "under"), "under"),
        ("wearing", ("has", "holding"), "holding"),
        ("in", ("on",), "inside"),  # nobody needs to know it
        ("juggling", ("holding",), None),
        ("juggling on", ("on",), None),
    ],
)
def test_predicates_of_few(word, known, name):
    assert predicate_for(word, known) == name


def test_who_does_what_is_turned_round(caplog):
    scene = Scene.from_dict({"objects": ["horse", "man"], "relationships": [[0, "ridden by", 1]]})
    (known,) = with_known_names([scene], Vocabulary(("horse", "person"), ("riding",)))
    assert known.relations == (Relation(1, "riding", 0),)


def test_nothing_becomes_left_of_itself():
    scene = Scene.from_dict({"objects": ["cube", "cube"], "relationships": [[0, "near", 0], [0, "near", 1]]})
    assert with_known_names([scene], CLEVR)[0].relations == (Relation(0, "left of", 1),)


def test_attributes_have_synonyms():
    scene = Scene.from_dict({"objects": [{"category": "cube", "attributes": ["big", "grey", "shiny", "metal"]}]})
    assert with_known_names([scene], CLEVR)[0].objects[0].attributes == ("large", "gray", "metal")


@pytest.mark.parametrize(
    ("word", "names", "remedy"),
    [
        ("sheep", ("cube", "sphere"), "(choose from: cube, sphere)"),  # and not 'sphere', which looks alike
        ("wolf", ("cube", "dog", "zebra"), "(nearest in meaning: dog, zebra)"),
        ("wolves", ("cube", "dog"), "(nearest in meaning: dog)"),
        ("shpere", ("cube", "sphere"), "(did you mean 'sphere'?)"),
        ("Shep", ("cube", "sphere"), "(did you mean 'sheep'?)"),
        ("qqq", ("cube", "sphere"), "(choose from: cube, sphere)"),
    ],
)
def test_remedies_go_by_meaning_first(word, names, remedy):
    assert nearest_names(word, CATEGORIES, names) == remedy


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


@pytest.mark.parametrize("lexicon", [CATEGORIES, PREDICATES, ATTRIBUTES], ids=lambda each: each.table)
def test_tables_are_well_formed(lexicon):
    path = files("scenograph") / "scenes" / "words" / f"{lexicon.table}.csv"
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    words = [word for row in rows[1:] for word in row[0].split("|")]
    assert {len(row) for row in rows} == {3} and len(words) == len(set(words)), "a word stands in two rows"
    assert all(word == word.casefold().strip() != "" for word in words)
    nearer = {near for row in rows[1:] for near in filter(None, row[1].split("|"))}
    assert nearer - {*words} <= {"size", "color", "material"}, "these lead nowhere"
    kinds = {kind for row in rows[1:] for kind in filter(None, row[2].split("|"))}
    assert kinds <= {
        "each",
        "region",
        "raised",
        "living",
        "male",
        "female",
        "garment",
        "container",
        "part",
        "support",
        "verb",
        "inverse",
    }


@pytest.mark.parametrize(
    ("one", "many"),
    [("sheep", "sheep"), ("man", "men"), ("person", "people"), ("policeman", "policemen"), ("child", "children"),
     ("bus", "buses"), ("leaf", "leaves"), ("knife", "knives"), ("berry", "berries"), ("toy", "toys"), ("box", "boxes"),
     ("bench", "benches"), ("potato", "potatoes"), ("glass", "glasses"), ("hot dog", "hot dogs"), ("mouse", "mice"),
     ("tie", "ties"), ("horse", "horses"), ("giraffe", "giraffes"), ("teddy bear", "teddy bears"), ("wolf", "wolves")],
)  # fmt: skip
def test_plurals(one, many):
    assert one in (many, *singulars(many))
    assert plural(one) == many and plural(many) == many
