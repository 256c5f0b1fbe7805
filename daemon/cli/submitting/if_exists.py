"""Decides what `submit --if-exists` does with a picture that is there already, or whose id or folder is taken.

It is asked twice: about all pictures before the first is dropped, and about each while no other submit can drop anything. So a
picture that two submits were given is submitted once.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import typer

from daemon.cli.asking.arriving import arriving
from daemon.cli.common import give_up, print_error, print_note
from daemon.cli.exit_status import ExitStatus
from daemon.cli.submitting.existing_jobs import ExistingJobs
from daemon.cli.submitting.given import Dropped, Given
from daemon.cli.submitting.result_copies import name_for, names_for
from daemon.errors import Refusal
from daemon.settings import Settings


class IfExists(StrEnum):
    """What happens to a picture that is there already, or whose id or result would get a name that is taken."""

    FAIL = "fail"
    SKIP = "skip"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a picture.

    Attributes:
        image: the picture.
        job_id: the id that it should get; None for a generated one.
        skipped: what is told of it if nothing is to be done, because there is a result of it; else None.
    """

    image: Path
    job_id: str | None
    skipped: Given | None = None


class WhatIsThere:
    """Applies the option. `asked`: None if it was not given; then only ids and folders for results can be taken."""

    def __init__(self, settings: Settings, existing: ExistingJobs, asked: IfExists | None, output: Path | None) -> None:
        self._settings = settings
        self._existing = existing
        self._asked = asked
        self._output = output

    def plans(self, images: Sequence[Path], job_id: str | None) -> list[Plan]:
        """What is to be done with each picture, in the same order.

        Raises:
            typer.Exit: one is there already, or its id or folder is taken, and that is an error; it was printed.
        """
        skipped = [self._with_result(image) for image in images]
        if job_id is not None and self._asked is IfExists.NEW and self._is_taken(job_id):
            print_note(f"The id {job_id} is taken; the job gets a new one.")
            job_id = None
        if self._asked is not IfExists.SKIP:
            for image in images:
                self.instead(image, job_id)
        return [Plan(image, job_id, found) for image, found in zip(images, skipped, strict=True)]

    def instead(self, image: Path, job_id: str | None) -> Dropped | None:
        """What there is instead of a new job of this picture; None if it is to be dropped.

        Raises:
            typer.Exit: there is something, and that is an error; it was printed.
        """
        try:
            if job_id is not None:
                return self._instead_of_id(image, job_id) if self._is_taken(job_id) else None
            if self._asked in (None, IfExists.NEW) or (found := self._existing.of(image)) is None:
                return None
        except Refusal as refusal:
            give_up(refusal)
        if self._asked is IfExists.FAIL:
            hint = "Add --if-exists skip to use that one, or new to make another."
            print_error(f"{image} {found.says}", hint, file=image)
            raise typer.Exit(ExitStatus.EXISTS)
        _note_skipped(image, f"it {found.says}", found.job_id)
        return Dropped(found.job_id, found.sidecar, image, is_new=False)

    def _with_result(self, image: Path) -> Given | None:
        """What is told of a picture that is skipped because the folder has a result of it; None if it is not."""
        if self._output is None or self._asked is IfExists.NEW:
            return None
        place = self._output / name_for(image)
        if self._asked is not IfExists.SKIP:
            if os.path.lexists(place):
                hint = "Nothing was submitted. Choose another --output, or add --if-exists skip or new."
                print_error(f"{place} is there already", hint, file=image)
                raise typer.Exit(ExitStatus.EXISTS)
            return None
        found = self._existing.result_in(self._output, names_for(image), image)
        if found is None:
            return None
        place, job_id = found
        _note_skipped(image, f"{place} is there already", job_id)
        return Given(image, "skipped", result=place, made_by=job_id)

    def _is_taken(self, job_id: str) -> bool:
        if (self._settings.paths.outbox / job_id).exists():
            return True
        waiting = arriving(self._settings, job_id)
        return waiting is not None and waiting.job_id == job_id

    def _instead_of_id(self, image: Path, job_id: str) -> Dropped | None:
        if self._asked is IfExists.NEW:
            return None  # it was taken a moment ago: the daemon tells who has it
        if self._asked is IfExists.SKIP and self._existing.is_of(job_id, image):
            _note_skipped(image, f"{job_id} is there already", job_id)
            waiting = arriving(self._settings, job_id)
            inbox = self._settings.paths.inbox
            return Dropped(job_id, os.fsencode(inbox / waiting.path) if waiting else b"", image, is_new=False)
        others = "a job of another picture, with other settings, or that did not complete"
        whose = others if self._asked is IfExists.SKIP else "a job in the outbox, or a picture in the inbox"
        hint = "Choose another id, remove that job first, or add --if-exists new."
        print_error(f'the id "{job_id}" belongs to {whose}', hint, file=image)
        raise typer.Exit(ExitStatus.EXISTS)


def _note_skipped(image: Path, why: str, job_id: str | None) -> None:
    print_note(f"{image} is skipped: {why}.", job_id=job_id, image=os.path.abspath(image))
