"""After `doctor --repair` the journal is in order and lists every job whose folder exists; forged folders do no harm."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from job_records import ERROR
from service_scene import SETTINGS, Scene

from daemon import clock
from daemon.contract.commands import unmarked
from daemon.contract.records import Ended, Publishing, Removed, Started
from daemon.contract.status import Output, Source
from daemon.doctor.facts import journal_facts
from daemon.doctor.repair import repair
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal, JournalError
from daemon.service import assemble
from daemon.settings import Settings, load
from tests.manifests import manifest_of_layers, sha256

ROOT = Path(__file__).resolve().parents[2]


class Home:
    """A home after a run of the daemon; the jobs `done`, `failed` and `waits` came in the second segment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        scene = Scene(path)
        (path / "inbox" / ".multiplane").touch()
        scene.journal.rotate([])
        self.complete(scene, "done")
        scene.pending("failed", "waits")
        scene.ledger.record(Ended(job="failed", state="failed", error=ERROR))
        scene.refresh()
        scene.journal.close()
        self.outbox = path / "outbox"
        self.journal = path / ".state" / "journal"
        self.settings: Settings = load(path, SETTINGS)

    def complete(self, scene: Scene, job: str) -> None:
        scene.pending(job)
        result = scene.root / job / "result"
        result.mkdir()
        layers = {f"{index}.png": b"layer %d" % index for index in (1, 2)}
        for name, data in layers.items():
            (result / name).write_bytes(data)
        manifest = manifest_of_layers(layers)
        (result / "layer_manifest.json").write_text(manifest.model_dump_json())
        outputs = tuple(
            Output(path=f"result/{path.name}", kind="layer", bytes=path.stat().st_size, sha256=sha256(path.read_bytes()))
            for path in sorted(result.iterdir())
        )
        source = Source(image=f"{job}.jpg", bytes=9, sha256=sha256(b"a picture"), width=4, height=2)
        scene.ledger.record(Started(job=job, attempt="x"))
        scene.ledger.record(
            Publishing(
                job=job,
                attempt="x",
                source=source,
                outputs=outputs,
                manifest="result/layer_manifest.json",
                processing_seconds=2.0,
            )
        )
        scene.ledger.record(Ended(job=job, state="completed", source=source))

    def lose_the_last_segment(self) -> None:
        (self.journal / "00000002.jsonl").unlink()

    def repair(self) -> list[str]:
        return list(repair(self.settings, LocalFiles()))

    def job(self, name: str):
        return History(LocalFiles(), os.fsencode(self.journal)).job(name)

    def live(self) -> dict[str, object]:
        """The live jobs that a start finds."""
        journal = Journal(
            LocalFiles(), os.fsencode(self.journal), clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b"
        )
        jobs = Jobs()
        for entry in journal.recover().entries:
            jobs.apply(entry)
        return jobs.live

    def unlisted(self) -> tuple[str, ...]:
        return journal_facts(LocalFiles(), os.fsencode(self.journal), os.fsencode(self.outbox)).unlisted

    def edit(self, job: str, **changes: object) -> None:
        path = self.outbox / job / "status.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_journal_that_knows_all_its_folders_is_left_as_it_is(home: Home) -> None:
    before = sorted(path.name for path in home.journal.iterdir())
    assert home.unlisted() == ()
    assert home.repair() == []
    assert sorted(path.name for path in home.journal.iterdir()) == before


def test_the_jobs_of_a_lost_segment_are_taken_in_and_no_start_is_refused_any_more(home: Home) -> None:
    home.lose_the_last_segment()
    with pytest.raises(Refusal, match=r"the end of the journal is missing: 00000002\.jsonl is not there"):
        home.live()
    assert home.unlisted() == ("done", "failed", "waits")
    report = home.outbox / "daemon.json"
    refusal = {"state": "refused", "problem": "the end of the journal is missing", "hint": "Restore it."}
    report.write_text(json.dumps(json.loads(report.read_text()) | refusal))
    said = home.repair()
    assert {"state": "stopped", "problem": None, "hint": None}.items() <= json.loads(report.read_text()).items()
    assert said[0].startswith("The journal continues although the end of the journal is missing")
    assert said[1:] == ["done was added.", "failed was added.", "waits was added."]
    assert home.live() == {}
    assert home.unlisted() == ()
    assert journal_facts(LocalFiles(), os.fsencode(home.journal)).faults == ()
    done, failed, waits = (home.job(name) for name in ("done", "failed", "waits"))
    assert (done.state, done.published.outputs[0].path) == ("completed", "result/1.png")
    assert (failed.state, failed.ended.error.code) == ("failed", "timeout")
    assert (waits.state, waits.ended.error.message) == ("failed", "the journal lost this job while it was pending")
    assert [file.role for file in waits.accepted.files] == ["image", "sidecar"]
    assert "added from its folder" in done.notes[0]
    assert home.repair() == []


