"""Loads a Stable Diffusion 1.5 pipeline from checked folders, and refuses anything else."""

import contextlib
import json
import os
import warnings as python_warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.painterly import libraries
from pipeline.weights import Weights

_HALF_WIDTH = {"F16": "float16", "BF16": "bfloat16"}  # the names in safetensors and in torch

_FAMILY = "StableDiffusion"
_KINDS = (f"{_FAMILY}Pipeline", f"{_FAMILY}Img2ImgPipeline")
_INPAINTING_KIND = f"{_FAMILY}InpaintPipeline"
_HALF = "fp16"  # if a folder has files of this variant, they are loaded, and upcast if needed
_PARTS = ("text_encoder", "unet", "vae", "safety_checker")
_MAX_TOKENS = 1000  # the most tokens of a prompt; CLIP reads 77


@dataclass(frozen=True)
class Parts:
    """Checked weights: the pipeline and its refinements.

    Attributes:
        pipeline: Stable Diffusion 1.x.
        style: a LoRA for a look.
        lora: a LoRA for few steps.
        vae: a tiny autoencoder.
    """

    pipeline: Weights
    style: Weights | None = None
    lora: Weights | None = None
    vae: Weights | None = None

    def all(self) -> tuple[Weights, ...]:
        """All that are present, the pipeline first."""
        return tuple(part for part in (self.pipeline, self.style, self.lora, self.vae) if part is not None)


def load(parts: Parts, *, device: str, dtype: str, steps: int, inpainting: bool = False) -> Any:  # noqa: ANN401
    """Load an image-to-image or inpainting pipeline, ready to be called.

    Args:
        parts: the checked weights.
        device: cpu, mps or cuda.
        dtype: the type to compute in: float32, float16 or bfloat16, as torch names it. For float32 on the CPU, a network that is
            stored in half precision stays mapped into memory in that form, and each layer is upcast when it is used.
        steps: how many steps the pipeline will be asked for.
        inpainting: whether the pipeline paints only what is masked. Networks that were not trained for inpainting can do this
            too.

    Raises:
        WeightsCorrupt: a folder does not contain what it should.
    """
    kind = libraries.inpainting() if inpainting else libraries.image_to_image()

    import torch

    from pipeline.painterly.upcast import widen_as_used

    found = parts.pipeline
    _must_be_of_the_family(found, inpainting=inpainting)
    for part in parts.all():
        _must_be_readable(part)
    calculated = getattr(torch, dtype)
    held = _half_width(found) if (device, dtype) == ("cpu", "float32") else None
    options: dict[str, Any] = {"dtype": {"default": calculated, "unet": getattr(torch, held or dtype)}}
    if any(name.endswith(f".{_HALF}.safetensors") for _, _, names in os.walk(found.folder) for name in names):
        options["variant"] = _HALF
    if not os.path.isdir(os.path.join(found.folder, "safety_checker")):
        options |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if parts.vae is not None:
        options["vae"] = _tiny_autoencoder(parts.vae, calculated)
    with _corrupt_if_unloadable(found, "a diffusion model"):
        pipeline = kind.from_pretrained(found.folder, local_files_only=True, use_safetensors=True, **options)
        _must_be_whole(found, pipeline)
        pipeline.scheduler = _scheduler(pipeline.scheduler.config, few_steps=parts.lora is not None, steps=steps)
    for lora in (parts.style, parts.lora):
        if lora is not None:
            _fuse(pipeline, lora)
    if held is not None:
        widen_as_used(pipeline.unet)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _fuse(pipeline: Any, lora: Weights) -> None:  # noqa: ANN401
    """Add a LoRA to the network's weights permanently.

    Raises:
        WeightsCorrupt: it is not a LoRA, is damaged, or belongs to another model.
    """
    with _corrupt_if_unloadable(lora, "a LoRA of this model"):
        pipeline.load_lora_weights(lora.folder, local_files_only=True, use_safetensors=True)
        fitting = pipeline.get_active_adapters()
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    if not fitting:
        raise lora.corrupt(f"The weights of {lora.name} are not a LoRA for this model: nothing in them fits it.")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress libraries' deprecation warnings, and messages that this program itself reports better."""
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


