"""Quick Action and droplet: valid property lists with the right keys, installed and removed; others stay untouched."""

import os
import plistlib
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.cli.verbs import quick_action
from daemon.cli.verbs.service import install, uninstall
from daemon.errors import Refusal
from daemon.platform.finder.actions import (
    APPLESCRIPT,
    DOCUMENT,
    DROPLET,
    INFO,
    MARK,
    RESOURCE,
    SHELL,
    WORKFLOW,
    droplet_info,
    is_our_droplet,
    is_our_workflow,
    script,
    workflow,
)
from daemon.platform.service import Facts
from daemon.settings.layout import PROGRAM

AWKWARD = '/Users/me/It\'s "a" home/<&> $HOME `id` é中\\n'
FACTS = Facts(
    python="/Users/me/m p/.venv/bin/python",
    home=AWKWARD,
    errors="/tmp/err",
    environ={"MULTIPLANE_CONFIG": "/Users/me/it's.yaml", "MULTIPLANE_DEFAULTS__STYLE": 'a $b "c"'},
)
#: As osacompile writes it for a droplet, shortened.
COMPILED = {
    "CFBundleAllowMixedLocalizations": True,
    "CFBundleDocumentTypes": [{"CFBundleTypeExtensions": ["*"], "CFBundleTypeOSTypes": ["****"], "CFBundleTypeRole": "Viewer"}],
    "CFBundleExecutable": "droplet",
    "CFBundleIconFile": "droplet",
    "CFBundleName": "Make layers",
    "CFBundlePackageType": "APPL",
    "CFBundleSignature": "dplt",
    "LSRequiresCarbon": True,
}

#: Makes what osacompile makes of a script with an open handler, as far as files go; the script is kept beside for the test.
OSACOMPILE = """#!/bin/sh
set -e
[ "$1" = -o ]
mkdir -p "$2/Contents/MacOS" "$2/Contents/Resources/Scripts"
cp {compiled} "$2/Contents/Info.plist"
cp "$3" "$2/Contents/Resources/Scripts/main.scpt"
"""
CODESIGN = """#!/bin/sh
printf '%s\\n' "$@" > {signed}
"""


