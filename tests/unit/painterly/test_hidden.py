"""What large things hide, painted by diffusion: proven with tiny pipelines of real components, loaded as fetched ones are."""

import numpy as np
import pytest

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import WeightsCorrupt, WeightsMissing
from pipeline.layers.layering import layer_picture
from pipeline.painterly import diffusion, hidden
from tests import diffusion_models


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Whatever this machine's processor can compute in."""
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    monkeypatch.setattr(diffusion, "_LONGER_SIDE", ((0, 64),))  # a size that a tiny model finishes at once, in few steps
    monkeypatch.setattr(hidden, "_STYLE", hidden._STYLE.model_copy(update={"steps": 3}))


@pytest.fixture(scope="module")
def tiny_inpainting(tmp_path_factory):
    return diffusion_models.save_pipeline(tmp_path_factory.mktemp("inpainting") / "tiny", inpainting=True)


@pytest.fixture
def painter(tmp_path):
    """A painter with these parts installed."""

    def make(seed=42, **parts):
        listed = diffusion_models.install(tmp_path / "models", **parts) if parts else tmp_path / "models-list" / "models.yaml"
        return hidden.HiddenPainter(
            JobCommand(
                job_id="x", attempt="/none", source="/none", image="a.png", image_bytes=1, image_mtime_ns=1,
                spec=JobSpec(fill="model", seed=seed), limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20),
                models=str(tmp_path / "models"), device="cpu", threads=1,
                model_lists=[str(listed)] if listed.exists() else (),
            )
        )  # fmt: skip

    return make


def photo(side=60):
    """Stripes behind a square thing with sides of `side` pixels, and the disparity of both."""
    rows, columns = np.mgrid[:120, :160]
    rgb = np.dstack([rows * 2, columns, np.where(rows // 6 % 2, 200, 30)]).astype(np.uint8)
    disparity = np.zeros(rgb.shape[:2], np.float32)
    disparity[40 : 40 + side, 50 : 50 + side] = 1.0
    rgb[disparity > 0] = (220, 20, 20)
    return rgb, disparity


def layered(painter, side=60):
    rgb, disparity = photo(side)
    return layer_picture(rgb, None, disparity, None, num_layers=2, painter=painter)


def test_the_plate_behind_a_large_thing_is_painted_and_recomposition_stays_exact(painter, tiny_diffusion):
    by_model, plain = painter(pipeline=tiny_diffusion), layered(None)
    layers = layered(by_model)
    assert layers.max_error <= 1
    changed = (layers.rgba[0] != plain.rgba[0]).any(axis=2)
    assert changed[60:80, 70:90].mean() > 0.9, "deep behind the thing"
    near = np.zeros(changed.shape, bool)
    near[30:110, 40:120] = True  # the thing, and the soft band around it, where the ground shows through
    assert not changed[~near].any(), "what is seen stays"
    assert np.array_equal(layers.rgba[1][46:94, 56:104], plain.rgba[1][46:94, 56:104]), "only its soft border fits its ground"
    assert by_model.used.model == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert by_model.used.licence == "CreativeML-OpenRAIL-M"
    assert by_model.warnings == ()


def test_a_seed_gives_the_same_plate_and_another_one_another(painter, tiny_diffusion):
    first = layered(painter(pipeline=tiny_diffusion)).rgba[0]
    assert np.array_equal(layered(painter()).rgba[0], first)
    assert not np.array_equal(layered(painter(seed=7)).rgba[0], first)


def test_a_pipeline_trained_for_it_comes_first_and_is_fast_where_its_helpers_are_installed(
    painter, tiny_diffusion, tiny_inpainting, tmp_path, monkeypatch
):
    lora = diffusion_models.save_lora(tmp_path / "lora", tiny_inpainting / diffusion_models.NETWORK, everything=True)
    vae = diffusion_models.save_tiny_autoencoder(tmp_path / "vae")
    made = []
    usable = hidden.first_usable
    monkeypatch.setattr(hidden, "first_usable", lambda *given: made.append(given[2]) or usable(*given))
    by_model = painter(pipeline=tiny_diffusion, inpainting=tiny_inpainting, lora=lora, vae=vae)
    assert layered(by_model).max_error <= 1
    assert by_model.used.model == (
        "stable-diffusion-v1-5/stable-diffusion-inpainting + latent-consistency/lcm-lora-sdv1-5 + madebyollin/taesd"
    )
    (given,) = made
    assert given.steps == diffusion.FEW_STEPS
    assert given.mask.any()
    assert not given.mask.all()


def test_a_small_hole_is_left_to_copies_and_that_is_told(painter, tiny_diffusion):
    by_model = painter(pipeline=tiny_diffusion)
    layers = layered(by_model, side=14)
    assert np.array_equal(layers.rgba[0], layered(None, side=14).rgba[0])
    assert by_model.used is None
    assert by_model.warnings == (hidden.NOTHING_LARGE,)


def test_without_any_pipeline_the_error_names_the_command(painter):
    with pytest.raises(WeightsMissing) as refused:
        painter()
    assert refused.value.message == "The weights of stable-diffusion-1.5-inpainting are not installed."
    assert "multiplane models fetch stable-diffusion-1.5-inpainting" in refused.value.info().hint


def test_a_painting_is_not_made_by_a_pipeline_for_inpainting(tiny_inpainting, tmp_path):
    listed = diffusion_models.install(tmp_path / "models", pipeline=tiny_inpainting)
    from pipeline import weights
    from pipeline.painterly import loading

    parts = diffusion.find_parts(str(tmp_path / "models"), fast=False, listed=weights.catalogue(str(listed)))
    with pytest.raises(WeightsCorrupt, match="StableDiffusionInpaintPipeline"):
        loading.load(parts, device="cpu", dtype="float32", steps=2)
