"""Seeded mistakes: does the crash suite notice them? Each is one change to the source, made in a copy of it.

Usage: python -m tests.crash.mutations [NAME…]. Prints which are caught; exit status 1 if one is not.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What is run against each; the first failure is enough.
SUITE = (
    "tests/unit/test_journal.py",
    "tests/unit/test_moving.py",
    "tests/unit/test_outbox.py",
    "tests/property/test_power_failures.py",
    "tests/crash/test_crash_points.py",
    "tests/crash/test_io_errors.py",
)


#: What is run against mistakes about a full disk.
FULL_DISK = ("tests/unit/test_room.py", "tests/crash/test_full_disk.py")


@dataclass(frozen=True)
class Mutation:
    """`before` in the file becomes `after`; it must be there exactly once. `suite` is what should notice."""

    name: str
    file: str
    before: str
    after: str
    suite: tuple[str, ...] = SUITE


MUTATIONS = (
    Mutation(
        "the journal is not synced",
        "daemon/journal/writer.py",
        "            self._fs.sync(self._fd)\n",
        "",
    ),
    Mutation(
        "a failed sync of the journal is tried again",
        "daemon/journal/writer.py",
        '            self._poison = f"cannot write',
        '            self._fs.sync(self._fd)\n            self._poison = f"cannot write',
    ),
    Mutation(
        "an error does not poison the writer",
        "daemon/journal/writer.py",
        "        if self._poison:\n",
        "        if self._poison and False:\n",
    ),
    Mutation(
        "a new segment is renamed before it is synced",
        "daemon/journal/journal.py",
        "            self._fs.sync(fd)\n            self._fs.rename(temporary, path)\n",
        "            self._fs.rename(temporary, path)\n",
    ),
    Mutation(
        "the folder of the segments is not synced",
        "daemon/journal/journal.py",
        "            self._fs.rename(temporary, path)\n            self._fs.sync_dir(self._folder)\n",
        "            self._fs.rename(temporary, path)\n",
    ),
    Mutation(
        "a snapshot forgets a job",
        "daemon/journal/ledger.py",
        "list(self.jobs.live.values())",
        "list(self.jobs.live.values())[1:]",
    ),
    Mutation(
        "a record behind a hole counts",
        "daemon/journal/segment.py",
        "            continue\n        if marks and",
        "        if marks and",
    ),
    Mutation(
        "files are moved before the job is in the journal",
        "daemon/claiming/claims.py",
        "            self._ledger.record(*(record for _, record in accepted))\n",
        "            for pair, record in accepted:\n"
        "                import os as _os\n"
        "                self._fs.mkdir(self._outbox.job(record.job))\n"
        '                self._fs.mkdir(self._outbox.job(record.job, b"source"))\n'
        "                start = self._path(pair.folder, pair.image.name)\n"
        '                self._fs.rename(start, self._outbox.job(record.job, b"source", pair.image.name))\n'
        "            self._ledger.record(*(record for _, record in accepted))\n"
        "            again = True\n",
    ),
    Mutation(
        "the folders of a claim are not made durable before the files move in",
        "daemon/claiming/claims.py",
        "            self._mover.anchor(roomy)\n",
        "            pass\n",
    ),
    Mutation(
        "the moves are not made durable before the claim is recorded",
        "daemon/claiming/claims.py",
        "            self._mover.settle(whole)\n",
        "            pass\n",
    ),
    Mutation(
        "the claim is recorded before the files move",
        "daemon/claiming/claims.py",
        "        whole: list[Job] = []\n        gone: list[Job] = []\n        for job in roomy:",
        "        whole: list[Job] = []\n        gone: list[Job] = []\n"
        "        if roomy:\n            self._ledger.record(*[Claimed(job=job.job_id) for job in roomy])\n"
        "        for job in roomy:",
    ),
    Mutation(
        "a half-done claim is not rolled forward",
        "daemon/running/recovery.py",
        "        self.claims.finish([job for job in live if not job.claimed], again=True)\n",
        "        self.ledger.record(*[Claimed(job=job.job_id) for job in live if not job.claimed], *())\n",
    ),
    Mutation(
        "a result is published without being made durable",
        "daemon/running/publishing.py",
        "        yield from self.outbox.making_durable(attempt)\n",
        "",
    ),
    Mutation(
        "a result is published before the journal says so",
        "daemon/running/publishing.py",
        "        self.ledger.record(publishing)\n",
        "        self.outbox.publish(job.job_id, job.attempt.folder)\n        self.ledger.record(publishing)\n",
    ),
    Mutation(
        "the result's name is not made durable",
        "daemon/outbox/outbox.py",
        "                job.sync_dir()\n            except OSError as error:\n                raise NotDurableError",
        "                pass\n            except OSError as error:\n                raise NotDurableError",
    ),
    Mutation(
        "a result that was renamed is not synced after a crash",
        "daemon/outbox/outbox.py",
        "            elif not _holds(job, _RESULT):\n",
        "            elif _holds(job, _RESULT):\n                return\n            else:\n",
    ),
    Mutation(
        "the last status is not durable",
        "daemon/outbox/outbox.py",
        'write_atomic(folder, b"status.json", data, durable=durable)',
        'write_atomic(folder, b"status.json", data, durable=False)',
    ),
    Mutation(
        "the status comes before the result",
        "daemon/running/publishing.py",
        "            self.outbox.publish(job.job_id, publishing.attempt)\n",
        "            from dataclasses import replace as _replace\n"
        "            from daemon.outbox import status_of as _status_of\n"
        '            self.outbox.write_status(_status_of(_replace(job, state="completed", published=publishing)))\n'
        "            self.outbox.publish(job.job_id, publishing.attempt)\n",
    ),
    Mutation(
        "a status is written in place",
        "daemon/fs/compose.py",
        "    folder, name = os.path.split(path)\n",
        "    if path.endswith(b'status.json'):\n"
        "        fd = fs.append(path)\n        write_all(fs, fd, data)\n        fs.close(fd)\n        return\n"
        "    folder, name = os.path.split(path)\n",
    ),
    Mutation(
        "stale statuses are left as they are",
        "daemon/running/recovery.py",
        "            self._rewrite_views()\n",
        "",
    ),
    Mutation(
        "leftover attempts are not swept",
        "daemon/running/recovery.py",
        "            self.outbox.sweep(",
        "            (lambda keep: None)(",
    ),
    Mutation(
        "a done request may come back",
        "daemon/service/requests.py",
        "            self.fs.sync_dir(folder)\n",
        "",
    ),
    Mutation(
        "a job is removed from the journal before its folder goes",
        "daemon/service/requests.py",
        "        aside = self.outbox.take_away(job.job_id)\n        self.ledger.record(Removed(job=job.job_id))\n",
        "        self.ledger.record(Removed(job=job.job_id))\n        aside = self.outbox.take_away(job.job_id)\n",
    ),
    Mutation(
        "a new drop that looks like a moved file is taken for its leftover",
        "daemon/claiming/moving.py",
        "            return here.ino == there.ino\n",
        "            return here.ino == there.ino or here.size == there.size\n",
    ),
    Mutation(
        "an original is removed before its copy has its name",
        "daemon/claiming/moving.py",
        "            source.rename(_HALF, to)\n        except OSError:\n",
        "            folder.unlink(name)\n            source.rename(_HALF, to)\n            return\n        except OSError:\n",
    ),
    Mutation(
        "a copy's name is not durable when the original goes",
        "daemon/claiming/moving.py",
        "        source.sync_dir()\n        # What has come under",
        "        # What has come under",
    ),
    Mutation(
        "a picture that goes back loses its name in source before the one in the inbox is durable",
        "daemon/running/returning.py",
        "        folder.sync_dir()\n",
        "",
    ),
    Mutation(
        "the second try of a return takes its own file for another one",
        "daemon/running/returning.py",
        "    elif (there.dev, there.ino) != (here.dev, here.ino):\n",
        "    else:\n",
    ),
    Mutation(
        "damage passes for a torn tail",
        "daemon/journal/segment.py",
        "            if len(behind) > 1 or group > marks[-1].seq + 1:\n",
        "            if len(behind) > 1:\n",
    ),
    Mutation(
        "a start leaves out jobs that still live",
        "daemon/journal/outline.py",
        "for job, places in list(self.ended.items())[",
        "for job, places in list((self.live | self.ended).items())[",
        ("tests/property/test_outline.py",),
    ),
    Mutation(
        "a full disk costs a job an attempt",
        "daemon/running/blame.py",
        "        if cause is None:\n            self.charge(job, failed)",
        "        if cause is None or cause.kind == 'room':\n            self.charge(job, failed)",
        FULL_DISK,
    ),
    Mutation(
        "a job that fills the disk itself is tried for ever",
        "daemon/health/disk_space.py",
        "        return self._in(self._outbox.attempt(attempt)) if attempt else Used()\n",
        "        return Used()\n",
        FULL_DISK,
    ),
    Mutation(
        "nothing is held back for the views",
        "daemon/health/disk_space.py",
        "        self._hold_back()\n",
        "",
        FULL_DISK,
    ),
    Mutation(
        "the queue goes on while the disk is full",
        "daemon/service/loop.py",
        "            self._folder.close(self._disk_space.problem)\n",
        "",
        FULL_DISK,
    ),
)


def try_one(mutation: Mutation) -> tuple[Mutation, str | None]:
    """The mutation, and what noticed it; none if nothing did."""
    with tempfile.TemporaryDirectory(prefix="multiplane-mutation-") as name:
        folder = Path(name)
        for part in ("daemon", "pipeline", "config", "tests", "pyproject.toml"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)
        path = folder / mutation.file
        text = path.read_text()
        if text.count(mutation.before) != 1:
            raise SystemExit(f"{mutation.name}: the place in {mutation.file} is there {text.count(mutation.before)} times")
        path.write_text(text.replace(mutation.before, mutation.after))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "600", *mutation.suite]
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return mutation, None
        if told.returncode != 1 or "during collection" in told.stdout:
            raise SystemExit(f"{mutation.name}: the suite could not run:\n{told.stdout[-2000:]}{told.stderr[-2000:]}")
        told_by = [line.split()[1] for line in told.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return mutation, told_by[0] if told_by else "the suite"


def main(names: list[str] | None = None) -> int:
    """Try the mutations; 1 if one was not noticed."""
    chosen = [mutation for mutation in MUTATIONS if not names or any(name in mutation.name for name in names)]
    missed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done in as_completed([pool.submit(try_one, mutation) for mutation in chosen]):
            mutation, told = done.result()
            missed += told is None
            print(f"{'caught' if told else 'MISSED'}  {mutation.name}" + (f"  ({told})" if told else ""), flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} seeded mistakes were caught")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