def test_a_crash_between_the_records_of_a_job_that_is_taken_in_ends_it_in_the_same_way(home: Home) -> None:
    home.lose_the_last_segment()
    home.repair()
    last = max(home.journal.glob("0*.jsonl"))
    lines = last.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 6
    (home.path / ".state" / "journal.head").unlink()
    last.write_bytes(b"".join(lines[: 1 + 1]))  # the first job without its end
    job = home.live()["done"]
    assert (job.attempt.publishing is not None, job.refusal) == (True, None)
    last.write_bytes(b"".join(lines[: 1 + 3]))
    assert home.live()["failed"].refusal.code == "timeout"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"job_id": "other"}, "is about another job"),
        ({"source": None}, "names no picture"),
        ({"source": {"image": "../../waits/source/waits.jpg", "bytes": 9}}, "not a picture"),
        ({"source": {"image": "/etc/passwd", "bytes": 9}}, "not a picture"),
        ({"source": {"image": "other.jpg", "bytes": 9}}, "not in source/"),
        ({"spec": {"timeout_seconds": 1e9}}, "cannot be read|more time"),
        ({"unheard_of": 1}, "cannot be read"),
    ],
)
def test_a_folder_that_is_not_as_it_says_is_not_taken_in_and_stays(home: Home, changes: dict, why: str) -> None:
    home.lose_the_last_segment()
    home.edit("done", **changes)
    (said,) = [sentence for sentence in home.repair() if sentence.startswith("done")]
    assert "was not added" in said
    assert any(part in said for part in why.split("|"))
    assert (home.outbox / "done" / "result" / "1.png").exists()
    assert home.job("done") is None


def test_links_are_not_followed(home: Home) -> None:
    home.lose_the_last_segment()
    secret = home.path / "secret.jpg"
    secret.write_bytes(b"private")
    picture = home.outbox / "waits" / "source" / "waits.jpg"
    picture.unlink()
    picture.symlink_to(secret)
    real = home.outbox / "failed" / "source"
    real.rename(home.path / "elsewhere")
    real.symlink_to(home.path / "elsewhere")
    result = home.outbox / "done" / "result"
    result.rename(home.path / "made")
    result.symlink_to(home.path / "made")
    (home.outbox / "linked").symlink_to(home.outbox / "done")
    said = home.repair()
    assert [sentence.split()[0] for sentence in said if "was not added" in sentence] == ["failed", "waits"]
    assert home.job("done").state == "failed"
    assert "there is no result" in home.job("done").ended.error.message
    assert home.job("linked") is None


@pytest.mark.parametrize("harm", ["changed", "missing", "more"])
def test_a_result_that_does_not_agree_with_its_checksums_is_no_completed_job(home: Home, harm: str) -> None:
    home.lose_the_last_segment()
    layer = home.outbox / "done" / "result" / "1.png"
    if harm == "changed":
        layer.write_bytes(b"LAYER 1")
    elif harm == "missing":
        layer.unlink()
    else:
        layer.with_name("virus.exe").write_bytes(b"MZ")
    home.repair()
    job = home.job("done")
    assert (job.state, job.published) == ("failed", None)
    assert "the result is not what status.json says" in job.ended.error.message


