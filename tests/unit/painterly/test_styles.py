"""The styles file: what it contains, and how a mistake in it is reported."""

import pytest

from daemon.errors import Internal, SpecInvalid
from pipeline.painterly import styles

OIL = """oil:
  description: paint
  engine: strokes
  brushes: [0.02, 0.01]
  threshold: 30
  length: [4, 16]
  curvature: 0.9
  opacity: 1.0
  jitter: {hue: 0.0, saturation: 0.0, value: 0.0}
  relief: 0.5
  paper: 0.0
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "styles.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_every_shipped_style_is_valid_and_the_first_needs_no_weights():
    shipped = styles.styles()
    assert len(shipped) == 13
    name, first = styles.named(None)
    assert name == next(iter(shipped)) == "oil-strokes"
    assert isinstance(first, styles.StrokesStyle)
    assert {type(style) for style in shipped.values()} == {styles.StrokesStyle, styles.DiffusionStyle}


def test_the_styles_a_person_would_choose_are_there_for_the_model_to_paint():
    by_model = {name for name, style in styles.styles().items() if isinstance(style, styles.DiffusionStyle)}
    assert by_model == {
        "oil", "watercolor", "gouache", "impasto", "ink", "pastel", "woodblock", "impressionist", "storybook", "charcoal",
    }  # fmt: skip


WORDS = "description: a, engine: diffusion, prompt: a, negative_prompt: '', guidance: 7, steps: 20"


def test_a_style_of_ones_own_may_name_a_lora(file):
    assert styles.named("mine", file(f"mine: {{{WORDS}, lora: van-gogh}}"))[1].lora == "van-gogh"


def test_a_lora_is_named_and_not_a_path(file):
    with pytest.raises(Internal, match=r"mine\.lora"):
        styles.styles(file(f"mine: {{{WORDS}, lora: ../somewhere}}"))


def test_a_style_is_found_by_its_name(file):
    path = file(OIL)
    name, style = styles.named("oil", path)
    assert (name, style.brushes, style.length) == ("oil", (0.02, 0.01), (4.0, 16.0))


def test_a_style_that_is_not_there_is_refused_with_those_that_are(file):
    with pytest.raises(SpecInvalid, match=r'There is no style "oyl"; there are oil\.'):
        styles.named("oyl", file(OIL))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("brushes: [0.02, 0.01]", "brushes: [0.01, 0.02]"), "largest first"),
        (("brushes: [0.02, 0.01]", "brushes: []"), "oil.brushes"),
        (("length: [4, 16]", "length: [16, 4]"), "shortest first"),
        (("length: [4, 16]", "length: [4, 1e9]"), "oil.length.1"),
        (("opacity: 1.0", "opacity: 0"), "oil.opacity"),
        (("relief: 0.5", "relief: .nan"), "oil.relief"),
        (("engine: strokes", "engine: spray"), "oil"),
        (("  paper: 0.0\n", ""), "oil.paper"),
        (("paper: 0.0", "paper: 0.0\n  papper: 1"), "oil.papper"),
        (("oil:", "- oil"), "cannot be read"),
        ((OIL, ""), "not valid"),
        ((OIL, "{}"), "is empty"),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_place(file, change, said):
    path = file(OIL.replace(*change))
    with pytest.raises(Internal) as caught:
        styles.styles(path)
    assert said in caught.value.message
    assert path in caught.value.message
    assert path in caught.value.info().hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Internal, match="nowhere"):
        styles.styles(str(tmp_path / "nowhere.yaml"))