@pytest.fixture
def mac(tmp_path, monkeypatch) -> Path:
    """A user's folder, and stand-ins for the programs of a Mac."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "compiled.plist").write_bytes(plistlib.dumps(COMPILED))
    files = {"compiled": shlex.quote(str(tmp_path / "compiled.plist")), "signed": shlex.quote(str(tmp_path / "signed"))}
    for name, text in (("osacompile", OSACOMPILE), ("codesign", CODESIGN)):
        (programs / name).write_text(text.format(**files))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path / "user"


def places(user: Path) -> tuple[Path, Path]:
    return user / "Library" / "Services" / WORKFLOW, user / "Applications" / DROPLET


def every_file(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -- what is written ----------------------------------------------------------------------------------------------------------


def test_finder_offers_the_quick_action_for_pictures() -> None:
    (service,) = plistlib.loads(workflow("x")[INFO])["NSServices"]
    assert service["NSMenuItem"] == {"default": "Make layers"}
    assert service["NSMessage"] == "runWorkflowAsService"
    assert service["NSRequiredContext"] == {"NSApplicationIdentifier": "com.apple.finder"}
    assert service["NSSendFileTypes"] == ["public.image"]


def test_the_workflow_is_one_shell_script_that_gets_the_pictures_as_arguments() -> None:
    shell = script(FACTS, "/out", waits=False)
    document = plistlib.loads(workflow(shell)[DOCUMENT])
    (action,) = document["actions"]
    assert action["action"]["BundleIdentifier"] == "com.apple.RunShellScript"
    assert action["action"]["ActionBundlePath"] == "/System/Library/Automator/Run Shell Script.action"
    parameters = action["action"]["ActionParameters"]
    # 0 would write their names to the script's input, one a line, and a name with a line feed would be two.
    assert parameters["inputMethod"] == 1
    assert parameters["shell"] == "/bin/zsh"
    assert parameters["COMMAND_STRING"] == shell
    about = document["workflowMetaData"]
    assert about["workflowTypeIdentifier"] == "com.apple.Automator.servicesMenu"
    assert about["serviceInputTypeIdentifier"] == "com.apple.Automator.fileSystemObject.image"
    assert about["serviceOutputTypeIdentifier"] == "com.apple.Automator.nothing"
    assert about["serviceApplicationBundleID"] == "com.apple.finder"
    assert document["AMDocumentVersion"] == "2"


def test_the_template_to_be_filled_in_by_hand_says_the_same() -> None:
    by_hand = plistlib.loads((PROGRAM / "launchd" / WORKFLOW / DOCUMENT).read_bytes())
    assert by_hand == plistlib.loads(workflow(SHELL.read_text())[DOCUMENT])
    filled = SHELL.read_text().replace("CHECKOUT", "/opt/m")
    facts = Facts(python="/opt/m/.venv/bin/python", home="/opt/m", errors="", environ={})
    assert words(filled) == words(script(facts, "/opt/m/outbox", waits=False))


def words(text: str) -> list[list[str]]:
    """The lines as a shell parses them: different quoting and comments make no difference."""
    return [found for line in text.splitlines() if (found := shlex.split(line, comments=not line.count("$#")))]


def test_every_place_is_filled_in() -> None:
    made = script(FACTS, AWKWARD + "/outbox", waits=True)
    # By hand: what its first lines say.
    assert "CHECKOUT/" not in made
    assert made.count("\nexport MULTIPLANE_") == 2
    assert "\nwaits=yes\n" in made
    assert "\nwaits=no\n" in script(FACTS, "/out", waits=False)


def test_the_droplet_takes_pictures_and_keeps_what_osacompile_wrote() -> None:
    listed = plistlib.loads(droplet_info(plistlib.dumps(COMPILED, fmt=plistlib.FMT_BINARY)))
    assert listed["CFBundleIdentifier"] == MARK
    (kind,) = listed["CFBundleDocumentTypes"]
    assert kind["LSItemContentTypes"] == ["public.image"]
    # Never the program that opens pictures.
    assert kind["LSHandlerRank"] == "Alternate"
    kept = COMPILED.keys() - {"CFBundleDocumentTypes"}
    assert {key: listed[key] for key in kept} == {key: COMPILED[key] for key in kept}


def test_the_droplets_script_hands_files_over_quoted_and_can_be_compiled_in_any_encoding() -> None:
    text = APPLESCRIPT.read_bytes()
    assert text.isascii()
    lines = [line.strip() for line in text.decode().splitlines()]
    assert "on open pictures" in lines
    assert f'path to resource "{os.path.basename(RESOURCE)}"' in text.decode()
    assert all("quoted form of" in line for line in lines if "POSIX path" in line)


@pytest.mark.skipif(shutil.which("plistutil") is None and shutil.which("plutil") is None, reason="plistutil is not installed")
def test_another_reader_of_property_lists_understands_all_of_them(tmp_path) -> None:
    files = workflow(script(FACTS, AWKWARD, waits=True)) | {"droplet": droplet_info(plistlib.dumps(COMPILED))}
    files |= {str(path): path.read_bytes() for path in (PROGRAM / "launchd" / WORKFLOW / name for name in (INFO, DOCUMENT))}
    for number, data in enumerate(files.values()):
        path, back = tmp_path / f"{number}.plist", tmp_path / f"{number}.bin"
        path.write_bytes(data)
        if shutil.which("plistutil"):
            subprocess.run(["plistutil", "-i", path, "-f", "bin", "-o", back], capture_output=True, check=True)
        else:
            subprocess.run(["plutil", "-convert", "binary1", "-o", back, path], capture_output=True, check=True)
        assert plistlib.loads(back.read_bytes()) == plistlib.loads(data)


@pytest.mark.parametrize("data", [b"", b"<plist>", b"\xff\xfe", plistlib.dumps({"actions": []}), plistlib.dumps([1])])
def test_what_is_none_of_ours_is_told_from_it(data) -> None:
    assert not is_our_workflow(data)
    assert not is_our_droplet(data)


# -- putting it there ---------------------------------------------------------------------------------------------------------


def test_both_are_put_in_place_whole_and_signed_after_the_last_change(mac, tmp_path) -> None:
    shell = script(FACTS, "/out", waits=False)
    action, droplet = quick_action.install_actions(shell, mac)
    assert (action, droplet) == places(mac)
    assert every_file(action) == [INFO, DOCUMENT]
    assert is_our_workflow((action / DOCUMENT).read_bytes())
    assert (droplet / RESOURCE).read_text() == shell
    assert is_our_droplet((droplet / INFO).read_bytes())
    assert (tmp_path / "signed").read_text().splitlines()[:4] == ["--force", "--deep", "--sign", "-"]
    # Nothing of their making is left.
    assert {path.name for path in (action.parent, droplet.parent) for path in path.iterdir()} == {WORKFLOW, DROPLET}


def test_installing_again_replaces_ours_and_uninstalling_removes_both(mac) -> None:
    quick_action.install_actions(script(FACTS, "/old", waits=False), mac)
    action, droplet = quick_action.install_actions(script(FACTS, "/new", waits=True), mac)
    for text in ((action / DOCUMENT).read_text(), (droplet / RESOURCE).read_text()):
        assert "/new" in text
        assert "/old" not in text
    assert quick_action.remove_actions(mac) == [action, droplet]
    assert not list(action.parent.iterdir()) + list(droplet.parent.iterdir())
    assert quick_action.remove_actions(mac) == []


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_person_made_under_the_same_name_is_neither_replaced_nor_removed(mac, which) -> None:
    theirs = places(mac)[which]
    (theirs / "Contents").mkdir(parents=True)
    for name in (DOCUMENT, INFO):
        (theirs / name).write_bytes(plistlib.dumps({"CFBundleIdentifier": "com.example.mine"}))
    with pytest.raises(Refusal, match="was not made by Multiplane"):
        quick_action.install_actions("x", mac)
    assert quick_action.remove_actions(mac) == []
    assert every_file(theirs) == [INFO, DOCUMENT]


@pytest.mark.parametrize("program", ["osacompile", "codesign"])
def test_a_droplet_that_cannot_be_made_leaves_nothing_and_is_told(mac, tmp_path, program) -> None:
    (tmp_path / "bin" / program).write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    with pytest.raises(Refusal, match=r"droplet cannot be made: .*not today"):
        quick_action.install_actions(script(FACTS, "/out", waits=False), mac)
    action, droplet = places(mac)
    assert action.exists()
    assert list(droplet.parent.iterdir()) == []


def test_elsewhere_it_is_refused_before_anything_is_installed(monkeypatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(Refusal, match="isn't a Mac"):
        install(quick_action=True)


def test_uninstalling_takes_them_away_also_when_the_service_is_gone(mac, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HOME", str(mac))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MULTIPLANE_CONFIG", "")
    quick_action.install_actions(script(FACTS, "/out", waits=False), mac)
    uninstall(tmp_path / "home")
    said = capsys.readouterr()
    assert "not installed" in said.err
    assert WORKFLOW in said.out
    assert not places(mac)[1].exists()