def test_numbers_and_texts_without_measure_are_bounded(home: Home) -> None:
    home.lose_the_last_segment()
    home.edit("done", processing_seconds=1e300, timings={"decode": 1e300}, warnings=["x" * 10_000] * 50, created_at="never")
    home.edit("failed", error={"code": "timeout", "message": "y" * 200_000, "hint": "h" * 200_000})
    home.edit("waits", error={"code": "made_up", "message": "m", "hint": "h"}, state="failed")
    home.repair()
    done = home.job("done")
    assert (done.state, done.published.processing_seconds, done.published.timings) == ("completed", 0.0, {})
    assert sum(path.stat().st_size for path in home.journal.iterdir()) < 200_000
    assert len(home.job("failed").ended.error.message) == 500
    assert home.job("waits").ended.error.code == "internal"


def test_exchanged_segments_are_put_back_in_their_places(home: Home) -> None:
    one, two = (home.journal / f"0000000{number}.jsonl" for number in (1, 2))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(Refusal, match="contains segment 1 of the journal"):
        home.live()
    assert len(home.repair()) == 2
    assert (one.read_bytes(), two.read_bytes()) == (first, second)
    assert list(home.live()) == ["waits"]


def test_a_repair_that_was_cut_off_goes_on(home: Home) -> None:
    one, two = (home.journal / f"0000000{number}.jsonl" for number in (1, 2))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.unlink()
    (home.journal / "moving-00000002").write_bytes(first)
    home.repair()
    assert (one.read_bytes(), two.read_bytes()) == (first, second)


def test_a_segment_that_is_there_twice_is_set_aside_once(home: Home) -> None:
    two = home.journal / "00000002.jsonl"
    two.with_name("00000003.jsonl").write_bytes(two.read_bytes())
    home.repair()
    assert list(home.live()) == ["waits"]
    assert two.with_name("double-00000002.jsonl").read_bytes() == two.read_bytes()


def test_of_two_copies_of_a_segment_the_longer_remains_whatever_its_name(home: Home) -> None:
    two = home.journal / "00000002.jsonl"
    whole = two.read_bytes()
    lines = whole.splitlines(keepends=True)
    two.with_name("00000003.jsonl").write_bytes(whole)
    two.write_bytes(b"".join(lines[:-1]))
    home.repair()
    assert two.read_bytes() == whole
    assert two.with_name("double-00000002.jsonl").read_bytes() == b"".join(lines[:-1])
    assert list(home.live()) == ["waits"]


def test_a_damaged_last_segment_is_set_aside_and_its_jobs_are_taken_in(home: Home) -> None:
    two = home.journal / "00000002.jsonl"
    data = bytearray(two.read_bytes())
    data[40] ^= 1
    two.write_bytes(data)
    said = home.repair()
    assert "was set aside as" in said[0]
    assert two.with_name("damaged-00000002.jsonl").read_bytes() == data
    assert home.live() == {}
    assert home.job("done").state == "completed"


def test_a_journal_of_a_newer_version_is_not_touched(home: Home) -> None:
    two = home.journal / "00000002.jsonl"
    body = two.read_bytes().splitlines()[-1].rsplit(b',"crc"', 1)[0].replace(b'{"v":1,', b'{"v":3,')
    with open(two, "ab") as file:
        file.write(body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    before = {path: path.read_bytes() for path in home.journal.iterdir()}
    with pytest.raises(Refusal, match="newer Multiplane"):
        home.repair()
    assert {path: path.read_bytes() for path in home.journal.iterdir()} == before


def test_nothing_is_repaired_while_a_daemon_runs(home: Home) -> None:
    lock = home.path / ".state" / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl,sys;f=open(sys.argv[1],'a');fcntl.flock(f,2);print(1,flush=True);sys.stdin.read()",
            lock,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline()
        home.lose_the_last_segment()
        with pytest.raises(Refusal, match="already running"):
            home.repair()
        assert home.job("done") is None
    finally:
        holder.communicate()


def test_folders_of_jobs_that_were_forgotten_with_the_history_are_no_strangers(home: Home) -> None:
    home.edit("done", completed_at="2020-01-01T00:00:00.000Z")
    home.edit("failed", completed_at="2020-01-01T00:00:00.000Z")
    scene_journal = Journal(
        LocalFiles(), os.fsencode(home.journal), clock=lambda: "2026-02-20T12:00:00.000Z", version="1", boot_id="b"
    )
    recovered = scene_journal.recover()
    jobs = Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    scene_journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()))
    scene_journal.close()
    for number in (1, 2):
        (home.journal / f"0000000{number}.jsonl").unlink()
    facts = journal_facts(LocalFiles(), os.fsencode(home.journal), os.fsencode(home.outbox))
    assert (facts.unlisted, facts.forgotten, facts.faults) == ((), 2, ())


