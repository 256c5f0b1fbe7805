"""Checks that a result is what the worker reported, before it is published.

The worker is not trusted: its files are counted, measured and hashed, and only regular files are allowed.
"""

import os
from collections.abc import Iterator

from pydantic import ValidationError

from daemon.contract.manifest import Manifest
from daemon.contract.messages import MAX_FILES, Result
from daemon.contract.names import to_bytes, to_text
from daemon.contract.words.validation import in_words
from daemon.errors import OutputTooLarge, WorkerCrashed
from daemon.fs import FileSystem, TreeEntry

_MAX_MANIFEST_BYTES = 4 << 20
_MAX_DEPTH = 8


def check_result(fs: FileSystem, attempt: bytes, result: Result, *, max_bytes: int) -> None:
    """Check a result as `checking_result` does, but without pauses."""
    for _ in checking_result(fs, attempt, result, max_bytes=max_bytes):
        pass


def checking_result(fs: FileSystem, attempt: bytes, result: Result, *, max_bytes: int) -> Iterator[None]:
    """Check the files in `<attempt>/result/` against the worker's result and its manifest, in small steps.

    Reading a result may take long, so this yields every few milliseconds, for callers with other work to do.

    Args:
        fs: the disk.
        attempt: the folder that contains `result/`.
        result: what the worker reported.
        max_bytes: the largest disk space that the files may take together.

    Raises:
        WorkerCrashed: the files do not match; the message says how.
        OutputTooLarge: the files are larger than allowed.
    """
    try:
        files = dict(_files(fs, os.path.join(attempt, b"result")))
    except OSError as error:
        raise WorkerCrashed(f"the worker reported a result, but its folder cannot be read: {error.strerror}") from error
    sizes = {name: below.size for name, below in files.items()}
    if to_bytes(result.manifest) not in sizes:
        raise WorkerCrashed(f"the layer manifest {result.manifest} is not among the files of the result")
    if (total := sum(below.charge for below in files.values())) > max_bytes:
        raise OutputTooLarge(f"the result has {total:,} bytes; {max_bytes:,} are allowed")
    listed = {to_bytes(output.path): output for output in result.outputs}
    if len(listed) < len(result.outputs):
        raise WorkerCrashed("the worker reported a file twice")
    if extra := sizes.keys() - listed.keys() - {to_bytes(result.manifest)}:
        raise WorkerCrashed(f"the result has a file that the worker did not report: {to_text(min(extra))}")
    hashes: dict[str, str] = {}
    for path, output in listed.items():
        if sizes.get(path) != output.bytes:
            found = "missing" if path not in sizes else f"{sizes[path]} bytes"
            raise WorkerCrashed(f"{output.path} should have {output.bytes} bytes, but is {found}")
        for digest in fs.digest_in_pieces(os.path.join(attempt, path)):
            if digest is not None:
                hashes[output.path] = digest
            yield
        if hashes.get(output.path) != output.sha256:
            raise WorkerCrashed(f"{output.path} is not what the worker said it wrote (its checksum differs)")
    _check_manifest(fs, attempt, result, hashes)


def _check_manifest(fs: FileSystem, attempt: bytes, result: Result, hashes: dict[str, str]) -> None:
    try:
        manifest = Manifest.model_validate_json(fs.read(os.path.join(attempt, to_bytes(result.manifest)), _MAX_MANIFEST_BYTES))
    except (OSError, ValidationError) as error:
        raise WorkerCrashed(f"the layer manifest {result.manifest} cannot be read", detail=in_words(error)) from error
    folder = os.path.dirname(result.manifest)
    for layer in manifest.layers:
        if hashes.get(f"{folder}/{layer.file}") != layer.sha256:
            raise WorkerCrashed(f"the manifest names {layer.file}, but the file that is there is another one")


def _files(fs: FileSystem, folder: bytes) -> Iterator[tuple[bytes, TreeEntry]]:
    """Yield each file: its path relative to the attempt, and its properties.

    Raises:
        WorkerCrashed: there is something that is neither a file nor a folder, or too many files or levels of folders.
    """
    for number, below in enumerate(fs.tree(folder), start=1):
        name = os.path.join(os.path.basename(folder), *below.trail, below.name)
        if below.kind not in ("file", "directory"):
            raise WorkerCrashed(f"the result contains something that is not a file: {to_text(name)}")
        if below.kind == "directory" and len(below.trail) >= _MAX_DEPTH:
            raise WorkerCrashed(f"the folders of the result are nested more than {_MAX_DEPTH} deep")
        if number > MAX_FILES:
            raise WorkerCrashed(f"the result has more than {MAX_FILES} files")
        if below.kind == "file":
            yield name, below
