"""The whole recipe on pictures of every kind: the output recomposes to the picture, and is the same every time."""

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import Resource

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from pipeline.image import decode
from pipeline.run import run
from tests.carriers import phone_files
from tests.estimates import each_photo_searched_once
from tests.unit.pictures import SAMPLES, encoded, exif, landscape, png16, stored

LIMITS = Limits(max_bytes=50_000_000, max_pixels=50_000_000)
ROOMS = ("icl_livingroom_b1", "icl_livingroom_b3", "icl_livingroom_b5", "tum_desk")
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", *(f"{room}_rgb.png" for room in ROOMS))
beside_the_project = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample pictures are not beside the project")


def layered(folder: Path, name: str, data: bytes, depth: bytes | None = None, threads: int = 2, **spec) -> Path:
    """Run one job; the result folder."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / name).write_bytes(data)
    dropped = None
    if depth is not None:
        dropped = f"{Path(name).stem}.depth.png"
        (source / dropped).write_bytes(depth)
    seen = os.lstat(source / name)
    command = JobCommand(
        job_id="a", attempt=str(folder), source=str(source), image=name, image_bytes=seen.st_size,
        image_mtime_ns=seen.st_mtime_ns, depth_picture=dropped, spec=JobSpec(**spec), limits=LIMITS,
        models=str(folder / "models"), threads=threads,
    )  # fmt: skip
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        result = run(command, lambda *_: None)
    finally:
        cv2.setNumThreads(before)
    for output in result.outputs:
        written = (folder / output.path).read_bytes()
        assert (len(written), hashlib.sha256(written).hexdigest()) == (output.bytes, output.sha256), output.path
    on_disk = {str(path.relative_to(folder)) for path in (folder / "result").rglob("*") if path.is_file()}
    assert on_disk == {output.path for output in result.outputs}
    return folder / "result"


def error_of(result: Path, rgb: np.ndarray, alpha: np.ndarray | None = None) -> int:
    """The largest difference between the written layers, composited by Pillow, and the picture."""
    files = sorted(result.glob("Layer_*.png"), key=lambda path: int(path.name.split("_")[1]))
    canvas = Image.new("RGBA", rgb.shape[1::-1])
    for path in files:
        canvas.alpha_composite(Image.open(path))
    got = np.asarray(canvas).astype(int)
    cover = np.full(rgb.shape[:2], 255) if alpha is None else alpha.astype(int)
    colour = np.abs(got[..., :3] - rgb)[cover > 0].max(initial=0)
    return max(int(colour), int(np.abs(got[..., 3] - cover).max()))


def grainy(height: int, width: int, channels: int = 3) -> np.ndarray:
    picture = np.random.default_rng(5).integers(0, 256, (height, width, channels), np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), 1.0).reshape(height, width, channels)


def kinds() -> dict[str, tuple[str, bytes]]:
    """Files of every kind, each with its name."""
    rgb = landscape(44, 66)
    deep = rgb.astype(np.uint16) * 257 + 100
    rgba = np.dstack([rgb, np.random.default_rng(1).choice([0, 1, 128, 254, 255, 255], (44, 66)).astype(np.uint8)])
    photo = Image.fromarray(rgb)
    return {
        "16 bits": ("a.png", png16(deep)),
        "16 bits grey": ("a.png", png16(deep[..., 0])),
        "grey": ("a.jpg", encoded(photo.convert("L"), "JPEG")),
        "palette": ("a.png", encoded(photo.quantize(40), "PNG")),
        "CMYK": ("a.jpg", encoded(photo.convert("CMYK"), "JPEG")),
        "transparent": ("a.png", encoded(rgba, "PNG")),
        "turned": ("a.jpg", encoded(stored(rgb, 6), "JPEG", exif=exif(6), quality=95)),
        "webp": ("a.webp", encoded(rgb, "WEBP", quality=80)),
        "one pixel": ("a.png", encoded(grainy(1, 1), "PNG")),
        "a column": ("a.png", encoded(grainy(5000, 1), "PNG")),
        "a row": ("a.png", encoded(grainy(1, 5000), "PNG")),
        "panorama": ("a.png", encoded(grainy(44, 440), "PNG")),
    }


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_picture_comes_back_from_its_layers(tmp_path: Path, kind: str) -> None:
    name, data = kinds()[kind]
    result = layered(tmp_path, name, data, num_layers=5)
    photo = decode.read(os.fsencode(tmp_path / "source" / name), limits=LIMITS)
    assert error_of(result, photo.rgb, photo.alpha) <= 1
    assert len(list(result.glob("Layer_*.png"))) == 5


def test_results_can_carry_the_photos_name(tmp_path: Path) -> None:
    formats = ("psd", "after-effects", "stereo")
    result = layered(tmp_path, "Ünal am Meer.png", encoded(landscape(), "PNG"), num_layers=10, naming="photo", formats=formats)
    named = {path.name for path in result.iterdir() if path.name.startswith("Ünal am Meer_")}
    manifest = json.loads((result / "layer_manifest.json").read_bytes())
    files = [layer["file"] for layer in manifest["layers"]]
    assert files == sorted(files)
    assert files[1] == "Ünal am Meer_Layer_02_midground.png"
    assert manifest["layers"][1]["name"] == "Layer 02 midground"
    assert {*files, "Ünal am Meer_layers.psd", "Ünal am Meer_composite.png", "Ünal am Meer_depth_map.png"} <= named
    others = {path.name for path in result.iterdir()} - named
    assert others == {"layer_manifest.json", "preview.html", "preview", "contact_sheet.jpg"}
    script = next(path for path in result.iterdir() if path.suffix == ".jsx").read_text(encoding="utf-8")
    shown = (result / "preview.html").read_text(encoding="utf-8")
    for each in files:
        assert each in script or json.dumps(each)[1:-1] in script
        assert quote(each) in shown
    assert quote("Ünal am Meer_layers.psd") in shown


@beside_the_project
def test_a_wide_gamut_photo_keeps_its_profile_and_its_numbers(tmp_path: Path) -> None:
    icc = decode.read(os.fsencode(SAMPLES / "iphone_pug_original.heic"), limits=LIMITS).icc
    rgb = landscape()
    result = layered(tmp_path, "wide.png", encoded(rgb, "PNG", icc_profile=icc))
    assert error_of(result, rgb) <= 1
    for path in (*result.glob("Layer_*.png"), result / "composite.png", result / "contact_sheet.jpg"):
        with Image.open(path) as image:
            assert image.info["icc_profile"] == icc, path
    assert json.loads((result / "layer_manifest.json").read_text())["colour_profile"] == "Display P3"


def test_the_depth_map_has_16_bits_and_near_is_bright(tmp_path: Path) -> None:
    values = np.tile(np.linspace(1, 65535, 90), (60, 1)).astype(np.uint16)
    result = layered(tmp_path, "a.png", encoded(landscape(60, 90), "PNG"), encoded(values, "PNG"), depth_kind="distance")
    with Image.open(result / "depth_map.png") as image:
        assert image.mode == "I;16"
        found = np.asarray(image).astype(int)
    assert found.shape == (60, 90)
    assert (np.diff(found.mean(axis=0)) <= 0).all()
    assert (found.min(), found.max()) == (1, 65535)


@beside_the_project
@pytest.mark.parametrize("name", PHOTOS)
def test_written_layers_of_the_samples_recompose_for_2_to_12_layers(tmp_path: Path, name: str) -> None:
    photo = Image.open(SAMPLES / name).convert("RGB").reduce(4)
    depth = None
    if name.endswith("_rgb.png"):
        depth = encoded(np.asarray(Image.open(SAMPLES / name.replace("_rgb", "_depth")))[2::4, 2::4], "PNG")
    with each_photo_searched_once({}):
        for count in (2, 4, 7, 12):
            result = layered(
                tmp_path / str(count), "a.png", encoded(photo, "PNG"), depth, num_layers=count, depth_kind="distance", formats=()
            )
            assert error_of(result, np.asarray(photo)) <= 1, count


def test_the_same_picture_gives_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    data = encoded(cv2.resize(grainy(90, 120), (600, 450), interpolation=cv2.INTER_CUBIC), "PNG")
    depth = encoded(cv2.resize(grainy(12, 16, 1), (200, 150), interpolation=cv2.INTER_CUBIC), "PNG")
    runs = []
    for number, threads in enumerate((1, 2, 2)):
        result = layered(tmp_path / str(number), "a.png", data, depth, threads)
        files = {str(path.relative_to(result)): path.read_bytes() for path in result.rglob("*") if path.is_file()}
        manifest = json.loads(files.pop("layer_manifest.json"))
        assert manifest.pop("threads") == threads
        runs.append((files, manifest))
    assert runs[0] == runs[1] == runs[2]


def test_the_page_links_to_the_layered_file_that_was_written(tmp_path: Path) -> None:
    wide = np.zeros((2, 30_001, 3), np.uint8)
    layered(tmp_path / "wide", "a.png", encoded(wide, "PNG"), num_layers=2)
    layered(tmp_path / "small", "a.png", encoded(wide[:, :50], "PNG"), num_layers=2)
    for folder, written, other in (("wide", "layers.psb", "layers.psd"), ("small", "layers.psd", "layers.psb")):
        result = tmp_path / folder / "result"
        page = (result / "preview.html").read_text("utf-8")
        assert (result / written).is_file()
        assert (f'"{written}"' in page, f'"{other}"' in page) == (True, False)


@pytest.mark.parametrize("way", ["estimated", "given", "painted"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (40, 1200), (1200, 40), (3, 8000)])
def test_a_strip_goes_through_the_whole_recipe(tmp_path: Path, shape: tuple[int, int], way: str) -> None:
    """With estimated and given depth, painted or not, with the layered file, the page and the contact sheet."""
    picture = grainy(*shape)
    height, width = shape
    y, x = np.mgrid[:height, :width]
    given = encoded((1 + (x * 9 // width) % 3 + (y * 3 // height) % 2).astype(np.uint8) * 50, "PNG")
    mode = "painterly" if way == "painted" else "photo-realistic"
    result = layered(tmp_path, "strip.png", encoded(picture, "PNG"), given if way == "given" else None, mode=mode)
    assert (result / "layers.psd").exists()
    assert (result / "contact_sheet.jpg").exists()
    assert json.loads((result / "layer_manifest.json").read_text())["recomposition"]["max_error"] <= 1
    if way != "painted":
        assert error_of(result, picture) <= 1


def test_a_phones_jpeg_is_layered_by_its_own_depth_and_mattes(tmp_path):
    y, x = np.mgrid[:90, :120]
    disc = np.uint8((x - 60) ** 2 + (y - 45) ** 2 < 900)
    rgb = landscape(90, 120) // 2 + 100 * disc[..., None]
    depth = phone_files.apple("disparity", (60 + 150 * disc)[::2, ::2].astype(np.uint8), 0.5, 2.5)
    matte = phone_files.apple("depth", 255 * disc, subtype="portraiteffectsmatte")
    result = layered(tmp_path, "photo.jpg", phone_files.iphone(rgb, depth, matte), num_layers=2, formats=[])
    manifest = json.loads((result / "layer_manifest.json").read_text())
    assert (manifest["depth"]["source"], manifest["depth"]["polarity"]) == ("photo", "disparity")
    assert manifest["mattes"] == ["portrait"]
    assert manifest["recomposition"]["max_error"] <= 1
    near = np.asarray(Image.open(result / manifest["layers"][1]["file"]))[..., 3] > 127
    assert np.mean(near == (disc > 0)) > 0.97


def test_resolution_is_kept_in_the_layers_and_in_the_photoshop_file(tmp_path):
    result = layered(tmp_path, "photo.jpg", encoded(landscape(), "JPEG", dpi=(300, 300)), num_layers=2)
    for name in ("Layer_1_background.png", "composite.png"):
        with Image.open(result / name) as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    resolution = PSDImage.open(result / "layers.psd").image_resources.get_data(Resource.RESOLUTION_INFO)
    assert (resolution.horizontal / 65536, resolution.vertical / 65536) == (300, 300)


def test_what_moves_is_made_with_the_rest_and_the_camera_is_in_the_manifest(tmp_path: Path) -> None:
    values = np.kron([[4000, 2000, 1000]], np.ones((60, 30))).astype(np.uint16)
    result = layered(
        tmp_path, "a.png", encoded(landscape(60, 90), "PNG"), encoded(values, "PNG"), depth_kind="distance", num_layers=3,
        formats=("webp", "stereo"), seconds=1.0, fps=5, amount=0.5, motion="pan",
    )  # fmt: skip
    with Image.open(result / "motion.webp") as loop:
        assert (loop.size, loop.n_frames) == ((90, 60), 5)
    manifest = json.loads((result / "layer_manifest.json").read_text())
    camera, layers = manifest["camera"], manifest["layers"]
    assert (camera["width"], camera["height"], camera["unit"], camera["lens"]) == (90, 60, "relative", "assumed")
    assert camera["focal_length"] == pytest.approx(45 / np.tan(np.radians(camera["fov"] / 2)), rel=1e-6)
    away = [layer["distance"] for layer in layers]
    # Cut halfway between the depths: layers lie from 1/4 to 3/8, to 3/4 and to 1 of the nearest disparity.
    assert np.divide(away[-1], away) == pytest.approx(np.array([5 / 16, 9 / 16, 7 / 8]) / (7 / 8), rel=0.15)
    assert [layer["scale"] for layer in layers] == pytest.approx([each / camera["pivot"] for each in away], rel=1e-6)
    assert layers[-1]["travel"] - layers[0]["travel"] == pytest.approx(0.03, abs=1e-6)
