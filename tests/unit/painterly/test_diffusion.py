"""Painting by diffusion, tested with a tiny Stable Diffusion 1.5 of real components, loaded from safetensors."""

import shutil

import numpy as np
import pytest

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import DeviceUnavailable, Internal, ModelFailed, WeightsCorrupt, WeightsMissing
from pipeline import painterly, weights
from pipeline.image.decode import Photo
from pipeline.painterly import diffusion, enlarge, loading, sampling, styles
from tests import diffusion_models

#: Who imports torch and diffusers, imports them once: such tests run in one process.
STYLE = styles.DiffusionStyle(
    description="a test", engine="diffusion", prompt="oil on canvas", negative_prompt="photo", guidance=4.0, steps=3
)
HALF_FIRST = (("cpu", "bfloat16"), ("cpu", "float32"))
ENTRY = {"use": "diffusion", "licence": "MIT", "commercial": True}


@pytest.fixture(autouse=True)
def precision(monkeypatch, request):
    """The precision in which the processor computes, whatever this machine's can do: float32, or what a test sets."""
    import torch

    torch.set_num_threads(1)  # in networks of this size threads wait for each other: two take ten times one's processor time
    chosen = getattr(request, "param", "float32")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": chosen == "bfloat16"})
    return chosen


in_every_precision = pytest.mark.parametrize("precision", ["float32", "bfloat16"], indirect=True)
in_bfloat16 = pytest.mark.parametrize("precision", ["bfloat16"], indirect=True)


def catalogue(monkeypatch, **paths):
    """Models in the person's own folders; the word before the first underscore is the part."""
    shipped = weights.catalogue()
    entries = {
        name.replace("_", "-"): weights.Entry(**ENTRY, part=name.split("_")[0], path=str(path)) for name, path in paths.items()
    }
    listed = weights.Catalogue(
        default_depth=shipped.default_depth, models={shipped.default_depth: shipped.models[shipped.default_depth], **entries}
    )
    monkeypatch.setattr(weights, "catalogue", lambda *_: listed)
    return listed


def job(**spec):
    return JobCommand(
        job_id="x", attempt="/none", source="/none", image="a.png", image_bytes=1, image_mtime_ns=1,
        spec=JobSpec(mode="painterly", style="oil", **spec), limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20),
        models="/none", device="cpu", threads=1,
    )  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """Use a working size that a tiny model finishes at once."""
    monkeypatch.setattr(diffusion, "_LONGER_SIDE", ((0, 64),))


@pytest.fixture
def photo():
    rows, columns = np.mgrid[:90, :128]
    return np.dstack([rows * 2, columns, np.where(columns > 60, 200, 30)]).astype(np.uint8)


def paint(photo, progress=lambda _: None, **spec):
    return diffusion.paint(photo, STYLE, job(**{"strength": 0.5, **spec}), progress)


@in_every_precision
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(monkeypatch, tiny_diffusion, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    first, again, other = paint(photo), paint(photo), paint(photo, seed=7)
    assert first.rgb.shape == photo.shape
    assert first.rgb.tobytes() == again.rgb.tobytes()
    assert first.rgb.tobytes() != other.rgb.tobytes()
    assert first.model == "pipeline"
    assert first.revision.startswith("sha256:")


@pytest.mark.parametrize("strength", [0.3, 0.57, 1.0])
def test_as_many_steps_are_made_as_the_style_says_and_each_is_told(monkeypatch, tiny_diffusion, small, photo, strength):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    told = []
    assert paint(photo, told.append, strength=strength).steps == STYLE.steps
    stepped = [share for share in told if sampling.LOADED < share <= sampling.STEPPED]
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


@in_every_precision
def test_a_painting_says_what_made_it(monkeypatch, tiny_diffusion, small, photo, precision):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    given = Photo(rgb=photo, alpha=alpha, icc=b"x", profile="mine", bits=16, format="PNG")
    monkeypatch.setattr(painterly, "named", lambda _: ("oil", STYLE))
    painting = painterly.stylise(given, job(strength=0.5, seed=3), lambda _: None)
    made = painting.provenance
    assert (made.engine, made.model, made.style, made.seed, made.steps) == ("diffusion", "pipeline", "oil", 3, 3)
    assert (made.device, made.precision) == ("cpu", precision)
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


def forget_words(folder):
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (truncate, "The file unet/diffusion_pytorch_model.safetensors of pipeline is damaged, or not a safetensors file."),
        (drop_tensors, "The weights of pipeline lack 5 parts of its unet."),
        (forget_words, "The tokenizer of pipeline is incomplete."),
        (rename_kind, "holds a StableDiffusionXLPipeline"),
        (forget_index, "is not a diffusion pipeline"),
    ],
)
def test_damaged_weights_and_other_models_are_refused_in_a_sentence(
    monkeypatch, tiny_diffusion, small, photo, tmp_path, change, said
):
    catalogue(monkeypatch, pipeline=damaged(tiny_diffusion, tmp_path, change))
    with pytest.raises(WeightsCorrupt) as caught:
        paint(photo)
    assert said in caught.value.message
    assert f"Correct the files in {tmp_path / 'copy'}" in caught.value.info().hint


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "returned values that are not numbers"), (-1e6, "painted only black")],
    ids=["no numbers", "black"],
)
def test_what_is_no_picture_is_tried_again_in_single_precision_and_then_told(
    monkeypatch, tiny_diffusion, small, photo, tmp_path, value, said
):
    broken = diffusion_models.changed(
        tiny_diffusion, tmp_path / "broken", diffusion_models.DECODER, "decoder.conv_out.bias", value
    )
    catalogue(monkeypatch, pipeline=broken)
    monkeypatch.setattr(diffusion, "candidates", lambda _: HALF_FIRST)
    tried, plain = [], loading.load
    monkeypatch.setattr(loading, "load", lambda *parts, dtype, **rest: tried.append(dtype) or plain(*parts, dtype=dtype, **rest))
    with pytest.raises(ModelFailed) as caught:
        paint(photo)
    assert tried == ["bfloat16", "float32"]
    assert caught.value.message == f"The diffusion model pipeline {said}."
    assert "fetch" in caught.value.info().hint


