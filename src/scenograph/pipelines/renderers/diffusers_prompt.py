"""Scenes as prompts of diffusion models: what there is, how it is related, and what tokenizers leave out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from scenograph.scenes.exports import phrase
from scenograph.scenes.lexicon import plural
from scenograph.scenes.phrases import UNITS
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.silhouettes import is_region

NUMBERS = {number: word for word, number in UNITS.items()}


def scene_prompt(scene: Scene, words: str | None = None) -> str:
    """A scene in the words of a caption.

    Args:
        scene: Its objects come first, the most of them in one phrase, then its relations, each said once.
        words: A line about style, which stands before all that, where no limit of tokens cuts it.

    Returns:
        For example ``watercolour, two sheep, a red house, grass; sheep standing on grass``.
    """
    phrases = [phrase(thing) for thing in scene.objects]
    plain = {text: is_region(thing) for text, thing in zip(phrases, scene.objects, strict=True)}
    things = [_counted(text, count, plain[text]) for text, count in Counter(phrases).items()]
    said = dict.fromkeys(
        f"{phrases[one.subject]} {one.predicate} {_other(phrases, one.subject, one.object)}" for one in scene.relations
    )
    listed = ", ".join([words.strip(), *things] if words and words.strip() else things)
    return "; ".join([listed, *said])


def object_prompt(thing: SceneObject) -> str:
    """One object in the words of a caption."""
    return _counted(phrase(thing), 1, is_region(thing))


def _counted(text: str, count: int, region: bool) -> str:
    if count == 1:
        several = text.endswith("s") and plural(text) == text
        return text if region or several else f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
    return f"{NUMBERS.get(count, count)} {plural(text)}"


def _other(phrases: list[str], subject: int, other: int) -> str:
    """The second object of a relation, told apart from a first one of the same name."""
    return f"another {phrases[other]}" if phrases[subject] == phrases[other] else phrases[other]


def left_out(tokenizer: Any, tokens: int, prompt: str) -> str:
    """The end of a prompt that a tokenizer with such a limit leaves out; nothing if all of it is read."""
    numbers = tokenizer(prompt, verbose=False).input_ids
    ending = numbers[-1] in tokenizer.all_special_ids
    return str(tokenizer.decode(numbers[tokens - ending :], skip_special_tokens=True)).strip()
