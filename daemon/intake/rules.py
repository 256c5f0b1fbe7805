"""The times and limits of intake, each with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """How long intake waits. All times in seconds.

    Attributes:
        settle_local: how long a fingerprint must stay the same on a local disk; longer than programs pause between two writes.
        settle_network: the same on a network file system, which may report new sizes and times a few seconds late.
        settle_closed: the same after a rename, or after a close in a folder whose writers close each picture once. Other writers
            (scanners, converters) close and reopen with pauses of 0.2 to 4 s.
        once_needed: how many pictures in a row must have been closed just once before we assume that writers in that folder
            always close just once. A program that closes a picture several times does that with every picture.
        reopened_within: if a picture appears within this time under the name of a taken picture, it may be the rest of that
            picture: a program may have opened the name again.
        settle_ceiling: the maximum to which settle times can double.
        patience: how long a doubled settle time lasts after a file grew again.
        preset_grace: how long a picture waits for a sidecar of its own before it is taken with a preset alone.
        batch_quiet: how long a batch folder must be quiet (nothing arrives or changes) before pictures are taken from it;
            Finder copies files one after another.
        copy_hold: how long a birth time that says "copy in progress" is believed while the file does not change. It can remain
            on finished files.
        empty_sidecar_hold: how long an empty sidecar waits: it means "all defaults", or its writer has only just begun.
        empty_hold: how long an empty picture waits before it is taken and fails.
        lonely_notice: how long a picture waits for its sidecar before a notice is given, once.
        batch_done_after: a batch folder is done after it has had no pictures for this long.
        hard_link_hold: how long a hard-linked file is checked again and again: a program may link a file into the inbox and
            remove its own name later.
        check_spacing: the shortest time between checks of files that are settling, so that many files share one check.
        outside_pause: the time between checks of things that the system does not report (a download, another program).
        late_within: if a sidecar arrives later than this after a picture of its name was taken, the two do not belong together.
        late_grace: how long a sidecar must be alone before it is reported as late; a new picture for it may be on the way.
    """

    settle_local: float = 2.0
    settle_network: float = 5.0
    settle_closed: float = 0.5
    once_needed: int = 5
    reopened_within: float = 60.0
    settle_ceiling: float = 60.0
    patience: float = 3600.0
    preset_grace: float = 10.0
    batch_quiet: float = 5.0
    copy_hold: float = 600.0
    empty_sidecar_hold: float = 60.0
    empty_hold: float = 600.0
    lonely_notice: float = 1800.0
    batch_done_after: float = 60.0
    hard_link_hold: float = 60.0
    check_spacing: float = 0.05
    outside_pause: float = 5.0
    late_within: float = 3600.0
    late_grace: float = 30.0
