"""Before a result is published: is it really what the worker says it is?

A worker's word is not enough: its files are counted, measured and hashed, and nothing but plain files may be there.
"""

import os

from pydantic import ValidationError

from daemon.contract.manifest import Manifest
from daemon.contract.messages import MAX_FILES, Result
from daemon.contract.names import to_bytes, to_text
from daemon.errors import OutputTooLarge, WorkerCrashed
from daemon.fs import FileSystem

_MAX_MANIFEST_BYTES = 4 << 20
_MAX_DEPTH = 8


def check_result(fs: FileSystem, attempt: bytes, result: Result, *, max_bytes: int) -> None:
    """Check the files in `<attempt>/result/` against the worker's result and its manifest.

    Raises:
        WorkerCrashed: they do not agree; says in what.
        OutputTooLarge: together they are larger than allowed.
    """
    try:
        sizes = dict(_files(fs, os.path.join(attempt, b"result"), b"result"))
    except OSError as error:
        raise WorkerCrashed(f"the worker reported a result, but its folder cannot be read: {error.strerror}") from error
    if to_bytes(result.manifest) not in sizes:
        raise WorkerCrashed(f"the layer manifest {result.manifest} is not among the files of the result")
    if sum(sizes.values()) > max_bytes:
        raise OutputTooLarge(f"the result has {sum(sizes.values()):,} bytes; {max_bytes:,} are allowed")
    listed = {to_bytes(output.path): output for output in result.outputs}
    if extra := sizes.keys() - listed.keys() - {to_bytes(result.manifest)}:
        raise WorkerCrashed(f"the result has a file that the worker did not report: {to_text(min(extra))}")
    hashes: dict[str, str] = {}
    for path, output in listed.items():
        if sizes.get(path) != output.bytes:
            found = "missing" if path not in sizes else f"{sizes[path]} bytes"
            raise WorkerCrashed(f"{output.path} should have {output.bytes} bytes, but is {found}")
        hashes[output.path] = fs.digest(os.path.join(attempt, path))
        if hashes[output.path] != output.sha256:
            raise WorkerCrashed(f"{output.path} is not what the worker said it wrote (its checksum differs)")
    _check_manifest(fs, attempt, result, hashes)


def _check_manifest(fs: FileSystem, attempt: bytes, result: Result, hashes: dict[str, str]) -> None:
    try:
        manifest = Manifest.model_validate_json(fs.read(os.path.join(attempt, to_bytes(result.manifest)), _MAX_MANIFEST_BYTES))
    except (OSError, ValidationError) as error:
        raise WorkerCrashed(f"the layer manifest {result.manifest} cannot be read", detail=str(error)) from error
    folder = os.path.dirname(result.manifest)
    for layer in manifest.layers:
        if hashes.get(f"{folder}/{layer.file}") != layer.sha256:
            raise WorkerCrashed(f"the manifest names {layer.file}, but the file that is there is another one")


def _files(fs: FileSystem, path: bytes, relative: bytes, depth: int = 0) -> list[tuple[bytes, int]]:
    """(path relative to the attempt, size) of all files below; anything but files and a few levels of folders is refused."""
    found: list[tuple[bytes, int]] = []
    if depth > _MAX_DEPTH:
        raise WorkerCrashed(f"the folders of the result are nested more than {_MAX_DEPTH} deep")
    for entry in fs.scan(path):
        child, name = os.path.join(path, entry.name), os.path.join(relative, entry.name)
        if entry.kind == "directory":
            found += _files(fs, child, name, depth + 1)
        elif entry.kind == "file":
            found.append((name, fs.lstat(child).size))
        else:
            raise WorkerCrashed(f"the result contains something that is not a file: {to_text(name)}")
        if len(found) > MAX_FILES:
            raise WorkerCrashed(f"the result has more than {MAX_FILES} files")
    return found
