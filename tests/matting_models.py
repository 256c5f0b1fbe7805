"""A ViTMatte as small as it gets, with random weights, saved as a fetch leaves it."""

import json
from pathlib import Path


def tiny(folder: Path) -> Path:
    """Make a folder and save a model in it. Returns the folder."""
    import torch
    import transformers as tf

    torch.manual_seed(5)
    backbone = tf.VitDetConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16, num_channels=4, mlp_ratio=2,
        window_size=2, window_block_indices=[0], out_features=["stage2"], use_relative_position_embeddings=True,
    )  # fmt: skip
    config = tf.VitMatteConfig(
        backbone_config=backbone, hidden_size=16, convstream_hidden_sizes=[4, 6, 8], fusion_hidden_sizes=[8, 8, 6, 4]
    )
    network = tf.VitMatteForImageMatting(config)
    for layer in network.modules():  # the usual start gives nearly the same alpha everywhere
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.data.fill_(1.0)
        elif isinstance(layer, torch.nn.Conv2d):
            layer.weight.data.normal_(std=0.3)
    network.save_pretrained(folder)
    # As in the preprocessor_config.json of hustvl/vitmatte-small-composition-1k.
    said = {
        "do_normalize": True, "do_pad": True, "do_rescale": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "image_processor_type": "VitMatteImageProcessor", "rescale_factor": 1 / 255, "size_divisibility": 32,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder
