"""Scenograph: from a scene graph, a layout or a sketch to a picture."""

from __future__ import annotations

__version__ = "0.1.0"