def test_a_folder_that_was_moved_out_and_put_back_is_taken_in_again(home: Home) -> None:
    journal = Journal(LocalFiles(), os.fsencode(home.journal), clock=lambda: "2026-02-20T12:00:00.000Z", version="1", boot_id="b")
    journal.begin(journal.recover().segment + 1, journal.recover().next_seq, [])
    journal.append([Removed(job="done"), Removed(job="failed")])
    journal.close()
    shutil.rmtree(home.outbox / "failed")
    assert home.job("done") is None
    assert home.unlisted() == ("done",)
    assert home.repair() == ["done was added."]
    assert (home.job("done").state, home.unlisted(), home.repair()) == ("completed", (), [])


def test_the_verb_tells_what_it_did(home: Home) -> None:
    home.lose_the_last_segment()
    environment = {**os.environ, "MULTIPLANE_HOME": str(home.path), "MULTIPLANE_CONFIG": os.devnull}
    command = [sys.executable, "-P", "-m", "daemon.cli", "doctor", "--repair"]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert "done was added." in ran.stderr
    assert "The journal can be read from end to end" in " ".join(ran.stdout.split())


class Dying(LocalFiles):
    """The real disk, until it fails permanently: from this operation on, none succeeds."""

    def __init__(self, last: int) -> None:
        self.left = last

    def _may(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def rename(self, source: bytes, target: bytes) -> None:
        self._may()
        super().rename(source, target)

    def create(self, path: bytes) -> int:
        self._may()
        return super().create(path)

    def write(self, fd: int, data: bytes) -> int:
        self._may()
        return super().write(fd, data)

    def sync(self, fd: int) -> None:
        self._may()
        super().sync(fd)

    def sync_dir(self, path: bytes) -> None:
        self._may()
        super().sync_dir(path)


def exchange_and_lose(home: Home) -> None:
    """Swap the first two segments, and delete a third."""
    one, two = (home.journal / f"0000000{number}.jsonl" for number in (1, 2))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    (home.path / ".state" / "journal.head").write_text('{"segment":3,"seq":40}')
    (home.outbox / "stranger").mkdir()
    for name in ("source", "status.json"):
        (home.outbox / "failed" / name).rename(home.outbox / "stranger" / name)
    home.edit("stranger", job_id="stranger")


def test_a_repair_that_is_cut_off_anywhere_is_made_good_by_the_next(tmp_path: Path) -> None:
    cut = 0
    while True:
        (tmp_path / str(cut)).mkdir()
        home = Home(tmp_path / str(cut))
        exchange_and_lose(home)
        disk = Dying(cut)
        try:
            list(repair(home.settings, disk))
        except (OSError, JournalError):
            home.repair()
        assert [home.job(name).state for name in ("done", "stranger")] == ["completed", "failed"], cut
        assert list(home.live()) == ["waits"], cut
        assert journal_facts(LocalFiles(), os.fsencode(home.journal)).faults == (), cut
        if disk.left >= 0:
            break
        cut += 1
    assert cut > 10


def test_a_start_says_once_that_part_of_the_history_is_missing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (3, 4):
        journal = Journal(LocalFiles(), os.fsencode(home.journal), clock=clock.now, version="1", boot_id="b")
        journal.recover()
        journal.begin(number, 100 * number, [])
        journal.close()
    (home.journal / "00000003.jsonl").unlink()
    said: list[str] = []
    monkeypatch.setattr("daemon.service.loop.logger.warning", lambda text, *values: said.append(text.format(*values)))
    assert assemble(load(home.path, SETTINGS | {"MULTIPLANE_WORKER__SPARE": "false"}), LocalFiles()).run(once=True) == 0
    (told,) = [sentence for sentence in said if "history is incomplete" in sentence]
    assert "00000003.jsonl is missing between 00000002.jsonl and 00000004.jsonl; `multiplane doctor`" in unmarked(told)
