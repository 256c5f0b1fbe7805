"""Stable Diffusion 1.5 with random weights, saved as safetensors as a fetch leaves it: tiny, or at full size.

All components are the real ones. Tests share one folder of the tiny model (`tiny_diffusion` in conftest); the benchmark builds
the full one. Imports torch and diffusers when called, not before.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.painterly import libraries
from pipeline.painterly.loading import quiet

NAMES = {
    "pipeline": "stable-diffusion-1.5", "inpainting": "stable-diffusion-1.5-inpainting", "lora": "lcm-lora-sd-1.5",
    "vae": "taesd", "matting": "vitmatte-small",
}  # fmt: skip
"""Part → the name of its model in the shipped catalogue."""
NETWORK = "unet/diffusion_pytorch_model.safetensors"
DECODER = "vae/diffusion_pytorch_model.safetensors"

_TINY_UNET = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "sample_size": 8, "in_channels": 4, "out_channels": 4,
    "norm_num_groups": 4, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "cross_attention_dim": 16, "attention_head_dim": 4,
}  # fmt: skip
_TINY_VAE = {
    "block_out_channels": (8, 8, 8, 8), "in_channels": 3, "out_channels": 3, "latent_channels": 4, "norm_num_groups": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
_TINY_TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 1000}
_TINY_VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2, "image_size": 32,
    "patch_size": 16,
}  # fmt: skip
# As in the config.json files of stable-diffusion-v1-5/stable-diffusion-v1-5, at commit 451f4fe1.
_UNET = {
    "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2, "sample_size": 64, "in_channels": 4, "out_channels": 4,
    "norm_num_groups": 32, "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3), "cross_attention_dim": 768, "attention_head_dim": 8,
}  # fmt: skip
_VAE = _TINY_VAE | {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 512}
_TEXT = {
    "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12, "vocab_size": 49408,
    "projection_dim": 768, "hidden_act": "quick_gelu",
}  # fmt: skip


def save_pipeline(
    folder: Path, *, full: bool = False, dtype: str = "float32", checker: str | None = None, inpainting: bool = False
) -> Path:
    """Build a pipeline and save it.

    Args:
        folder: made here.
        full: use the real architecture, 1.07 billion parameters, instead of the tiny one.
        dtype: the type of the saved weights, as torch names it.
        checker: "strict" adds a safety checker that objects to everything, "lenient" one that objects to nothing.
        inpainting: give the network the mask and what is not masked as further input, like the one trained for inpainting.
    """
    libraries.inpainting()  # as the product does it

    import torch
    from diffusers import (
        AutoencoderKL,
        PNDMScheduler,
        StableDiffusionInpaintPipeline,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )  # fmt: skip
    from transformers import CLIPTextConfig, CLIPTextModel

    with quiet(), _random(dtype):
        parts: dict[str, Any] = {
            "unet": UNet2DConditionModel(**(_UNET if full else _TINY_UNET) | ({"in_channels": 9} if inpainting else {})),
            "vae": AutoencoderKL(**(_VAE if full else _TINY_VAE)),
            "text_encoder": CLIPTextModel(
                CLIPTextConfig(**(_TEXT if full else _TINY_TEXT), bos_token_id=0, eos_token_id=2, pad_token_id=1)
            ).to(getattr(torch, dtype)),
            "scheduler": PNDMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
            ),
            "tokenizer": _tokenizer(folder.with_name(folder.name + "-words")),
        }
        guard = {"safety_checker": None, "feature_extractor": None} if checker is None else _checker(checker)
        kind = StableDiffusionInpaintPipeline if inpainting else StableDiffusionPipeline
        whole = kind(**parts, **guard, requires_safety_checker=checker is not None)
        whole.save_pretrained(folder, safe_serialization=True)
    return folder


def save_lora(folder: Path, network: Path, *, rank: int = 2, everything: bool = False) -> Path:
    """Save a LoRA for a saved network: for its attention layers or, like the LCM-LoRA, for all layers.

    Args:
        folder: made here.
        network: the network's safetensors.
        rank: the rank of the LoRA.
        everything: change all linear and convolution layers within the blocks.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    folder.mkdir()
    torch.manual_seed(3)
    tensors = {}
    with safe_open(network, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  no mapping
            shape = file.get_slice(key).get_shape()
            inner = "_blocks." in key or key.startswith("mid_block")
            chosen = inner and len(shape) > 1 if everything else key.endswith(("to_q.weight", "to_v.weight"))
            if key.endswith(".weight") and chosen:
                stem = "unet." + key.removesuffix(".weight")
                scale = 0.01 if everything else 1.0
                tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, *shape[1:]) * scale
                tensors[f"{stem}.lora_B.weight"] = torch.randn(shape[0], rank, *([1] * (len(shape) - 2))) * scale
    save_file(tensors, folder / "pytorch_lora_weights.safetensors")
    return folder


