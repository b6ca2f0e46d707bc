"""``scenograph env``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from scenograph.cli.console import console
from scenograph.version import __version__


def env() -> None:
    """Print versions and devices for a bug report."""
    from scenograph.devices import device_report
    from scenograph.models.registry import shipped_models

    rows = {
        "scenograph": __version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "device": device_report(),
    }
    for name in (
        "torch",
        "numpy",
        "pillow",
        "accelerate",
        "datasets",
        "safetensors",
        "pydantic",
        "typer",
        "mitsuba",
        "lancedb",
    ):
        try:
            rows[name] = version(name)
        except PackageNotFoundError:
            rows[name] = "not installed"
    rows["shipped models"] = ", ".join(shipped_models()) or "none"
    for name, value in rows.items():
        console.print(f"{name:<15}{value}")
