"""Videos, loops and stereo pairs through the hot folder: whole, with the rest of the result, and given up when cancelled."""

import hashlib
import io
import json
import shutil

import cv2
import numpy as np
import psutil
from PIL import Image

from tests.acceptance.home import HotFolder, until
from tests.scenes import scene


def as_png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def encoding(home: str) -> list[int]:
    """The encoders that work for this home."""
    ours = [each for each in psutil.process_iter(["name", "cmdline"]) if each.info["name"] == "ffmpeg"]
    return [process.pid for process in ours if any(home in word for word in process.info["cmdline"] or ())]


def test_what_moves_appears_with_the_layers(running: HotFolder) -> None:
    truth = scene("leaves", 120, 160)
    running.put("leaves.depth.png", as_png((truth.disparity * 65535).astype(np.uint16)))
    running.drop("leaves.png", as_png(truth.rgb), "formats: [video, webp, stereo]\nseconds: 1\nfps: 10\nmotion: orbit\n")
    status = running.ended("leaves.png", 120)
    assert status["state"] == "completed", status["error"]
    result = running.job(status) / "result"
    made = {output["path"]: output for output in status["outputs"] if output["kind"] in ("video", "webp", "stereo")}
    names = ("motion.mp4", "motion.webp", "stereo_side_by_side.jpg", "stereo_red_cyan.jpg")
    assert list(made) == [f"result/{name}" for name in names]
    assert all(hashlib.sha256((result / name).read_bytes()).hexdigest() == made[f"result/{name}"]["sha256"] for name in names)
    assert json.loads((result / "layer_manifest.json").read_text())["camera"]["width"] == 160
    assert all(f'"{name}"' in (result / "preview.html").read_text("utf-8") for name in ("motion.mp4", "motion.webp"))
    video = cv2.VideoCapture(str(result / "motion.mp4"))
    code = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    if shutil.which("ffmpeg"):
        assert (code, status["warnings"]) == (b"h264", [])
    else:
        assert (code, len(status["warnings"])) == (b"VP90", 1)
        assert "VP9" in status["warnings"][0]
    first = cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB)
    assert first.shape == (240, 320, 3)
    assert np.abs(cv2.resize(first, (160, 120), interpolation=cv2.INTER_AREA).astype(int) - truth.rgb).mean() < 3
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 10


def test_a_cancel_ends_a_video_between_two_frames(running: HotFolder) -> None:
    truth = scene("poles", 240, 320)
    running.put("poles.depth.png", as_png((truth.disparity * 65535).astype(np.uint16)))
    running.drop("poles.png", as_png(truth.rgb), "formats: [video]\nseconds: 60\nfps: 60\n")

    def filming() -> dict | None:
        status = next(iter(running.of("poles.png")), {})
        progress = status.get("progress") or {"stage": None}
        return status if progress["stage"] == "export" and progress["fraction"] > 0.6 else None

    status = until(filming)
    assert running.verb("cancel", status["job_id"]).returncode == 0
    assert running.ended("poles.png")["state"] == "cancelled"
    assert not (running.job(status) / "result").exists()
    until(lambda: not encoding(str(running.home)))
