"""The modes of new files and folders. The umask takes away from them, and a folder's setgid bit and access list add to them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Modes:
    """The mode that a new file and a new folder ask for."""

    file: int
    folder: int


#: What people share: the umask of the daemon decides, as for every other program.
SHARED = Modes(0o666, 0o777)
#: The daemon's own: nobody else may ever write it, whatever the umask.
OWN = Modes(0o644, 0o755)
