"""Checks whether a file can be removed from a folder, before the daemon accepts it as a job.

The check asks the system about this process's effective rights (`faccessat` with effective ids), so it is right for root, for
groups and for access lists. Other obstacles, such as a server's own rules, only show when the file is moved.
"""

import os
import pwd
import stat

from daemon.platform.files import is_fixed


def folder_obstacle(folder: int) -> str | None:
    """A clause that says why nothing can be removed from an open folder, and what to do; None if files can be removed."""
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        return "the folder is on a read-only disk: mount it with write access"
    if is_fixed(folder):
        return "the folder is locked against every change: unlock it (chattr -ia, or in Finder)"
    if os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=os.access in os.supports_effective_ids):
        return None
    found = os.fstat(folder)
    if found.st_uid == os.geteuid():
        return f"the folder may not be changed (its mode is {stat.S_IMODE(found.st_mode):04o}): chmod u+wx"
    return (
        f"the folder belongs to {user_named(found.st_uid)} and cannot be emptied by {user_named(os.geteuid())}, whom Multiplane "
        "runs as: chmod g+w with a common group, or chmod o+w"
    )


def name_obstacle(folder: int, name: bytes) -> str | None:
    """Why this file cannot be removed although other files here can (sticky bit); None if it can, or does not exist."""
    mine, parent = os.geteuid(), os.fstat(folder)
    if not parent.st_mode & stat.S_ISVTX or mine in (0, parent.st_uid):
        return None
    try:
        owner = os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid
    except OSError:
        return None
    if owner == mine:
        return None
    return f"it belongs to {user_named(owner)}, and in this folder (sticky) only its owner can move it: chmod -t the folder"


def user_named(uid: int) -> str:
    """A user for people: the name or, if there is none, the number."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user number {uid}"
