"""Soft borders by a matting model, proven with a tiny ViTMatte, written as safetensors and loaded as a fetched one is."""

import shutil

import numpy as np
import pytest

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import ModelFailed, WeightsCorrupt, WeightsMissing
from pipeline import matting, weights
from pipeline.layers.layering import layer_picture
from tests import diffusion_models, matting_models
from tests.scenes import scene

NAME = "vitmatte-small"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return matting_models.tiny(tmp_path_factory.mktemp("matting") / "tiny")


@pytest.fixture
def job(tmp_path):
    def make(listed=None, **spec):
        return JobCommand(
            job_id="x", attempt="/none", source="/none", image="a.png", image_bytes=1, image_mtime_ns=1, spec=JobSpec(**spec),
            limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20), models=str(tmp_path / "models"), device="cpu", threads=1,
            model_lists=[str(listed)] if listed else (),
        )  # fmt: skip

    return make


@pytest.fixture
def matte(job, saved, tmp_path):
    listed = diffusion_models.install(tmp_path / "models", matting=saved)
    return matting.asked_for(job(listed, matting="model"))


def picture(height=70, width=100):
    return np.random.default_rng(6).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(height=70, width=100):
    """What is in front, uint8 0 or 255, and the flat indices of a band around its edge."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - height / 2, x - width / 2)
    return np.where(away < height / 3, 255, 0).astype(np.uint8), np.flatnonzero(np.abs(away - height / 3) < 5)


@pytest.mark.parametrize("size", [(64, 96), (61, 97), (33, 512), (5, 3)])
def test_the_input_is_the_published_one(matte, size):
    from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

    rgb, trimap = picture(*size), np.random.default_rng(2).choice(np.array([0, 128, 255], np.uint8), size)
    theirs = VitMatteImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3, size_divisor=32)(rgb, trimap)["pixel_values"]
    ours = matting.prepare(rgb, trimap, matte._preparation)
    assert ours.shape == np.asarray(theirs).shape
    assert np.abs(ours - np.asarray(theirs)).max() < 1e-5


def test_the_bands_alpha_is_what_the_network_says_of_picture_and_trimap(matte, saved):
    import torch
    from transformers import VitMatteForImageMatting

    rgb, (front, index) = picture(), disc()
    got = matte(rgb, front, index)
    trimap = front.copy()
    trimap.reshape(-1)[index] = 128
    values = np.concatenate([(rgb.transpose(2, 0, 1) / 255 - 0.5) / 0.5, trimap[None] / 255])
    given = torch.from_numpy(np.pad(values, [(0, 0), (0, 26), (0, 28)])[None].astype(np.float32))
    with torch.inference_mode():
        alphas = VitMatteForImageMatting.from_pretrained(saved).eval()(pixel_values=given).alphas[0, 0].numpy()
    assert np.abs(got - alphas[:70, :100].reshape(-1)[index]).max() < 1e-5
    assert np.ptp(got) > 0.1, "the model answers the same everywhere, and this test compares nothing"


@pytest.mark.parametrize("size", [(70, 100), (512, 512), (1300, 900), (20, 3000)])
def test_tiles_cover_every_unknown_pixel_once_with_surroundings_and_see_nothing_else(size):
    unknown = np.zeros(size, bool)
    unknown[size[0] // 2] = True
    unknown[:, -1] = True
    used = np.zeros(size, int)
    for window, inner in matting.tiles(unknown):
        used[inner] += 1
        assert unknown[inner].any()
        for seen, part, side in zip(window, inner, size, strict=True):
            assert seen.stop - seen.start == min(matting.TILE, side)
            assert seen.start <= max(0, part.start - matting.MARGIN) or seen.stop == side
            assert seen.stop >= min(side, part.stop + matting.MARGIN)
    assert (used[unknown] == 1).all()
    assert used.max() == 1
    assert matting.tiles(np.zeros(size, bool)) == []


def test_layers_with_its_borders_recompose_exactly_and_differ_only_near_borders(matte):
    truth = scene("ball")
    plain, by_model = (
        layer_picture(truth.rgb, None, truth.disparity.astype(np.float32), None, num_layers=2, alpha_estimator=alpha_estimator)
        for alpha_estimator in (None, matte)
    )
    assert by_model.max_error <= 1
    changed = plain.rgba[1][..., 3] != by_model.rgba[1][..., 3]
    assert changed.any()
    assert changed.mean() < 0.2
    assert np.array_equal(plain.labels, by_model.labels)
    assert (matte.used.model, matte.used.device) == ("hustvl/vitmatte-small-composition-1k", "cpu")


def test_auto_never_uses_it_and_asking_without_it_names_the_command(job, saved, tmp_path):
    with pytest.raises(WeightsMissing) as refused:
        matting.asked_for(job(matting="model"))
    assert refused.value.message == f"The weights of {NAME} are not installed."
    assert f"multiplane models fetch {NAME}" in refused.value.info().hint
    assert matting.asked_for(job(diffusion_models.install(tmp_path / "models", matting=saved))) is None


def without_head(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["decoder.matting_head.matting_convs.0.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_head, "lack decoder.matting_head"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "cannot be loaded as a matting model"),
    ],
)
def test_a_folder_that_is_no_whole_matting_model_is_refused(saved, tmp_path, damage, said):
    folder = shutil.copytree(saved, tmp_path / "m")
    damage(folder)
    entry = weights.Entry(use="matting", licence="x", commercial=True, path=str(folder))
    with pytest.raises(WeightsCorrupt, match=said):
        matting.Matte(weights.Weights("m", entry, str(folder), "x"), "cpu")(picture(), *disc())


def test_numbers_that_are_none_fail_the_job(saved, tmp_path):
    name = "decoder.matting_head.matting_convs.3.bias"
    folder = diffusion_models.changed(saved, tmp_path / "m", "model.safetensors", name, float("nan"))
    entry = weights.Entry(use="matting", licence="x", commercial=True, path=str(folder))
    with pytest.raises(ModelFailed, match="not numbers"):
        matting.Matte(weights.Weights("m", entry, str(folder), "x"), "cpu")(picture(), *disc())
