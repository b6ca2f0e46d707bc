"""Text to scene by a language model, for what the grammar of :mod:`scenograph.scenes.text` cannot read.

The model answers in JSON whose names are those of a vocabulary. The answer is read as any scene is; what is wrong with
it goes back to the model. Relations that contradict each other are left out, and boxes moved until the rest holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from scenograph.errors import NOTE, UserError, check_text, expecting
from scenograph.files import parse_json
from scenograph.pipelines.defaults import PAIRS, Pair
from scenograph.pretrained.language import LanguageModel, Message, load_language_model
from scenograph.scenes.scene import Scene, keep_objects
from scenograph.scenes.synonyms import with_known_names
from scenograph.scenes.text import names_in_text, relation_to_text
from scenograph.scenes.vocabulary import Vocabulary

PROMPT = 1
"""Version of :data:`INSTRUCTIONS` and of the schema, which pictures record."""
INSTRUCTIONS = """\
You turn a description of a picture into a scene: the objects that are seen, and the relations between them.
Answer with JSON alone, of this form:
{"objects": [{"category": NAME, "attributes": {GROUP: NAME or null}, "box": null}],
 "relationships": [{"subject": NUMBER, "predicate": NAME, "object": NUMBER}]}
- Use only the names listed below. For a thing without a name of its own take the nearest one; leave it out if none is
  near.
- List each object on its own, three sheep as three objects, and what they stand on or what is behind them, too: a
  ground, a sky. What the description leaves open, choose as a picture of it would show it.
- Numbers in relationships count objects from 0. Relate each object to another one, as the viewer sees them. No two
  relationships may contradict each other.
- box is null, unless the description says where in the picture an object is, or how large it looks. It is then
  {"left": X, "top": Y, "width": W, "height": H} in percent of the picture, from its upper left corner.
"""
ANSWERS = 3
"""So often a model may answer one text."""
LONGEST_TEXT = 4000
"""Characters of a text."""
MOST_OBJECTS, MOST_RELATIONS = 24, 32
"""Of a scene that is planned: more than the shipped models learned from."""
SMALLEST = 2
"""Of a side of a box, in percent of the picture."""

log = logging.getLogger(__name__)


class Planner:
    """Reads texts as scenes by a language model.

    >>> planner = Planner.from_name("openai:qwen3@http://127.0.0.1:11434/v1")
    >>> scene = planner("a quiet evening by the sea", vocabulary)
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._planned: dict[tuple[str, str], Scene] = {}

    @staticmethod
    def from_name(name: str, device: str = "auto") -> Planner:
        """The planner of a name, as :func:`~scenograph.pretrained.language.load_language_model` reads it."""
        return Planner(load_language_model(name, device))

    def __call__(self, text: str, vocabulary: Vocabulary, where: str = "text") -> Scene:
        """The scene of a text; the same text in the same names is planned once.

        Args:
            text: What the picture shows, in any words and any language that the model knows.
            vocabulary: The names of the scene.
            where: Names the text in error messages.

        Returns:
            Objects, most of them without boxes, and relations that can all hold.

        Raises:
            UserError: The text is empty or too long, the model cannot be asked, or none of its answers is a scene.
        """
        check_text(text, where)
        if not text.strip():
            raise UserError(f"{where}: the scene is empty; say what it shows")
        if len(text) > LONGEST_TEXT:
            raise UserError(f"{where}: {len(text)} characters; a planner takes {LONGEST_TEXT}")
        key = (text, vocabulary.to_json())
        if key not in self._planned:
            self._planned[key] = _with_boxes_that_hold(_that_can_hold(self._ask(text, vocabulary, where)))
        return self._planned[key]

    def record(self, text: str) -> dict[str, Any]:
        """What a picture's record says of how its scene was planned."""
        return {"text": text, "planner": self.model.name, "prompt": PROMPT}

    def _ask(self, text: str, vocabulary: Vocabulary, where: str) -> Scene:
        """The first answer that is a scene; the model is told what is wrong with the others."""
        schema = exact_schema(vocabulary) if self.model.exact else scene_schema(vocabulary)
        messages: list[Message] = [
            {"role": "system", "content": f"{INSTRUCTIONS}\n{_names(vocabulary)}"},
            {"role": "user", "content": text},
        ]
        wrong: UserError | None = None
        for _ in range(ANSWERS):
            answer = self.model.answer(messages, schema)
            try:
                return read_answer(answer, vocabulary)
            except UserError as error:
                wrong = error
                log.info("%s: an answer is no scene: %s", self.model.name, error)
                again = f"This is no valid scene: {error}. Answer with the whole scene again, corrected."
                messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": again}]
        raise UserError(
            f"{where}: {self.model.name} gave no valid scene in {ANSWERS} answers; of the last one: {wrong}; "
            "say it in other words, take another model, or leave --planner out"
        )


def pair_for_planning(text: str) -> Pair:
    """The shipped models that know most names of a text, and where none knows any, those that know most names."""
    return max(PAIRS, key=lambda pair: (names_in_text(text, pair.vocabulary), len(pair.vocabulary.category_index)))


