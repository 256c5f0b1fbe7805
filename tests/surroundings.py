"""Runs the test suite in other environments: other processors, homes, languages, users, folders.

`python -m tests.surroundings` runs the whole suite once in each of `CASES`. With names of cases, it runs only these. With
`-- FILES`, it runs these test files instead of all. Each case gets a copy of the checkout with its own virtual environment, since
the daemon and its workers find their files relative to themselves and clear most of the environment. Exits 1 if a run failed.
"""

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.programs import write_pth

ROOT = Path(__file__).resolve().parent.parent
#: A user without rights and without a home, on Linux and on macOS.
NOBODY = "nobody"
#: A value for HOME: a folder that does not exist, and that only root can make.
NO_HOME = "closed/home"

#: A module for the copy's site-packages, so that each of its processes, sandboxed workers included, sees another processor. It
#: changes torch only after torch is imported, because most processes never import it.
_PROCESSOR = """
import importlib.abc, importlib.util, os, sys

CORES, ABLE = {cores!r}, {able!r}
if CORES:
    os.cpu_count = lambda: CORES

class _AfterImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "torch.cpu":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.get_capabilities = lambda: dict.fromkeys(("avx2", "avx512_f", "avx512_bf16", "amx_bf16"), ABLE)
        spec.loader.exec_module = exec_module
        return spec

if ABLE is not None:
    sys.meta_path.insert(0, _AfterImport())
"""


@dataclass(frozen=True)
class Case:
    """A machine that differs from this one.

    Attributes:
        environment: variables to set, or to remove if None. The values of HOME and TMPDIR are relative to the case's folder.
        folder: the name of the checkout's folder.
        cores: how many cores the program sees; 1 also binds it to one core. None: those of this machine.
        bfloat16: whether the processor computes in bfloat16. None: what this one does.
        user: who runs the tests. It has an effect only if root starts them. None: the same user.
        umask: the umask of all processes. None: the same.
        samples: whether the sample pictures are beside the checkout.
    """

    environment: Mapping[str, str | None] = field(default_factory=dict)
    folder: str = "checkout"
    cores: int | None = None
    bfloat16: bool | None = None
    user: str | None = None
    umask: int | None = None
    samples: bool = False


