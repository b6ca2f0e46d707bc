"""Detectors, as a checker asks them: what of a scene's objects do they find in a picture, and where?"""

from __future__ import annotations

from PIL import Image

from scenograph.evaluation.detections import DARKNET_NAMES
from scenograph.pipelines.pictured import Finds
from scenograph.pretrained.detectors import Found
from scenograph.scenes.scene import Scene
from scenograph.scenes.text import labels_in_words

FAINT = 0.01
"""Score from which something is taken note of; it is believed from the detector's own."""


class Finder:
    """A detector, asked for the objects of a scene: by attributes and category in words, or by the names that it has.

    Args:
        detector: What finds.
        name: For messages.
    """

    def __init__(self, detector: Finds, name: str) -> None:
        self.detector, self.name, self.least = detector, name, detector.least

    def find(self, picture: Image.Image, scene: Scene) -> list[list[Found] | None]:
        """For each object, all that looks like it, the likeliest first; None if the detector has no word for it."""
        words = self._words(scene)
        asked = [word for word in dict.fromkeys(words) if word is not None]
        found = self.detector(picture.convert("RGB"), FAINT, asked)
        return [None if word is None else [one for one in found if one.name == word] for word in words]

    def _words(self, scene: Scene) -> list[str | None]:
        if not self.detector.names:
            return list(labels_in_words(scene))
        known = {DARKNET_NAMES.get(name, name): name for name in self.detector.names}
        return [known.get(thing.category) for thing in scene.objects]
