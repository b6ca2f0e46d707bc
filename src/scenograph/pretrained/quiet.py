"""Libraries of pretrained models without the bars and remarks that they print while they load and compute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def quiet(*packages: str) -> Iterator[None]:
    """Silence ``packages`` for the time being: transformers, and others whose logging is like its own."""
    loggings = [import_module(f"{package}.utils.logging") for package in packages]
    levels = [(each, each.get_verbosity()) for each in loggings]
    for each, _ in levels:
        each.set_verbosity_error()
        each.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for each, level in levels:
            each.set_verbosity(level)
            each.enable_progress_bar()