def _must_be_readable(found: Weights) -> None:
    """Check that every safetensors file has a complete header and all of its bytes.

    The libraries do not say which file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    for folder, _, names in os.walk(found.folder):
        for name in sorted(names):
            if not name.endswith(".safetensors"):
                continue
            path = os.path.join(folder, name)
            try:
                with safe_open(path, framework="numpy"):
                    pass
            except (OSError, SafetensorError) as reason:
                file = os.path.relpath(path, found.folder)
                raise found.corrupt(f"The file {file} of {found.name} is damaged, or not a safetensors file.", reason) from reason


def _must_be_of_the_family(found: Weights, *, inpainting: bool) -> None:
    """Refuse other pipelines by name: diffusers would only give a traceback."""
    path = os.path.join(found.folder, "model_index.json")
    try:
        with open(path, encoding="utf-8") as file:
            index = json.load(file)
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as reason:
        sentence = f"The folder of {found.name} is not a diffusion pipeline: its model_index.json is missing or unreadable."
        raise found.corrupt(sentence, reason) from reason
    if kind not in _KINDS and not (inpainting and kind == _INPAINTING_KIND):
        raise found.corrupt(f"The folder of {found.name} holds a {kind}; painting needs a {_KINDS[0]} (Stable Diffusion 1.x).")


@contextlib.contextmanager
def _corrupt_if_unloadable(found: Weights, what: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as reason:
        raise found.corrupt(f"The weights of {found.name} cannot be loaded as {what}.", reason) from reason


def _must_be_whole(found: Weights, pipeline: Any) -> None:  # noqa: ANN401
    """Check that every tensor is there, and that the tokenizer has its vocabulary."""
    for part in _PARTS:
        missing = _missing(getattr(pipeline, part))
        if missing:
            sentence = f"The weights of {found.name} lack {len(missing)} parts of its {part}."
            raise found.corrupt(sentence, ", ".join(missing[:20]))
    # A tokenizer without its files is created all the same, but knows no words and no end.
    if pipeline.tokenizer.model_max_length > _MAX_TOKENS:
        raise found.corrupt(f"The tokenizer of {found.name} is incomplete.")


def _missing(network: Any) -> list[str]:  # noqa: ANN401
    """The parameters that no file contained: they stay on the meta device."""
    return [name for name, tensor in network.named_parameters() if tensor.is_meta] if network is not None else []


def _half_width(found: Weights) -> str | None:
    """The torch name of the type of the network's stored weights, if all are in one half-precision type; None otherwise."""
    from safetensors import safe_open

    folder = os.path.join(found.folder, "unet")
    files = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")) if os.path.isdir(folder) else []
    kinds = set()
    for name in files:
        with safe_open(os.path.join(folder, name), framework="numpy") as file:
            kinds |= {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  no mapping
    return _HALF_WIDTH.get(kinds.pop()) if len(kinds) == 1 else None


def _tiny_autoencoder(found: Weights, dtype: Any) -> Any:  # noqa: ANN401
    import diffusers

    kind: Any = diffusers.AutoencoderTiny
    with _corrupt_if_unloadable(found, "a tiny autoencoder"):
        network = kind.from_pretrained(found.folder, local_files_only=True, use_safetensors=True, dtype=dtype)
        if missing := _missing(network):
            raise ValueError("it lacks " + ", ".join(missing[:20]))
    return network


def _scheduler(config: Any, *, few_steps: bool, steps: int) -> Any:  # noqa: ANN401
    """For the LCM-LoRA its own scheduler, otherwise DPM-Solver++ (Lu et al., 2022): its 20 steps look like 50 of older ones."""
    import diffusers

    kinds: Any = diffusers
    if few_steps:
        # The steps are taken from a schedule that must have at least as many; that of LCM's authors has 50.
        return kinds.LCMScheduler.from_config(config, original_inference_steps=max(50, steps))
    return kinds.DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++")
