"""The messages of a worker and the judgement of how it ended, without processes."""

import errno
import json
import re
from typing import get_args

import pytest

from daemon.contract.messages import EVENT, EVENT_FD, MAX_LINE_BYTES, PROTOCOL_VERSION, Error, Result
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import BY_CODE, ImageUnreadable, OutOfMemory
from daemon.fs import LocalFiles
from daemon.supervisor.environment import worker_environment
from daemon.supervisor.events import EventReader, ProtocolError
from daemon.supervisor.joblog import TAIL_LINES, JobLog
from daemon.supervisor.outcome import Cancelled, Completed, End, Failed, Reason, Stopped, judge
from pipeline.worker import entry

HELLO = {"type": "hello", "protocol": PROTOCOL_VERSION, "pid": 7}
RESULT = Result(source=Source(image="a.jpg", bytes=1), outputs=(), manifest="result/layer_manifest.json", peak_rss=5)


def lines(*events: dict) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def reader(job_id: str | None = "job") -> EventReader:
    made = EventReader()
    if job_id is not None:
        made.expect(job_id)
    return made


def ended(**seen: object) -> End:
    calm = {
        "reason": None,
        "status": 0,
        "result": None,
        "error": None,
        "violation": None,
        "tail": "the last line",
        "seconds": 10.0,
        "silent_seconds": 1.0,
        "still_seconds": 1.0,
        "peak_bytes": 3 << 30,
        "timeout_seconds": 9.0,
        "max_memory_bytes": 2 << 30,
    }
    return End(**calm | seen)


def error(code: str) -> Error:
    info = ErrorInfo(code=code, message="said the worker", hint="h", detail="d")
    return Error(error=info, source=Source(image="a.jpg", bytes=1, width=3), warnings=("w",))


# -- events ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_events_arrive_whole_however_the_bytes_are_cut(size):
    data = lines(HELLO, {"type": "ready"}, {"type": "progress", "stage": "dépth 中", "fraction": 0.5})
    made = reader()
    seen = [event for start in range(0, len(data), size) for event in made.feed(data[start : start + size])]
    assert [event.type for event in seen] == ["hello", "ready", "progress"]
    assert seen[2].stage == "dépth 中"


def test_a_line_of_exactly_the_limit_is_read_and_one_byte_more_is_not():
    def padded(length: int) -> bytes:
        said = lines({"type": "progress", "stage": "s", "fraction": 0})[:-1]
        return said + b" " * (length - len(said)) + b"\n"

    made = reader()
    list(made.feed(lines(HELLO)))
    (event,) = made.feed(padded(MAX_LINE_BYTES))
    assert event.type == "progress"
    with pytest.raises(ProtocolError, match="more than"):
        list(made.feed(padded(MAX_LINE_BYTES + 1)))


def test_a_line_without_an_end_is_not_collected_for_ever():
    made = reader()
    list(made.feed(b"x" * MAX_LINE_BYTES))
    with pytest.raises(ProtocolError, match="more than"):
        list(made.feed(b"x"))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([{"type": "ready"}], "before hello"),
        ([HELLO, HELLO], "hello twice"),
        ([HELLO | {"protocol": PROTOCOL_VERSION + 1}], "version 2"),
        ([HELLO, {"type": "started", "job_id": "other"}], "job other"),
        ([HELLO, {"type": "ready"}, {"type": "ready"}], "ready again"),
        ([HELLO, {"type": "started", "job_id": "job"}, {"type": "ready"}], "before it was ready"),
        ([HELLO, {"type": "ready"}, *[{"type": "started", "job_id": "job"}] * 2], "twice"),
        ([HELLO, {"type": "ready"}, {"type": "started", "job_id": "job"}, {"type": "ready"}], "ready again"),
        ([HELLO, json.loads(RESULT.model_dump_json())], "had not started"),
        ([HELLO, {"type": "progress", "stage": "x", "fraction": 1.5}], "cannot be read"),
        ([HELLO, {"type": "progress", "stage": "x", "fraction": 0.5, "more": 1}], "cannot be read"),
        (
            [HELLO, json.loads(error("internal").model_dump_json())] * 1 + [json.loads(error("internal").model_dump_json())],
            "after",
        ),
    ],
)
def test_events_out_of_order_or_shape_are_refused(events, words):
    with pytest.raises(ProtocolError, match=words):
        list(reader().feed(lines(*events)))


