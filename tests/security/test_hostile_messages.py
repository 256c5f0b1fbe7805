"""Worker messages are hostile input: none can keep the daemon from restarting or a command from answering."""

import dataclasses
import json
import math
import os
from pathlib import Path

import pytest
from results import make_result

from daemon.contract import bounds
from daemon.contract.messages import EVENT, PROTOCOL_VERSION, Result
from daemon.contract.records import Claimed, Ended, Started
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import Refusal, WorkerCrashed
from daemon.fs import LocalFiles
from daemon.intake.model import Entry as Seen
from daemon.intake.model import Ready
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal, UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.journal.line import Entry, encode
from daemon.outbox import status_of
from daemon.running.forecast import Forecast
from daemon.supervisor import Completed, Failed
from daemon.supervisor.events import EventReader, ProtocolError

from job_records import accepted, publishing  # isort: skip - found through `results`
from service_scene import Scene  # isort: skip

NOW = "2026-01-31T12:00:00.000Z"
HELLO = {"type": "hello", "protocol": PROTOCOL_VERSION, "pid": 7}
STARTED = {"type": "started", "job_id": "job"}
SOURCE = {"image": "photo.jpg", "bytes": 3, "sha256": "ab", "width": 4, "height": 2}
RESULT = {"type": "result", "source": SOURCE, "outputs": [], "manifest": "result/layer_manifest.json"}
OUTPUT = {"path": "result/a.png", "kind": "layer", "bytes": 1, "sha256": "ab"}
LONG = "x" * 900_000


def hear(*events: dict) -> list:
    """What the daemon makes of these lines; the JSON may contain NaN and Infinity, as Python writes them."""
    reader = EventReader()
    reader.expect("job")
    return list(reader.feed(b"".join(json.dumps(event).encode() + b"\n" for event in (HELLO, *events))))


def journal_in(folder) -> Journal:
    return Journal(LocalFiles(), os.fsencode(folder), clock=lambda: NOW, version="1", boot_id="b")


def replayed(folder) -> Jobs:
    """The jobs as the next start of the daemon finds them."""
    jobs = Jobs()
    for entry in journal_in(folder).recover().entries:
        jobs.apply(entry)
    return jobs


# -- on the wire ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        RESULT | {"timings": {"a": math.nan}},
        RESULT | {"timings": {"a": math.inf}},
        RESULT | {"timings": {"a": -1.0}},
        RESULT | {"timings": {LONG: 1.0}},
        RESULT | {"timings": {str(number): 1.0 for number in range(10_000)}},
        RESULT | {"timings": {"a\x1b[2J": 1.0}},
        RESULT | {"source": SOURCE | {"width": 10**400}},
        RESULT | {"source": SOURCE | {"height": -5}},
        RESULT | {"source": SOURCE | {"width": 0}},
        RESULT | {"source": SOURCE | {"bytes": 2**64}},
        RESULT | {"source": SOURCE | {"sha256": LONG}},
        RESULT | {"source": SOURCE | {"image": LONG}},
        RESULT | {"peak_rss": -1},
        RESULT | {"peak_rss": 10**300},
        RESULT | {"manifest": LONG},
        RESULT | {"outputs": [OUTPUT] * 5000},
        RESULT | {"outputs": [OUTPUT | {"bytes": -1}]},
        RESULT | {"outputs": [OUTPUT | {"path": LONG}]},
        RESULT | {"warnings": ["w"] * 5000},
        {"type": "heartbeat", "rss": 10**300},
        {"type": "heartbeat", "rss": -1},
        {"type": "progress", "stage": LONG, "fraction": 0.5},
        {"type": "progress", "stage": "\x1b[2J", "fraction": 0.5},
        {"type": "progress", "stage": "a", "fraction": math.nan},
        {"type": "hello", "protocol": 10**300, "pid": 1},
        {"type": "hello", "protocol": PROTOCOL_VERSION, "pid": -1},
        {"type": LONG},
        {LONG: 1},
    ],
    ids=lambda event: json.dumps(event)[:60],
)
def test_a_value_out_of_bounds_is_refused_in_a_short_plain_sentence(event):
    with pytest.raises(ProtocolError) as caught:
        hear(STARTED, event) if event.get("type") != "hello" else list(EventReader().feed(json.dumps(event).encode() + b"\n"))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("event", [STARTED | {"at": math.nan}, STARTED | {"at": 1e300}, STARTED | {"job_id": LONG}], ids=str)
