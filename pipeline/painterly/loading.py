"""Loading a Stable Diffusion 1.5 pipeline from checked folders, and refusing what is none."""

import contextlib
import json
import os
import warnings as python_warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daemon.errors import WeightsCorrupt
from pipeline.weights import Weights

_FAMILY = "StableDiffusion"
_KINDS = (f"{_FAMILY}Pipeline", f"{_FAMILY}Img2ImgPipeline")
_HALF = "fp16"  # a folder with files of this variant is loaded from them and widened where need be


@dataclass(frozen=True)
class Parts:
    """Checked weights: the pipeline, and what refines it."""

    pipeline: Weights
    lora: Weights | None = None
    vae: Weights | None = None


def load(parts: Parts, *, device: str, dtype: str, steps: int) -> Any:  # noqa: ANN401
    """An image-to-image pipeline, ready to be called.

    Args:
        parts: where it lies.
        device: cpu, mps or cuda.
        dtype: float32, float16 or bfloat16, as torch names it.
        steps: that will be asked for.

    Raises:
        WeightsCorrupt: a folder does not hold what it should.
    """
    import diffusers
    import torch

    kind: Any = diffusers.StableDiffusionImg2ImgPipeline  # its loader has no types
    found = parts.pipeline
    _must_be_of_the_family(found)
    options: dict[str, Any] = {"torch_dtype": getattr(torch, dtype)}
    if any(name.endswith(f".{_HALF}.safetensors") for _, _, names in os.walk(found.folder) for name in names):
        options["variant"] = _HALF
    if not os.path.isdir(os.path.join(found.folder, "safety_checker")):
        options |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if parts.vae is not None:
        options["vae"] = _tiny_autoencoder(parts.vae, options["torch_dtype"])
    with _corrupt_if_unloadable(found, "a diffusion model"):
        pipeline = kind.from_pretrained(found.folder, local_files_only=True, use_safetensors=True, **options)
        _must_be_whole(found, pipeline)
        pipeline.scheduler = _scheduler(pipeline.scheduler.config, few_steps=parts.lora is not None, steps=steps)
    if parts.lora is not None:
        with _corrupt_if_unloadable(parts.lora, "a LoRA of this model"):
            pipeline.load_lora_weights(parts.lora.folder, local_files_only=True, use_safetensors=True)
            pipeline.fuse_lora()
            pipeline.unload_lora_weights()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries' notices about their own future, and about what is told better here, are nothing for a person's eyes."""
    import diffusers.utils
    import transformers.utils

    voices: tuple[Any, ...] = (diffusers.utils.logging, transformers.utils.logging)
    before = [voice.get_verbosity() for voice in voices]
    for voice in voices:
        voice.set_verbosity_error()
        voice.disable_progress_bar()
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore", DeprecationWarning)
            python_warnings.simplefilter("ignore", FutureWarning)
            python_warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        for voice, level in zip(voices, before, strict=True):
            voice.set_verbosity(level)


def _must_be_of_the_family(found: Weights) -> None:
    """Refuse other pipelines by name: what diffusers says of them is a traceback."""
    path = os.path.join(found.folder, "model_index.json")
    try:
        with open(path, encoding="utf-8") as file:
            index = json.load(file)
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise WeightsCorrupt(
            f"The folder of {found.name} is no diffusion pipeline: its model_index.json is missing or unreadable.",
            detail=str(reason),
        ) from reason
    if kind not in _KINDS:
        raise WeightsCorrupt(f"The folder of {found.name} holds a {kind}; painting needs a {_KINDS[0]} (Stable Diffusion 1.x).")


@contextlib.contextmanager
def _corrupt_if_unloadable(found: Weights, what: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as reason:
        raise WeightsCorrupt(f"The weights of {found.name} cannot be loaded as {what}.", detail=str(reason)[:2000]) from reason


def _must_be_whole(found: Weights, pipeline: Any) -> None:  # noqa: ANN401
    """Every tensor is there: what is missing stays on the meta device."""
    for part in ("text_encoder", "unet", "vae"):
        missing = [name for name, tensor in getattr(pipeline, part).named_parameters() if tensor.is_meta]
        if missing:
            raise WeightsCorrupt(
                f"The weights of {found.name} lack {len(missing)} parts of its {part}.", detail=", ".join(missing[:20])
            )


def _tiny_autoencoder(found: Weights, dtype: Any) -> Any:  # noqa: ANN401
    import diffusers

    kind: Any = diffusers.AutoencoderTiny
    with _corrupt_if_unloadable(found, "a tiny autoencoder"):
        return kind.from_pretrained(found.folder, local_files_only=True, use_safetensors=True, torch_dtype=dtype)


def _scheduler(config: Any, *, few_steps: bool, steps: int) -> Any:  # noqa: ANN401
    """DPM-Solver++ (Lu et al., 2022): 20 steps look like 50 of the older ones; that of the consistency model for its LoRA."""
    import diffusers

    kinds: Any = diffusers
    if few_steps:
        # A schedule must not be longer than the one the steps are taken from; the authors' has 50.
        return kinds.LCMScheduler.from_config(config, original_inference_steps=max(50, steps))
    return kinds.DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++")