def test_an_offending_line_is_shown_harmless_and_short():
    with pytest.raises(ProtocolError) as caught:
        list(reader().feed(b"\x1b[2J\xff" + b"A" * 10_000 + b"\n"))
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


def test_the_worker_speaks_the_contracts_version_on_the_contracts_descriptor():
    assert (entry._PROTOCOL_VERSION, entry._EVENT_FD) == (PROTOCOL_VERSION, EVENT_FD)
    assert EVENT.validate_python(HELLO).protocol == entry._PROTOCOL_VERSION


# -- judgement ------------------------------------------------------------------------------------------------------------


def test_success_is_a_result_and_exit_0_and_a_clean_conversation():
    assert judge(ended(result=RESULT)) == Completed(RESULT, 10.0, 3 << 30)
    for flaw in ({"status": 1}, {"status": -11}, {"violation": "babbled"}, {"result": None}, {"status": None}):
        assert isinstance(judge(ended(**{"result": RESULT} | flaw)), Failed), flaw


@pytest.mark.parametrize("code", sorted(set(BY_CODE) - {"cancelled"}))
def test_every_code_passes_with_its_own_exit_status_only(code):
    cls = BY_CODE[code]
    outcome = judge(ended(error=error(code), status=cls.exit_status))
    assert isinstance(outcome, Failed)
    assert outcome.error == error(code).error
    assert outcome.retryable is cls.retryable
    assert (outcome.source.width, outcome.warnings) == (3, ("w",))
    wrong = judge(ended(error=error(code), status=cls.exit_status + 100))
    assert wrong.error.code == "worker_crashed"
    assert "said the worker" in wrong.error.detail
    assert (wrong.source.width, wrong.warnings) == (3, ("w",))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (-9, "out_of_memory", "because memory ran out"),
        (-6, "worker_crashed", "SIGABRT"),
        (-11, "worker_crashed", "SIGSEGV"),
        (-4, "worker_crashed", "SIGILL"),
        (-8, "worker_crashed", "SIGFPE"),
        (-7 if hasattr(__import__("signal"), "SIGSTKFLT") else -10, "worker_crashed", "SIGBUS"),
        (0, "worker_crashed", "without a result"),
        (1, "worker_crashed", "exit status 1"),
        (None, "worker_crashed", "could not be ended"),
    ],
)
def test_every_way_to_die_is_told_apart(status, code, words):
    outcome = judge(ended(status=status))
    assert outcome.error.code == code
    assert words in outcome.error.message
    assert outcome.error.detail == "the last line"


@pytest.mark.parametrize(
    ("kills", "peak", "code", "starved"),
    [
        (0, 6, "worker_crashed", False),
        (0, 1, "worker_crashed", False),
        (1, 5, "out_of_memory", False),
        (1, 1, "worker_crashed", True),
        (None, 5, "out_of_memory", False),
        (None, 1, "worker_crashed", False),
    ],
)
def test_a_kill_from_outside_is_out_of_memory_only_where_the_evidence_says_so(kills, peak, code, starved):
    """`kills`: the system's own count; `peak`: of the 10 GiB available."""
    outcome = judge(ended(status=-9, oom_kills=kills, peak_bytes=peak << 30, memory_bytes=10 << 30))
    assert (outcome.error.code, outcome.retryable) == (code, code == "worker_crashed")
    assert outcome.held_when_killed == (peak << 30 if starved else None)


