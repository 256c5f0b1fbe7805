"""Intake: from what was seen before, what is seen now and the time, decides what can be taken and why the rest waits.

This is the functional core of the hot folder. It opens nothing, reads no clock and touches no file.
"""

from daemon.intake.judge import Taken
from daemon.intake.memory import Memory
from daemon.intake.model import INBOX, Control, Entry, Finished, Folder, Hint, Late, Look, Ready, Waiting
from daemon.intake.round_robin import round_robin
from daemon.intake.rules import Rules
from daemon.intake.step import Decision, awaits_rest, batch_under_way, grew, lacks_end, names_due, put_back, recall, step, taken

__all__ = [
    "INBOX",
    "Control",
    "Decision",
    "Entry",
    "Finished",
    "Folder",
    "Hint",
    "Late",
    "Look",
    "Memory",
    "Ready",
    "Rules",
    "Taken",
    "Waiting",
    "awaits_rest",
    "batch_under_way",
    "grew",
    "lacks_end",
    "names_due",
    "put_back",
    "recall",
    "round_robin",
    "step",
    "taken",
]  # fmt: skip
