"""A preset or batch file that could not be read for a moment is read again; a wrong one waits for a person."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.claiming import control_files
from daemon.fs import Wanted, read_at
from daemon.intake import Memory, Rules, step
from daemon.watch import Scanner

RULES = Rules(settle_local=2, preset_grace=0, batch_quiet=0)


class Inbox:
    """The scanner and intake over a real folder, with a manual clock."""

    def __init__(self, path: Path) -> None:
        self.scanner = Scanner(os.fsencode(path), network=False, read_control=control_files.read_control)
        self.decision = step(Memory(rules=RULES), self.scanner.scan(0.0))

    def at(self, now: float) -> None:
        """The scan that intake requests for that time, and no other."""
        look = self.scanner.scan_names(now, self.decision.due_names)
        self.decision = step(self.decision.memory, look)

    @property
    def ready(self) -> list[bytes]:
        return [one.image.name for one in self.decision.ready]

    @property
    def reasons(self) -> set[str]:
        return {one.reason for one in self.decision.waiting}


class Refusing:
    """The real read, which raises one error each time until that is switched off."""

    code: int | None = None

    def __call__(self, folder: int, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
        if self.code is not None:
            raise OSError(self.code, os.strerror(self.code), name)
        return read_at(folder, name, limit, wanted)


@pytest.mark.parametrize("name", ["_preset.yaml", "job.yaml"])
@pytest.mark.parametrize("code", [errno.EBUSY, errno.EDEADLK, errno.ESTALE, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_an_error_that_passes_is_over_when_it_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_text("num_layers: 3\n")
    (tmp_path / "folder" / "a.jpg").write_bytes(b"x")
    disk = Refusing()
    disk.code = code
    monkeypatch.setattr(control_files, "read_at", disk)
    inbox = Inbox(tmp_path)
    inbox.at(10.0)
    assert inbox.ready == []
    assert inbox.reasons == {f"{name} cannot be read now: {os.strerror(code)}"}
    assert inbox.decision.check_again_at == pytest.approx(15.0)
    assert any(item.will_resolve for item in inbox.decision.waiting)
    inbox.at(15.0)
    assert inbox.ready == []
    disk.code = None
    inbox.at(20.0)
    inbox.at(20.1)  # of a picture that could not be taken yet the second look is made now
    assert (inbox.ready, inbox.reasons) == ([b"a.jpg"], set())


def test_what_is_wrong_in_the_file_waits_for_a_person(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "_preset.yaml").write_text("num_layers: [\n")
    (tmp_path / "folder" / "a.jpg").write_bytes(b"x")
    inbox = Inbox(tmp_path)
    inbox.at(10.0)
    assert not any(item.will_resolve for item in inbox.decision.waiting)
    assert inbox.decision.check_again_at is None


_CHMOD = """
import encodings.utf_8_sig, os, sys, tempfile  # what is imported late may be out of reach then
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.process.test_controls_read_again import Inbox
if os.getuid() == 0:  # whom no mode stops
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with tempfile.TemporaryDirectory() as made:
    folder = Path(made, "folder")
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    preset = folder / "_preset.yaml"
    preset.write_text("num_layers: 3")
    preset.chmod(0)
    inbox = Inbox(Path(made))
    inbox.at(10.0)
    assert inbox.reasons == {"_preset.yaml cannot be read now: Permission denied"}, inbox.reasons
    preset.chmod(0o644)
    inbox.at(15.0)
    inbox.at(15.1)
    assert (inbox.ready, inbox.reasons) == ([b"a.jpg"], set()), (inbox.ready, inbox.reasons)

    folder.chmod(0)
    inbox.scanner.scan(20.0)
    assert inbox.scanner.exchanged() == {b"folder"}
    folder.chmod(0o755)
    inbox.scanner.scan_names(25.0, {}, inbox.scanner.exchanged())
    assert inbox.scanner.exchanged() == set()
"""


def test_rights_that_come_back_are_noticed_without_a_touch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHMOD], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=100
    )
    assert done.returncode == 0, done.stderr
