"""Whatever a worker sends, the journal can be replayed and every view can be written."""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from job_records import accepted  # isort: skip

from daemon.contract.messages import PROTOCOL_VERSION, Error, Result
from daemon.contract.records import Claimed, Ended, Publishing, Started
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.outbox import status_of
from daemon.outbox.gallery.cards import card_of, inert
from daemon.stats import stats
from daemon.supervisor.events import EventReader, ProtocolError

NOW = "2026-01-31T12:00:00.000Z"
_ODD = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([10**400, -5, 0, 2**63, 2**53, 1e308, 5e-324]),
    st.text(st.characters(exclude_categories=())),
    st.text("\x00\x1b\n\u202e<&\"'\\", max_size=20),
    st.sampled_from(["x" * 5_000, "result/layer_manifest.json", "internal", "ab"]),
    st.none(),
    st.booleans(),
)
_TEXT = st.one_of(st.sampled_from(["a.jpg", "ab", "state", "batch", "job", "event"]), st.text(max_size=30), _ODD)
_NUMBER = st.one_of(st.integers(1, 1000), st.floats(0, 100), _ODD)
_SOURCE = st.fixed_dictionaries(
    {"image": _TEXT, "bytes": _NUMBER}, optional={"sha256": _TEXT, "width": _NUMBER, "height": _NUMBER}
)
_OUTPUT = st.fixed_dictionaries({"path": _TEXT, "kind": st.just("layer"), "bytes": _NUMBER, "sha256": st.just("ab")})
_RESULT = st.fixed_dictionaries(
    {"type": st.just("result"), "source": _SOURCE, "outputs": st.lists(_OUTPUT, max_size=3), "manifest": _TEXT},
    optional={
        "warnings": st.lists(_TEXT, max_size=3),
        "timings": st.dictionaries(st.one_of(st.text(max_size=10), st.just("state")), _NUMBER, max_size=3),
        "peak_rss": _NUMBER,
    },
)
_ERROR = st.fixed_dictionaries(
    {
        "type": st.just("error"),
        "error": st.fixed_dictionaries(
            {"code": st.just("internal"), "message": _TEXT, "hint": _TEXT}, optional={"detail": _TEXT}
        ),
    },
    optional={"source": _SOURCE, "warnings": st.lists(_TEXT, max_size=3)},
)


@settings(max_examples=150)
@given(st.one_of(_RESULT, _ERROR))
def test_no_word_of_a_worker_breaks_the_journal_or_a_view(event):
    reader = EventReader()
    reader.expect("job")
    hello = {"type": "hello", "protocol": PROTOCOL_VERSION, "pid": 1}
    said = b"".join(json.dumps(line).encode() + b"\n" for line in (hello, {"type": "started", "job_id": "job"}, event))
    heard, refusal = None, ""
    try:
        heard = list(reader.feed(said))[-1]
    except ProtocolError as error:
        refusal = str(error)
    if heard is None:
        assert 0 < len(refusal) < 400
        assert refusal.isprintable()
        return
    with tempfile.TemporaryDirectory() as folder:
        _recorded(folder, heard)


def _recorded(folder: str, heard: Result | Error) -> None:
    """The records that the daemon makes from it, passed through everything that reads them."""
    path = os.fsencode(folder)
    journal = Journal(LocalFiles(), path, clock=lambda: NOW, version="1", boot_id="b")
    journal.begin(1, 1, [])
    records = [accepted("job"), Claimed(job="job"), Started(job="job", attempt="x")]
    if isinstance(heard, Result):
        records += [
            Publishing(
                job="job",
                attempt="x",
                source=heard.source,
                outputs=heard.outputs,
                manifest=heard.manifest,
                warnings=heard.warnings,
                timings=heard.timings,
                processing_seconds=1.0,
            ),
            Ended(job="job", state="completed", source=heard.source, warnings=heard.warnings, processing_seconds=1.0),
        ]
    else:
        records.append(Ended(job="job", state="failed", error=heard.error, source=heard.source, warnings=heard.warnings))
    written = journal.append(records)
    journal.close()
    jobs = Jobs()
    for entry in Journal(LocalFiles(), path, clock=lambda: NOW, version="1", boot_id="b").recover().entries:
        jobs.apply(entry)
    told = Jobs()
    for entry in written:
        told.apply(entry)
    assert status_of(jobs.ended["job"]) == status_of(told.ended["job"]), "a start finds what was said"
    status = status_of(jobs.ended["job"])
    json.loads(status.model_dump_json())
    assert inert(card_of(status)).isascii()
    found = stats(History(LocalFiles(), path), now=datetime(2026, 1, 31, 23, tzinfo=UTC), days=1, zone=UTC)
    json.loads(found.model_dump_json())
    assert found.days[0].completed + found.days[0].failed == 1
    assert [past.state for past in History(LocalFiles(), path).past()] == [status.state]
