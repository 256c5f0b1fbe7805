"""The files of the formats that move: decoded, they have the right size, length and colours, and stereo stays comfortable."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from daemon.contract.manifest import Depth
from daemon.errors import Internal
from pipeline.export.format import Pictures
from pipeline.export.moving import encoders, mp4, stereo, video, webp
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import REST, Motion
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture
from tests.scenes import scene

CELL = 32
COLOURS = np.array([(r, g, b) for r in (0, 85, 170, 255) for g in (0, 85, 170, 255) for b in (0, 85, 170, 255)])
FFMPEG = shutil.which("ffmpeg")
with_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="there is no ffmpeg on the PATH")


@pytest.fixture(scope="module")
def leaves() -> Pictures:
    truth = scene("leaves", 240, 320)
    layers = layer_picture(truth.rgb, None, truth.disparity, None, num_layers=3)
    photo = Photo(truth.rgb, None, None, "sRGB", 8, "PNG")
    made = Pictures("a", photo, layers, Depth(source="file", polarity="disparity"), "a file", None)
    return replace(made, motion=Motion(seconds=1.0, fps=10, size=320))


def nothing(_share: float) -> None:
    """Progress that nobody wants to know."""


def frames_of(path: Path) -> np.ndarray:
    captured = cv2.VideoCapture(str(path))
    found = []
    while (read := captured.read())[0]:
        found.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return np.array(found)


def chart() -> np.ndarray:
    """Every combination of four levels, as squares."""
    return np.kron(COLOURS.reshape(8, 8, 3), np.ones((CELL, CELL, 1))).astype(np.uint8)


def mean_error(picture: np.ndarray) -> float:
    inside = picture.reshape(8, CELL, 8, CELL, 3)[:, 8:-8, :, 8:-8].mean((1, 3))
    return float(np.abs(inside.reshape(-1, 3) - COLOURS).mean())


def by_ffmpeg(path: Path) -> np.ndarray:
    """The chart as ffmpeg reads it."""
    command = [FFMPEG, "-v", "error", "-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(8 * CELL, 8 * CELL, 3)


def psnr(a, b) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def luma(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([0.2126, 0.7152, 0.0722])


def test_without_ffmpeg_a_video_is_vp9_says_so_and_begins_with_the_photo(leaves, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders.sys, "platform", "linux")
    told: list[float] = []
    assert video.FORMAT.write(tmp_path, leaves, told.append) == ["motion.mp4"]
    assert told == [frame / 10 for frame in range(10)]
    assert video.FORMAT.remarks(leaves) == (video.REMARKS["vp9"],)
    found = frames_of(tmp_path / "motion.mp4")
    assert found.shape == (10, 240, 320, 3)
    assert psnr(luma(found[0]), luma(leaves.photo.rgb)) > 40
    assert cv2.VideoCapture(str(tmp_path / "motion.mp4")).get(cv2.CAP_PROP_FPS) == 10


def test_a_vp9_video_says_which_matrix_makes_its_colours(tmp_path):
    target = tmp_path / "a.mp4"
    encoders.encode(target, [chart()] * 2, size=(8 * CELL, 8 * CELL), fps=10, kind="vp9", ffmpeg=None)
    data = target.read_bytes()
    assert data[data.index(b"vpcC") + 11 :][:3] == bytes([1, 1, 6])
    assert mean_error(frames_of(target)[0]) <= 1.5
    assert FFMPEG is None or mean_error(by_ffmpeg(target)) <= 1.5
    with pytest.raises(Internal, match="no vpcC box"):
        mp4.tagged(b"ftyp")


@with_ffmpeg
def test_with_ffmpeg_a_video_is_h264_in_bt709_and_has_the_same_bytes_each_time(leaves, tmp_path):
    filmed = replace(leaves, ffmpeg=FFMPEG, motion=Motion(seconds=1.0, fps=5))
    data = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        video.FORMAT.write(tmp_path / name, filmed, nothing)
        data.append((tmp_path / name / "motion.mp4").read_bytes())
    assert data[0] == data[1]
    assert data[0].index(b"moov") < data[0].index(b"mdat"), "a player can begin before it has the whole file"
    assert b"nclx" + bytes([0, 1, 0, 1, 0, 1, 0]) in data[0]
    assert video.FORMAT.remarks(filmed) == ()
    assert re.fullmatch(r"\S+", video.FORMAT.programs(filmed)["ffmpeg"])
    found = frames_of(tmp_path / "a" / "motion.mp4")
    assert found.shape == (5, 480, 640, 3), "twice the photo, whose colours 4:2:0 then does not halve"
    assert psnr(found[0], Frames(leaves, 1920, 2).at(REST)) > 40
    assert psnr(cv2.resize(found[0], (320, 240), interpolation=cv2.INTER_AREA), leaves.photo.rgb) > 40


@with_ffmpeg
def test_two_programs_see_the_colours_of_an_h264_video_as_they_are(tmp_path):
    target = tmp_path / "chart.mp4"
    encoders.encode(target, [chart()] * 3, size=(8 * CELL, 8 * CELL), fps=10, kind="ffmpeg", ffmpeg=FFMPEG)
    assert mean_error(frames_of(target)[0]) <= 1.5
    assert mean_error(by_ffmpeg(target)) <= 1.5


@with_ffmpeg
def test_what_ffmpeg_says_of_its_failure_is_kept(tmp_path):
    with pytest.raises(Internal) as failed:
        encoders.encode(tmp_path / "no" / "a.mp4", [chart()] * 40, size=(256, 256), fps=10, kind="ffmpeg", ffmpeg=FFMPEG)
    assert "No such file or directory" in failed.value.detail


@pytest.mark.parametrize("script", ["exit 1", "echo ' V..... libx265 '", None])
def test_an_ffmpeg_that_cannot_encode_h264_counts_as_none(tmp_path, monkeypatch, script):
    monkeypatch.setattr(encoders.sys, "platform", "linux")
    program = tmp_path / "ffmpeg"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    assert encoders.choose(str(program)) == "vp9"
    assert encoders.choose(None) == "vp9"
    assert encoders.programs(str(program)) == encoders.programs(None) == {}


def test_a_loop_repeats_for_ever_and_begins_with_the_photo(leaves, tmp_path):
    told: list[float] = []
    longer = replace(leaves, motion=Motion(seconds=1.2, fps=30))
    assert webp.FORMAT.write(tmp_path, longer, told.append) == ["motion.webp"]
    with Image.open(tmp_path / "motion.webp") as loop:
        assert (loop.n_frames, loop.size, loop.info["loop"]) == (18, (320, 240), 0)
        assert psnr(luma(np.asarray(loop.convert("RGB"))), luma(leaves.photo.rgb)) > 32
        durations = []
        for frame in range(loop.n_frames):
            loop.seek(frame)
            loop.load()
            durations.append(loop.info["duration"])
    assert sum(durations) == pytest.approx(1200, abs=1)
    read, by_opencv = cv2.imreadanimation(str(tmp_path / "motion.webp"))
    assert read
    assert (len(by_opencv.frames), by_opencv.loop_count, int(sum(by_opencv.durations))) == (18, 0, 1200)
    assert psnr(luma(by_opencv.frames[0][..., 2::-1]), luma(leaves.photo.rgb)) > 32
    assert sorted(told[:-1]) == told[:-1]  # at the end Pillow seeks the first frame again
    again = tmp_path / "again"
    again.mkdir()
    webp.FORMAT.write(again, longer, nothing)
    assert (again / "motion.webp").read_bytes() == (tmp_path / "motion.webp").read_bytes()


def test_the_colours_of_a_loop_are_those_of_the_picture(tmp_path):
    layers = layer_picture(chart(), None, np.zeros((8 * CELL, 8 * CELL), np.float32), None, num_layers=2)
    photo = Photo(chart(), None, None, "sRGB", 8, "PNG")
    made = Pictures("a", photo, layers, Depth(source="file", polarity="disparity"), "a", None, motion=Motion(seconds=1.0, fps=2))
    webp.FORMAT.write(tmp_path, made, nothing)
    # Nothing moves, so the file holds a single frame, which ffmpeg's own decoder reads.
    with Image.open(tmp_path / "motion.webp") as loop:
        assert mean_error(np.asarray(loop.convert("RGB"))) <= 1.5
    assert FFMPEG is None or mean_error(by_ffmpeg(tmp_path / "motion.webp")) <= 1.5


def test_a_stereo_pair_stays_within_two_hundredths_of_the_width(leaves, tmp_path):
    left, right = stereo.eyes(leaves)
    for plane in leaves.camera.planes:
        assert -0.01 - 1e-9 <= plane.travel * (left.aside - right.aside) * left.zoom <= 0.02 + 1e-9
    assert stereo.eyes(replace(leaves, motion=Motion(amount=0.5)))[0].aside == pytest.approx(left.aside / 2)
    assert stereo.FORMAT.write(tmp_path, leaves, nothing) == [stereo.SIDE_BY_SIDE, stereo.RED_CYAN]
    with Image.open(tmp_path / stereo.SIDE_BY_SIDE) as pair, Image.open(tmp_path / stereo.RED_CYAN) as both:
        assert (pair.size, both.size) == ((640, 240), (320, 240))
        halves = np.asarray(pair)[:, :320], np.asarray(pair)[:, 320:]
    frames = Frames(leaves, 320)
    for seen, pose in zip(halves, (left, right), strict=True):
        assert psnr(seen, frames.at(pose)) > 36


def test_through_red_cyan_glasses_each_eye_sees_its_own_picture():
    rng = np.random.default_rng(5)
    one, other = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert np.abs(stereo.red_cyan(grey, grey).astype(int) - grey).max() <= 3
    changed = stereo.red_cyan(one, other).astype(float)
    assert np.corrcoef(changed[..., 0].ravel(), luma(one).ravel())[0, 1] > 0.8
    assert np.corrcoef(changed[..., 1].ravel(), luma(other).ravel())[0, 1] > 0.8


def test_a_flat_picture_is_written_although_nothing_can_move(tmp_path):
    rgb = np.full((40, 60, 3), 90, np.uint8)
    layers = layer_picture(rgb, None, np.zeros((40, 60), np.float32), None, num_layers=2)
    flat = Pictures("a", Photo(rgb, None, None, "sRGB", 8, "PNG"), layers, Depth(source="file", polarity="disparity"), "a", None)
    assert stereo.eyes(flat) == (REST, REST)
    assert stereo.FORMAT.write(tmp_path, flat, nothing)
    webp.FORMAT.write(tmp_path, replace(flat, motion=Motion(seconds=1.0, fps=5)), nothing)
    with Image.open(tmp_path / "motion.webp") as loop:
        assert (loop.size, np.abs(np.asarray(loop.convert("RGB")).astype(int) - 90).max() <= 2) == ((60, 40), True)


def test_only_the_description_is_changed_even_if_the_frames_contain_its_name():
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    described = box(b"vpcC", bytes(16))
    frames = box(b"mdat", b"vpcC" + bytes(range(40)))
    file = box(b"ftyp", b"isom") + frames + box(b"moov", described)
    found = mp4.tagged(file)
    assert len(found) == len(file)
    changed = [place for place, (old, new) in enumerate(zip(file, found, strict=True)) if old != new]
    assert changed == [len(file) - len(described) + 8 + 7 + k for k in range(3)]


def test_a_file_that_is_built_otherwise_is_not_cut():
    with pytest.raises(Internal, match="does not end with its description"):
        mp4.without_first(b"ftyp", 24)


@with_ffmpeg
def test_an_ffmpeg_without_h264_writes_vp9_in_the_right_colours(tmp_path):
    target = tmp_path / "a.mp4"
    encoders.encode(target, [chart()] * 3, size=(8 * CELL, 8 * CELL), fps=10, kind="ffmpeg-vp9", ffmpeg=FFMPEG)
    assert len(found := frames_of(target)) == 3
    assert mean_error(found[0]) <= 1.5
