"""A depth model that is as small as possible, with random weights, laid out like a repository on the hub."""

import json
from pathlib import Path


def tiny(folder: Path) -> dict[str, bytes]:
    """The files of a Depth Anything, by their names in its repository; they are saved in an empty folder first."""
    import torch
    import transformers as tf

    torch.manual_seed(1)
    backbone = tf.Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=42, patch_size=14, mlp_ratio=2,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = tf.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    tf.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    preparation = {
        "size": {"height": 42, "width": 42}, "ensure_multiple_of": 14, "keep_aspect_ratio": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    return {each: (folder / each).read_bytes() for each in ("config.json", "preprocessor_config.json", "model.safetensors")}
