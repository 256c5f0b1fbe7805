"""Which depth is used: the best available or the requested one, never silently another."""

import json

import numpy as np
import pytest
from pictures import SAMPLES, encoded, landscape

import pipeline.depth as depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import DepthMissing, DepthUnreadable, WeightsCorrupt, WeightsMissing
from pipeline import weights
from pipeline.image import decode
from tests import depth_models, diffusion_models

DEFAULT = weights.catalogue().default_depth
LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
PUG = SAMPLES / "iphone_pug_original.heic"


@pytest.fixture
def job(tmp_path):
    """A job on a small JPEG; its files and spec can be changed."""
    source, models = tmp_path / "source", tmp_path / "models"
    source.mkdir()
    models.mkdir()
    (source / "photo.jpg").write_bytes(encoded(landscape(), "JPEG"))

    listed = tmp_path / "models-list" / "models.yaml"

    def make(wanted="auto", **changes):
        fields = {
            "job_id": "j", "attempt": str(tmp_path), "source": str(source), "image": "photo.jpg", "image_bytes": 1,
            "image_mtime_ns": 1, "spec": JobSpec(depth=wanted), "limits": LIMITS, "models": str(models), "device": "cpu",
            "threads": 1, "model_lists": [str(listed)] if listed.exists() else [],
        }  # fmt: skip
        return JobCommand(**{**fields, **changes})

    return make


@pytest.fixture
def with_depth(tmp_path):
    def drop(data=None):
        samples = np.tile(np.arange(1, 61, dtype=np.uint8), (40, 1))
        (tmp_path / "source" / "photo.depth.png").write_bytes(data or encoded(samples, "PNG"))
        return "photo.depth.png"

    return drop


@pytest.fixture
def with_model(tmp_path):
    """A tiny model of the default one's family, installed under its name."""

    def install(name=DEFAULT):
        import torch
        import transformers as tf

        torch.manual_seed(3)
        config = tf.GLPNConfig(depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8)
        folder = tmp_path / "models" / name
        network = tf.GLPNForDepthEstimation(config)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(std=0.3)
        network.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"size_divisor": 32, "size": {"shortest_edge": 64}}))
        diffusion_models.list_for(tmp_path / "models", name)
        return folder

    return install


def source_of(job):
    picture = decode.read(f"{job.source}/{job.image}".encode(), limits=job.limits)
    told = []
    reading = depth.choose(picture, job, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    return reading.provenance.source


def test_with_nothing_at_hand_auto_guesses_and_says_how_to_do_better(job):
    picture = decode.read(f"{job().source}/photo.jpg".encode(), limits=LIMITS)
    reading = depth.choose(picture, job())
    assert reading.provenance.source == "heuristic"
    assert f"multiplane models fetch {DEFAULT}" in reading.warnings[0]


def test_asking_for_the_estimate_is_no_want_of_a_model(job, with_model):
    picture = decode.read(f"{job().source}/photo.jpg".encode(), limits=LIMITS)
    for _ in range(2):
        said = depth.choose(picture, job("cues")).warnings[0]
        assert "fetch" not in said
        assert "installed" not in said
        assert "as asked for" in said
        with_model()


def test_an_installed_model_comes_before_the_guess_and_a_dropped_picture_before_the_model(job, with_depth, with_model):
    with_model()
    assert source_of(job()) == "model"
    assert source_of(job(depth_picture=with_depth())) == "file"
    assert source_of(job("cues", depth_picture=with_depth())) == "heuristic"
    assert source_of(job("model", depth_picture=with_depth())) == "model"
    assert source_of(job("file", depth_picture=with_depth())) == "file"


def test_auto_takes_another_installed_model_but_asking_for_the_model_means_the_default_one(job, with_model):
    with_model("depth-anything-v2-indoor")
    picture = decode.read(f"{job().source}/photo.jpg".encode(), limits=LIMITS)
    about = depth.choose(picture, job()).provenance
    assert about.model == "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"
    assert (about.revision, about.licence, about.polarity) == ("c0ffee" * 6 + "0000", "Apache-2.0", "distance")
    with pytest.raises(WeightsMissing):
        depth.choose(picture, job("model"))


@pytest.mark.parametrize(("wanted", "error"), [("file", DepthMissing), ("photo", DepthMissing), ("model", WeightsMissing)])
def test_what_was_asked_for_and_is_not_there_is_an_error(job, wanted, error):
    with pytest.raises(error):
        source_of(job(wanted))


@pytest.mark.parametrize("wanted", ["auto", "file"])
def test_a_dropped_picture_that_cannot_be_used_is_an_error_not_replaced(job, with_depth, wanted):
    with pytest.raises(DepthUnreadable):
        source_of(job(wanted, depth_picture=with_depth(b"no picture")))


@pytest.mark.parametrize("wanted", ["auto", "model"])
def test_a_damaged_model_is_an_error_not_replaced(job, with_model, wanted):
    (with_model() / "config.json").write_text("{}")
    with pytest.raises(WeightsCorrupt):
        source_of(job(wanted))


@pytest.mark.skipif(not PUG.exists(), reason=f"{PUG} is not at hand")
def test_the_phones_own_depth_comes_before_a_model_and_damaged_is_passed_over_aloud(job, with_depth, monkeypatch):
    fields = {"source": str(PUG.parent), "image": PUG.name}
    picture = decode.read(str(PUG).encode(), limits=LIMITS)
    assert depth.choose(picture, job(**fields)).provenance.source == "photo"
    assert depth.choose(picture, job("photo", **fields)).provenance.source == "photo"
    square = decode.Photo(picture.rgb[:, :3024], None, None, "sRGB", 8, "HEIF")
    reading = depth.choose(square, job(**fields))
    assert reading.provenance.source == "heuristic"
    # The page shows the first warning of an estimate.
    assert "estimated without a model" in reading.warnings[0]
    assert "another shape" in reading.warnings[1]
    with pytest.raises(DepthUnreadable):
        depth.choose(square, job("photo", **fields))


PROMPTED = "prompt-depth-anything-small"


@pytest.fixture
def with_prompted(tmp_path):
    """A tiny model that makes a photo's own depth finer, installed under its name."""
    folder = tmp_path / "models" / PROMPTED
    folder.mkdir(parents=True)
    depth_models.tiny_prompted(folder)
    diffusion_models.list_for(tmp_path / "models", PROMPTED)
    return folder


@pytest.mark.skipif(not PUG.exists(), reason=f"{PUG} is not at hand")
def test_a_model_made_for_it_makes_the_phones_depth_finer_unless_that_was_asked_for(job, with_prompted):
    fields = {"source": str(PUG.parent), "image": PUG.name}
    picture = decode.read(str(PUG).encode(), limits=LIMITS)
    about = depth.choose(picture, job(**fields)).provenance
    assert (about.source, about.prompt) == ("model", "photo")
    assert about.model == "depth-anything/prompt-depth-anything-vits-hf"
    assert depth.choose(picture, job("photo", **fields)).provenance.source == "photo"
    (with_prompted / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsCorrupt):
        depth.choose(picture, job(**fields))


def test_such_a_model_is_not_used_for_a_photo_without_depth_of_its_own(job, with_prompted):
    assert source_of(job()) == "heuristic"
    with pytest.raises(WeightsMissing, match=DEFAULT):
        source_of(job("model"))
