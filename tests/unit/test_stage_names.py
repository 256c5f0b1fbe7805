"""People see the stages of a job in plain words; programs keep the short names."""

from daemon.outbox import stage_name
from pipeline import run
from pipeline.layers.layering import STAGES


def test_every_stage_that_a_worker_reports_has_a_name_in_plain_words():
    tables = (run._BEGINNINGS, run._BEGINNINGS_WITH_MODEL, run._BEGINNINGS_PAINTED, run._BEGINNINGS_DIFFUSED)
    stages = {stage for table in tables for stage in table} | {*STAGES, "checking"}
    names = {stage: stage_name(stage) for stage in stages}
    assert [stage for stage, name in names.items() if name == stage or not name[0].isupper()] == []
    assert len(set(names.values())) == len(stages)
    assert stage_name("fill") == "Filling behind objects"


def test_a_stage_that_is_not_known_stays_as_it_is():
    assert stage_name("something newer") == "something newer"