def test_a_start_out_of_bounds_is_refused(event):
    with pytest.raises(ProtocolError) as caught:
        hear(event)
    assert len(str(caught.value)) < 400


def test_long_texts_for_people_are_cut_and_lose_their_control_characters():
    esc = "one\x1b[2J\u202etwo\nthree" + LONG
    error = {"code": "internal", "message": esc, "hint": esc, "detail": "first" + LONG[:800_000] + "last"}
    (_, heard) = hear(
        {"type": "error", "error": error | {"message": esc[:1000], "hint": "h" * 5000}, "warnings": [esc[:100_000]]}
    )
    assert heard.error.message.startswith("one[2Jtwo three")
    assert len(heard.error.hint) == len(heard.warnings[0]) == 4_000
    assert heard.error.hint.endswith("[cut]")
    assert heard.error.detail.endswith("last")
    assert len(heard.error.detail) == 16_000


def test_an_error_that_the_daemon_itself_tells_is_bounded_too():
    info = WorkerCrashed(LONG, hint=LONG, detail=LONG + "\udc80").info()
    assert len(info.message) == len(info.hint) == 4_000
    assert len(info.detail) == 16_000
    info.model_dump_json()


def test_every_field_of_every_event_has_bounds():
    """So a field that is added later must have bounds as well."""
    schema = EVENT.json_schema()
    problems = list(_unbounded(schema, schema, "event"))
    assert not problems


def _unbounded(node: dict, schema: dict, where: str):
    if "$ref" in node:
        return  # visited among the definitions
    kind = node.get("type")
    if "const" in node or "enum" in node:
        return
    if kind == "string" and "maxLength" not in node:
        yield f"{where}: a text without a longest"
    if kind in ("integer", "number") and not ("minimum" in node and "maximum" in node):
        yield f"{where}: a number without a range"
    if kind == "array" and "maxItems" not in node:
        yield f"{where}: a list without a longest"
    if kind == "object" and "properties" not in node and "maxProperties" not in node:
        yield f"{where}: a mapping without a largest"
    for name, part in node.get("properties", {}).items():
        yield from _unbounded(part, schema, f"{where}.{name}")
    for name, part in node.get("$defs", {}).items():
        yield from _unbounded(part, schema, name)
    for part in (*node.get("anyOf", ()), *node.get("prefixItems", ())):
        yield from _unbounded(part, schema, where)
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        yield from _unbounded(node["additionalProperties"], schema, f"{where} values")
        yield from _unbounded(node.get("propertyNames", {"type": "string"}), schema, f"{where} keys")
    if isinstance(node.get("items"), dict):
        yield from _unbounded(node["items"], schema, f"{where} items")


def test_the_schema_walk_finds_what_has_no_bounds():
    loose = {"properties": {"a": {"type": "string"}, "b": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}}}
    assert len(list(_unbounded(loose | {"type": "object"}, {}, "event"))) == 2


def test_an_absurd_share_gives_no_absurd_time():
    """A fraction so small that the remaining time would overflow."""
    progress, times = {}, iter(range(0, 10_000, 50))
    forecast = Forecast(progress, lambda: float(next(times)), lambda: ())
    job = next(iter(_jobs(accepted("job"), Claimed(job="job")).live.values()))
    forecast.begin(job)
    for fraction in (5e-324, 1e-300, 0.0, 1e-12):
        forecast.progressed("job", "paint", fraction)
    assert progress["job"].eta_seconds is None or progress["job"].eta_seconds <= bounds.MAX_SECONDS


