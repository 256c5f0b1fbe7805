"""Turns facts about the machine into findings: formats, weights, device, sandbox."""

from collections.abc import Iterator
from typing import cast

from daemon.contract.commands import as_code, command
from daemon.doctor.model import Facts, Finding
from daemon.platform.packages import how_to_install
from daemon.platform.reach import HINT
from daemon.settings.layout import set_up_again


def program(facts: Facts) -> Finding:
    """The finding about the program's interpreter."""
    if facts.barred:
        sentence = f"No worker and no service can be started: {facts.barred}."
        return Finding(area="program", grade="problem", sentence=sentence, hint=HINT)
    return Finding(area="program", grade="ok", sentence=f"Python {facts.python}.")


def formats(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about formats that this machine cannot write."""
    for each in facts.unwritable:
        sentence = f"The format {each.word} cannot be written, because the package {each.package} is not installed."
        hint = f"If you want this format, install the package: {how_to_install(each.package)}"
        yield Finding(area="program", grade="note", sentence=sentence, hint=hint)


def videos(facts: Facts) -> Iterator[Finding]:
    """Yield the finding about the encoder of videos."""
    if facts.no_h264 is None:
        return
    configured = facts.settings.get("ffmpeg", "auto")
    named, install = configured not in ("auto", "off"), "install ffmpeg with libx264, or name it in the settings (worker.ffmpeg)"
    if facts.no_h264 == "off":
        why, install = "worker.ffmpeg is off", "set worker.ffmpeg to auto in the settings"
    elif named and facts.no_h264 == "missing":
        why = f"worker.ffmpeg names {configured}, which is not there or cannot be started"
        install = "correct worker.ffmpeg in the settings, or set it to auto"
    elif facts.no_h264 == "missing":
        why = "no ffmpeg was found"
    else:
        why = f"{configured if named else 'the ffmpeg that was found'} has no encoder for H.264 (libx264)"
        install = "install ffmpeg with libx264, and name it in the settings (worker.ffmpeg)"
    sentence = f"Videos are written as VP9, which not every program plays, because {why}."
    yield Finding(area="program", grade="note", sentence=sentence, hint=f"If you want H.264, {install}. Restart the daemon.")


def after_jobs(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about deliveries and hooks."""
    if facts.deliveries is not None:
        sentence = f"The folder for deliveries is missing: {facts.deliveries}. Results wait in the outbox until it is there."
        hint = "Connect its disk, make the folder, or change deliver.folder in the settings."
        yield Finding(area="settings", grade="problem", sentence=sentence, hint=hint)
    if facts.deliveries_guarded:
        sentence = (
            f"The folder for deliveries lies in {facts.deliveries_guarded}, which macOS protects: a service may not write there."
        )
        hint = "Allow it in System Settings, Privacy & Security, Files and Folders; or choose another deliver.folder."
        yield Finding(area="settings", grade="note", sentence=sentence, hint=hint)
    for name in facts.hooks:
        sentence = f"The program {name} of a hook cannot be started: it is missing, or not executable."
        yield Finding(
            area="settings", grade="problem", sentence=sentence, hint="Correct hooks in the settings, or make it executable."
        )


def weights(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the models and their weights."""
    if facts.models.failure or not isinstance(facts.models.value, list):
        sentence = f"The models cannot be listed: {facts.models.failure or 'no list was given'}."
        yield Finding(area="weights", grade="problem", sentence=sentence, hint=f"Run it to see more: {command('models', 'list')}")
        return
    models = cast("list[dict[str, object]]", facts.models.value)
    broken = False
    verified = cast("list[dict[str, object]]", facts.verified.value) if isinstance(facts.verified.value, list) else []
    if facts.verified.failure:
        sentence = f"The weights cannot be checked: {facts.verified.failure}."
        yield Finding(
            area="weights", grade="problem", sentence=sentence, hint=f"Run it to see more: {command('models', 'verify')}"
        )
        broken = True
    for each in verified:
        if not each["ok"]:
            broken = True
            hint = f"Fetch it again: {_fetch(each['name'])}"
            yield Finding(area="weights", grade="problem", sentence=f"{each['name']}: {each['says']}", hint=hint)
    for each in models:
        if each["state"] in ("partly fetched", "other revision"):
            hint = f"Continue with: {_fetch(each['name'])}"
            yield Finding(area="weights", grade="note", sentence=f"The model {each['name']} is {each['state']}.", hint=hint)
    there = [str(each["name"]) for each in verified if each["ok"]]
    depth = [each for each in models if each["use"] == "depth"]
    if not any(each["name"] in there for each in depth):
        default = next((each["name"] for each in depth if each["default"]), None)
        sentence = "No depth model is installed: the depth of photos without depth data is estimated without a model."
        hint = f"Fetch one: {_fetch(default)}" if default else f"See: {command('models', 'list')}"
        yield Finding(area="weights", grade="note", sentence=sentence, hint=hint)
    elif not broken:
        yield Finding(
            area="weights", grade="ok", sentence=f"Installed, and unchanged since they were fetched: {', '.join(there)}."
        )


def _fetch(name: object) -> str:
    return command("models", "fetch", str(name))


def device(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the device on which models run."""
    answer = facts.devices.value
    if facts.devices.failure or not isinstance(answer, dict):
        sentence = f"The devices cannot be checked: {facts.devices.failure or 'no answer was given'}."
        yield Finding(
            area="device", grade="problem", sentence=sentence, hint=f"Set the program up again: {as_code(set_up_again())}"
        )
        return
    if answer.get("error"):
        sentence = f"PyTorch cannot be loaded: {answer['error']}."
        hint = f"Set the program up again ({as_code(set_up_again())}); without it, only pictures that need no model can be done."
        yield Finding(area="device", grade="problem", sentence=sentence, hint=hint)
        return
    working = [name for name in ("cuda", "mps") if answer.get(name) is True]
    for name in ("cuda", "mps"):
        if isinstance(answer.get(name), str):
            sentence = f"The device {name} is there but does not work: {answer[name]}."
            yield Finding(
                area="device", grade="note", sentence=sentence, hint="Models run on the CPU; see the driver's documentation."
            )
    wanted = facts.settings.get("device")
    if wanted in ("cuda", "mps") and wanted not in working:
        sentence = f"worker.device is {wanted}, but this machine has none that works."
        yield Finding(area="device", grade="problem", sentence=sentence, hint="Set worker.device: auto (or cpu) in the settings.")
        return
    used = "cpu" if wanted == "cpu" or not working else working[0] if wanted == "auto" else wanted
    sentence = f"Models run on {used} (PyTorch {answer.get('torch')}, {answer.get('threads')} threads)."
    yield Finding(area="device", grade="ok", sentence=sentence)


def sandbox(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the sandbox around the workers."""
    if facts.settings.get("sandbox") == "off":
        sentence = "The sandbox is off: a picture made to attack a decoder could do whatever the daemon may."
        yield Finding(
            area="sandbox",
            grade="note",
            sentence=sentence,
            hint="Set worker.sandbox: auto in the settings, and restart the daemon.",
        )
    elif facts.not_prevented:
        sentence = f"This system cannot keep workers from {'; '.join(facts.not_prevented)}."
        yield Finding(
            area="sandbox",
            grade="note",
            sentence=sentence,
            hint="A newer system can; until then a picture made to attack a decoder could do that.",
        )
    else:
        yield Finding(area="sandbox", grade="ok", sentence="Workers have no network and limited access to files.")
