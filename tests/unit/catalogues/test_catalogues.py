"""Styles and models from several files, each adding to the one before; every error names file and line."""

import os
from pathlib import Path

import pytest

from daemon.catalogues.models import catalogue
from daemon.catalogues.reading import SHIPPED, StyleNames, names
from daemon.catalogues.styles import styles
from daemon.errors import Refusal

STYLE = """mine:
  description: in my own words
  engine: diffusion
  prompt: a
  negative_prompt: ""
  guidance: 7
  steps: 9
"""
MODEL = """models:
  mine:
    use: depth
    path: weights/mine
    licence: MIT
    commercial: true
    polarity: disparity
    scale: relative
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="own.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def refused(read, *paths) -> str:
    with pytest.raises(Refusal) as caught:
        read(paths)
    assert paths[-1] in caught.value.hint
    return caught.value.message


def test_each_file_adds_to_the_one_before_it_in_order(file):
    own = [file(STYLE), file(STYLE.replace("mine", "another"), "more.yaml")]
    found = styles([SHIPPED["styles"], *own])
    assert list(found)[:1] == ["oil-strokes"]
    assert list(found)[-2:] == ["mine", "another"]
    assert names([SHIPPED["styles"], *own]) == tuple(found)
    assert len(found) == len(styles([SHIPPED["styles"]])) + 2


def test_a_models_folder_is_relative_to_the_file_that_names_it(file, tmp_path):
    found = catalogue([SHIPPED["models"], file(MODEL)])
    assert found.models["mine"].path == str(tmp_path / "weights" / "mine")
    assert found.default_depth == catalogue([SHIPPED["models"]]).default_depth


def test_the_last_default_counts_and_may_stand_alone(file):
    chosen = file("default_depth: dpt-large", "chosen.yaml")
    assert catalogue([SHIPPED["models"], file(f"default_depth: mine\n{MODEL}")]).default_depth == "mine"
    assert catalogue([SHIPPED["models"], file(f"default_depth: mine\n{MODEL}"), chosen]).default_depth == "dpt-large"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeff"])
def test_a_file_without_entries_adds_none(file, text):
    assert styles([SHIPPED["styles"], file(text)]) == styles([SHIPPED["styles"]])
    assert catalogue([SHIPPED["models"], file(text)]) == catalogue([SHIPPED["models"]])


def test_a_name_of_the_program_is_refused_with_file_and_line(file):
    own = file("# mine\n" + STYLE.replace("mine", "oil"))
    said = f"The list of styles {own} is not valid: line 2: oil is already in {SHIPPED['styles']}; choose another name."
    assert refused(styles, SHIPPED["styles"], own) == said
    assert refused(names, SHIPPED["styles"], own) == said
    own = file(MODEL.replace("mine", "taesd"), "models.yaml")
    assert "models.yaml is not valid: line 2: taesd is already in " in refused(catalogue, SHIPPED["models"], own)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("steps: 9", "steps: 0"), "line 7: mine.steps must be at least 1"),
        (("steps: 9", "steps: 9\n  stepps: 9"), "line 8: mine.stepps is not a known field"),
        (("  steps: 9\n", ""), "line 1: mine.steps is missing"),
        (("engine: diffusion", "engine: spray"), "line 1: mine must have an engine: strokes or diffusion"),
        (("  engine: diffusion\n", ""), "line 1: mine: it needs an engine: strokes or diffusion"),
        (("guidance: 7", "steps: 7"), "line 6: mine.steps appears again in line 7; remove one of the two"),
        ((STYLE, STYLE + STYLE), "line 1: mine appears again in line 8; remove one of the two"),
        (("guidance: 7", "guidance: [7"), "cannot be read: line 7: "),
        ((STYLE, "- mine"), "line 1: it must hold names, each with its fields indented below it"),
        ((STYLE, "mine: &again\n  description: *again"), "line 1: mine"),
        ((STYLE, "? [mine]\n: 1"), "cannot be read: line 1: found unhashable key"),
    ],
)
def test_a_slip_is_told_with_its_line(file, change, said):
    own = file(STYLE.replace(*change))
    message = refused(styles, SHIPPED["styles"], own)
    assert said in message
    assert message.startswith(f"The list of styles {own} ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("polarity: disparity", "polarity: near"), "line 7: models.mine.polarity must be disparity or distance"),
        (("    scale: relative\n", ""), "line 2: models.mine: a depth model needs polarity and scale, and has no part"),
        (("models:", "default_depth: taesd\nmodels:"), "line 1: default_depth: taesd is not a depth model of this list"),
        (("mine:", "My Model:"), "line 2: models.My Model"),
    ],
)
def test_a_slip_in_a_list_of_models_is_told_with_its_line(file, change, said):
    assert said in refused(catalogue, SHIPPED["models"], file(MODEL.replace(*change)))


@pytest.mark.parametrize("data", [b"\xff\xfe\xff", b"mine: \x00"])
def test_bytes_that_are_no_text_are_told(file, data):
    assert "cannot be read: " in refused(styles, SHIPPED["styles"], file(data))


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path):
    assert "cannot be read: No such file or directory" in refused(styles, SHIPPED["styles"], str(tmp_path / "nowhere.yaml"))
    assert "cannot be read: Is a directory" in refused(styles, SHIPPED["styles"], str(tmp_path))


def test_the_names_follow_the_file_and_outlive_a_slip_in_it(tmp_path: Path) -> None:
    own = tmp_path / "styles.yaml"
    found = StyleNames([str(own)])
    shipped = found.now()
    assert shipped == names([SHIPPED["styles"]])
    own.write_text(STYLE)
    assert found.now() == (*shipped, "mine")
    own.write_text("oil: {}")
    assert found.now() == (*shipped, "mine")
    own.write_text(STYLE + STYLE.replace("mine", "another"))
    assert found.now() == (*shipped, "mine", "another")
    os.unlink(own)
    assert found.now() == shipped
