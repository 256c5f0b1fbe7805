"""Every kind of file that Finder shows and this program refuses is named, with what to do; none is called damaged."""

import pytest

from tests.carriers import refused


@pytest.mark.parametrize("kind", refused.KINDS)
def test_a_refused_kind_is_named_with_what_to_do(kind):
    name, data = refused.KINDS[kind]
    error = refused.told(name, data)
    assert error.code == "image_type", error.message
    assert error.message.startswith(f"{name} ")
    assert error.message.endswith(".")
    assert "damaged" not in error.message
    assert " a A" not in error.message
    assert " a O" not in error.message
    hint = error.info().hint
    assert hint.endswith(".")
    assert any(word in hint for word in ("drop", "Drop"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("AVCI", "an AVCI picture"),
        ("MP4 sound", "a sound file"),
        ("QuickTime film without a type", "a video"),
        ("old Office document", "an Office document"),
        ("Illustrator's SVG", "an SVG drawing"),
        ("XHTML", "a web page"),
        ("web page with a comment", "a web page"),
        ("property list as text", "a property list"),
        ("TIFF of CMYK with alpha", "a CMYK TIFF with transparency"),
        ("Windows shortcut", "a Windows shortcut"),
    ],
)
def test_a_file_is_named_as_what_it_is(kind, said):
    assert said in refused.told(*refused.KINDS[kind]).message


def test_the_table_has_a_line_for_every_kind():
    lines = refused.table().splitlines()
    assert len(lines) == len(refused.KINDS) + 2
    assert all(line.count("|") == 5 for line in lines)
