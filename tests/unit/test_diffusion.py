"""Painting by diffusion, proven with a tiny Stable Diffusion 1.5 of real components, loaded from safetensors as a fetch is."""

import json
import shutil
import warnings

import numpy as np
import pytest

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import DeviceUnavailable, Internal, ModelFailed, WeightsCorrupt, WeightsMissing
from pipeline import painterly, weights
from pipeline.images import Photo
from pipeline.painterly import diffusion, enlarge, styles

STYLE = styles.DiffusionStyle(
    description="a test", engine="diffusion", prompt="oil on canvas", negative_prompt="photo", guidance=4.0, steps=3
)
ENTRY = {"use": "diffusion", "licence": "MIT", "commercial": True}


def tiny_pipeline():
    """Stable Diffusion 1.5 with every part as small as it gets, random weights."""
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(7)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=4, out_channels=4, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=16, intermediate_size=24, num_attention_heads=2, num_hidden_layers=2, vocab_size=1000,
            bos_token_id=0, eos_token_id=2, pad_token_id=1,
        )
    )  # fmt: skip
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    return StableDiffusionPipeline, {"unet": unet, "vae": vae, "text_encoder": text, "scheduler": scheduler}


def tokenizer(folder):
    """CLIP's tokenizer over single letters."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|pad|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """The folder, as a fetch leaves it."""
    import torch

    torch.set_num_threads(1)  # for networks of this size more threads only wait for each other
    root = tmp_path_factory.mktemp("diffusion")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind, parts = tiny_pipeline()
        whole = kind(
            **parts,
            tokenizer=tokenizer(root / "words"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        whole.save_pretrained(root / "tiny", safe_serialization=True)
    return root / "tiny"


def catalogue(monkeypatch, **paths):
    """Models in folders of one's own; the word before the first underscore is the part."""
    shipped = weights.catalogue()
    entries = {
        name.replace("_", "-"): weights.Entry(**ENTRY, part=name.split("_")[0], path=str(path)) for name, path in paths.items()
    }
    listed = weights.Catalogue(
        default_depth=shipped.default_depth, models={shipped.default_depth: shipped.models[shipped.default_depth], **entries}
    )
    monkeypatch.setattr(weights, "catalogue", lambda: listed)
    return listed


def job(**spec):
    return JobCommand(
        job_id="x", attempt="/none", source="/none", image="a.png", image_bytes=1, image_mtime_ns=1,
        spec=JobSpec(mode="painterly", style="oil", **spec), limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20),
        models="/none", device="cpu", threads=1,
    )  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """Work at a size that a tiny model finishes at once."""
    monkeypatch.setattr(diffusion, "_LONGER_SIDE", ((0, 64),))


@pytest.fixture
def photo():
    rows, columns = np.mgrid[:90, :128]
    return np.dstack([rows * 2, columns, np.where(columns > 60, 200, 30)]).astype(np.uint8)


def paint(photo, progress=lambda _: None, **spec):
    return diffusion.paint(photo, STYLE, job(**{"strength": 0.5, **spec}), progress)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(monkeypatch, shipped, small, photo):
    catalogue(monkeypatch, pipeline=shipped)
    first, again, other = paint(photo), paint(photo), paint(photo, seed=7)
    assert first.rgb.shape == photo.shape
    assert first.rgb.tobytes() == again.rgb.tobytes()
    assert first.rgb.tobytes() != other.rgb.tobytes()
    assert first.model == "pipeline"
    assert first.revision.startswith("sha256:")


@pytest.mark.parametrize("strength", [0.3, 0.57, 1.0])
def test_as_many_steps_are_made_as_the_style_says_and_each_is_told(monkeypatch, shipped, small, photo, strength):
    catalogue(monkeypatch, pipeline=shipped)
    told = []
    assert paint(photo, told.append, strength=strength).steps == STYLE.steps
    stepped = [share for share in told if diffusion._LOADED < share <= diffusion._STEPPED]
    assert len(stepped) == STYLE.steps
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_steps_come_out_as_asked_for_any_strength():
    for steps in (1, 6, 22, 24, 26):
        for strength in np.linspace(0.03, 1.0, 195):
            asked, share, made = diffusion.schedule(steps, float(strength))
            assert min(int(asked * share), asked) == made == steps
    for strength in (1e-9, 0.0005, 0.004):
        asked, share, made = diffusion.schedule(24, strength)
        assert asked <= 1000
        assert int(asked * share) == made >= 1


