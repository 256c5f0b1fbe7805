"""The times and sizes of intake, each with its reason. All of them can be overridden by building another `Rules`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient intake is. All times in seconds.

    Attributes:
        settle_local: the same fingerprint for so long on a local disk; longer than programs pause between two writes.
        settle_network: the same on a network file system, whose clients hold back sizes and times for a few seconds.
        settle_closed: the same after a rename, or after a close in a folder whose writers close once; others close and reopen
            with pauses of 0.2 to 4 s (scanners, converters).
        once_needed: so many pictures in a row must have been closed once: whoever closes several times does it with each.
        reopened_within: a picture that comes under the name of one that was taken so short a time ago may be its rest, written by
            a program that opened the name anew.
        settle_ceiling: what doubling the settle time ends at.
        patience: for so long a doubled settle time is kept after a file grew again.
        preset_grace: a picture alone is taken with a preset only then, so that its own sidecar may still come.
        batch_quiet: nothing came to or changed in a batch folder for so long; Finder copies files one after another.
        copy_hold: a birth time that says "copy under way" can stay on finished files; it is believed for so long without change.
        empty_sidecar_hold: an empty sidecar means "all defaults", or that its writer has only just begun.
        empty_hold: a picture without a byte is taken, and fails, only then.
        lonely_notice: a picture that has waited for its sidecar for so long is worth one notice.
        batch_farewell: a batch folder that has been without pictures for so long is done.
        hard_link_hold: a program may link a file in and remove its own name a moment later; for so long that is looked at again.
        look_spacing: looks for files that come to rest are no closer than this, so that many of them share one look.
        outside_pause: how often something is looked at again that nobody will tell about (a download, another program).
        late_within: a sidecar that comes so long after a picture of its name was taken has nothing to do with that one.
        late_grace: a sidecar must have been alone for so long before it is reported as late; its picture may be on the way.
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
    batch_farewell: float = 60.0
    hard_link_hold: float = 60.0
    look_spacing: float = 0.05
    outside_pause: float = 5.0
    late_within: float = 3600.0
    late_grace: float = 30.0
