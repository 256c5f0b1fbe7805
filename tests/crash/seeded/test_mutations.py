"""Every seeded mistake still fits the program, and one of them is tried; `make soak` tries all."""

import ast

import pytest
from edits import Always, Drop, FallThrough, Insert, Keyword, Move, Never, NoPlaceError, Replace, RetryInHandler, Without, edited
from mutants import ROOT, run, source_of, try_one
from mutations import FAULT, MUTATIONS, Mutation

SOURCE = '''
FLAGS = os.READ | os.NOFOLLOW | os.CLOEXEC
class Disk:
    def write(self, data):
        """Write."""
        try:
            self.fs.write(data, durable=True)
            self.fs.sync(self.fd)
        except OSError:
            raise
        for each in data:
            if each is None or each.bad:
                continue
            self.count = 1
'''


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_seeded_mistake_has_its_place_in_the_program(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert source_of(mutation) != edited(text, "")
    for file in mutation.suite:
        assert (ROOT / file).is_file(), f"{file} has moved: name its new place in tests/crash/seeded/mutations.py"


def test_there_are_as_many_as_there_were_and_each_has_its_name() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 60


@pytest.mark.parametrize(
    ("edit", "gone", "there"),
    [
        (Drop("sync"), "self.fs.sync(self.fd)", "pass"),
        (Drop("count"), "self.count = 1", "pass"),
        (Never("bad"), "each.bad", "if False:"),
        (Always("bad"), "each.bad", "if True:"),
        (Without("bad"), "each.bad", "if each is None:"),
        (FallThrough("bad"), "continue", "pass"),
        (Keyword("write", "durable", "False"), "durable=True", "durable=False"),
        (Replace("each  is None", "not each"), "each is None", "not each or each.bad"),
        (Insert("more()"), None, '"""Write."""\n        more()'),
        (Insert("more()", after="sync"), None, "self.fs.sync(self.fd)\n            more()"),
        (RetryInHandler("sync"), None, "except OSError:\n            self.fs.sync(self.fd)"),
        (Move("sync", before="write"), None, "self.fs.sync(self.fd)\n            self.fs.write("),
    ],
    ids=str,
)
def test_each_kind_of_edit_makes_its_change_and_no_other(edit, gone, there) -> None:
    after = edited(SOURCE, "Disk.write", edit)
    assert there in after
    assert gone is None or gone not in after
    assert len(after.splitlines()) - len(edited(SOURCE, "").splitlines()) == int(isinstance(edit, Insert | RetryInHandler))
    ast.parse(after)


def test_a_flag_of_a_constant_can_be_left_out() -> None:
    assert "FLAGS = os.READ | os.CLOEXEC\n" in edited(SOURCE, "FLAGS", Without("NOFOLLOW"))


@pytest.mark.parametrize(
    ("file", "where", "edit", "why"),
    [
        ("daemon/jobs/gone.py", "judge", Drop("x"), "No such file"),
        ("daemon/jobs/fault.py", "judged", Drop("x"), "there is no judged"),
        ("daemon/jobs/fault.py", "judge", Drop("x"), "fits 0 places in judge"),
        ("daemon/jobs/fault.py", "judge", Never("seen"), r"fits [2-9] places in judge"),
    ],
)
def test_a_mutation_that_does_not_fit_says_what_to_do(file, where, edit, why) -> None:
    with pytest.raises(NoPlaceError, match=why) as caught:
        source_of(Mutation("the lamp is off", file, where, (edit,)))
    assert "the lamp is off" in str(caught.value)
    assert "tests/crash/seeded/mutations.py" in str(caught.value)


def test_a_mistake_is_caught_and_the_program_without_it_passes() -> None:
    (mutation,) = (each for each in MUTATIONS if each.name == "a job is excused without end")
    told = try_one(mutation)
    assert told
    assert "test_a_job_that_is_excused_without_end_is_charged_in_the_end" in told
    assert run((told,), {}, "no mutation") is None


def test_a_mutation_that_is_no_valid_program_does_not_count_as_caught() -> None:
    broken = Mutation("a name that nobody knows", "daemon/jobs/fault.py", "judge", (Insert("unknown()"),), FAULT)
    with pytest.raises(SystemExit, match="NameError: name 'unknown' is not defined"):
        try_one(broken)
