"""What a sketch shows, by the classifier of sketches."""

from __future__ import annotations

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.pipelines.sketched import chances_of
from scenograph.scenes.sketch import Sketch, sketch_from_points
from scenograph.studio.server.limits import check_strokes, opened, read_picture
from scenograph.studio.server.offer import Offer
from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.schemas import NamedSketch, SketchesAsked, SketchesReply

NAMES = 8
"""That are told of a sketch."""
INK = 128
"""Shades below it are ink."""


class SketchWork:
    """For the model thread."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer

    def names(self, asked: SketchesAsked) -> SketchesReply:
        """What a sketch may show, the most probable first."""
        sketch = _from_strokes(asked.strokes) if asked.picture is None else _from_picture(asked.picture)
        model = self.offer.sketch_classifier()
        best = chances_of([sketch], model)[0].topk(min(NAMES, len(model.vocabulary.categories)))
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        names = [NamedSketch(category=model.vocabulary.categories[one], probability=round(p, 4)) for one, p in found]
        return SketchesReply(names=names)


def _from_strokes(strokes: list[object]) -> Sketch:
    """Strokes in any units, as a sketch that fills its box. Raises ``ServiceError`` or ``UserError`` for others."""
    check_strokes(strokes, "strokes")
    arrays = []
    for number, stroke in enumerate(strokes):
        wrong = UserError(f"strokes[{number}]: expected [[x, ...], [y, ...]], two lists of numbers of one length")
        try:
            points = np.array(stroke, dtype=np.float64)
        except (TypeError, ValueError):
            raise wrong from None
        if points.ndim != 2 or len(points) != 2 or isinstance(stroke, str):
            raise wrong
        arrays.append(points.T)
    return sketch_from_points(arrays)


def _from_picture(text: str) -> Sketch:
    """The ink on a picture of paper, cut to where it is. Raises ``ServiceError`` if there is none."""
    pixels = np.asarray(_on_paper(opened(read_picture(text, "picture"), "picture")))
    rows, columns = (np.flatnonzero((pixels < INK).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ServiceError(400, "no_ink", "picture: nothing on it is dark", "picture")
    return Sketch(picture=pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _on_paper(picture: Image.Image) -> Image.Image:
    """A picture in shades of grey; white where it is transparent."""
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture.convert("RGBA"))
    return paper.convert("L")
