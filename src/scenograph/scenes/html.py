"""What notebooks show: tables and pictures as HTML that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

from PIL import Image

LONGEST = 400
"""Characters of a text in a table."""


def html_table(rows: Mapping[str, str]) -> str:
    """Names and texts; empty texts are left out, long ones cut."""
    cells = "".join(
        f"<tr><th style='text-align: left; vertical-align: top'>{html.escape(name)}</th>"
        f"<td style='text-align: left'>{html.escape(text if len(text) <= LONGEST else text[:LONGEST] + '…')}</td></tr>"
        for name, text in rows.items()
        if text
    )
    return f"<table>{cells}</table>"


def html_picture(picture: Image.Image, text: str) -> str:
    """A picture, and a text for those who do not see it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    code = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" style="max-width: 100%" src="data:image/png;base64,{code}">'