def test_strength_0_is_the_photo_itself_and_needs_no_weights(photo):
    given = Photo(rgb=photo, alpha=None, icc=None, profile="sRGB", bits=8, format="PNG")
    painting = painterly.stylise(given, job(strength=0.0), lambda _: None)
    assert painting.photo.rgb.tobytes() == photo.tobytes()
    assert (painting.provenance.style, painting.provenance.strength, painting.provenance.model) == ("oil", 0.0, None)


def test_a_painting_says_what_made_it(monkeypatch, shipped, small, photo):
    catalogue(monkeypatch, pipeline=shipped)
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    given = Photo(rgb=photo, alpha=alpha, icc=b"x", profile="mine", bits=16, format="PNG")
    monkeypatch.setattr(painterly, "named", lambda _: ("oil", STYLE))
    painting = painterly.stylise(given, job(strength=0.5, seed=3), lambda _: None)
    made = painting.provenance
    assert (made.engine, made.model, made.style, made.seed, made.steps) == ("diffusion", "pipeline", "oil", 3, 3)
    assert painting.photo.alpha is alpha
    assert (painting.photo.icc, painting.photo.profile, painting.photo.bits) == (b"x", "mine", 16)


def test_without_weights_the_command_that_fetches_them_is_named(photo):
    with pytest.raises(WeightsMissing) as caught:
        paint(photo)
    assert "stable-diffusion-1.5" in caught.value.message
    assert "multiplane models fetch stable-diffusion-1.5" in caught.value.info().hint


def damaged(shipped, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(shipped, copy)
    change(copy)
    return copy


def truncate(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def drop_tensors(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    save_file(dict(list(tensors.items())[5:]), path)


def rename_kind(folder):
    path = folder / "model_index.json"
    path.write_text(path.read_text().replace('"StableDiffusionPipeline"', '"StableDiffusionXLPipeline"'))


def forget_index(folder):
    (folder / "model_index.json").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (truncate, "cannot be loaded as a diffusion model"),
        (drop_tensors, "pipeline"),
        (rename_kind, "holds a StableDiffusionXLPipeline"),
        (forget_index, "is no diffusion pipeline"),
    ],
)
def test_damaged_weights_and_other_models_are_refused_in_a_sentence(monkeypatch, shipped, small, photo, tmp_path, change, said):
    catalogue(monkeypatch, pipeline=damaged(shipped, tmp_path, change))
    with pytest.raises(WeightsCorrupt) as caught:
        paint(photo)
    assert said in caught.value.message


def fill_with(value):
    def change(folder):
        from safetensors.torch import load_file, save_file

        path = folder / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        tensors["decoder.conv_out.bias"].fill_(value)
        save_file(tensors, path)

    return change


@pytest.mark.parametrize("value", [float("nan"), -1e6])
def test_numbers_that_are_none_and_black_pictures_are_no_painting(monkeypatch, shipped, small, photo, tmp_path, value):
    catalogue(monkeypatch, pipeline=damaged(shipped, tmp_path, fill_with(value)))
    with pytest.raises(ModelFailed) as caught:
        paint(photo)
    assert "gave no picture" in caught.value.message


def test_half_precision_that_fails_is_tried_again_in_single(monkeypatch, shipped, small, photo):
    catalogue(monkeypatch, pipeline=shipped)
    monkeypatch.setattr(diffusion, "_candidates", lambda _: (("cpu", "float16"), ("cpu", "float32")))
    plain = diffusion._run

    def overflowing(pipeline, given, progress):
        painting = plain(pipeline, given, progress)
        return painting * np.nan if str(pipeline.unet.dtype) == "torch.float16" else painting

    monkeypatch.setattr(diffusion, "_run", overflowing)
    (warning,) = paint(photo).warnings
    assert warning == "The painting was made in float32: float16 gave none on cpu."


def test_a_device_that_is_not_there_is_named(photo):
    import torch

    assert not torch.cuda.is_available()
    with pytest.raises(DeviceUnavailable, match="cuda"):
        diffusion.paint(photo, STYLE, job().model_copy(update={"device": "cuda"}))


def test_a_prompt_of_ten_thousand_letters_is_refused_where_it_stands(tmp_path):
    path = tmp_path / "styles.yaml"
    path.write_text(
        "long: {description: a, engine: diffusion, prompt: " + "a" * 10_000 + ", negative_prompt: '', guidance: 7, steps: 20}"
    )
    with pytest.raises(Internal, match=r"long\.prompt: .*2000 characters"):
        styles.styles(str(path))


def test_words_the_model_does_not_read_are_worth_a_warning(monkeypatch, shipped, small, photo):
    catalogue(monkeypatch, pipeline=shipped)
    long = STYLE.model_copy(update={"prompt": "a " * 500})
    (warning,) = diffusion.paint(photo, long, job()).warnings
    assert warning == "The style's prompt is 502 tokens long; the model read the first 77."


def test_an_installed_lora_and_tiny_autoencoder_make_it_fast_on_the_cpu_and_are_named(
    monkeypatch, shipped, small, photo, tmp_path
):
    import torch
    from diffusers import AutoencoderTiny
    from safetensors.torch import load_file, save_file

    (tmp_path / "lora").mkdir()
    torch.manual_seed(3)
    tensors = {}
    for name, weight in load_file(shipped / "unet" / "diffusion_pytorch_model.safetensors").items():
        if name.endswith(("to_q.weight", "to_v.weight")):
            stem = "unet." + name.removesuffix(".weight")
            tensors[f"{stem}.lora_A.weight"] = torch.randn(2, weight.shape[1])
            tensors[f"{stem}.lora_B.weight"] = torch.randn(weight.shape[0], 2)
    save_file(tensors, tmp_path / "lora" / "pytorch_lora_weights.safetensors")
    AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4, num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    ).save_pretrained(tmp_path / "vae")  # fmt: skip
    catalogue(monkeypatch, pipeline=shipped)
    plain = paint(photo, strength=0.1)
    listed = catalogue(monkeypatch, pipeline=shipped, lora=tmp_path / "lora", vae=tmp_path / "vae")
    fast = paint(photo, strength=0.1)
    assert fast.model == "pipeline + lora + vae"
    assert fast.revision.count("sha256:") == 3
    assert fast.steps == diffusion._FEW_STEPS
    assert fast.rgb.tobytes() != plain.rgb.tobytes()
    assert diffusion.find_parts("/none", fast=False, listed=listed).lora is None


