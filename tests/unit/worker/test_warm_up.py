"""What a warm worker does while it waits for a job."""

import itertools

import pytest

from pipeline.worker import warm_up


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """The recipe's steps at which the warm-up checks for a job, in order; its temporary folder is in `tmp_path`."""
    monkeypatch.setattr(warm_up.tempfile, "tempdir", str(tmp_path))
    seen = []
    run = warm_up.run

    def watched(command, report):
        def told(stage, share):
            seen.append(stage)
            report(stage, share)

        return run(command, told)

    monkeypatch.setattr(warm_up, "run", watched)
    return seen


def test_a_warm_up_goes_through_the_recipe_up_to_the_files_and_leaves_nothing(steps, tmp_path):
    warm_up.warm_up(lambda: False)
    assert list(dict.fromkeys(steps)) == ["decode", "depth", "layers", "refine", "split", "matte", "fill", "recompose", "export"]
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_comes_ends_the_warm_up_at_the_next_step(steps, tmp_path):
    asked = itertools.count()
    warm_up.warm_up(lambda: next(asked) >= 2)
    assert len(steps) == 2
    assert list(tmp_path.iterdir()) == []


def test_where_a_job_waits_already_no_warm_up_runs(steps):
    warm_up.warm_up(lambda: True)
    assert steps == []
