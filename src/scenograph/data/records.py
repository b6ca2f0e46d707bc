"""Records of annotation files: what is left out of them and why, and fields read in any form that has one meaning."""

from __future__ import annotations


class Skip(Exception):  # noqa: N818 - not an error: the sample is left out and counted
    """Raised to leave a sample out. The message is the reason, which the summary counts.

    ``example`` is shown for the first samples left out for that reason: the file, and what is wrong with it.
    """

    def __init__(self, reason: str, example: str = "") -> None:
        super().__init__(reason)
        self.example = example
