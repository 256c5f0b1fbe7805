"""check: finds what is wrong with a sidecar or a picture before it is dropped."""

import os
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.common import Home, Json, fs, out, print_json, printable, printable_lines, settings_of
from daemon.cli.exit_status import ExitStatus
from daemon.cli.submitting.missing_parts import missing_depth, missing_weights
from daemon.cli.submitting.plain_faults import plain_fault
from daemon.cli.submitting.unreadable_files import file_fault, read_fault
from daemon.cli.submitting.unwritable_formats import format_fault
from daemon.contract.names import to_text
from daemon.contract.status import ErrorInfo
from daemon.contract.words.printable import in_one_line
from daemon.errors import ImageType, JobError, Refusal, SpecInvalid
from daemon.intake.kinds.unread import reason
from daemon.intake.lookalikes import settings_under_another_name
from daemon.intake.names import BATCH_NAME, PRESET_NAME, classify, key_of
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, JobKind, read, render, resolve


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="YAML files or pictures.", show_default=False, readable=False)
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Check YAML files, presets and pictures without dropping them; exit 1 if one would be refused."""
    settings = settings_of(home)
    results = [(path, _check(path, settings)) for path in files]
    if json:
        print_json([_answer(path, found) for path, found in results])
    else:
        for path, found in results:
            ok, says = isinstance(found, str), _says(found)
            mark = "[green]ok[/]" if ok else "[red]not ok[/]"
            out.print(f"{mark}  {printable(str(path)).replace('[', chr(92) + '[')}")
            out.print(f"    {printable_lines(says)}".replace("\n", "\n    "), markup=False)
    if not all(isinstance(found, str) for _, found in results):
        raise typer.Exit(ExitStatus.FAILED)


def _answer(path: Path, found: str | ErrorInfo) -> dict[str, object]:
    error = None if isinstance(found, str) else found.model_dump(mode="json")
    return {"file": str(path.absolute()), "ok": error is None, "says": _says(found), "error": error}


def _says(found: str | ErrorInfo) -> str:
    if isinstance(found, str):
        return found
    return f"{found.code}: {found.detail if found.code == SpecInvalid.code and found.detail else found.message}\n{found.hint}"


def _check(path: Path, settings: Settings) -> str | ErrorInfo:
    """What a file says, or what is wrong with it."""
    name = os.fsencode(path.name)
    role = classify(name, in_inbox=False).role
    if role != "depth" and (fault := file_fault(path, settings.paths.inbox)) is not None:
        return fault.info()
    if role in ("sidecar", "control"):
        try:
            data = fs.read(os.fsencode(os.path.realpath(path)), MAX_BYTES + 1)
        except OSError as error:
            return read_fault(path, error).info()
        return _check_yaml(path, data, settings)
    if role in ("image", "raw", "depth") and (fault := plain_fault(path, settings)) is not None:
        return fault.info()
    if role == "image":
        return "a picture, judging by its name, its beginning and its end; it is decoded when it is dropped"
    if role == "depth":
        return "a depth picture by its name; drop it beside its photo"
    if role == "raw":
        return (
            f"a camera raw file: with a YAML file of its own ({in_one_line(path.name)}.yaml), the JPEG that the camera stored in "
            "it is layered, if that has the full size; it is better to develop it and export it as TIFF"
        )
    why = settings_under_another_name(name) or reason(key_of(name))
    return ImageType(in_one_line(why), hint="Drop only pictures and their YAML files.").info()


def _check_yaml(path: Path, data: bytes, settings: Settings) -> str | ErrorInfo:
    name = os.fsencode(path.name)
    kinds: dict[str, JobKind] = {PRESET_NAME: "preset", BATCH_NAME: "batch"}
    kind = kinds.get(key_of(name), "pair")
    try:
        found = read(data, name=to_text(name))
        spec = resolve(
            defaults=settings.spec_defaults,
            preset=None if kind == "pair" else found,
            own=found if kind == "pair" else None,
            ceiling_seconds=settings.worker.max_timeout_seconds,
            kind=kind,
            styles=settings.styles,
        )
    except JobError as error:
        mistakes = error.detail if isinstance(error, SpecInvalid) and error.detail else error.message
        correct = "Correct them, and check it again." if "\n" in mistakes else "Correct it, and check it again."
        return error.info().model_copy(update={"hint": correct})
    depth, remarks = missing_depth(spec, path, kind), []
    fault: JobError | None = None
    try:
        fault = format_fault(spec.formats, settings)
    except Refusal as refusal:
        remarks.append(
            f"Not checked: whether a machine of the cluster can write all formats, because {refusal.message.rstrip('.')}."
        )
    fault = fault or missing_weights(spec, settings) or (depth if isinstance(depth, JobError) else None)
    if fault is not None:
        return fault.info()
    if isinstance(depth, str):
        remarks.append(depth)
    return "\n".join((render(spec).decode().rstrip(), *remarks))
