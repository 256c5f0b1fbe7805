"""Every seeded mistake still has its place in the source; whether the suite notices them is told by `make soak`."""

from mutations import MUTATIONS, ROOT


def test_every_seeded_mistake_fits_its_file_exactly_once():
    for mutation in MUTATIONS:
        assert (ROOT / mutation.file).read_text().count(mutation.before) == 1, mutation.name
        assert mutation.before != mutation.after
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 12