def _jobs(*records) -> Jobs:
    jobs = Jobs()
    for seq, record in enumerate(records, 1):
        jobs.apply(Entry(seq, seq, NOW, record))
    return jobs


# -- in the journal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        dataclasses.replace(publishing("job"), processing_seconds=math.nan),
        dataclasses.replace(publishing("job"), manifest="\ud800"),
        dataclasses.replace(publishing("job"), warnings=("\ud800",)),
        Ended(job='a"b', state="failed"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_that_nobody_could_read_back_is_not_written(tmp_path, record):
    journal = journal_in(tmp_path)
    journal.begin(1, 1, [])
    journal.append([accepted("job"), Claimed(job="job")])
    before = (tmp_path / "00000001.jsonl").read_bytes()
    with pytest.raises(UnreplayableError):
        journal.append([Started(job="job", attempt="x"), record])
    assert (tmp_path / "00000001.jsonl").read_bytes() == before
    journal.append([Started(job="job", attempt="y")])
    journal.close()
    assert replayed(tmp_path).live["job"].attempt.folder == "y"


def test_a_journal_from_before_there_were_bounds_is_read(tmp_path):
    """NaN was stored as null; sentences had any length, pictures any width."""
    journal = journal_in(tmp_path)
    journal.begin(1, 1, [])
    error = ErrorInfo.model_construct(code="internal", message=LONG, hint=LONG, detail=LONG)
    source = Source.model_construct(image="photo.jpg", bytes=3, sha256=LONG, width=10**400, height=-5)
    old = [
        accepted("one"),
        Claimed(job="one"),
        Started(job="one", attempt="x"),
        dataclasses.replace(publishing("one", "x"), timings={"a": math.nan, "b": 2.0}, source=source, warnings=(LONG,)),
        Ended(job="one", state="completed", source=source, processing_seconds=1.0),
        accepted("two"),
        Claimed(job="two"),
        Ended(job="two", state="failed", error=error, warnings=(LONG,)),
    ]
    with open(tmp_path / "00000001.jsonl", "ab") as file:
        file.writelines(encode(Entry(seq, 2, NOW, record)) for seq, record in enumerate(old, start=2))
    jobs = replayed(tmp_path)
    one, two = jobs.ended["one"], jobs.ended["two"]
    assert (one.published.timings, one.published.source) == ({"b": 2.0}, Source(image="photo.jpg", bytes=3))
    assert len(two.ended.error.message) == 4_000
    for job in (one, two):
        status_of(job).model_dump_json()
    assert [job.job_id for job in History(LocalFiles(), os.fsencode(tmp_path)).backwards()] == ["two", "one"]


def unreadable(folder) -> tuple[Ledger, Path]:
    """A ledger whose next record fills its segment, with a live job in memory that no reader of the journal would accept."""
    journal = Journal(LocalFiles(), os.fsencode(folder), clock=lambda: NOW, version="1", boot_id="b", records_per_segment=4)
    journal.begin(1, 1, [])
    ledger = Ledger(journal, Jobs())
    ledger.record(accepted("job"), Claimed(job="job"), Started(job="job", attempt="x"))
    job = ledger.jobs.live["job"]
    bad = dataclasses.replace(publishing("job", "x"), processing_seconds=math.nan)
    ledger.jobs.live["job"] = dataclasses.replace(job, attempt=dataclasses.replace(job.attempt, publishing=bad))
    return ledger, folder / "00000001.jsonl"


def test_a_snapshot_that_nobody_could_read_back_is_not_written_and_the_segment_goes_on(tmp_path):
    ledger, segment = unreadable(tmp_path)
    ledger.record(accepted("other"))
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {segment.name}
    assert not list(tmp_path.glob(".*"))
    assert set(replayed(tmp_path).live) == {"job", "other"}
    # It is tried again, and not with every record.
    ledger.record(Claimed(job="other"))
    assert not ledger._journal.is_full(2)
    ledger.record(Started(job="other", attempt="y"))
    ledger.record(Ended(job="job", state="cancelled"))
    ledger.record(Ended(job="other", state="cancelled"))
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {segment.name, "00000002.jsonl"}
    assert replayed(tmp_path).live == {}


def test_a_start_whose_snapshot_nobody_could_read_back_is_refused_in_one_sentence(tmp_path):
    ledger, segment = unreadable(tmp_path)
    before = segment.read_bytes()
    again = journal_in(tmp_path)
    recovered = again.recover()
    with pytest.raises(Refusal, match='cannot continue: a record of "live" could not be read back'):
        again.begin(recovered.segment + 1, recovered.next_seq, list(ledger.jobs.live.values()))
    assert segment.read_bytes() == before
    assert set(replayed(tmp_path).live) == {"job"}
    assert not list(tmp_path.glob("*2.jsonl"))


# -- in the daemon ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt", [{"warnings": ("\ud800",)}, {"manifest": "\ud800"}], ids=str)
def test_a_result_that_cannot_be_recorded_fails_its_job_and_nothing_else(tmp_path, spoilt):
    scene = Scene(tmp_path / "home")
    job = scene.processing("job")
    result = make_result(scene.root / ".work" / job.attempt.folder)
    if "manifest" in spoilt:
        spoilt = {"source": Source.model_construct(image="\ud800", bytes=3, sha256=None, width=None, height=None)}
    scene.runs.on_end("job", Completed(Result.model_construct(**dict(result) | spoilt), 1.0, 1))
    while scene.runs.check_and_publish():
        pass
    assert scene.jobs.live["job"].last_error.code == "worker_crashed"
    assert "cannot be recorded" in scene.jobs.live["job"].last_error.message
    scene.pending("other")
    scene.journal.close()
    assert set(replayed(tmp_path / "home" / ".state" / "journal").live) == {"job", "other"}


def test_an_end_that_cannot_be_recorded_is_told_in_the_daemons_own_words(tmp_path):
    scene = Scene(tmp_path / "home")
    scene.processing("job")
    error = ErrorInfo(code="image_type", message="m", hint="h")
    scene.runs.on_end("job", Failed(error, retryable=False, seconds=1.0, warnings=("\ud800",)))
    ended = scene.jobs.ended["job"].ended
    assert (ended.state, ended.error.code, ended.warnings) == ("failed", "worker_crashed", ())
    assert "cannot be recorded" in ended.error.message


def test_a_pair_that_cannot_be_recorded_stays_with_the_reason_and_the_others_are_taken(tmp_path):
    scene = Scene(tmp_path / "home")
    ready = []
    for name in ("one", "bad", "two"):
        files = []
        for path in (scene.inbox / f"{name}.jpg", scene.inbox / f"{name}.jpg.yaml"):
            path.write_bytes(b"depth: cues\n")
            found = path.stat()
            files.append(
                Seen(path.name.encode(), "file", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_nlink)
            )
        ready.append(Ready(b"", *files, None, (), None, ("\ud800",) if name == "bad" else (), 0.0))
    came = scene.claims.claim(ready)
    assert [pair.image.name for pair in came.done] == [b"one.jpg", b"two.jpg"]
    [left] = came.dropped
    assert (left.pair.image.name, left.for_a_person) == (b"bad.jpg", True)
    assert left.reason.startswith('it cannot be taken: a record of "accepted" could not be read back')
    assert sorted(os.listdir(scene.inbox)) == ["bad.jpg", "bad.jpg.yaml"]
    scene.journal.close()
    jobs = replayed(tmp_path / "home" / ".state" / "journal")
    assert sorted(job.image.name for job in jobs.live.values()) == ["one.jpg", "two.jpg"]
