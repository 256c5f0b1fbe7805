"""The preview page's files: within the size limit, reproducible, and names never become markup."""

import html
import io
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.export import preview
from pipeline.export.preview import PreviewLayer, PreviewPage

HOSTILE = "</script><script>alert(1)</script><!-- ‮ {{SCRIPT}} \"'&\u2028"


def page(count: int = 3, title: str = "A garden", name: str = "Layer", **more) -> PreviewPage:
    layers = tuple(
        PreviewLayer(f"{name} {k + 1}", (k / count, (k + 1) / count), 1 / count, (k / (count - 1) - 1 / 3) * 0.03)
        for k in range(count)
    )
    return PreviewPage(title, layers, tuple(k / count for k in range(1, count)), f"{count} layers", **more)


def written(folder: Path, height: int = 60, width: int = 80, content: PreviewPage | None = None, **more) -> str:
    content = content or page()
    rng = np.random.default_rng(5)
    photo = rng.integers(0, 256, (height, width, 3), np.uint8)
    layers = [np.dstack([photo, np.full((height, width), 255, np.uint8)])]
    for k in range(1, len(content.layers)):
        layer = layers[0].copy()
        layer[: height * k // len(content.layers)] = 0
        layers.append(layer)
    disparity = np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], (height, width)).copy()
    files = preview.write(str(folder), photo, layers, disparity, content, **more)
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == set(files)
    return (folder / "preview.html").read_text("utf-8")


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_needs_nothing_but_the_pictures_beside_it(tmp_path: Path) -> None:
    text = written(tmp_path)
    wanted = set(re.findall(r'src="([^"]+)"', text)) | {layer["src"] for layer in data_of(text)["layers"]}
    assert wanted == {f"preview/{name}.webp" for name in ("photo", "depth", "layer_1", "layer_2", "layer_3")}
    assert all((tmp_path / name).is_file() for name in wanted)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|import\b|@import|url\(", text)


def test_hostile_names_end_no_script_and_fill_no_placeholder(tmp_path: Path) -> None:
    content = page(title=HOSTILE, name=HOSTILE, facts=((HOSTILE, HOSTILE),), links=((HOSTILE, "a b<c>.psd"),), note=HOSTILE)
    text = written(tmp_path, content=content)
    assert text.count("</script>") == 2
    assert "<script>alert" not in text
    assert "<!--" not in text
    assert f"<title>{html.escape(HOSTILE)}</title>" in text
    data = data_of(text)
    assert data["title"] == data["note"] == HOSTILE
    assert data["layers"][0]["name"] == f"{HOSTILE} 1"
    assert data["facts"] == [[HOSTILE, HOSTILE]]
    assert data["links"] == [[HOSTILE, "a%20b%3Cc%3E.psd"]]


def test_a_link_cannot_carry_a_scheme(tmp_path: Path) -> None:
    assert data_of(written(tmp_path, content=page(links=(("x", "javascript:alert(1)"),))))["links"] == [
        ["x", "javascript%3Aalert%281%29"]
    ]


def test_half_characters_of_broken_names_do_not_break_the_page(tmp_path: Path) -> None:
    assert data_of(written(tmp_path, content=page(title="a\ud800b")))["title"] == "a?b"


@pytest.mark.parametrize(("height", "width", "count"), [(500, 500, 12), (60, 5000, 2), (1, 1, 2), (3, 1, 12)])
def test_page_and_pictures_stay_within_the_budget_even_for_noise(
    tmp_path: Path, height: int, width: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MAX_BYTES", 300_000)  # a tenth of the budget for a tenth of the time
    written(tmp_path, height, width, page(count))
    total = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert total <= 300_000 + len((tmp_path / "preview.html").read_bytes())
    shown = opened(tmp_path / "preview" / "photo.webp").size
    assert max(shown) <= 4096
    if max(height, width) > 10:
        assert shown[0] / shown[1] == pytest.approx(width / height, rel=0.05)


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, 200, 300)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_layers_travel_as_the_camera_says_and_the_zoom_hides_their_borders(tmp_path: Path) -> None:
    data = data_of(written(tmp_path))
    travel = [layer["travel"] for layer in data["layers"]]
    assert travel == pytest.approx([-0.01, 0.005, 0.02])
    assert data["zoom"] >= 1 + 2 * max(map(abs, travel))


def test_the_histogram_counts_every_depth_and_is_highest_at_one(tmp_path: Path) -> None:
    photo = np.zeros((10, 10, 3), np.uint8)
    disparity = np.full((10, 10), 1.0, np.float32)
    disparity[0, :4] = 0.0
    opaque = np.full((10, 10, 4), 255, np.uint8)
    preview.write(str(tmp_path), photo, [opaque, opaque], disparity, page(2))
    histogram = data_of((tmp_path / "preview.html").read_text("utf-8"))["histogram"]
    assert histogram[-1] == 1.0
    assert histogram[0] == pytest.approx((4 / 96) ** 0.5, abs=1e-4)
    assert sum(histogram[1:-1]) == 0


def test_pictures_carry_the_colour_profile(tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    written(tmp_path, icc=icc)
    for name in ("photo", "layer_1", "layer_3"):
        assert opened(tmp_path / "preview" / f"{name}.webp").info["icc_profile"] == icc


def test_shrinking_mixes_no_colour_from_transparent_pixels() -> None:
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[:, :21] = (200, 100, 50, 255)
    picture[:, 21:] = (0, 255, 0, 0)
    small = preview.shrink(picture, (10, 10))
    visible = small[..., 3] > 0
    assert set(small[0, :, 3].tolist()) == {255, 64, 0}
    assert np.abs(small[visible][:, :3].astype(int) - (200, 100, 50)).max() <= 2
    assert small[~visible].max() == 0


def test_shrinking_an_opaque_picture_is_plain_averaging() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (32, 48, 3), np.uint8)
    expected = cv2.resize(picture, (12, 8), interpolation=cv2.INTER_AREA)
    assert np.abs(preview.shrink(picture, (12, 8)).astype(int) - expected).max() <= 1
    with_alpha = np.dstack([picture, np.full((32, 48), 255, np.uint8)])
    assert np.abs(preview.shrink(with_alpha, (12, 8))[..., :3].astype(int) - expected).max() <= 1


def test_fine_lines_of_a_photo_survive_its_last_reduction_for_the_page() -> None:
    """Rings that become finer towards the corners, nearer to Lanczos's filter than means of the halved photo."""
    y, x = np.mgrid[:756, :1008]
    rings = np.rint(127.5 + 127.5 * np.cos(((y - 378.0) ** 2 + (x - 504.0) ** 2) / 1008 * 0.55)).astype(np.uint8)
    photo = np.dstack([rings] * 3)
    best = np.asarray(Image.fromarray(photo).resize((400, 300), Image.Resampling.LANCZOS))
    halved = cv2.resize(photo, (504, 378), interpolation=cv2.INTER_AREA)
    averaged = cv2.resize(halved, (400, 300), interpolation=cv2.INTER_AREA)
    opaque = np.dstack([photo, np.full(rings.shape, 255, np.uint8)])
    for small in (preview.shrink(photo, (400, 300)), preview.shrink(opaque, (400, 300))[..., :3]):
        assert cv2.PSNR(np.ascontiguousarray(small), best) > cv2.PSNR(averaged, best) + 0.5


def test_an_empty_layer_stays_empty_when_it_is_reduced() -> None:
    assert not preview.shrink(np.zeros((60, 80, 4), np.uint8), (40, 30)).any()


def test_missing_descriptions_are_refused(tmp_path: Path) -> None:
    opaque = np.full((4, 4, 4), 255, np.uint8)
    with pytest.raises(ValueError, match="1 layers, but 2"):
        preview.write(str(tmp_path), opaque[..., :3], [opaque], np.zeros((4, 4), np.float32), page(2))
    assert list(tmp_path.iterdir()) == []


def test_a_transparent_photo_keeps_its_transparency(tmp_path: Path) -> None:
    photo = np.full((20, 20, 4), 200, np.uint8)
    photo[:10, :, 3] = 0
    opaque = np.full((20, 20, 4), 255, np.uint8)
    preview.write(str(tmp_path), photo, [opaque, opaque], np.zeros((20, 20), np.float32), page(2))
    shown = np.asarray(opened(tmp_path / "preview" / "photo.webp"))
    assert shown[0, 0, 3] == 0
    assert shown[-1, -1, 3] == 200
