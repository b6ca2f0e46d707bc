"""A metric is one class and one line in the registry: a new one is measured, reported and compared like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scenograph.errors import UserError
from scenograph.evaluation.figure import mean_figure
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.metrics import METRICS, metric_class
from scenograph.evaluation.protocols import PROTOCOLS, find_protocol


class BrightnessMetric(Metric):
    """How much brighter generated pictures are than real ones, in grey levels."""

    needs = frozenset({"pictures", "real pictures"})

    @classmethod
    def check(cls, layouts, tools):
        """It wants two layouts."""
        if layouts.count < 2:
            raise UserError("the brightness metric needs two layouts: --scenes 2")

    def measure(self, chunk):
        """The mean grey level of each picture."""
        return {"grey": np.array([np.asarray(picture.convert("L")).mean() for picture in chunk.pictures])}

    def figures(self, evaluation, progress):
        """The difference of the means."""
        real = np.concatenate(list(evaluation.arrays("grey", real=True))).mean()
        return [mean_figure("brightness", evaluation.all("grey") - real, "grey levels above real ones", share=False)]

    def write_files(self, evaluation):
        """The grey levels."""
        path = evaluation.folder / "grey.txt"
        path.write_text("\n".join(f"{value:.3f}" for value in evaluation.all("grey")))
        return [path]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METRICS, "brightness", f"{__name__}:BrightnessMetric")


def test_a_new_metric_is_evaluated_from_end_to_end(registered, painted, scenograph):
    asked = ("evaluate", "--pack", str(painted), "--split", "validation", "--steps", "1", "--device", "cpu")
    code, said, errors = scenograph(*asked, "--scenes", "3", "--metrics", "brightness,layout", "--out", "e")
    assert code == 0, errors
    assert "grey levels above real ones" in said and "wrote e/grey.txt" in said
    figures = {row["name"]: row for row in json.loads(Path("e/report.json").read_text())["figures"]}
    greys = [float(line) for line in Path("e/grey.txt").read_text().split()]
    assert list(figures)[-1] == "brightness" and "box_iou" in figures
    assert figures["brightness"]["count"] == len(greys) == 3
    assert abs(figures["brightness"]["value"]) < 255 and figures["brightness"]["error"] > 0
    code, _, errors = scenograph(*asked, "--scenes", "1", "--metrics", "brightness", "--out", "f")
    assert code == 2 and "the brightness metric needs two layouts" in errors


def test_every_metric_can_be_loaded_and_named():
    for name in METRICS:
        kind = metric_class(name)
        assert issubclass(kind, Metric) and kind.__doc__ and kind.needs
    used = {name for protocol in PROTOCOLS.values() for name in protocol.metrics}
    assert used <= METRICS.keys()
    with pytest.raises(UserError, match="metrics.0: Input should be 'quality', .* or 'score'"):
        find_protocol("rendered", {"metrics": ("brightness",)})
