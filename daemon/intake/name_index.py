"""The names in a folder with their histories and families, in a form that can be changed."""

from dataclasses import replace

from daemon.intake.memory import FolderMemory
from daemon.intake.names import Label, Role, classify
from daemon.intake.settle import History


class NameIndex:
    """The names of one folder: starts from a memory, and returns the memory after the changes.

    Attributes:
        histories: by name; those of indexed names may be replaced.
        families: names by family.
    """

    def __init__(self, memory: FolderMemory) -> None:
        self._memory = memory
        self.histories = dict(memory.histories)
        self.families = dict(memory.families)
        self._roles: dict[Role, int] = dict(memory.roles)

    def label(self, name: bytes) -> Label:
        """What a name means in this folder. It is computed each time: storing it would more than double the memory per file."""
        return classify(name, in_inbox=not self._memory.name)

    def enter(self, name: bytes, history: History) -> Label:
        """Add a new name."""
        label = self.label(name)
        self.histories[name] = history
        self.families[label.family] = (*self.families.get(label.family, ()), name)
        self._roles[label.role] = self._roles.get(label.role, 0) + 1
        return label

    def leave(self, name: bytes) -> Label:
        """Remove a name."""
        label = self.label(name)
        del self.histories[name]
        self._roles[label.role] -= 1
        if left := tuple(other for other in self.families[label.family] if other != name):
            self.families[label.family] = left
        else:
            del self.families[label.family]
        return label

    def closed(self) -> FolderMemory:
        """The memory with these names."""
        return replace(self._memory, histories=self.histories, families=self.families, roles=self._roles)
