"""Seeded mistakes: do the tests notice them? Each is one change to the structure of a function, made in a copy of the program.

Usage: python -m tests.crash.seeded.mutants [NAME…]. `edits` has the changes that can be made.
"""

from dataclasses import dataclass

from edits import Always, Drop, Edit, FallThrough, Insert, Instead, Keyword, Move, Never, Replace, RetryInHandler, Return, Without

#: What is run against each; the first failure is enough.
SUITE = (
    "tests/unit/journal/test_journal.py",
    "tests/unit/claiming/test_moving.py",
    "tests/unit/outbox/test_outbox.py",
    "tests/property/test_power_failures.py",
    "tests/crash/test_crash_points.py",
    "tests/crash/test_io_errors.py",
)
#: What is run against mistakes about a subject of its own.
FULL_DISK = ("tests/unit/health/test_disk_space.py", "tests/crash/test_full_disk.py")
HELD = ("tests/unit/fs/test_fs.py", "tests/unit/claiming/test_moving.py", "tests/security/test_exchanged_folders.py")
PIECES = ("tests/unit/outbox/test_publish.py", "tests/security/test_large_results.py")
FAULT = ("tests/unit/jobs/test_fault.py", "tests/unit/running/test_automatic_retries.py")
RETURNING = (
    "tests/unit/running/test_returning.py",
    "tests/unit/intake/test_intake_parts.py",
    "tests/property/test_power_failures.py",
)
SETTLING = ("tests/unit/intake/test_intake_settling.py", "tests/unit/intake/test_intake_parts.py")
CHAIN = ("tests/crash/test_moved_segments.py", "tests/crash/test_cut_journal.py")
JOURNAL = ("tests/unit/journal/test_journal.py",)
STUCK = ("tests/unit/claiming/test_stuck_claims.py",)
HEALTH = ("tests/unit/health/test_folder_health.py",)
AFTERWARDS = ("tests/crash/afterwards/test_after_the_end.py", "tests/unit/following/test_hooks.py")


@dataclass(frozen=True)
class Mutation:
    """A mistake in one function; `suite` is what should notice.

    Attributes:
        name: what is wrong with the program then.
        file: the module.
        where: the function, `Class.method` for a method, or the name of a constant.
        edits: what is changed.
        suite: the tests that are run.
    """

    name: str
    file: str
    where: str
    edits: tuple[Edit, ...]
    suite: tuple[str, ...] = SUITE


def _one(name: str, file: str, where: str, *edits: Edit, suite: tuple[str, ...] = SUITE) -> Mutation:
    return Mutation(name, file, where, edits, suite)


_MOVE_THE_PICTURE = """
for pair, record in accepted:
    with self._outbox.hold() as outbox:
        outbox.mkdir(record.job.encode())
        with outbox.enter(record.job.encode()) as folder:
            folder.mkdir(b"source")
            with folder.enter(b"source") as source:
                self._folders.open(pair.folder).move(pair.image.name, source, pair.image.name)
"""
_CLAIM_AT_ONCE = """
if prepared:
    self._ledger.record(*[Claimed(job=job.job_id) for job in prepared])
"""
_CLAIM_UNMOVED = """
from daemon.contract.records import Claimed
if unmoved := [job for job in live if not job.claimed]:
    self.ledger.record(*[Claimed(job=job.job_id) for job in unmoved])
"""
_STATUS_FIRST = """
from dataclasses import replace
from daemon.outbox import status_of
for job, publishing in owed:
    self.outbox.write_status(status_of(replace(job, state="completed", published=publishing)))
"""
_SHOW_FIRST = """
for made in checked:
    self.outbox.publish(made.job_id, self.ledger.jobs.live[made.job_id].attempt.folder)
"""
_IN_PLACE = """
if path.endswith(b"status.json"):
    _forget(fs, path)
    write_new(fs, path, data, durable=durable)
    return
"""
_RESULT_IS_THERE = """
if self.has_result(job_id) and not self.has_attempt(attempt):
    return
"""