def read_answer(answer: str, vocabulary: Vocabulary) -> Scene:
    """The scene of an answer. Raises ``UserError`` for what is none in the names of the vocabulary."""
    value = parse_json(answer[answer.find("{") : answer.rfind("}") + 1], "the answer")  # some put it into a code block
    with expecting("the answer: expected objects and relationships as in the instructions"):
        things = [
            {
                "category": thing["category"],
                "attributes": [name for name in (thing.get("attributes") or {}).values() if name is not None],
                "box": None if (box := thing.get("box")) is None else _edges(**box),
            }
            if isinstance(thing, dict)
            else thing  # a name alone, as in scene files
            for thing in value["objects"]
        ]
        relations = [
            [each["subject"], each["predicate"], each["object"]] if isinstance(each, dict) else each
            for each in value.get("relationships") or []
        ]
    if len(relations) > MOST_RELATIONS:  # a server may not know schemas, and which of many can hold takes long to find
        raise UserError(f"scene.relationships: {len(relations)} relationships; give at most {MOST_RELATIONS}")
    scene = Scene.from_dict({"objects": things, "relationships": relations}, "scene")
    for place, relation in enumerate(scene.relations):
        if relation.subject == relation.object:
            raise UserError(f"scene.relationships[{place}]: relates object {relation.subject} to itself")
    (scene,) = with_known_names([scene], vocabulary)
    vocabulary.check([scene])
    return scene


def _edges(left: float, top: float, width: float, height: float) -> list[float]:
    """A box of percents as edges on the canvas."""
    return [left / 100, top / 100, min(left + width, 100) / 100, min(top + height, 100) / 100]


def scene_schema(vocabulary: Vocabulary, objects: int | None = None) -> dict[str, Any]:
    """The JSON schema of an answer in the names of a vocabulary, in the part of the language that servers support.

    Args:
        vocabulary: Its names are the only ones.
        objects: With a number, of a scene of just so many objects, whose relations are between two of these.
    """
    place, size = (
        {"type": "integer", "minimum": low, "maximum": high} for low, high in ((0, 100 - SMALLEST), (SMALLEST, 100))
    )
    groups = {group: _or_null(_one_of(names)) for group, names in vocabulary.attributes.items()}
    thing = {"category": _one_of(vocabulary.category_index)}
    thing |= {"attributes": _object(groups)} if groups else {}
    thing |= {"box": _or_null(_object({"left": place, "top": place, "width": size, "height": size}))}
    predicate = _one_of(vocabulary.predicate_index)
    number: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST_OBJECTS - 1}
    relation = _object({"subject": number, "predicate": predicate, "object": number})
    related = vocabulary.predicate_index and objects != 1
    least, most = (1, MOST_OBJECTS) if objects is None else (objects, objects)
    if objects is not None and related:
        ends = range(objects)
        between = [(one, [other for other in ends if other != one]) for one in ends]
        alternatives = [
            _object({"subject": {"enum": [one]}, "predicate": predicate, "object": {"enum": others}})
            for one, others in between
        ]
        relation = {"anyOf": alternatives}
    relations = {"type": "array", "items": relation, "maxItems": MOST_RELATIONS} if related else _NOTHING
    things = {"type": "array", "items": _object(thing), "minItems": least, "maxItems": most}
    return _object({"objects": things, "relationships": relations})


def exact_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The schema for what keeps to any: whatever follows it is a scene, in which no relation is out of range."""
    return {"anyOf": [scene_schema(vocabulary, objects) for objects in range(1, MOST_OBJECTS + 1)]}


_NOTHING: dict[str, Any] = {"type": "array", "items": {"type": "integer"}, "maxItems": 0}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_of(names: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _names(vocabulary: Vocabulary) -> str:
    """The names that an answer may use, for servers that do not keep to a schema, and so that the model knows them."""
    lines = [f"Categories: {', '.join(vocabulary.category_index)}"]
    lines += [f"Attributes, {group}: {', '.join(names)}" for group, names in vocabulary.attributes.items()]
    return "\n".join([*lines, f"Predicates: {', '.join(vocabulary.predicate_index)}"])


def _that_can_hold(scene: Scene) -> Scene:
    """The scene without relations that contradict others; a warning names each."""
    from scenograph.scenes.repair import repairs  # its solver takes a while to import

    left_out = {repair.left_out for repair in repairs(scene, most=max(len(scene.relations), 1))}
    for number in sorted(left_out):
        log.warning("leaving out %s: it contradicts other relationships of the plan", relation_to_text(scene, number))
    kept = [relation for number, relation in enumerate(scene.relations) if number not in left_out]
    return replace(scene, relations=tuple(kept))


def _with_boxes_that_hold(scene: Scene) -> Scene:
    """The scene with its boxes moved so that its relations hold; without them if the others then find no room."""
    from scenograph.scenes.solver import contradiction, refine

    boxed = [number for number, thing in enumerate(scene.objects) if thing.box is not None]
    if not boxed:
        return scene
    try:
        refined = refine(keep_objects(scene, boxed))
    except UserError:
        refined = None
    if refined is not None:
        objects = list(scene.objects)
        for number, thing in zip(boxed, refined.objects, strict=True):
            objects[number] = thing
        moved = replace(scene, objects=tuple(objects))
        if not contradiction(moved):
            return moved
    log.log(NOTE, "the boxes of the plan do not fit its relationships; a layout model places all objects")
    return replace(scene, objects=tuple(replace(thing, box=None) for thing in scene.objects))