@pytest.mark.parametrize(("peak", "wanting"), [(1, True), (5, False)])
def test_a_worker_that_held_half_of_the_memory_and_finds_no_more_has_only_itself_to_blame(peak, wanting):
    error = Error(error=OutOfMemory("There was not enough memory for the job.").info())
    outcome = judge(ended(status=OutOfMemory.exit_status, error=error, peak_bytes=peak << 30, memory_bytes=10 << 30))
    assert outcome.error.code == "out_of_memory"
    assert outcome.held_when_refused == (peak << 30 if wanting else None)


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        ("timeout", "timeout", "9 seconds"),
        ("memory", "out_of_memory", "3,222 MB of memory; the limit is 2,147 MB"),
        ("guardian", "worker_crashed", "guardian"),
        ("start", "worker_crashed", "load everything it needs in time"),
    ],
)
def test_our_own_kill_is_named_by_its_reason_and_not_by_its_signal(reason, code, words):
    outcome = judge(ended(reason=reason, status=-9))
    assert outcome.error.code == code
    assert words in outcome.error.message
    assert outcome.error.hint


def test_more_processes_than_it_may_have_are_this_jobs_fault_for_good():
    outcome = judge(ended(reason="processes", status=-9, max_processes=32))
    assert (outcome.error.code, outcome.retryable) == ("worker_crashed", False)
    assert "more than 32 processes" in outcome.error.message


def test_every_reason_of_an_end_is_judged_by_its_own_sentence():
    told = {reason: judge(ended(reason=reason, status=-9, excess="The job wrote too much.")) for reason in get_args(Reason)}
    assert told.pop("cancel") == Cancelled(10.0)
    assert told.pop("shutdown") == Stopped(10.0)
    assert len({outcome.error.message for outcome in told.values()}) == len(told) == 6
    assert not [outcome for outcome in told.values() if "killed the worker" in outcome.error.message]


@pytest.mark.parametrize("limit", [2048 << 20, (2048 << 20) + 1000])
def test_one_byte_over_the_limit_of_memory_does_not_read_as_the_limit(limit):
    outcome = judge(ended(reason="memory", status=-9, max_memory_bytes=limit, peak_bytes=limit + 1))
    assert "2,148 MB of memory; the limit is 2,147 MB" in outcome.error.message


def test_a_cancel_is_a_cancel_whatever_the_worker_made_of_it():
    for status in (0, 50, -9, -15, None):
        assert judge(ended(reason="cancel", status=status, result=RESULT)) == Cancelled(10.0)


def test_a_shutdown_is_no_attempt_unless_the_work_was_done():
    assert judge(ended(reason="shutdown", status=50, error=error("cancelled"))) == Stopped(10.0)
    assert isinstance(judge(ended(reason="shutdown", result=RESULT)), Completed)


def test_a_whole_result_within_the_grace_of_a_timeout_counts():
    assert isinstance(judge(ended(reason="timeout", result=RESULT)), Completed)


def test_a_timeout_is_worth_another_attempt_only_if_the_job_hung():
    assert not judge(ended(reason="timeout")).retryable
    assert not judge(ended(reason="timeout", seconds=600.0, still_seconds=200.0)).retryable
    assert not judge(ended(reason="timeout", seconds=10.0, still_seconds=10.0)).retryable
    assert judge(ended(reason="timeout", seconds=600.0, still_seconds=400.0)).retryable


def test_the_timeout_tells_of_silence_only_where_there_was_some():
    assert "sign of life" not in judge(ended(reason="timeout", silent_seconds=4.0)).error.message
    assert "for the last 8 of them" in judge(ended(reason="timeout", silent_seconds=9.0)).error.message


