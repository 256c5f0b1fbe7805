"""The page's data: every ended job is added once, nothing is written needlessly, and all of it is inert."""

import base64
import hashlib
import json
import os
import re

import pytest

from daemon.contract.status import ErrorInfo, Output, Progress, Source, Status
from daemon.fs import LocalFiles
from daemon.outbox import SILENT_SECONDS, Health, Outbox, Waiting
from daemon.outbox.gallery import FOLDER, Gallery, render
from daemon.outbox.gallery.cards import card_of, inert
from daemon.outbox.gallery.chunks import CHUNK_JOBS
from daemon.outbox.gallery.gallery import REPORT_SECONDS

HOSTILE = "</script><!-- <b>\"'&\\ \u2028\u2029 \u202e \ud800 中景"


class Files(LocalFiles):
    """The real disk; counts the files put in place."""

    def __init__(self):
        self.placed = []
        self.full = False

    def rename(self, source, target):
        if self.full:
            raise OSError(28, "no space left")
        super().rename(source, target)
        self.placed.append(os.path.basename(target).decode())


@pytest.fixture
def fs():
    return Files()


@pytest.fixture
def outbox(tmp_path, fs):
    outbox = Outbox(fs, os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    return outbox


def status(job_id="j", state="completed", minute=0, **more):
    ended = f"2026-01-31T{12 + minute // 60}:{minute % 60:02}:00.000Z" if state in ("completed", "failed", "cancelled") else None
    more = {"source": Source(image=f"{job_id}.jpg", bytes=1), "completed_at": ended} | more
    return Status(job_id=job_id, state=state, created_at="2026-01-31T12:00:00.000Z", **more)


def health(second=0, **more):
    alive = f"2026-01-31T12:00:{second:02}.000Z"
    return Health(version="1", pid=5, state="running", alive_at=alive, started_at="2026-01-31T12:00:00.000Z", **more)


def forgetful(outbox, *ended):
    """A gallery whose journal has these jobs, newest first."""
    return Gallery(outbox, lambda most: ended[:most], "multiplane run")


def script_arguments(outbox, name):
    """The arguments of the one call in a script, read as the JSON they must be."""
    with open(os.path.join(outbox.root, FOLDER, name.encode()), "rb") as file:
        text = file.read().decode("ascii")
    call = re.fullmatch(r"multiplane\.(?:live|history)\((.*)\);\n", text, re.DOTALL)
    return json.loads(f"[{call[1]}]")


def history(outbox):
    """The ids in all chunks, oldest first."""
    last = script_arguments(outbox, "live.js")[0]["history"]["last"]
    chunks = [script_arguments(outbox, f"history-{number}.js") for number in range(last + 1)]
    assert [number for number, _ in chunks] == list(range(last + 1))
    return [card["id"] for _, cards in chunks for card in cards]


def test_live_tells_health_jobs_and_the_waiting_list(outbox):
    running = status("r", "processing", progress=Progress(stage="depth", fraction=0.25, eta_seconds=9))
    waiting = (Waiting(path="a.jpg", reason="waits for a.yaml"),)
    gallery = forgetful(outbox)
    gallery.write(0.0, health(3, pending=7, processing=("r",), waiting=waiting, waiting_total=5), [running])
    live = script_arguments(outbox, "live.js")[0]
    assert live["alive_at"] == "2026-01-31T12:00:03.000Z"
    assert (live["state"], live["pending"], live["running"], live["waiting_total"]) == ("running", 7, 1, 5)
    assert live["waiting"] == [["a.jpg", "waits for a.yaml"]]
    shown = {name: live["jobs"][0][name] for name in ("id", "state", "stage", "fraction", "left")}
    assert shown == {"id": "r", "state": "processing", "stage": "Finding the depth", "fraction": 0.25, "left": 9}
    assert history(outbox) == []


def test_what_says_nothing_new_is_not_written_again_until_it_is_time_to_be_alive(outbox, fs):
    gallery = forgetful(outbox)
    gallery.write(0.0, health(0), [])
    assert sorted(fs.placed) == [".multiplane", "history-0.js", "index.html", "live.js"]
    fs.placed.clear()
    gallery.write(REPORT_SECONDS - 0.1, health(14), [])
    assert fs.placed == []
    gallery.write(REPORT_SECONDS, health(15), [])
    assert fs.placed == ["live.js"]
    fs.placed.clear()
    gallery.write(REPORT_SECONDS + 0.5, health(16, pending=1), [])
    assert fs.placed == ["live.js"]


def test_the_page_calls_silent_whom_all_others_do_and_hears_four_times_before_that():
    assert f"const SILENT = {SILENT_SECONDS * 1000:.0f};" in render("multiplane run")
    assert 4 * REPORT_SECONDS <= SILENT_SECONDS


def test_a_job_that_ends_changes_the_newest_chunk_and_no_other(outbox, fs):
    gallery = forgetful(outbox)
    jobs = [f"j{number}" for number in range(CHUNK_JOBS + 1)]
    for job_id in jobs:
        gallery.ended(status(job_id))
    gallery.write(0.0, health(), [])
    before = script_arguments(outbox, "live.js")[0]["history"]
    assert history(outbox) == jobs
    fs.placed.clear()
    gallery.ended(status("last"))
    gallery.write(1.0, health(), [])
    assert fs.placed == ["history-1.js", "live.js"]
    after = script_arguments(outbox, "live.js")[0]["history"]
    assert (before["last"], after["last"], after["epoch"]) == (1, 1, before["epoch"])
    assert [number for number in ("0", "1") if before["stamps"][number] != after["stamps"][number]] == ["1"]
    assert history(outbox) == [*jobs, "last"]


def test_a_removed_job_disappears_from_an_old_chunk_which_is_to_be_read_again(outbox):
    gallery = forgetful(outbox)
    for number in range(CHUNK_JOBS + 5):
        gallery.ended(status(f"j{number}"))
    gallery.write(0.0, health(), [])
    before = script_arguments(outbox, "live.js")[0]["history"]["stamps"]
    gallery.removed("j7")
    gallery.write(1.0, health(), [])
    after = script_arguments(outbox, "live.js")[0]["history"]["stamps"]
    assert (after["0"] != before["0"], after["1"] != before["1"]) == (True, False)
    assert "j7" not in history(outbox)
    assert len(history(outbox)) == CHUNK_JOBS + 4


def test_a_job_removed_before_it_was_written_is_never_written(outbox):
    gallery = forgetful(outbox)
    gallery.ended(status("gone"))
    gallery.removed("gone")
    gallery.ended(status("stays"))
    gallery.write(0.0, health(), [])
    assert history(outbox) == ["stays"]


def test_after_a_restart_the_chunks_go_on_and_an_end_that_was_missed_is_added(outbox):
    first = forgetful(outbox)
    first.ended(status("a", minute=1))
    first.ended(status("b", "failed", minute=2))
    first.write(0.0, health(1), [])
    epoch = script_arguments(outbox, "live.js")[0]["history"]["epoch"]
    again = forgetful(outbox, status("b", minute=4), status("c", minute=3), status("a", minute=1))
    again.write(0.0, health(2), [])
    # b was run again since: its new end is another one than the one that is told of.
    assert history(outbox) == ["a", "b", "c", "b"]
    assert script_arguments(outbox, "live.js")[0]["history"]["epoch"] != epoch


def test_without_its_files_the_page_is_made_again_from_the_journal(outbox):
    known = [status(f"j{number}", minute=number) for number in reversed(range(CHUNK_JOBS + 1))]
    gallery = forgetful(outbox, *known)
    gallery.write(0.0, health(), [])
    folder = os.path.join(outbox.root, FOLDER)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    gallery.ended(status("new", minute=999))
    with pytest.raises(FileNotFoundError):
        gallery.write(1.0, health(), [])
    gallery.write(2.0, health(1), [])
    assert history(outbox)[: CHUNK_JOBS + 1] == [f"j{number}" for number in range(CHUNK_JOBS + 1)]


@pytest.mark.parametrize("damage", [b"", b'multiplane.history(0,[\n{"id":"a"', b"\xff\xfe", b"multiplane.history(0,[\nx\n]);\n"])
def test_a_torn_chunk_is_made_again_from_the_journal(outbox, damage):
    first = forgetful(outbox)
    first.ended(status("a"))
    first.write(0.0, health(), [])
    with open(os.path.join(outbox.root, FOLDER, b"history-0.js"), "wb") as file:
        file.write(damage)
    forgetful(outbox, status("b", minute=2), status("a", minute=1)).write(0.0, health(), [])
    assert history(outbox) == ["a", "b"]


def test_nothing_is_forgotten_when_the_disk_is_full(outbox, fs):
    gallery = forgetful(outbox)
    gallery.write(0.0, health(), [])
    for number in range(CHUNK_JOBS + 3):
        gallery.ended(status(f"j{number}"))
    fs.full = True
    for moment in (1.0, 2.0):
        with pytest.raises(OSError, match="space"):
            gallery.write(moment, health(), [])
    fs.full = False
    gallery.write(3.0, health(), [])
    assert history(outbox) == [f"j{number}" for number in range(CHUNK_JOBS + 3)]


def test_an_outbox_that_is_not_there_is_left_alone_and_told_later(outbox):
    os.unlink(os.path.join(outbox.root, b".multiplane"))
    gallery = forgetful(outbox)
    gallery.ended(status("a"))
    gallery.write(0.0, health(), [])
    assert FOLDER not in os.listdir(outbox.root)
    outbox.prepare()
    gallery.write(1.0, health(), [])
    assert history(outbox) == ["a"]


def test_a_card_has_the_small_preview_picture_and_addresses_that_lead_into_the_jobs_folder():
    files = (
        ("result/Layer_1_background.png", "layer"),
        ("result/Layer_2_foreground.png", "layer"),
        ("result/preview.html", "preview"),
        ("result/preview/photo.webp", "preview"),
        ("result/preview/layer_1.webp", "preview"),
        ("result/contact sheet?.jpg", "contact_sheet"),
        ("result/layers.psd", "psd"),
    )
    outputs = tuple(Output(path=path, kind=kind, bytes=1, sha256="") for path, kind in files)
    card = card_of(status("order-1", outputs=outputs))
    assert card["files"] == {"preview": "order-1/result/preview.html", "psd": "order-1/result/layers.psd"}
    assert (card["thumb"], card["layers"]) == ("order-1/result/preview/photo.webp", "2 layers")
    assert card["planes"] == ["order-1/result/preview/layer_1.webp"]
    half = card_of(status("order-1", outputs=outputs, filled_layers=1, depth_source="heuristic"))
    assert half["layers"] == "1 of 2 layers: the estimate saw no more"
    without = tuple(output for output in outputs if "webp" not in output.path)
    assert card_of(status("order-1", outputs=without))["thumb"] == "order-1/result/contact%20sheet%3F.jpg"


def test_hostile_text_is_written_as_plain_data_and_comes_back_as_it_was(outbox):
    # A file's name has no lone surrogates (daemon.contract.names), an error no control characters (daemon.contract.bounds).
    named = HOSTILE.replace("\ud800", "")
    error = ErrorInfo(code="internal", message=HOSTILE, hint=HOSTILE)
    hostile = status(
        source=Source(image=named, bytes=1), state="failed", batch=HOSTILE, warnings=(HOSTILE,), error=error,
    )  # fmt: skip
    written = inert(card_of(hostile))
    assert written.isascii()
    assert not set("<>&\n") & set(written)
    gallery = forgetful(outbox)
    gallery.ended(hostile)
    gallery.write(0.0, health(waiting=(Waiting(path=HOSTILE, reason=HOSTILE),), waiting_total=1), [])
    card = script_arguments(outbox, "history-0.js")[1][0]
    assert (card["name"], card["batch"], card["warnings"]) == (named, HOSTILE, [HOSTILE])
    assert card["error"] == [error.message, error.hint]
    assert "<b>" in error.message
    assert script_arguments(outbox, "live.js")[0]["waiting"] == [[HOSTILE, HOSTILE]]


def test_a_very_long_text_is_cut_and_many_warnings_are_too():
    card = card_of(status(warnings=("x" * 100_000,) * 100))
    assert len(inert(card)) < 50_000
    assert card["warnings"][0].endswith("…")


def test_the_page_is_whole_and_allows_only_its_own_script():
    page = render("multiplane run")
    assert "{{" not in page
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}' 'self' file:;" in page
    assert "connect-src 'none'" in page
