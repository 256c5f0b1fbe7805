"""The names in a folder, their histories and their families, opened to be changed."""

from dataclasses import replace

from daemon.intake.memory import FolderMemory
from daemon.intake.names import Label, Role, classify
from daemon.intake.settle import History


class NameIndex:
    """The roll of one folder: begins as a memory has it, and gives the memory after the changes.

    Attributes:
        histories: by name; those of names that are on the roll may be replaced.
        families: names by family.
    """

    def __init__(self, memory: FolderMemory) -> None:
        self._memory = memory
        self.histories = dict(memory.histories)
        self.families = dict(memory.families)
        self._roles: dict[Role, int] = dict(memory.roles)

    def label(self, name: bytes) -> Label:
        """What a name means in this folder. Made anew each time: kept, it would be most of what a waiting file costs."""
        return classify(name, in_inbox=not self._memory.name)

    def enter(self, name: bytes, history: History) -> Label:
        """Put a new name on the roll."""
        label = self.label(name)
        self.histories[name] = history
        self.families[label.family] = (*self.families.get(label.family, ()), name)
        self._roles[label.role] = self._roles.get(label.role, 0) + 1
        return label

    def leave(self, name: bytes) -> Label:
        """Strike a name off the roll."""
        label = self.label(name)
        del self.histories[name]
        self._roles[label.role] -= 1
        if left := tuple(other for other in self.families[label.family] if other != name):
            self.families[label.family] = left
        else:
            del self.families[label.family]
        return label

    def closed(self) -> FolderMemory:
        """The memory with this roll."""
        return replace(self._memory, histories=self.histories, families=self.families, roles=self._roles)
