"""Intake decides, from the scans so far and the time, which pictures can be taken and why all other files wait.

This is the functional core of the hot folder. It opens no file and reads no clock.
"""

from daemon.intake.judge import Taken
from daemon.intake.memory import Memory
from daemon.intake.model import INBOX, Control, Entry, Finished, Folder, Hint, Late, Ready, Scan, Waiting
from daemon.intake.order import round_robin
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
    "Memory",
    "Ready",
    "Rules",
    "Scan",
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
]
