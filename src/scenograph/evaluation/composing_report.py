"""The report of a composition, as a page and as Markdown: each round's picture, what is right, what was changed."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PIL import Image

from scenograph.evaluation.checking import Verdict, count_right
from scenograph.evaluation.composing import Composition, Round
from scenograph.evaluation.page import Exhibit, gallery_of, whole_page
from scenograph.evaluation.report import plain
from scenograph.scenes.drawing import draw_flags
from scenograph.scenes.scene import Scene
from scenograph.scenes.shapes import Color, Drawing, Rectangle
from scenograph.scenes.text import labels_in_words, numbered, relation_to_text, scene_to_text
from scenograph.version import __version__

SIDE = 448
"""Longer side of the pictures in a report, in pixels."""
COLOURS: dict[bool | None, Color] = {True: (5, 150, 105), False: (220, 38, 38), None: (107, 114, 128)}
"""Of boxes: right, wrong, and what could not be told."""
WORDS = {True: "right", False: "wrong", None: "not told"}


def draw_verdicts(picture: Image.Image, scene: Scene, verdicts: Sequence[Verdict], side: int = SIDE) -> Image.Image:
    """A picture with the boxes and names of its objects: green if right, red if wrong, grey if nobody can tell.

    Args:
        picture: Of any size.
        scene: Every object has a box.
        verdicts: On its objects.
        side: The longer side of the result in pixels.
    """
    longest = max(picture.size)
    width, height = (side * length / longest for length in picture.size)
    names = numbered(labels_in_words(scene, attributes=False))
    order = sorted(range(len(names)), key=lambda number: verdicts[number].right is False)
    boxes = []
    for number in order:
        x0, y0, x1, y1 = scene.objects[number].box or (0.0, 0.0, 0.0, 0.0)
        colour = COLOURS[verdicts[number].right]
        boxes.append(Rectangle(x0 * width, y0 * height, x1 * width, y1 * height, colour, colour, 0.0))
    flags, _ = draw_flags(boxes, [names[number] for number in order], 12, width, height)
    return Drawing(width, height, (*boxes, *flags)).to_image(1, picture.convert("RGB"))


def as_html(made: Composition, title: str) -> str:
    """The report as one page that needs nothing else."""
    exhibits = []
    for number, one in enumerate(made.rounds, start=1):
        marked = draw_verdicts(one.picture, one.plan.scene, one.findings.objects)
        changes = "; ".join(one.plan.changes) or "the best of the drafts"
        kept = " (kept)" if number == made.best + 1 else ""
        exhibits.append(Exhibit(f"Round {number}{kept}: {one}. {_sentence(changes)}", [("", marked)]))
    head = "<tr><th>object<th>verdict<th>confidence<th>seen</tr>"
    body = [
        gallery_of([Exhibit("The picture that is kept.", [("", made.picture)])]),
        f"<h2>Rounds</h2>{gallery_of(exhibits)}",
        f"<h2>Objects</h2><table>{head}{_rows(_object_rows(made))}</table>",
    ]
    if made.scene.relations:
        head = head.replace("object", "relation")
        body.append(f"<h2>Relations</h2><table>{head}{_rows(_relation_rows(made))}</table>")
    body.append(f"<p>{html.escape(_explained(made))}</p><p>Made by scenograph {__version__}.</p>")
    return whole_page(title, _lead(made), "".join(body))


def as_markdown(made: Composition, stem: str) -> str:
    """The report as text, which shows the pictures beside it."""
    lines = [f"# {stem}", "", _lead(made), "", f"![the picture that is kept]({stem}.png)", ""]
    lines += ["| round | objects right | relations right | changed, and why |", "|---|---|---|---|"]
    for number, one in enumerate(made.rounds, start=1):
        kept = f"[{number}]({stem}-round{number}.png)" + (" (kept)" if number == made.best + 1 else "")
        cells = [kept, *_counts(one), plain("; ".join(one.plan.changes) or "the best of the drafts")]
        lines.append(f"| {' | '.join(cells)} |")
    for what, rows in (("object", _object_rows(made)), ("relation", _relation_rows(made))):
        if rows:
            lines += ["", f"| {what} | verdict | confidence | seen |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(map(plain, row))} |" for row in rows]
    return "\n".join([*lines, "", _explained(made), ""])


def _lead(made: Composition) -> str:
    rounds = f"Round {made.best + 1} of {len(made.rounds)} is kept"
    return f"{rounds}: {made.rounds[made.best]}, by {made.checker}. Asked for: {scene_to_text(made.asked)}."


def _explained(made: Composition) -> str:
    return (
        "A relation is right if both its objects are, and their boxes show it. Repairs follow the checker of "
        "these verdicts: another one may see less."
    )


def _counts(one: Round) -> list[str]:
    verdicts = one.findings.objects, one.findings.relations
    return [f"{right} of {told}" if told else "-" for right, told in map(count_right, verdicts)]


def _object_rows(made: Composition) -> list[list[str]]:
    labels = numbered(labels_in_words(made.scene))
    return [_row(f"{n} {label}", made.findings.objects[n]) for n, label in enumerate(labels)]


def _relation_rows(made: Composition) -> list[list[str]]:
    return [_row(relation_to_text(made.scene, n), verdict) for n, verdict in enumerate(made.findings.relations)]


def _row(name: str, verdict: Verdict) -> list[str]:
    confidence = "" if verdict.right is None else f"{verdict.confidence:.2f}"
    return [name, WORDS[verdict.right], confidence, verdict.seen]


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