def test_weights_that_are_not_numbers_are_told(monkeypatch, tiny_diffusion, small, photo, tmp_path):
    broken = diffusion_models.changed(
        tiny_diffusion, tmp_path / "broken", diffusion_models.NETWORK, "conv_in.weight", float("nan")
    )
    catalogue(monkeypatch, pipeline=broken)
    with pytest.raises(ModelFailed, match="pipeline returned values that are not numbers"):
        paint(photo)


def test_half_width_that_gives_no_picture_is_tried_again_in_single_precision(monkeypatch, tiny_diffusion, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    single = paint(photo).rgb
    monkeypatch.setattr(diffusion, "candidates", lambda _: HALF_FIRST)
    plain = sampling._run
    for bad in (np.nan, 0.0):  # no numbers, and black

        def overflowing(pipeline, given, progress, bad=bad):
            painting = plain(pipeline, given, progress)
            return painting * np.float32(bad) if str(pipeline.unet.dtype) == "torch.bfloat16" else painting

        monkeypatch.setattr(sampling, "_run", overflowing)
        painted = paint(photo)
        assert painted.warnings == ("The painting was made in float32: bfloat16 gave none on cpu.",)
        assert painted.precision == "float32"
        assert painted.rgb.tobytes() == single.tobytes()


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, HALF_FIRST),
        ({"amx_bf16": True}, HALF_FIRST),
        ({"avx512_f": True}, HALF_FIRST[1:]),
        ({}, HALF_FIRST[1:]),
    ],
    ids=["AVX-512 BF16", "AMX", "AVX-512 without it", "nothing"],
)
def test_a_cpu_computes_in_bfloat16_if_it_can_and_else_in_single_precision(monkeypatch, able, expected):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert diffusion.candidates("cpu") == expected


@in_bfloat16
@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
def test_a_cpu_that_computes_in_bfloat16_loads_the_whole_network_so(monkeypatch, small, photo, tmp_path, stored):
    import torch

    catalogue(monkeypatch, pipeline=diffusion_models.save_pipeline(tmp_path / "saved", dtype=stored))
    loaded, plain = [], loading.load
    monkeypatch.setattr(loading, "load", lambda *parts, **options: loaded.append(plain(*parts, **options)) or loaded[-1])
    painted = paint(photo)
    (pipeline,) = loaded
    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {torch.bfloat16}
    assert (painted.precision, painted.warnings) == ("bfloat16", ())
    assert painted.rgb.std() > 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_width_weights_stay_mapped_and_paint_what_wide_ones_do(monkeypatch, small, photo, tmp_path, dtype):
    import torch

    saved = diffusion_models.save_pipeline(tmp_path / "half", dtype=dtype)
    catalogue(monkeypatch, pipeline=saved)
    loaded, plain = [], loading.load
    monkeypatch.setattr(loading, "load", lambda *parts, **options: loaded.append(plain(*parts, **options)) or loaded[-1])
    held = paint(photo)
    kinds = {parameter.dtype for parameter in loaded[0].unet.parameters()}
    assert kinds == {getattr(torch, dtype), torch.float32}
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_half_width", lambda _: None)
        wide = paint(photo)
    assert {parameter.dtype for parameter in loaded[1].unet.parameters()} == {torch.float32}
    assert held.rgb.tobytes() == wide.rgb.tobytes()


