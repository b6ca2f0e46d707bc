"""Regional prompts: the pixels that show an object attend to the prompt of the scene and to that of the object alone.

Prompts are concatenated along their tokens; a mask over pixels and tokens is added to every cross-attention, of the
U-Net and of its control networks. Self-attention is left as it is, so that the parts make one picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

EMBEDDED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
"""What diffusers' ``encode_prompt`` returns, SDXL's all of it, as arguments of the pipeline."""


class RegionAttention:
    """Attention with a mask in cross-attention (:diffusers' ``AttnProcessor2_0``)."""

    def __init__(self, masks: Tensor, tokens: int) -> None:
        """``masks`` (R, H, W) are 1 where a region is; ``tokens`` are those of one prompt."""
        self._masks, self._tokens, self._inner = masks, tokens, AttnProcessor2_0()
        self._biases: dict[int, Tensor] = {}

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *rest: Any, **more: Any
    ) -> Tensor:
        """As diffusers calls it: ``hidden_states`` (B, pixels, D), ``encoder_hidden_states`` (B, tokens, D)."""
        if encoder_hidden_states is None:
            return self._inner(attn, hidden_states, encoder_hidden_states, *rest, **more)
        pixels = hidden_states.shape[1]
        bias = self._biases[pixels] = self.bias(pixels).to(hidden_states)
        more["attention_mask"] = bias.expand(len(hidden_states), -1, -1)
        return self._inner(attn, hidden_states, encoder_hidden_states, **more)

    def bias(self, pixels: int) -> Tensor:
        """(1, pixels, (1 + R) * tokens): 0 where a pixel of a square map sees a token, minus infinity elsewhere."""
        if pixels not in self._biases:
            side = math.isqrt(pixels)
            # A region of a few pixels is not lost on a coarse map: one pixel of it is enough.
            seen = F.adaptive_max_pool2d(self._masks, (side, side)).flatten(1).T  # (pixels, R)
            seen = torch.cat([torch.ones(pixels, 1), seen], dim=1).repeat_interleave(self._tokens, dim=1)
            self._biases[pixels] = torch.where(seen > 0, 0.0, -torch.inf)[None]
        return self._biases[pixels]


def encode_regions(pipe: Any, prompts: Sequence[str], negative: str | None) -> dict[str, Tensor]:
    """Arguments for a pipeline in place of its prompt: those of the scene's and of all regions' prompts, in a row.

    The pooled ones are of the first prompt, that of the scene.
    """
    encoded = [
        pipe.encode_prompt(
            prompt=prompt,
            device=pipe._execution_device,  # where hooks of offloading, too, want it
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative,
        )
        for prompt in prompts
    ]
    joined = [torch.cat(parts, dim=1) if parts[0].ndim == 3 else parts[0] for parts in zip(*encoded, strict=True)]
    return dict(zip(EMBEDDED, joined, strict=False))


@contextmanager
def regional_attention(networks: Sequence[Any], masks: Sequence[np.ndarray], tokens: int) -> Iterator[None]:
    """Within it, networks attend by regions.

    Args:
        networks: The U-Net and its control networks.
        masks: (H, W) bool, one for each prompt after the first.
        tokens: Of each prompt.
    """
    before = [network.attn_processors for network in networks]
    attention = RegionAttention(torch.from_numpy(np.stack(masks)).float(), tokens)
    for network in networks:
        network.set_attn_processor(attention)
    try:
        yield
    finally:
        for network, processors in zip(networks, before, strict=True):
            network.set_attn_processor(processors)
