"""``scenograph env``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from scenograph.cli.console import console
from scenograph.version import __version__


def env(
    licences: Annotated[
        bool, typer.Option("--licences", help="Print the licences of what ships and of the installed packages instead.")
    ] = False,
) -> None:
    """Print versions and devices for a bug report."""
    if licences:
        _print_licences()
        return
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


def _print_licences() -> None:
    """Two tables: what ships, and what is installed."""
    from scenograph.pipelines.licences import dependency_licences, shipped_licences

    shipped, installed = shipped_licences(), dependency_licences()
    rows = [*shipped, *installed]
    first, second = max(len(row.name) for row in rows) + 2, max(len(row.version) for row in rows) + 2
    console.print("in the package (NOTICE has the full texts):")
    for number, row in enumerate(rows):
        if number == len(shipped):
            console.print("\ninstalled packages that it uses, as their metadata says:")
        console.print(f"{row.name:<{first}}{row.version:<{second}}{row.licence}")
    if not installed:
        console.print("\nscenograph is read from a folder, not installed: its dependencies are not known")