def test_only_large_layers_keep_their_half_width():
    import torch

    from pipeline.painterly import upcast

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.GroupNorm(2, 4), torch.nn.Flatten(),
        torch.nn.Linear(4 * 25, 2),
    )  # fmt: skip
    network.half()
    values = torch.rand(1, 3, 5, 5)
    with torch.inference_mode():
        wide = [parameter.float() for parameter in network.parameters()]
        upcast.widen_as_used(network)
        got = network(values)
        assert [parameter.dtype for parameter in network.parameters()].count(torch.float16) == 2
        for parameter, value in zip(network.parameters(), wide, strict=True):
            parameter.data = value
        assert torch.equal(got, network(values))


@pytest.mark.parametrize("kind", ["strict", "lenient"])
def test_the_models_own_safety_checker_has_the_last_word(monkeypatch, small, photo, tmp_path, kind):
    catalogue(monkeypatch, pipeline=diffusion_models.save_pipeline(tmp_path / "guarded", checker=kind))
    if kind == "lenient":
        assert paint(photo).rgb.std() > 1.0
        return
    with pytest.raises(ModelFailed) as caught:
        paint(photo)
    assert caught.value.message == "The model's own safety checker withheld the painting."
    assert "another seed, a smaller strength or another style" in caught.value.info().hint


def test_a_safety_checker_that_cannot_be_loaded_is_no_reason_to_go_without(monkeypatch, small, photo, tmp_path):
    saved = diffusion_models.save_pipeline(tmp_path / "guarded", checker="lenient")
    (saved / "safety_checker" / "model.safetensors").write_bytes(b"broken")
    catalogue(monkeypatch, pipeline=saved)
    with pytest.raises(WeightsCorrupt, match=r"The file safety_checker/model.safetensors of pipeline is damaged"):
        paint(photo)


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
    with pytest.raises(Internal, match=r"long\.prompt must have at most 2,000 characters"):
        styles.styles(str(path))


def test_words_the_model_does_not_read_are_worth_a_warning(monkeypatch, tiny_diffusion, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    long = STYLE.model_copy(update={"prompt": "a " * 500})
    (warning,) = diffusion.paint(photo, long, job()).warnings
    assert warning == "The style's prompt is 502 tokens long; the model read the first 77."


@pytest.fixture(scope="module")
def refinements(tiny_diffusion, tmp_path_factory):
    """A LoRA for the tiny model, and a tiny autoencoder."""
    root = tmp_path_factory.mktemp("refinements")
    lora = diffusion_models.save_lora(root / "lora", tiny_diffusion / diffusion_models.NETWORK)
    return {"lora": lora, "vae": diffusion_models.save_tiny_autoencoder(root / "vae")}


@in_every_precision
def test_an_installed_lora_and_tiny_autoencoder_make_it_fast_on_the_cpu_and_are_named(
    monkeypatch, tiny_diffusion, refinements, small, photo
):
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    plain = paint(photo, strength=0.1)
    listed = catalogue(monkeypatch, pipeline=tiny_diffusion, **refinements)
    fast = paint(photo, strength=0.1)
    assert fast.model == "pipeline + lora + vae"
    assert fast.revision.count("sha256:") == 3
    assert fast.steps == diffusion.FEW_STEPS
    assert fast.rgb.tobytes() != plain.rgb.tobytes()
    assert diffusion.find_parts("/none", fast=False, listed=listed).lora is None


def test_the_lora_of_a_style_is_used_by_that_style_alone(monkeypatch, tiny_diffusion, refinements, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion, style=refinements["lora"])
    looked = diffusion.paint(photo, STYLE.model_copy(update={"lora": "style"}), job())
    plain = paint(photo)
    assert (looked.model, looked.steps) == ("pipeline + style", STYLE.steps)
    assert plain.model == "pipeline"
    assert looked.rgb.tobytes() != plain.rgb.tobytes()


def test_a_style_whose_lora_is_missing_says_which_and_how_to_get_it(monkeypatch, tiny_diffusion, small, photo, tmp_path):
    catalogue(monkeypatch, pipeline=tiny_diffusion, style=tmp_path / "nowhere")
    with pytest.raises(WeightsMissing, match=r"The folder of style .* does not exist"):
        diffusion.paint(photo, STYLE.model_copy(update={"lora": "style"}), job())
    with pytest.raises(WeightsMissing, match=r"The style's lora, van-gogh, is not in the list of models") as caught:
        diffusion.paint(photo, STYLE.model_copy(update={"lora": "van-gogh"}), job())
    assert "Add it to your models.yaml" in caught.value.info().hint
    with pytest.raises(Internal, match="The style's lora, pipeline, is not the LoRA of a style"):
        diffusion.paint(photo, STYLE.model_copy(update={"lora": "pipeline"}), job())


def test_a_fetched_lora_that_is_missing_names_the_command(tiny_diffusion, tmp_path):
    shipped = weights.catalogue(str(diffusion_models.install(tmp_path / "models", pipeline=tiny_diffusion)))
    look = shipped.models["lcm-lora-sd-1.5"].model_copy(update={"part": "style"})
    listed = shipped.model_copy(update={"models": shipped.models | {"van-gogh": look}})
    with pytest.raises(WeightsMissing, match="The weights of van-gogh are not installed") as caught:
        diffusion.find_parts(str(tmp_path / "models"), fast=True, style="van-gogh", listed=listed)
    assert "multiplane models fetch van-gogh" in caught.value.info().hint


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("another model's", "The weights of lora cannot be loaded as a LoRA of this model."),
        ("no LoRA", "The weights of lora are not a LoRA for this model: nothing in them fits it."),
        ("broken", "The file pytorch_lora_weights.safetensors of lora is damaged, or not a safetensors file."),
    ],
)
def test_a_lora_that_does_not_fit_is_refused_in_a_sentence(monkeypatch, tiny_diffusion, small, photo, tmp_path, wrong, said):
    import torch
    from safetensors.torch import save_file

    key, shape = ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", 99) if wrong == "another model's" else ("else", 2)
    (tmp_path / "lora").mkdir()
    path = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
    if wrong == "broken":
        path.write_bytes(b"\xff" * 64)
    else:
        prefix = "unet" if wrong == "another model's" else "nothing"
        save_file({f"{prefix}.{key}.lora_{side}.weight": torch.ones(2, shape) for side in "AB"}, path)
    catalogue(monkeypatch, pipeline=tiny_diffusion, lora=tmp_path / "lora")
    with pytest.raises(WeightsCorrupt) as caught:
        paint(photo)
    assert caught.value.message == said


