"""What the page shows about one job, encoded so that a browser never reads it as code or markup."""

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

from daemon.contract.commands import shortened
from daemon.contract.ended.filled_layers import layers_of
from daemon.contract.names import to_bytes
from daemon.contract.registry import ESTIMATES, FORMATS
from daemon.contract.status import ENDED, Output, Status
from daemon.jobs.decide import MAX_ATTEMPTS
from daemon.outbox.stage_names import stage_name

Card = dict[str, object]

#: Limits of what a card shows, so that it stays readable. status.json has everything.
_MAX_WARNINGS = 20
_LONGEST_TEXT = 2000
#: The picture on a card, a few dozen kilobytes. The contact sheet is ten times as large and shows smaller layers.
_THUMBNAIL = "result/preview/photo.webp"
#: The kinds of files that a card links to, in any order: the page sorts them.
_LINKED = ("preview", *(each.word for each in FORMATS), "manifest")
_LAYER = re.compile(r"result/preview/layer_\d+\.webp")


def card_of(status: Status) -> Card:
    """The properties of a job that the page shows, without those that are unknown or empty. URLs are relative to index.html.

    The commands in the sentences of `status` must be filled in, and marked: the page shows only marked text as code.
    """
    source, progress, error = status.source, status.progress, status.error
    # The number of attempts is only shown if there is more than one, or if another one follows.
    attempts = status.attempts if status.attempts > 1 or status.state == "pending" else 0
    card: dict[str, object | None] = {
        "id": status.job_id,
        "name": _short(source.image) if source else None,
        "state": status.state,
        "mode": status.mode,
        "batch": _short(status.batch) if status.batch else None,
        "batchName": _short(status.batch_name) if status.batch_name else None,
        "redoOf": status.redo_of,
        "size": [source.width, source.height] if source and source.width and source.height else None,
        "created": status.created_at,
        "ended": status.completed_at,
        "seconds": status.processing_seconds,
        "attempts": attempts or None,
        "of": MAX_ATTEMPTS if attempts and status.state not in ENDED else None,
        "retry": status.retry_at,
        "position": status.queue_position,
        "machine": _short(status.machine) if status.machine else None,
        "waits": _short(status.waits_for) if status.waits_for else None,
        "stage": _short(stage_name(progress.stage)) if progress else None,
        "fraction": progress.fraction if progress else None,
        "left": progress.eta_seconds if progress else None,
        "error": [_short(error.message), _short(error.hint)] if error else None,
        "bytes": _bytes(status),
        "pruned": status.pruned_at,
        "estimated": _asked(status) if status.depth_source in ESTIMATES else None,
        "warnings": [_short(warning) for warning in status.warnings[:_MAX_WARNINGS]],
        "layers": layers_of(status),
        **_files(status.job_id, status.outputs),
    }
    return {name: value for name, value in card.items() if value is not None and value not in ([], {})}


def _asked(status: Status) -> str:
    """The `depth` in the job's spec. The page offers a model only if the spec did not ask for an estimate."""
    return status.spec.depth if status.spec else "auto"


def _bytes(status: Status) -> int | None:
    """The bytes of the result and of the picture, by the journal; None if the job has no result."""
    made = sum(output.bytes for output in status.outputs)
    return made + status.source.bytes if made and status.source else None


def _files(job_id: str, outputs: Sequence[Output]) -> dict[str, object | None]:
    def address(path: str) -> str:
        return f"{quote(job_id)}/{quote(to_bytes(path))}"

    first: dict[str, str] = {}
    for output in outputs:
        first.setdefault(output.kind, address(output.path))
    paths = [output.path for output in outputs]
    layers = [path for path in paths if _LAYER.fullmatch(path)]
    return {
        "files": {kind: first[kind] for kind in _LINKED if kind in first},
        "thumb": address(_THUMBNAIL) if _THUMBNAIL in paths else first.get("contact_sheet"),
        "planes": [address(path) for path in layers],
    }


def _short(text: str) -> str:
    return shortened(text, _LONGEST_TEXT, "…")


def inert(value: object) -> str:
    """The value as JSON, on one line and in ASCII. Inside a script element, it cannot close the element or start a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)
