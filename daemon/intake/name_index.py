"""A mutable copy of the names in a folder, with their histories and families."""

from dataclasses import replace

from daemon.intake.memory import FolderMemory
from daemon.intake.names import Label, Role, classify
from daemon.intake.settle import History


class NameIndex:
    """The names of one folder. It starts from a memory; after the changes, `closed` returns the new memory.

    Attributes:
        histories: the history of each name. The caller may replace a history, but must use the methods to add or remove names.
        families: names by family.
    """

    def __init__(self, memory: FolderMemory) -> None:
        self._memory = memory
        self.histories = dict(memory.histories)
        self.families = dict(memory.families)
        self._roles: dict[Role, int] = dict(memory.roles)

    def label(self, name: bytes) -> Label:
        """What a name means in this folder. The label is not stored: that would more than double the memory per file."""
        return classify(name, in_inbox=not self._memory.name)

    def enter(self, name: bytes, history: History) -> Label:
        """Add a name, and return its label."""
        label = self.label(name)
        self.histories[name] = history
        self.families[label.family] = (*self.families.get(label.family, ()), name)
        self._roles[label.role] = self._roles.get(label.role, 0) + 1
        return label

    def leave(self, name: bytes) -> Label:
        """Remove a name, and return its label."""
        label = self.label(name)
        del self.histories[name]
        self._roles[label.role] -= 1
        if left := tuple(other for other in self.families[label.family] if other != name):
            self.families[label.family] = left
        else:
            del self.families[label.family]
        return label

    def closed(self) -> FolderMemory:
        """The memory after the changes."""
        return replace(self._memory, histories=self.histories, families=self.families, roles=self._roles)