def test_a_model_of_another_kind_in_the_place_of_the_autoencoder_is_refused(monkeypatch, tiny_diffusion, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion, vae=tiny_diffusion / "unet")
    with pytest.raises(WeightsCorrupt, match="The weights of vae cannot be loaded as a tiny autoencoder"):
        paint(photo)


def test_who_stops_it_between_two_steps_stops_it_there(monkeypatch, tiny_diffusion, small, photo):
    catalogue(monkeypatch, pipeline=tiny_diffusion)

    class Stop(BaseException):
        """Raised as the worker does to stop a job."""

    told = []

    def progress(share):
        told.append(share)
        if len([share for share in told if share > sampling.LOADED]) == 2:
            raise Stop

    with pytest.raises(Stop):
        paint(photo, progress)
    assert told[-1] == pytest.approx(sampling.LOADED + (sampling.STEPPED - sampling.LOADED) * 2 / STYLE.steps)


@pytest.mark.parametrize(
    ("shape", "memory", "expected"),
    [
        ((3000, 4000), 64 << 30, (768, 1024)),
        ((4000, 3000), 16 << 30, (768, 576)),
        ((100, 100), 4 << 30, (512, 512)),
        ((400, 600), 64 << 30, (400, 600)),
        ((10, 9000), 64 << 30, (64, 1024)),
    ],
)
def test_the_working_size_keeps_the_aspect_and_follows_the_memory(shape, memory, expected):
    assert diffusion.working_shape(shape, "cuda", memory) == expected
    assert max(diffusion.working_shape(shape, "cpu", memory)) <= 768


@pytest.mark.parametrize(("memory", "side"), [(1 << 30, 64), (8 << 30, 128)])
def test_the_painting_is_as_large_as_the_memory_that_the_daemon_may_use_allows(monkeypatch, tiny_diffusion, photo, memory, side):
    """In a container, that is less than the machine's memory."""
    catalogue(monkeypatch, pipeline=tiny_diffusion)
    working_shape = diffusion.working_shape
    monkeypatch.setattr(diffusion, "_LONGER_SIDE", ((4 << 30, 128), (0, 64)))

    class Asked(Exception):
        """The size was chosen, and nothing need be painted."""

    def chosen(*given):
        raise Asked(max(working_shape(*given)))

    monkeypatch.setattr(diffusion, "working_shape", chosen)
    with pytest.raises(Asked, match=f"^{side}$"):
        diffusion.paint(photo, STYLE, job(strength=0.5).model_copy(update={"memory": memory}))


def test_a_small_painting_comes_back_with_the_photos_edges():
    """An edge between two pixels of the painting is where the photo has it, and as sharp."""
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
