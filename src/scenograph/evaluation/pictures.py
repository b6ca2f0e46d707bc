"""Pictures as files, by the conventions of the published scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.data.pictures import decode_rgb
from scenograph.data.records import Skip
from scenograph.errors import UserError


def to_bytes(images: Tensor, rounding: str, stretched: bool) -> np.ndarray:
    """Pictures (N, 3, H, W), about [-1, 1], to (N, H, W, 3) uint8: clipped, or each stretched to full contrast."""
    values = images.detach().float().cpu()
    if stretched:
        low, high = values.amin(dim=(1, 2, 3), keepdim=True), values.amax(dim=(1, 2, 3), keepdim=True)
        pixels = (values - low) / (high - low).clamp(min=1e-12) * 255 + 0.5
    else:
        pixels = (values.clamp(-1, 1) * 0.5 + 0.5) * 255
        pixels = pixels.round() if rounding == "nearest" else pixels
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def read_picture(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """A picture in RGB, as packs hold it. ``UserError`` if it is damaged, or not of ``size`` (width, height)."""
    try:
        picture = decode_rgb(path)
    except Skip as why:
        raise UserError(f"{path}: not a readable picture ({why}); delete it, make it again") from why
    if size is not None and picture.size != size:
        found, wanted = "x".join(map(str, picture.size)), "x".join(map(str, size))
        raise UserError(f"{path}: is {found}, others are {wanted}; a set must have one size")
    return picture
