"""Depth models with random weights, laid out like repositories on the hub; all but one are as small as possible."""

import json
from pathlib import Path
from typing import Any


def save(folder: Path) -> None:
    """Save the files of a Depth Anything in an empty folder, with the names that they have in its repository."""
    import torch

    torch.manual_seed(1)
    tiny().save_pretrained(folder)
    return _with_preparation(folder)


def save_small(folder: Path) -> None:
    """Save a Depth Anything V2 Small in an empty folder: its true architecture and size (99 MB), but random weights."""
    import torch
    import transformers as tf

    torch.manual_seed(1)
    backbone = tf.Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
        out_indices=[3, 6, 9, 12], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = tf.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64, head_hidden_size=32, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    tf.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    _with_preparation(folder, side=518)


def tiny() -> Any:
    """A Depth Anything, not saved."""
    import transformers as tf

    config = tf.DepthAnythingConfig(
        backbone_config=_backbone(), patch_size=14, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    return tf.DepthAnythingForDepthEstimation(config)


def prompted() -> Any:
    """A Prompt Depth Anything, not saved."""
    import transformers as tf

    config = tf.PromptDepthAnythingConfig(
        backbone_config=_backbone(), patch_size=14, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5], depth_estimation_type="metric", max_depth=1,
    )  # fmt: skip
    return tf.PromptDepthAnythingForDepthEstimation(config)


def tiny_prompted(folder: Path) -> dict[str, bytes]:
    """Save a Prompt Depth Anything in an empty folder. Returns its files: name → content."""
    import torch

    torch.manual_seed(1)
    network = prompted()
    for parameter in network.parameters():  # the usual start is so small that every pixel gets the same depth
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.3)
    network.save_pretrained(folder)
    return _with_preparation(folder)


def _backbone() -> Any:
    import transformers as tf

    return tf.Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=42, patch_size=14, mlp_ratio=2,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip


def _with_preparation(folder: Path, side: int = 42) -> dict[str, bytes]:
    preparation = {
        "size": {"height": side, "width": side}, "ensure_multiple_of": 14, "keep_aspect_ratio": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
