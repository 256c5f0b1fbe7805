"""The library that paints, without what it says about what painting never uses."""

import logging
from typing import Any


def image_to_image() -> Any:  # noqa: ANN401
    """The class of the image-to-image pipeline; its loader has no types. Seconds of imports, the first time."""
    logging.getLogger("transformers.utils.import_utils").addFilter(_worth_telling)
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline

    return StableDiffusionImg2ImgPipeline


def _worth_telling(record: logging.LogRecord) -> bool:
    """Whatever it is, but that pictures are prepared without torchvision: that is how they are meant to be prepared."""
    return "requires torchvision" not in record.getMessage()
