"""What is in the inbox and is no file of its own: links, pipes, sockets, devices, locked files. It is never opened. Pure."""

from daemon.intake.model import Kind

HARD_LINK = "a hard link: the file has a second name, under which it can still change: put a copy of it here instead"
#: What each kind is, and what to do. The reason follows the name of the file.
REFUSED: dict[Kind, str] = {
    "symlink": "a symbolic link, which is not followed: put a copy of what it points to here instead",
    "fifo": "a named pipe, not a file: remove it, and save the picture as a file",
    "socket": "a socket, not a file: remove it",
    "device": "a device, not a file: remove it, and save the picture as a file",
    "locked": "locked: choose Get Info in Finder and untick Locked",
    "unreadable": "cannot be read: check that its disk is connected and that you may read the folder, or drop the file again",
}
