"""A source whose reader dies, for tests of work that is shared: processes other than the test's import it from here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from scenograph.data.source import Sample, Samples
from scenograph.scenes.vocabulary import Vocabulary


class Killed(Samples):
    """Samples; the process that reads one of them is killed, the first time."""

    def __init__(self, vocabulary: Vocabulary, samples: list[Sample], fatal: str, mark: Path) -> None:
        super().__init__(vocabulary, {"train": samples})
        self.fatal, self.mark = fatal, mark

    def read(self, item: Sample) -> Sample:
        if item.identifier == self.fatal and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item
