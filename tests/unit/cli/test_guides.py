"""Everything that the guides name exists: files, settings, commands and their options, the colours of the states."""

import re
from pathlib import Path

import pytest
from click import Command
from typer.main import get_command

from daemon.cli.app import command_line
from daemon.platform.finder.tags import STATE_TAGS
from daemon.settings import sources
from daemon.settings.layout import PROGRAM

GUIDES = sorted((PROGRAM / "launchd").glob("*.md"))
#: All that people read: the guides and the pages beside the program.
PAGES = [*sorted(PROGRAM.glob("*.md")), *GUIDES]
#: What stands before a path elsewhere.
_ELSEWHERE = ("http://", "https://", "mailto:")
COLOURS = {"grey": 1, "green": 2, "purple": 3, "blue": 4, "yellow": 5, "red": 6, "orange": 7}


@pytest.fixture(scope="module")
def verbs() -> dict[str, Command]:
    return get_command(command_line()).commands


def typed(text: str) -> list[str]:
    """What is set in monospace: inline code, and each line of a block."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [" ".join(one.split()) for one in inline] + [line.strip() for block in blocks for line in block.splitlines()]


def test_every_link_leads_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))]
    contents = {link for page, link in links if page == PROGRAM / "launchd" / "README.md"}
    assert contents >= {guide.name for guide in GUIDES} - {"README.md"}
    here = [(page, link) for page, link in links if not link.startswith(_ELSEWHERE)]
    assert [(page.name, link) for page, link in here if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("guide", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}" if path in GUIDES else path.stem)
def test_every_setting_is_one(guide: Path) -> None:
    groups = {group for group, _ in sources.all_keys()}
    found = [re.match(r"(\w+)\.(\w+)(: \S+)?$", one) for one in typed(guide.read_text(encoding="utf-8"))]
    settings = [(match[1], match[2]) for match in found if match and match[1] in groups]
    assert [one for one in settings if one not in sources.all_keys()] == []


@pytest.mark.parametrize("guide", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}" if path in GUIDES else path.stem)
def test_every_verb_and_every_option_is_one(guide: Path, verbs) -> None:
    for said in typed(guide.read_text(encoding="utf-8")):
        for words in re.findall(r"\bmultiplane ([a-z][^|]*)", said):
            # In a table of a block what a verb does stands behind several blanks.
            verb, *rest = [word.strip("[],") for word in re.split(r" {2,}", words)[0].split()]
            assert verb in verbs, said
            command = verbs[verb]
            if hasattr(command, "commands") and rest:
                command = command.commands[rest.pop(0)]
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            assert [word for word in rest if re.match(r"--?[a-z]", word) and word not in known] == [], said


def test_the_colours_are_those_of_the_states() -> None:
    text = (PROGRAM / "launchd" / "finder.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \|", text, re.MULTILINE)
    assert {(name, COLOURS[colour]) for name, colour in rows if colour in COLOURS} == set(STATE_TAGS.values())


def test_every_file_here_is_explained() -> None:
    text = (PROGRAM / "launchd" / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in (PROGRAM / "launchd").iterdir()} - {"README.md"}
    assert [name for name in names if f"`{name}`" not in text and f"({name})" not in text] == []
