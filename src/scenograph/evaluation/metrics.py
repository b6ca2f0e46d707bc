"""The registry of metrics. A metric is a class in a file of its own and a line here."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenograph.evaluation.metric import Metric

METRICS: dict[str, str] = {
    "quality": "scenograph.evaluation.quality:QualityMetric",
    "objects": "scenograph.evaluation.objects:ObjectsMetric",
    "copies": "scenograph.evaluation.copies:CopiesMetric",
    "diversity": "scenograph.evaluation.diversity:DiversityMetric",
    "layout": "scenograph.evaluation.layout:LayoutMetric",
    "agreement": "scenograph.evaluation.agreement:AgreementMetric",
    "probes": "scenograph.evaluation.probes:ProbesMetric",
    "robustness": "scenograph.evaluation.robustness:RobustnessMetric",
    "classification": "scenograph.evaluation.classification:ClassificationMetric",
    "detection": "scenograph.evaluation.detection:DetectionMetric",
    "score": "scenograph.evaluation.score:ScoreMetric",
}
"""Module and class of each metric by its name; a metric's module is imported when it is first needed."""


def metric_class(name: str) -> type[Metric]:
    """The class of a metric by its name in :data:`METRICS`."""
    kind: type[Metric] = pkgutil.resolve_name(METRICS[name])
    return kind
