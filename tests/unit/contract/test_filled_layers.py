"""Layers that hold nothing are said wherever layers are counted."""

from daemon.contract.ended.filled_layers import layers_in_words, layers_of
from daemon.contract.spec import JobSpec
from daemon.contract.status import Output, Status

LAYERS = tuple(Output(path=f"result/{n}.png", kind="layer", bytes=1, sha256="") for n in range(4))


def test_a_count_says_how_many_layers_hold_something_and_why_the_others_do_not() -> None:
    assert layers_in_words(4, 4, source="heuristic", thresholds_given=False) == "4 layers"
    assert layers_in_words(4, None, source="heuristic", thresholds_given=False) == "4 layers"  # made by an older version
    assert layers_in_words(4, 2, source="heuristic", thresholds_given=False) == "2 of 4 layers: the estimate saw no more"
    assert layers_in_words(4, 2, source="heuristic", thresholds_given=True) == "2 of 4 layers: the others are empty"
    assert layers_in_words(4, 2, source="file", thresholds_given=False) == "2 of 4 layers: the others are empty"


def test_a_job_counts_the_layers_that_it_made_and_none_after_its_result_is_gone() -> None:
    made = Status(
        job_id="a", state="completed", created_at="", outputs=LAYERS, filled_layers=3, depth_source="heuristic",
        spec=JobSpec(split=(0.2, 0.4, 0.6)),
    )  # fmt: skip
    assert layers_of(made) == "3 of 4 layers: the others are empty"
    assert layers_of(made.model_copy(update={"outputs": ()})) is None
