"""Imports the library that paints, without its warnings about features that painting never uses."""

import logging
from typing import Any


def image_to_image() -> Any:  # noqa: ANN401
    """The class of the image-to-image pipeline; its loader has no types. The first import takes seconds."""
    logging.getLogger("transformers.utils.import_utils").addFilter(_matters)
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline

    return StableDiffusionImg2ImgPipeline


def inpainting() -> Any:  # noqa: ANN401
    """The class of the pipeline that paints only what is masked. The first import takes seconds."""
    image_to_image()
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline

    return StableDiffusionInpaintPipeline


def _matters(record: logging.LogRecord) -> bool:
    """Whether a message matters. All do, except the one that torchvision is missing: this program does not need torchvision."""
    return "requires torchvision" not in record.getMessage()
