"""What editors and keyboards for prose put into a YAML file is refused with what to write instead."""

import pytest

from daemon.contract.commands import unmarked
from daemon.errors import JobError
from daemon.sidecar import parse
from daemon.sidecar.slips import list_meant, number_meant

AS_DASH = "before an entry of a list, where YAML needs a hyphen and a space"


def refused(text: str) -> str:
    with pytest.raises(JobError) as found:
        parse(text.encode(), name="p.yaml")
    return unmarked(found.value.message)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("formats:\n-psd", "p.yaml, line 2: no space after the hyphen; write `- psd`"),
        ("formats:\n- psd\n-glb", "p.yaml, line 3: no space after the hyphen; write `- glb`"),
        ("formats:\n— psd\n— glb", f'p.yaml, line 2: a "—" {AS_DASH}; write `- psd`'),
        ("# – x\nformats:\n–psd", f'p.yaml, line 3: a "–" {AS_DASH}; write `- psd`'),
        ("formats:\n• psd", f'p.yaml, line 2: a "•" {AS_DASH}; write `- psd`'),
        ("formats:\n* psd", f'p.yaml, line 2: a "*" {AS_DASH}; write `- psd`'),
        ("formats:\n-\tpsd", "p.yaml, line 2: a tab, where YAML needs spaces; write `- psd`"),
        ("formats:\n\t- psd", "p.yaml, line 2: a tab, where YAML needs spaces; write `- psd`"),
        ("formats:\n-\xa0psd", "p.yaml, line 2: a non-breaking space after the hyphen; write `- psd`"),
        ("formats：[psd]", "p.yaml, line 1: a full-width colon; write `formats: [psd]`"),
        ("num_layers：４", "p.yaml, line 1: a full-width colon; write `num_layers: 4`"),
        ("num_layers:4", "p.yaml, line 1: no space after the colon; write `num_layers: 4`"),
        ("seed: 1\r\nnum_layers=4\r\n", "p.yaml, line 2: an equals sign instead of a colon; write `num_layers: 4`"),
        ("  num_layers: 4\nseed: 1", "p.yaml, line 2: the indentation changes; start every field at the beginning of its line"),
        ("formats: - psd", "p.yaml, line 1: a list that begins on the line of its name; write each entry on a line of its own"),
        ("images:\n  - *.jpg", 'p.yaml, line 2: a value that begins with "*" (a YAML alias), which is not allowed'),
        ("formats: psd, glb", "; write `formats: [psd, glb]`"),
        ("formats: -psd", "; write `formats: [psd]`"),
        ("formats:\n  – psd\n  – glb", "; write `formats: [psd, glb]`"),
        ("formats: [PSD，glb]", "; write `formats: [psd, glb]`"),
        ("formats: {psd, glb}", "; write `formats: [psd, glb]`"),
        ("formats: none", "; write `formats: []`"),
        ("formats: [[psd]]", "not a list inside a list"),
        ("priority: –3", 'not "–3"; write `priority: -3`'),
        ("strength: 0,5", 'not "0,5"; write `strength: 0.5`'),
        ("num_layers: 4 layers", 'not "4 layers"; write `num_layers: 4`'),
        ("split: [0,2, 0,5]", "write a point, not a comma, in each number"),
    ],
)
def test_a_slip_is_told_with_what_to_write(text: str, said: str) -> None:
    assert said in refused(text)


@pytest.mark.parametrize("text", ["priority:\n  -3", "images:\n- '—.jpg'", "# formats:—psd\nseed: 1", "id: a", "split: [.2]"])
def test_a_file_that_is_right_is_not_read_another_way(text: str) -> None:
    assert parse(text.encode(), name="p.yaml").problems == ()


def test_nothing_is_suggested_that_is_not_allowed() -> None:
    assert list_meant("formats", ["psd, gif"], ("psd", "glb")) == ""
    assert list_meant("formats", [" – "], ("psd",)) == ""
    assert number_meant("seed", "four") == number_meant("seed", "4 of 5") == number_meant("seed", "9" * 90 + ",") == ""
