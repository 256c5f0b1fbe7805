"""Finds out why this user cannot run a program: which folder on the way to it bars the way."""

import os
import stat

#: What to do if the program's own interpreter cannot be run.
HINT = (
    "Run Multiplane as the user that it was set up by, or set it up again with a Python that every user can run, such as the "
    "system's."
)
#: As many links as the system follows in one path.
_MAX_LINKS = 40


def why_not_run(program: str) -> str | None:
    """A clause that names the program's file and what bars the way to it; None if this user can run it, or it is not there.

    Links are followed one by one, because the way to an interpreter in a virtual environment leads through another folder.
    `program`: an absolute path.
    """
    barrier, file = _barrier(program)
    if barrier is None:
        return None
    if barrier == file:
        return f"{file} may not be run by this user"
    return f"{file} cannot be reached by this user, who may not enter {barrier}"


def _barrier(program: str) -> tuple[str | None, str]:
    """The first folder on the way that may not be entered, or the file if it may not be run; None for neither. And the file."""
    here, links = "/", 0
    left = _parts(program)
    while left:
        if not _may(here):
            return here, os.path.normpath(os.path.join(here, *reversed(left)))
        here = os.path.normpath(os.path.join(here, left.pop()))
        try:
            is_link = stat.S_ISLNK(os.lstat(here).st_mode)
            target = os.readlink(here) if is_link else None
        except OSError:
            return None, program
        if target is not None:
            links += 1
            if links > _MAX_LINKS:
                return None, program
            left += _parts(target)
            here = "/" if os.path.isabs(target) else os.path.dirname(here)
    return (None if _may(here) else here), here


def _parts(path: str) -> list[str]:
    """The names in a path, last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _may(path: str) -> bool:
    return os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids)