def test_the_grace_after_the_limit_is_no_part_of_the_silence_that_is_told():
    hung = ended(reason="timeout", seconds=20.0, timeout_seconds=10.0, silent_seconds=17.0, still_seconds=17.0)
    assert judge(hung).error.message.startswith("The job took longer than the allowed 10 seconds; ")
    assert "for the last 7 of them" in judge(hung).error.message
    at_once = ended(reason="timeout", seconds=11.0, timeout_seconds=1.0, silent_seconds=11.0)
    assert "than the allowed second" in judge(at_once).error.message
    assert "for the last 1 of them" in judge(at_once).error.message


# -- log ------------------------------------------------------------------------------------------------------------------


def test_a_log_of_exactly_the_cap_is_whole_and_one_byte_more_says_so(tmp_path):
    for extra, path in ((b"", tmp_path / "whole"), (b"!", tmp_path / "cut")):
        log = JobLog(LocalFiles(), 10)
        log.open(bytes(path))
        for part in (b"01234", b"56789", extra, b""):
            log.feed(part)
        log.close()
    assert (tmp_path / "whole").read_bytes() == b"0123456789"
    assert (tmp_path / "cut").read_bytes().startswith(b"0123456789\n[job.log ends here")
    assert (tmp_path / "cut").read_bytes().count(b"job.log ends") == 1


def test_a_log_of_several_attempts_says_where_the_next_one_begins(tmp_path):
    for said in (b"first\n", b"second\n"):
        log = JobLog(LocalFiles(), 100)
        log.open(bytes(tmp_path / "log"))
        log.feed(said)
        log.close()
    first, empty, heading, second = (tmp_path / "log").read_text().splitlines()
    assert (first, empty, second) == ("first", "", "second")
    assert re.fullmatch(r"\[another attempt, 2\d{3}-\d\d-\d\dT[\d:.]+Z\]", heading)


def test_what_a_spare_printed_is_kept_for_its_job_up_to_the_cap(tmp_path):
    log = JobLog(LocalFiles(), 10)
    for _ in range(5):
        log.feed(b"abcd")
    log.open(bytes(tmp_path / "log"))
    log.feed(b"later")
    log.close()
    assert (tmp_path / "log").read_bytes().startswith(b"abcdabcdab\n[job.log ends here")


def test_the_tail_is_the_last_lines_even_beyond_the_cap(tmp_path):
    log = JobLog(LocalFiles(), 10)
    log.open(bytes(tmp_path / "log"))
    log.feed(b"".join(b"line %d\r\n\n" % number for number in range(1000)))
    log.close()
    assert log.tail().split("\n") == [f"line {number}" for number in range(1000 - TAIL_LINES, 1000)]
    assert JobLog(LocalFiles(), 10).tail() is None


# -- worker ---------------------------------------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's own error."""


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (OutOfMemoryError("MPS backend"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out_of_memory"),
        (ValueError("out of memory, says a file's comment"), "internal"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (OSError(errno.EIO, "Input/output error"), "worker_crashed"),
        (OSError(errno.ESTALE, "Stale file handle"), "worker_crashed"),
        (OSError(errno.EINVAL, "Invalid argument"), "internal"),
        (ImageUnreadable("cut off"), "image_unreadable"),
        (entry._Stop(), "cancelled"),
        (KeyError("x"), "internal"),
    ],
)
def test_whatever_stops_a_recipe_has_a_place_in_the_error_tree(raised, code):
    assert entry.classify(raised).code == code


def test_the_environment_passes_nothing_it_was_not_told_to():
    outer = {"PATH": "/bin", "LC_ALL": "C", "SECRET": "s", "http_proxy": "p", "PYTHONPATH": "x", "DYLD_INSERT_LIBRARIES": "y"}
    inner = worker_environment(outer, tmp=b"/a/tmp", threads=2)
    assert inner["PATH"] == "/bin"
    assert inner["LC_ALL"] == "C"
    assert inner["TMPDIR"] == "/a/tmp"
    assert inner["PYTHONHASHSEED"] == "0"
    assert not {"SECRET", "http_proxy", "PYTHONPATH", "DYLD_INSERT_LIBRARIES"} & set(inner)
