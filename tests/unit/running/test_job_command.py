"""What a worker is told of the machine."""

import os

import pytest
from job_records import accepted, entries

from daemon.contract.records import Claimed
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.outbox import Outbox
from daemon.platform import encoder, memory
from daemon.running.job_command import command, ffmpeg
from daemon.settings import load


def test_a_worker_is_told_how_much_memory_the_daemon_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda: 1 << 28)
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": ""})
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    jobs = Jobs()
    for entry in entries(accepted("a"), Claimed(job="a")):
        jobs.apply(entry)
    given = command(jobs.live["a"], outbox, settings, attempt="1", seen=(1, 1), warm="light")
    assert given.memory == 1 << 28


def test_only_a_job_that_makes_a_video_gets_ffmpeg(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(encoder.sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(program.parent))
    found = []
    for spec, wanted in (
        ({"formats": ("psd", "video")}, "auto"),
        ({"formats": ("webp",)}, "auto"),
        ({"formats": ("video",)}, "off"),
    ):
        settings = load(tmp_path, {"MULTIPLANE_CONFIG": "", "MULTIPLANE_WORKER__FFMPEG": wanted})
        jobs = Jobs()
        for entry in entries(accepted("a", **spec), Claimed(job="a")):
            jobs.apply(entry)
        found.append(ffmpeg(jobs.live["a"], settings))
    assert found == [os.path.realpath(program), None, None]
    assert encoder.find_ffmpeg(str(program)) == os.path.realpath(program)
    assert encoder.find_ffmpeg(str(tmp_path / "none")) is None
    monkeypatch.setattr(encoder.sys, "platform", "darwin")
    assert encoder.find_ffmpeg("auto") is None, "macOS has an encoder of its own"
    assert encoder.why_no_h264("off") is None


@pytest.mark.parametrize(
    ("encoders", "h264"), [(" V....D libx264  H.264 ", True), (" V....D libvpx-vp9  VP9 ", False), (None, False)]
)
def test_h264_needs_an_ffmpeg_that_lists_it(tmp_path, monkeypatch, encoders, h264):
    monkeypatch.setattr(encoder.sys, "platform", "linux")
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho '{encoders}'\n" if encoders else "#!/no/such/shell\n")
    program.chmod(0o755)
    assert encoder.why_no_h264(str(program)) == (None if h264 else "unable")
    assert encoder.why_no_h264(str(tmp_path / "none")) == "missing"
    assert encoder.why_no_h264("off") == "off"