CASES: Mapping[str, Case] = {
    "no bfloat16": Case(bfloat16=False),
    "bfloat16": Case(bfloat16=True),
    "one core": Case(cores=1),
    "sixteen cores": Case(cores=16),
    "nobody": Case(user=NOBODY, environment={"HOME": NO_HOME}),
    "no home": Case(environment={"HOME": None, "XDG_CONFIG_HOME": None, "XDG_STATE_HOME": None, "XDG_CACHE_HOME": None}),
    "plain C": Case(environment={"LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Kiritimati"}),
    "German": Case(environment={"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns"}),
    "private umask": Case(umask=0o077),
    "other TMPDIR": Case(environment={"TMPDIR": "tmp with a space é"}),
    "odd path": Case(folder="Fotos für Anna"),
    "samples beside it": Case(samples=True),
    # Two cases that combine many differences; `make test` runs a few files in them.
    "bare": Case(
        {"HOME": None, "LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "TMPDIR": "tmp with a space é"},
        folder="Fotos für Anna", cores=1, bfloat16=False, user=NOBODY, umask=0o077,
    ),
    "crowded": Case(
        {"HOME": NO_HOME, "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns"},
        cores=16, bfloat16=True, umask=0o002,
    ),
}  # fmt: skip


#: How pytest is run in a copy: without a cache, since the copy is removed.
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


class NoInterpreterError(Exception):
    """This machine has no Python of this version that the user of a case may run."""


class Machine:
    """A copy of the checkout whose processes see another machine."""

    def __init__(self, case: Case, base: Path) -> None:
        """Copy the checkout into `base`, an empty folder that everybody may enter."""
        self._case = case
        self._checkout = base / case.folder
        self._python = _copy(case, self._checkout)
        self._environment = _environment(case, base)
        if case.user and os.geteuid() == 0:
            closed = (base / NO_HOME).parent
            for part in (base, *base.rglob("*")):
                if part != closed and not part.is_symlink():
                    shutil.chown(part, case.user)

    def run(self, *arguments: str, output: int | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run Python in the copy.

        Args:
            arguments: of Python.
            output: where its output goes, as for subprocess; None: where that of this process goes.
        """
        return subprocess.run(
            [*_as_one_core(self._case), *_as_user(self._case), self._python, "-P", *arguments],
            cwd=self._checkout,
            env=self._environment,
            umask=-1 if self._case.umask is None else self._case.umask,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            check=False,
        )


@contextlib.contextmanager
def machine(case: Case) -> Iterator[Machine]:
    """Make another machine, which is removed when the context ends.

    Raises:
        NoInterpreterError: the case's user may not run a Python here.
    """
    with tempfile.TemporaryDirectory(prefix="surroundings-", ignore_cleanup_errors=True) as base:
        Path(base).chmod(0o755)
        yield Machine(case, Path(base))


def _copy(case: Case, checkout: Path) -> Path:
    """Copy the files that git lists, and make a virtual environment that uses this one's packages. Returns its Python."""
    names = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout  # fmt: skip
    for name in filter(None, names.split(b"\0")):
        source, target = ROOT / os.fsdecode(name), checkout / os.fsdecode(name)
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    if case.samples and (samples := ROOT.parent / "shared").is_dir():
        (checkout.parent / "shared").symlink_to(samples)
    venv = checkout / ".venv"
    subprocess.run([_interpreter(case), "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    own = Path(_told(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    ours = [path for path in sys.path if os.path.basename(path) == "site-packages"]
    write_pth(own / "borrowed.pth", ours, "import other_processor")
    (own / "other_processor.py").write_text(_PROCESSOR.format(cores=case.cores, able=case.bfloat16))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", "--no-build-isolation", "-e", checkout],
        check=True,
    )
    return python


def _interpreter(case: Case) -> str:
    """The Python that this one comes from; or the system's, if the first is in a home that the case's user may not enter."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (os.path.realpath(sys.executable), shutil.which(version, path="/usr/bin:/usr/local/bin") or ""):
        tried = subprocess.run([*_as_user(case), "env", path, "-c", "import encodings, venv"], capture_output=True, check=False)
        if path and tried.returncode == 0:
            return path
    raise NoInterpreterError(f"{case.user} may run no {version} on this machine")


def _told(python: Path, program: str) -> str:
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def _environment(case: Case, base: Path) -> dict[str, str]:
    environment = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": ""}
    for name, value in case.environment.items():
        environment.pop(name, None)
        if name == "TMPDIR" and value:
            (base / value).mkdir()
        if name == "HOME" and value:
            (base / value).parent.mkdir(mode=0o755)
        if name in ("TMPDIR", "HOME") and value:
            value = str(base / value)
        if value is not None:
            environment[name] = value
    if not case.samples:
        environment.pop("SAMPLE_PICTURES", None)
    return environment


def _as_one_core(case: Case) -> list[str]:
    return ["taskset", "-c", "0"] if case.cores == 1 and shutil.which("taskset") else []


def _as_user(case: Case) -> list[str]:
    if case.user is None or os.geteuid() != 0:
        return []
    group = grp.getgrgid(pwd.getpwnam(case.user).pw_gid).gr_name
    return ["setpriv", f"--reuid={case.user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all", "--"]


def main(arguments: list[str]) -> int:
    """Run the cases and print a table. Returns the exit status."""
    if not (ROOT / ".git").exists():
        print(f"{ROOT} is not a git checkout, and only git knows which files belong to it. Run this in a clone.", file=sys.stderr)
        return 2
    end = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, files = arguments[:end] or list(CASES), arguments[end + 1 :]
    if unknown := [name for name in chosen if name not in CASES]:
        print(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    table = []
    for name in chosen:
        begin = time.monotonic()
        print(f"=== {name}", flush=True)
        try:
            with machine(CASES[name]) as elsewhere:
                status = elsewhere.run(*PYTEST, "-n", "4", "--dist", "loadfile", *files).returncode
            said = "passed" if status == 0 else f"FAILED ({status})"
        except NoInterpreterError as reason:
            status, said = 0, f"not run: {reason}"
        table.append((name, status, said, time.monotonic() - begin))
    print("\nsurroundings: the suite elsewhere")
    for name, _, said, seconds in table:
        print(f"surroundings: {name:<20} {said:<12} {seconds:5.0f} s")
    return int(any(status for _, status, _, _ in table))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
