"""Tiny diffusers pipelines with random weights, saved as users' folders are: one for every family that is rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

SIDE = 32
"""Side in pixels of what the tiny pipelines draw."""
_BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
LETTERS = [*map(chr, _BYTES), *(chr(256 + place) for place in range(256 - len(_BYTES)))]
"""How byte-level tokenizers write the 256 bytes, each a token of its own here: a prompt of 76 letters is cut."""
UNET = {
    "block_out_channels": (4, 8),
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 2,
    "sample_size": SIDE // 8,
}
CONDITIONING = (16, 16, 16, 16)
"""Channels of the layers that see a control picture, and make it an eighth."""


def save(family: str, folder: Path) -> None:
    """Save a family's pipeline as ``<family>``, and its control networks as ``<family>-<name>``."""
    torch.manual_seed(0)
    pipe, networks = FAMILIES[family]()
    pipe.save_pretrained(folder / family)
    for name, network in networks.items():
        network.save_pretrained(folder / f"{family}-{name}")


Made = tuple[diffusers.DiffusionPipeline, dict[str, torch.nn.Module]]


def _sd15() -> Made:
    unet = diffusers.UNet2DConditionModel(**UNET, cross_attention_dim=8)
    pipe = diffusers.StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=_clip(transformers.CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipe, {"depth": _controlnet(unet), "edges": _controlnet(unet)}


def _gligen() -> Made:
    unet = _stirred(diffusers.UNet2DConditionModel(**UNET, cross_attention_dim=8, attention_type="gated"))
    pipe = diffusers.StableDiffusionGLIGENPipeline(
        vae=_vae(4),
        text_encoder=_clip(transformers.CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipe, {}


def _sdxl() -> Made:
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    added |= {"projection_class_embeddings_input_dim": 8 + 6 * 8}
    unet = diffusers.UNet2DConditionModel(**UNET, cross_attention_dim=16, **added)
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=_vae(4),
        text_encoder=_clip(transformers.CLIPTextModel),
        text_encoder_2=_clip(transformers.CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    union = diffusers.ControlNetUnionModel(
        **{name: UNET[name] for name in UNET if name not in ("up_block_types", "sample_size")},
        **added,
        cross_attention_dim=16,
        conditioning_embedding_out_channels=CONDITIONING,
        num_trans_channel=4,
        num_trans_head=2,
        num_proj_channel=4,
    )
    return pipe, {"depth": _controlnet(unet), "union": _stirred(union)}


def _sd3() -> Made:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIDE // 8,
        patch_size=2,
        in_channels=16,  # which its pipeline that paints again wants
        out_channels=16,
        num_layers=2,  # the last is not controlled
        attention_head_dim=8,
        num_attention_heads=2,
        caption_projection_dim=16,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        pos_embed_max_size=16,
    )
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16, shift_factor=0.06),
        text_encoder=_clip(transformers.CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(transformers.CLIPTextModelWithProjection),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(16),
        tokenizer_3=_t5_tokenizer(),
    )
    network = diffusers.SD3ControlNetModel.from_transformer(
        transformer, num_layers=2, num_extra_conditioning_channels=0, load_weights_from_transformer=False
    )
    return pipe, {"edges": _stirred(network)}


def _flux() -> Made:
    transformer = _flux_transformer()
    pipe = diffusers.FluxPipeline(**_flux_parts(transformer))
    shape = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
    plain = diffusers.FluxControlNetModel.from_transformer(transformer, **shape, load_weights_from_transformer=False)
    union = diffusers.FluxControlNetModel.from_config(plain.config, num_mode=7)
    return pipe, {"depth": _stirred(plain), "union": _stirred(union)}


def _flux_kontext() -> Made:
    return diffusers.FluxKontextPipeline(**_flux_parts(_flux_transformer())), {}


def _flux_transformer() -> torch.nn.Module:
    return diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=8,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )


def _flux_parts(transformer: torch.nn.Module) -> dict[str, Any]:
    return {
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(),
        "vae": _vae(1, shift_factor=0.06),
        "text_encoder": _clip(transformers.CLIPTextModel),
        "tokenizer": _clip_tokenizer(),
        "text_encoder_2": _t5(16),
        "tokenizer_2": _t5_tokenizer(),
        "transformer": transformer,
    }


def _flux2_klein() -> Made:
    config = _qwen3_config(num_hidden_layers=28)
    pipe = diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=diffusers.AutoencoderKLFlux2(
            **_blocks(4), block_out_channels=(4, 4, 4, 4), latent_channels=4, norm_num_groups=2, layers_per_block=1
        ),
        text_encoder=transformers.Qwen3ForCausalLM(config),
        tokenizer=_qwen_tokenizer(),
        transformer=diffusers.Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            axes_dims_rope=(4, 4, 4, 4),
        ),
    )
    return pipe, {}


