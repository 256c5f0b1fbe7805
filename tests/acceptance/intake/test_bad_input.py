"""Bad input fails with the right code, a sentence and a hint; the originals are kept, and the daemon continues."""

import os
import struct
import unicodedata
import zlib

import pytest

from tests.acceptance.home import HotFolder, picture, until

ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]" for i in range(8)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{', '.join([f'*{chr(97 + i)}'] * 9)}]}}" for i in range(8)
)

BAD_SIDECARS = {
    "unknown-field": ("num_layer: 3\n", "spec_invalid", "did you mean"),
    "strength": ("strength: 7\n", "spec_invalid", "strength"),
    "duplicate": ("num_layers: 3\nnum_layers: 4\n", "spec_invalid", "num_layers"),
    "alias-bomb": (ALIAS_BOMB, "spec_unreadable", "line 1"),
    "merge-bomb": (MERGE_BOMB, "spec_unreadable", "line 1"),
    "brackets": ("[" * 60_000, "spec_unreadable", "line 1"),
    "style": ("mode: painterly\nstyle: oil-stroke\n", "spec_invalid", "did you mean"),
}


def failed(running: HotFolder, name: str, code: str, data: bytes) -> dict:
    status = running.ended(name)
    assert (status["state"], status["error"]["code"]) == ("failed", code), status["error"]
    assert len(status["error"]["message"]) > 10
    assert len(status["error"]["hint"]) > 10
    assert (running.job(status) / "source" / name).read_bytes() == data
    assert not (running.job(status) / "result").exists()
    assert running.is_alive()
    return status


@pytest.mark.parametrize("case", BAD_SIDECARS)
def test_a_bad_sidecar_fails_its_job_alone(running: HotFolder, case: str) -> None:
    sidecar, code, expected = BAD_SIDECARS[case]
    data = picture()
    running.drop(f"{case}.png", data, sidecar)
    status = failed(running, f"{case}.png", code, data)
    assert expected in status["error"]["message"]
    assert (running.job(status) / "source" / f"{case}.png.yaml").read_text() == sidecar


def huge_png() -> bytes:
    """A PNG of 30,000 × 30,000 black pixels, small as a file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows, count = bytes(1000 * 30_001), 30
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    # After a full flush the same bytes are packed the same way: one piece stands for all.
    piece = compressor.compress(rows) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", len(rows) * count % 65_521, 1)  # Adler-32 of so many zeros
    data = b"\x78\x9c" + piece * count + b"\x03\x00" + checksum
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD_PICTURES = {
    "text.jpg": (lambda: b"this is not a picture\n" * 50, "image_type"),
    "cut-off.jpg": (lambda: picture(400, 300, form="JPEG")[:9_000], "image_unreadable"),
    "huge.png": (huge_png, "image_too_large"),
    "document.png": (lambda: b"%PDF-1.7\n" + bytes(5000), "image_type"),
    "program.jpg": (lambda: b"\x7fELF" + bytes(5000), "image_type"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_fails_its_job_alone(running: HotFolder, name: str) -> None:
    make, code = BAD_PICTURES[name]
    data = make()
    running.drop(name, data)
    failed(running, name, code, data)


def test_a_file_over_the_size_limit_fails_without_being_read(folder: HotFolder) -> None:
    folder.settings |= {"MULTIPLANE_LIMITS__MAX_IMAGE_BYTES": "2000", "MULTIPLANE_WORKER__SPARE": "false"}
    folder.start()
    data = picture(200, 200)
    folder.drop("large.png", data)
    status = failed(folder, "large.png", "image_too_large", data)
    assert "allowed" in status["error"]["message"]


def test_a_picture_of_one_pixel_completes(running: HotFolder) -> None:
    running.drop("dot.png", picture(1, 1))
    assert running.ended("dot.png")["state"] == "completed"


def test_a_name_with_spaces_umlauts_in_nfd_and_an_emoji_completes(running: HotFolder) -> None:
    name = unicodedata.normalize("NFD", "Grüße aus Köln 🎨.png")
    running.drop(name, picture(seed=12))
    status = running.ended(name)
    assert status["state"] == "completed"
    assert sorted(os.listdir(running.job(status) / "source")) == sorted([name, f"{name}.yaml"])


def test_links_and_fifos_are_never_opened_and_show_in_waiting(running: HotFolder, tmp_path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    (running.inbox / "link.png").symlink_to(secret)
    os.mkfifo(running.inbox / "pipe.png")
    os.link(secret, running.inbox / "hard.png")
    for name in ("link.png", "pipe.png", "hard.png"):
        (running.inbox / f"{name}.yaml").write_text("num_layers: 2\n")
    before = os.stat(secret).st_atime_ns

    def reasons() -> dict:
        return {item["path"]: item["reason"] for item in running.health()["waiting"]}

    until(lambda: {"link.png", "pipe.png", "hard.png"} <= reasons().keys())
    assert "symbolic link" in reasons()["link.png"]
    # A job dropped afterwards goes through: the daemon does not hang on the FIFO.
    running.drop("after.png", picture(seed=13))
    assert running.ended("after.png")["state"] == "completed"
    assert os.stat(secret).st_atime_ns == before
    listed = running.verb("waiting", "--json").stdout
    assert all(name in listed for name in ("link.png", "pipe.png", "hard.png"))
    assert not any(running.of(name) for name in ("link.png", "pipe.png", "hard.png"))


def test_the_same_job_runs_again_after_its_sidecar_was_corrected_in_source(running: HotFolder) -> None:
    running.drop("fix-me.png", picture(seed=14), "num_layers: 99\n")
    status = running.ended("fix-me.png")
    assert status["error"]["code"] == "spec_invalid"
    (running.job(status) / "source" / "fix-me.png.yaml").write_text("num_layers: 2\n")
    assert running.verb("retry", status["job_id"]).returncode == 0
    until(lambda: running.of("fix-me.png")[0]["state"] == "completed")
    assert len(running.of("fix-me.png")) == 1