MUTATIONS = (
    # -- the journal
    _one("the journal is not synced", "daemon/journal/writer.py", "Writer.append", Drop("sync")),
    _one("a failed sync of the journal is tried again", "daemon/journal/writer.py", "Writer.append", RetryInHandler("sync")),
    _one("an error does not stop the writer", "daemon/journal/writer.py", "Writer.append", Never("_failure")),
    _one("a new segment is renamed before it is synced", "daemon/journal/journal.py", "Journal._begin", Drop("sync")),
    _one("the folder of the segments is not synced", "daemon/journal/journal.py", "Journal._begin", Drop("sync_dir")),
    _one(
        "a snapshot forgets a job",
        "daemon/journal/ledger.py",
        "Ledger.begin_segment",
        Replace("list(self.jobs.live.values())", "list(self.jobs.live.values())[1:]"),
    ),
    _one("a record behind a hole counts", "daemon/journal/segment.py", "_parse", FallThrough("torn")),
    _one("damage passes for a torn tail", "daemon/journal/segment.py", "_parse", Without("group")),
    _one(
        "a start leaves out jobs that still live",
        "daemon/journal/outline.py",
        "Outline.needed_records",
        Replace("self.ended.items()", "(self.live | self.ended).items()"),
        suite=("tests/property/test_outline.py",),
    ),
    _one(
        "a segment may have the name of another",
        "daemon/journal/journal.py",
        "Journal._recover",
        Without("misnamed"),
        suite=CHAIN,
    ),
    _one(
        "a journal whose end is missing goes on",
        "daemon/journal/journal.py",
        "Journal._recover",
        Replace("missing_at_end(link, head, moved)", "None"),
        suite=CHAIN,
    ),
    _one(
        "a journal that is gone is begun anew",
        "daemon/journal/journal.py",
        "Journal._recover",
        Replace("missing_at_end(None, head, moved)", "None"),
        suite=CHAIN,
    ),
    _one(
        "a gap before the last segment is not reported",
        "daemon/journal/journal.py",
        "Journal._recover",
        Without("_fault_before"),
        suite=CHAIN,
    ),
    _one("a segment does not say what it follows", "daemon/journal/journal.py", "Journal.rotate", Drop("_after"), suite=JOURNAL),
    # -- the claim
    _one(
        "files are moved before the job is in the journal",
        "daemon/claiming/claims.py",
        "Claims._claim",
        Insert(_MOVE_THE_PICTURE, before="self._record"),
        Keyword("_finish", "again", "True"),
    ),
    _one(
        "the folders of a claim are not made durable before the files move in",
        "daemon/claiming/claims.py",
        "Claims._make_job_folders",
        Drop("sync_job_folders"),
    ),
    _one(
        "the moves are not made durable before the claim is recorded",
        "daemon/claiming/claims.py",
        "Claims._finish",
        Drop("_mover.make_durable"),
    ),
    _one(
        "the claim is recorded before the files move",
        "daemon/claiming/claims.py",
        "Claims._finish",
        Insert(_CLAIM_AT_ONCE, after="_make_job_folders"),
    ),
    _one(
        "a half-done claim is not rolled forward",
        "daemon/running/recovery.py",
        "Recovery.perform",
        Instead("claims.finish", _CLAIM_UNMOVED),
    ),
    _one(
        "a new drop that looks like a moved file is taken for its leftover",
        "daemon/claiming/moving.py",
        "Mover._is_leftover",
        Replace("here.ino == there.ino", "here.size == there.size"),
    ),
    _one(
        "an original is removed before its copy has its name",
        "daemon/claiming/moving.py",
        "Mover._rename_or_copy",
        Insert("folder.unlink(name)", before="source.rename"),
    ),
    _one(
        "a copy's name is not durable when the original goes",
        "daemon/claiming/moving.py",
        "Mover._rename_or_copy",
        Drop("sync_dir"),
    ),
    # -- folders that strangers exchange
    _one("a folder may be a link", "daemon/fs/untrusted_paths.py", "_FOLDER", Without("O_NOFOLLOW"), suite=HELD),
    _one("a file may be a link", "daemon/fs/held.py", "SAFE", Without("O_NOFOLLOW"), suite=HELD),
    _one("a file that is opened may be another one", "daemon/fs/held.py", "open_regular", Never("wanted"), suite=HELD),
    _one(
        "a folder of the inbox may be another one after a restart",
        "daemon/claiming/inbox_folders.py",
        "InboxFolders.open",
        Never("held.ino"),
        suite=HELD,
    ),
    _one(
        "a file that is moved may be another one", "daemon/claiming/moving.py", "Mover._move_one", Without("matches"), suite=HELD
    ),
    # -- a folder that cannot be emptied
    _one(
        "a picture that cannot be taken out is accepted",
        "daemon/claiming/claim_checks.py",
        "ClaimChecks.reason_to_wait",
        Never("folder.removal_obstacle"),
        suite=STUCK,
    ),
    _one(
        "a folder's own rights are not asked",
        "daemon/fs/held.py",
        "LocalFolder.removal_obstacle",
        Drop("_folder_obstacle"),
        suite=STUCK,
    ),
    _one("a hopeless claim is never given up", "daemon/claiming/claims.py", "Claims._hold", Without("hopeless"), suite=STUCK),
    # -- the result
    _one(
        "a result is published without being made durable",
        "daemon/running/publishing.py",
        "Results._check",
        Replace("self.outbox.making_durable(attempt)", "()"),
    ),
    _one(
        "a result is published before the journal says so",
        "daemon/running/publishing.py",
        "Results._publish_checked",
        Insert(_SHOW_FIRST, before="ledger.record"),
    ),
    _one("the result's name is not made durable", "daemon/outbox/outbox.py", "Outbox.publish", Drop("job.sync_dir")),
    _one(
        "a result that was renamed is not synced after a crash",
        "daemon/outbox/outbox.py",
        "Outbox.publish",
        Insert(_RESULT_IS_THERE),
    ),
    _one(
        "a file of a result may differ from its checksum",
        "daemon/outbox/publish.py",
        "checking_result",
        Never("output.sha256"),
        suite=PIECES,
    ),
    _one("a result is checked in one go", "daemon/running/publishing.py", "Results._advance", Never("until"), suite=PIECES),
    _one(
        "a check that is under way hears no cancel",
        "daemon/running/publishing.py",
        "Results._advance",
        Never("cancel_requested"),
        suite=PIECES,
    ),
    _one("a check that a stop cuts off is an attempt", "daemon/running/publishing.py", "Results.stop", Drop("end"), suite=PIECES),
    # -- views
    _one(
        "the last status is not durable",
        "daemon/outbox/outbox.py",
        "Outbox.write_status",
        Keyword("write_atomic", "durable", "False"),
    ),
    _one(
        "the status comes before the result",
        "daemon/running/publishing.py",
        "Results.publish",
        Insert(_STATUS_FIRST, before="outbox.publish_all"),
    ),
    _one("a status is written in place", "daemon/fs/compose.py", "write_atomic", Insert(_IN_PLACE)),
    _one("stale statuses are left as they are", "daemon/running/recovery.py", "Recovery._tidy", Drop("_rewrite_views")),
    _one("leftover attempts are not swept", "daemon/running/recovery.py", "Recovery._tidy", Drop("sweep")),
    # -- requests
    _one("a done request may come back", "daemon/service/requests.py", "Requests._put_away", Drop("sync_dir")),
    _one(
        "a job is removed from the journal before its folder goes",
        "daemon/service/removal.py",
        "Removal._remove",
        Move("ledger.record", before="move_aside"),
    ),
    # -- after the end
    _one(
        "a snapshot forgets what is still to be done for an ended job",
        "daemon/jobs/fold.py",
        "Jobs.other_records",
        Replace("self.follow_ups.records()", "()"),
        suite=AFTERWARDS,
    ),
    _one("a delivery is shown before it is durable", "daemon/following/copying.py", "_copy", Drop("sync_dir"), suite=AFTERWARDS),
    _one(
        "a result goes and no record says so",
        "daemon/service/removal.py",
        "Removal.prune",
        Drop("ledger.record"),
        suite=AFTERWARDS,
    ),
    # -- back to the inbox
    _one(
        "a picture that goes back loses its name in source before the one in the inbox is durable",
        "daemon/running/returning.py",
        "Returns._move_back",
        Drop("folder.sync_dir"),
    ),
    _one(
        "the second try of a return takes its own file for another one",
        "daemon/running/returning.py",
        "_link_back",
        Always("there.ino"),
    ),
    _one(
        "a name in the inbox that is taken again passes for the picture's own",
        "daemon/running/returning.py",
        "_link_back",
        Never("there.ino"),
        suite=RETURNING,
    ),
    _one(
        "a picture that cannot go back is called back",
        "daemon/running/returning.py",
        "Returns._move_back",
        Never("file.role"),
        suite=RETURNING,
    ),
    # -- settling
    _one(
        "a close is believed of every writer", "daemon/intake/settle.py", "settle_seconds", Without("closed_once"), suite=SETTLING
    ),
    _one(
        "a close completes a picture of any writer",
        "daemon/intake/settle.py",
        "counts_as_complete",
        Without("closed_once"),
        suite=SETTLING,
    ),
    _one(
        "a sidecar that was renamed in covers what came after it",
        "daemon/intake/settle.py",
        "counts_as_complete",
        Without("reported_at"),
        suite=SETTLING,
    ),
    _one("the rest of a picture is not waited for", "daemon/intake/settle.py", "settle_state", Never("awaits"), suite=SETTLING),
    # -- whose fault it is
    _one("a changed program is not seen", "daemon/jobs/fault.py", "judge", Never("seen.changed"), suite=FAULT),
    _one("a job is excused without end", "daemon/jobs/fault.py", "judge", Never("excused"), suite=FAULT),
    _one("excuses are not counted", "daemon/running/failures.py", "FailureHandler._settle", Drop("_excused"), suite=FAULT),
    _one("a worker that never got ready is the job's fault", "daemon/jobs/fault.py", "judge", Never("ready"), suite=FAULT),
    _one("a disk that takes nothing is the job's fault", "daemon/jobs/fault.py", "judge", Never("seen.writing"), suite=FAULT),
    _one("no canary is sent", "daemon/health/system_health.py", "SystemHealth.judge", Drop("_canary.send"), suite=FAULT),
    # -- a full disk
    _one(
        "a full disk costs a job an attempt",
        "daemon/running/failures.py",
        "FailureHandler._settle",
        Replace("cause is None", "cause is None or cause.kind == 'room'"),
        suite=FULL_DISK,
    ),
    _one(
        "a job that fills the disk itself is tried for ever",
        "daemon/health/disk_space.py",
        "DiskSpace.used_by",
        Return("Used()"),
        suite=FULL_DISK,
    ),
    _one(
        "nothing is held back for the views", "daemon/health/disk_space.py", "DiskSpace.look", Drop("_hold_back"), suite=FULL_DISK
    ),
    _one(
        "the queue goes on while the disk is full",
        "daemon/service/loop.py",
        "Service._pass",
        Drop("_folder.close"),
        suite=FULL_DISK,
    ),
    # -- the folders
    _one(
        "an outbox without its jobs passes for the outbox",
        "daemon/health/folder_health.py",
        "FolderHealth.absence",
        Without("_has_its_jobs"),
        suite=HEALTH,
    ),
)