def _qwen() -> Made:
    transformer = diffusers.QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=(False, True, True),
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 2, "vocab_size": len(LETTERS) + 3}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    pipe = diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(
            transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
        ),
        tokenizer=_qwen_tokenizer(),
        transformer=transformer,
    )
    network = diffusers.QwenImageControlNetModel.from_transformer(
        transformer, num_layers=1, attention_head_dim=16, num_attention_heads=2, load_weights_from_transformer=False
    )
    return pipe, {"union": _stirred(network)}


def _z_image() -> Made:
    pipe = diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4, shift_factor=0.06),
        text_encoder=transformers.Qwen3Model(_qwen3_config(num_hidden_layers=2)),
        tokenizer=_qwen_tokenizer(),
        transformer=diffusers.ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[1024, 32, 32],
        ),
    )
    network = diffusers.ZImageControlNetModel(
        control_layers_places=[0],
        control_refiner_layers_places=[0],
        control_in_dim=4,
        add_control_noise_refiner=None,
        dim=32,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
    )
    return pipe, {"union": _stirred(network)}


FAMILIES: dict[str, Callable[[], Made]] = {
    "sd15": _sd15,
    "gligen": _gligen,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
    "flux-kontext": _flux_kontext,
    "flux2-klein": _flux2_klein,
    "qwen-image": _qwen,
    "z-image": _z_image,
}


def _controlnet(unet: diffusers.UNet2DConditionModel) -> torch.nn.Module:
    network = diffusers.ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=CONDITIONING, load_weights_from_unet=False
    )
    return _stirred(network)


def _stirred(network: torch.nn.Module) -> torch.nn.Module:
    """The network with random numbers where new gates and control networks have zeros, so that it changes pictures."""
    with torch.no_grad():
        for weights in network.parameters():
            if not weights.any():
                weights.normal_(std=0.3)
    return network


def _blocks(count: int) -> dict[str, Any]:
    return {"down_block_types": ("DownEncoderBlock2D",) * count, "up_block_types": ("UpDecoderBlock2D",) * count}


def _vae(channels: int, **more: Any) -> diffusers.AutoencoderKL:
    return diffusers.AutoencoderKL(
        **_blocks(4), block_out_channels=(4, 4, 4, 4), latent_channels=channels, norm_num_groups=2, **more
    )


def _clip(kind: Any) -> torch.nn.Module:
    size = len(LETTERS)
    config = transformers.CLIPTextConfig(
        vocab_size=2 * size + 2,
        bos_token_id=2 * size,
        eos_token_id=2 * size + 1,
        pad_token_id=2 * size + 1,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=8,
    )
    return kind(config)


def _clip_tokenizer() -> Any:
    names = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: number for number, name in enumerate(names)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _t5(width: int) -> torch.nn.Module:
    config = transformers.T5Config(
        vocab_size=100, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return transformers.T5EncoderModel(config)


def _t5_tokenizer() -> Any:
    names = ["<pad>", "</s>", "<unk>", "▁", *map(chr, range(33, 127))]
    return transformers.T5Tokenizer(vocab=[(name, 0.0) for name in names], extra_ids=0)


def _qwen3_config(**more: Any) -> Any:
    return transformers.Qwen3Config(
        vocab_size=len(LETTERS) + 3,
        hidden_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        **more,
    )


def _qwen_tokenizer() -> Any:
    names = [*LETTERS, "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = transformers.Qwen2Tokenizer(vocab={name: number for number, name in enumerate(names)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
    return tokenizer
