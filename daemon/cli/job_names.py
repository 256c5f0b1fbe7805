"""The error for the id of a job that is unknown or was removed, with suggestions of what the person probably meant."""

import difflib
from itertools import chain, islice

from daemon.cli.display.render import local
from daemon.cli.job_queries import JobQueries
from daemon.contract.commands import command
from daemon.contract.records import Removed
from daemon.contract.requests import is_job_id
from daemon.contract.words.printable import quoted

#: How many ended jobs are searched for a similar id; hardly anybody types an older one from memory.
_MAX_LOOKED_AT = 2000
_MAX_NAMED = 3


def no_such_job(queries: JobQueries, job_id: str) -> tuple[str, str]:
    """The sentence and the hint for an id that no job has, or no more.

    Raises:
        Refusal: a segment of the journal is damaged, or a newer version wrote a record.
    """
    records = queries.history.records_of(job_id) if is_job_id(job_id) else []
    if records and isinstance(gone := records[-1].record, Removed):
        sentence = f"{job_id} was removed {local(records[-1].ts)}"
        if gone.pruned:
            return f"{sentence}, because it had ended long before", "Its files are gone with it."
        back = f"put it back, stop the daemon and run {command('doctor', '--repair')}"
        return sentence, f"If its folder was moved out of the outbox: {back}; or drop the picture in its source/ again."
    meant = _alike(queries, job_id)
    hint = (
        f"Did you mean {' or '.join(meant)}?"
        if meant
        else f"{command('jobs')} lists the jobs, {command('waiting')} what is still in the inbox."
    )
    return f"there is no job {quoted(job_id)}", hint


def _alike(queries: JobQueries, job_id: str) -> list[str]:
    """Ids that contain `job_id`, newest first. If there are none: ids that differ little from it, most similar first."""
    live = reversed(queries.history.now().live)
    ids = list(islice(chain(live, (ended.job for ended in queries.history.ended_entries())), _MAX_LOOKED_AT))
    wanted = job_id.lower()
    holding = [known for known in ids if len(wanted) > 1 and wanted in known.lower()]
    return holding[:_MAX_NAMED] or difflib.get_close_matches(job_id, ids, n=_MAX_NAMED, cutoff=0.75)
