from __future__ import annotations

import logging

import numpy as np

from scenograph.scenes.completion import cut_to_canvas
from scenograph.scenes.scene import Scene, SceneObject

BOXES = [(0.05, 0.1, 0.45, 0.5), (0.4, 0.4, 0.95, 0.9), (0.6, 0.05, 0.8, 0.3)]


def test_boxes_beyond_the_canvas_are_cut_and_said(caplog):
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    scene = Scene((SceneObject("cube", (), (-0.4, 0.2, 0.4, 0.6), mask), SceneObject("cube", (), BOXES[0])))
    with caplog.at_level(logging.WARNING):
        cut = cut_to_canvas(scene)
    assert cut.objects[0].box == (0.0, 0.2, 0.4, 0.6) and cut.objects[0].mask.shape == (8, 8)
    assert cut.objects[0].mask.all() and cut.objects[1] is scene.objects[1]
    assert "objects[0].box: [-0.4, 0.2, 0.4, 0.6] reaches beyond the canvas and is cut to it" in caplog.text
