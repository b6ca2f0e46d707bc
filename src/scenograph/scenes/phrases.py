"""The small words of English that texts may hold: articles, numbers, pronouns, and how a sentence may begin."""

from __future__ import annotations

import re
from collections.abc import Sequence

INDEFINITE = frozenset(("a", "an", "my", "your", "his", "her", "its", "their", "our", "each", "every", "any"))
DEFINITE = frozenset(("the", "this", "that", "these", "those", "both", "all"))
OTHERS = frozenset(("another", "other", "different"))
"""Words for an object that is not the one before."""
PRONOUNS = {"it": 1, "he": 1, "she": 1, "him": 1, "her": 1, "they": 2, "them": 2}
"""Each with the fewest objects that it stands for."""
GENDERS = {"he": "male", "him": "male", "she": "female", "her": "female"}
WORN = frozenset(("in", "with", "wearing", "wears", "wear", "dressed in"))
"""What stands between people and their clothes, or the colors of these."""
EACH_OTHER = (("each", "other"), ("one", "another"))
RELATIVE = frozenset(("that", "which", "who"))
COPULAS = frozenset(("is", "are", "was", "were", "be", "being", "that's", "who's", "it's", "'s"))
ADVERBS = frozenset(("very", "really", "quite", "also", "directly", "right", "just", "currently", "slightly", "mostly",
                     "partly", "immediately", "together", "all", "both", "now", "then", "there"))  # fmt: skip
PARTICLES = frozenset(("up", "down", "around", "out", "away", "back", "along", "by", "past", "together", "alone"))
"""Words that a verb may take along: *sitting down*."""
NEGATIONS = frozenset(("no", "not", "without", "isn't", "aren't", "never", "none", "neither", "nor", "except", "zero"))
PLACES = frozenset(("left", "right", "top", "bottom", "middle", "center", "centre", "corner", "foreground",
                    "background", "side", "front", "back", "distance"))  # fmt: skip
"""Places in a picture, which scenes have no words for."""

SETTINGS = {
    **dict.fromkeys(("kitchen", "restaurant"), ("place", ("oven", "sink", "refrigerator"))),
    **dict.fromkeys(("bedroom",), ("place", ("bed", "lamp", "wardrobe"))),
    **dict.fromkeys(("bathroom",), ("place", ("toilet", "sink", "mirror"))),
    **dict.fromkeys(("room", "living room", "dining room", "indoors", "inside"), ("place", ("couch", "table", "tv"))),
    **dict.fromkeys(("office", "classroom", "library"), ("place", ("desk", "laptop", "book"))),
    **dict.fromkeys(("city", "town", "village", "downtown"), ("place", ("building", "road", "car"))),
    **dict.fromkeys(("farm", "zoo", "countryside", "country", "landscape", "nature", "outdoors", "outside", "world"),
                    ("place", ("grass", "tree", "sky"))),
    **dict.fromkeys(("airport", "harbor", "harbour", "market"), ("place", ("airplane", "boat", "fruit"))),
    **dict.fromkeys(("night", "midnight", "nighttime", "day", "daytime", "morning", "noon", "afternoon", "evening",
                     "dawn", "dusk", "sunset", "sunrise", "summer", "winter", "spring", "autumn"),
                    ("time", ("moon", "sky"))),
    **dict.fromkeys(("rain", "storm", "thunderstorm", "wind", "weather", "sunshine", "lightning"),
                    ("weather", ("clouds", "umbrella", "sky"))),
    **dict.fromkeys(("party", "birthday", "birthday party", "wedding", "picnic", "concert", "game", "match", "race",
                     "dinner", "lunch", "breakfast"), ("event", ("cake", "person", "table"))),
}  # fmt: skip
"""Words for what is no object, but all of a scene or when it is: of what kind, and things to name for it."""
SEEN = {
    "place": "a place, not an object: name what is in it",
    "time": "a time, not an object: name what is seen then",
    "weather": "weather, not an object: name what is seen then",
    "event": "an event, not an object: name what is seen there",
}

SEVERAL, MANY = 3, 5
UNITS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
         "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
         "eighteen": 18, "nineteen": 19}  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
            "ninth": 9, "tenth": 10}  # fmt: skip
GROUPS = frozenset(f"{group} of" for group in ("group", "herd", "flock", "bunch", "crowd", "pack", "row", "number",
                                               "set", "team", "pile", "line", "family", "swarm", "cluster", "stack",
                                               "heap", "collection", "school", "litter", "total"))  # fmt: skip
QUANTITIES = {
    **dict.fromkeys(("pair of", "couple of", "couple"), 2),
    **dict.fromkeys(("few", "several", "some of"), SEVERAL),
    **dict.fromkeys(GROUPS, SEVERAL),
    **dict.fromkeys(("many", "lots of", "lot of", "plenty of", "numerous", "multiple"), MANY),
    **dict.fromkeys(("half a dozen", "half dozen", "half-dozen"), 6),
    **dict.fromkeys(("dozen", "dozen of"), 12),
    "dozens of": 24,
    "hundred": 100,
    "thousand": 1000,
    **dict.fromkeys(("piece of", "slice of", "sheet of", "patch of", "stretch of", "expanse of"), 1),
}  # fmt: skip
"""How many are meant."""

SMALL = frozenset((*INDEFINITE, *DEFINITE, *OTHERS, *PRONOUNS, *RELATIVE, *COPULAS, *ADVERBS, *PARTICLES, *NEGATIONS,
                   *PLACES, *ORDINALS, "of", "some", "each", "other", "another", ",", "and", "with", "to", "at",
                   "as"))  # fmt: skip
"""Words that are no names."""

_PICTURE = r"(?:(?:a|an|the|this)\s+)?(?:picture|photo|photograph|image|drawing|painting|illustration|scene|view)"
OPENING = re.compile(
    rf"^(?:please\s+|(?:draw|show|show me|make|generate|imagine|create)\s+)*"
    rf"(?:{_PICTURE}\s+(?:of|with|showing|shows|has|in which|where)\s+)?"
    rf"(?:(?:there|here)\s+(?:is|are|was|were)\s+|(?:there's|here's)\s+|(?:i|we|you)\s+(?:can\s+)?see\s+)?"
)
"""What a sentence may begin with and need not."""


def number_at(words: Sequence[str], at: int) -> tuple[int | None, int]:
    """The number that stands at a word, if any (``3``, ``twenty-one``, ``dozen``, ``pair of``), and its end."""
    for length in (3, 2, 1):
        phrase = " ".join(words[at : at + length])
        if len(words) >= at + length and phrase in QUANTITIES:
            return QUANTITIES[phrase], at + length
    if at >= len(words):
        return None, at
    word = words[at]
    if word.isdecimal() and len(word) < 10:
        number, at = int(word), at + 1
    else:
        tens, _, units = word.partition("-")
        if word in UNITS:
            number = UNITS[word]
        elif tens in TENS and (not units or UNITS.get(units, 10) < 10):
            if word in TENS and at + 1 < len(words) and UNITS.get(words[at + 1], 10) < 10:  # "twenty one"
                units, at = words[at + 1], at + 1
            number = TENS[tens] + UNITS.get(units, 0)
        else:
            return None, at
        at += 1
    if at < len(words) and words[at] in ("dozen", "hundred", "thousand"):
        number, at = number * QUANTITIES[words[at]], at + 1
    return number, at