def save_tiny_autoencoder(folder: Path, *, full: bool = False) -> Path:
    """Save an AutoencoderTiny, small or as large as TAESD."""
    from diffusers import AutoencoderTiny

    small = {
        "encoder_block_out_channels": (4,) * 4, "decoder_block_out_channels": (4,) * 4, "num_encoder_blocks": (1,) * 4,
        "num_decoder_blocks": (1,) * 4,
    }  # fmt: skip
    with quiet(), _random("float32"):
        AutoencoderTiny(**({} if full else small)).save_pretrained(folder, safe_serialization=True)
    return folder


def install(models: Path, **parts: Path) -> Path:
    """Put saved parts into a models folder under their shipped names, as a finished fetch leaves them.

    Args:
        models: the folder; made if missing.
        parts: pipeline, inpainting, lora, vae, matting → where they were saved; files are linked, not copied.

    Returns:
        The path of a list of models for them, from `list_for`.
    """
    for part, saved in parts.items():
        shutil.copytree(saved, models / NAMES[part], copy_function=lambda old, new: Path(new).hardlink_to(old))
    return list_for(models, *(NAMES[part] for part in parts))


def list_for(models: Path, *names: str) -> Path:
    """Record models that are in the models folder, and write a list of models for them beside it.

    Args:
        models: the folder.
        names: their names in the shipped list.

    Returns:
        The path of the list: the shipped one, but with these files, without pinned commits and hashes.
    """
    from pipeline import weights
    from pipeline.weights.files import files_of

    listed = models.parent / "models-list" / "models.yaml"
    listed.parent.mkdir(exist_ok=True)
    shipped = json.loads(weights.catalogue(*[str(listed)] if listed.exists() else ()).model_dump_json(exclude_none=True))
    for name in names:
        files = list(files_of(str(models / name)))
        shipped["models"][name] |= {"revision": "main", "files": files, "sizes": {}, "sha256": {}}
    listed.write_text(json.dumps(shipped))
    weights.catalogue.cache_clear()
    for name in names:
        weights.record(name, str(models / name), weights.catalogue(str(listed)).models[name], "c0ffee" * 6 + "0000")
    return listed


def changed(saved: Path, copy: Path, file: str, tensor: str, value: float) -> Path:
    """A copy of what was saved, with one of its tensors filled with a value; returns the copy."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(saved, copy)
    tensors = load_file(copy / file)
    tensors[tensor].fill_(value)
    save_file(tensors, copy / file)
    return copy


def _tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer over single letters."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|pad|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    made = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    shutil.rmtree(folder)
    return made


def _checker(kind: str) -> dict[str, Any]:
    """A safety checker whose thresholds no picture reaches ("lenient") or every picture reaches ("strict"), and its processor."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    text = _TINY_TEXT | {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    checker = StableDiffusionSafetyChecker(CLIPConfig(text_config=text, vision_config=_TINY_VISION, projection_dim=8))
    checker.concept_embeds.data.normal_()
    checker.special_care_embeds.data.normal_()
    threshold = {"strict": -2.0, "lenient": 2.0}[kind]  # a cosine is between −1 and 1
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return {"safety_checker": checker, "feature_extractor": extractor}


@contextlib.contextmanager
def _random(dtype: str) -> Iterator[None]:
    """Make networks in this context with the same random weights every time, of one type."""
    import torch

    before = torch.get_default_dtype()
    torch.manual_seed(7)
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)