@pytest.mark.parametrize(
    ("shape", "memory", "expected"),
    [
        ((3000, 4000), 64 << 30, (768, 1024)),
        ((4000, 3000), 16 << 30, (768, 576)),
        ((100, 100), 4 << 30, (512, 512)),
        ((10, 9000), 64 << 30, (64, 1024)),
    ],
)
def test_the_working_size_keeps_the_aspect_and_follows_the_memory(shape, memory, expected):
    assert diffusion.working_shape(shape, "cuda", memory) == expected
    assert max(diffusion.working_shape(shape, "cpu", memory)) <= 768


def test_a_small_painting_comes_back_with_the_photos_edges():
    """An edge between two pixels of the painting lies where the photo has it, and is as steep."""
    photo = np.full((160, 160, 3), 40, np.uint8)
    photo[:, 83:] = 210
    true = np.where(np.arange(160) >= 83, 60, 180)  # the painting turns dark into light: it follows the photo, inverted
    small = np.asarray(enlarge.resize(np.dstack([np.tile(true, (160, 1)).astype(np.uint8)] * 3), (40, 40), 3))
    ours = enlarge.enlarge(small, photo)[80, :, 0].astype(float)
    plain = enlarge.resize(small, (160, 160), 2)[80, :, 0].astype(float)
    near = slice(76, 90)
    assert np.abs(ours - true)[near].mean() < 0.4 * np.abs(plain - true)[near].mean()
    assert np.abs(np.diff(ours)).max() > 1.8 * np.abs(np.diff(plain)).max()


def test_nothing_of_the_photo_comes_back_where_the_painting_went_its_own_way():
    generator = np.random.default_rng(1)
    photo = generator.integers(0, 255, (200, 200, 3), dtype=np.uint8)
    flat = np.full((50, 50, 3), 128, np.uint8)
    assert np.abs(enlarge.enlarge(flat, photo).astype(int) - 128).max() <= 1
