"""A long waiting list shows something of each folder and each reason, and counts the rest."""

from daemon.outbox.status_files import MAX_WAITING
from daemon.outbox.waiting_list import WaitingList, grouped, shared

GROWING = "just arrived or still growing"
JUNK = "not a supported picture by its name (JPEG …): if it is one, rename it with its ending; otherwise take it away"


def listed(*entries: tuple[bytes, bytes, str]) -> WaitingList:
    return shared(grouped(entries))


def junk(folder: bytes = b"", count: int = 5000) -> list[tuple[bytes, bytes, str]]:
    return [(folder, b"%d.dat" % number, JUNK) for number in range(count)]


def alone(count: int, folder: bytes = b"") -> list[tuple[bytes, bytes, str]]:
    return [(folder, b"IMG.%d.jpg" % number, f"waiting for IMG.{number}.yaml") for number in range(count)]


def test_a_short_list_is_shown_as_the_inbox_has_it():
    found = listed((b"b", b"2.jpg", GROWING), (b"", b"x.dat", JUNK), (b"b", b"1.jpg", GROWING))
    assert [item.path for item in found.items] == ["b/2.jpg", "x.dat", "b/1.jpg"]
    assert (found.total, found.more) == (3, ())


def test_a_picture_is_not_hidden_by_thousands_of_files_that_nobody_can_use():
    found = listed(*junk(), (b"", b"photo.jpg", "waiting for photo.yaml"), (b"trip", b"a.jpg", GROWING))
    assert [item.path for item in found.items[:2]] == ["photo.jpg", "trip/a.jpg"]
    assert len(found.items) == MAX_WAITING
    assert found.total == 5002
    assert [(one.reason, one.count) for one in found.more] == [(JUNK, 5002 - MAX_WAITING)]


def test_folders_and_reasons_take_turns_and_what_one_does_not_need_goes_to_the_others():
    found = listed(*junk(b"one"), *junk(b"two"), *alone(30))
    places = [item.path.partition("/")[0] for item in found.items]
    assert places.count("one") == places.count("two") == (MAX_WAITING - 30) // 2
    assert len([place for place in places if place.startswith("IMG")]) == 30


def test_files_that_wait_for_the_same_are_counted_together_whatever_their_names_are():
    found = listed(*alone(700), *junk(count=400))
    assert [(one.reason, one.count) for one in found.more] == [("waiting for NAME.yaml", 600), (JUNK, 300)]
    assert found.items[-1].reason == "waiting for IMG.99.yaml"


def test_the_list_stays_short_whatever_the_number_of_folders_and_reasons_is():
    found = listed(*((b"%d" % number, b"a.jpg", f"the folder {number} is odd") for number in range(900)))
    assert len({item.path for item in found.items}) == MAX_WAITING
    assert len(found.more) == 10
    assert (found.more[-1].reason, sum(one.count for one in found.more)) == ("other reasons", 900 - MAX_WAITING)
