"""YAML designed to stall, crash or mislead its reader is refused, quickly and with a plain sentence.

Work is counted, not timed: calls of Python and C functions while the bytes are read, which is the same on every machine.
"""

import sys

import pytest

from daemon import sidecar
from daemon.errors import JobError, SpecInvalid, SpecUnreadable
from daemon.sidecar import yaml_subset

FULL = sidecar.MAX_BYTES
PER_BYTE = 12
"""Calls: the scanner goes character by character, with 4 calls for one of a note and 11 for a blank line in quotation marks."""
FOR_ALL_VALUES = 140 * yaml_subset.MAX_VALUES
"""Calls: 135 for each key and value that is read, up to the most there may be."""
AT_ONCE = 6_000
"""Calls: refused after a few hundred characters, a sentence included."""


def full(pattern: bytes, head: bytes = b"") -> bytes:
    return (head + pattern * (FULL // len(pattern) + 1))[:FULL]


def calls(data: bytes) -> tuple[int, JobError]:
    """The number of calls it takes to refuse the bytes, and the refusal."""
    count = 0

    def tally(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        sidecar.parse(data, name="x.yaml")
    except JobError as error:
        refusal = error
    else:
        refusal = None
    finally:
        sys.setprofile(before)
    assert refusal is not None, "was not refused"
    return count, refusal


MERGE_BOMB = b"\n".join(
    [b"a0: &a0 {k: v}", *(b"a%d: &a%d {<<: [%s]}" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9))]
)
ALIAS_BOMB = b'a: &a ["x"]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n'

REFUSED_AT_ONCE = {
    "brackets": (full(b"["), ", line 1: lists or fields nested more than 3 deep"),
    "brackets in a field": (full(b"[", b"split: "), ", line 1: lists or fields nested more than 3 deep"),
    "braces": (full(b"{"), ", line 1: lists or fields nested more than 3 deep"),
    "nested mappings": (full(b"{a: "), ", line 1: lists or fields nested more than 3 deep"),
    "both": (full(b"[{"), ", line 1: lists or fields nested more than 3 deep"),
    "dashes": (full(b"- "), ", line 1: not a list of fields"),
    "dashes in a field": (full(b"- ", b"split:\n "), ", line 2: lists or fields nested more than 3 deep"),
    "explicit keys": (full(b"? "), ", line 1: a list or mapping used as a field name"),
    "closing brackets": (full(b"]"), ", line 1: not YAML"),
    "commas": (full(b",", b"split: ["), ", line 1: not YAML"),
    "empty keys": (full(b": \n"), ", line 1: not YAML"),
    "merge-key bomb": (MERGE_BOMB, ', line 1: an anchor ("&"), which is not allowed'),
    "alias bomb": (ALIAS_BOMB, ', line 1: an anchor ("&"), which is not allowed'),
    "merge key": (b"<<: {mode: painterly}", ', line 1: a merge key ("<<"), which is not allowed'),
    "alias": (b"mode: *mode", ', line 1: a value that begins with "*" (a YAML alias), which is not allowed'),
    "python object": (b"mode: !!python/object/apply:os.system [ls]", ', line 1: a tag ("!"), which is not allowed'),
    "plain tag": (b"seed: !!int 3", ', line 1: a tag ("!"), which is not allowed'),
    "tag on the file": (b"!!map {seed: 3}", ', line 1: a tag ("!"), which is not allowed'),
    "directive": (b"%YAML 1.1\n---\nseed: 1", ', line 1: a directive ("%"), which is not allowed'),
    "endless directive": (b"%YAML " + b"9" * 60_000, ', line 1: a directive ("%"), which is not allowed'),
    "two documents": (b"seed: 1\n---\nseed: 2", ", line 2: more than one document"),
    "impossible character": (b'style: "\\U00110000"', ": not YAML: an escape that stands for no character"),
    "binary": (bytes(range(256)) * 16, ", line 2: not UTF-8 text"),
    "zeros": (bytes(FULL), ", line 1: not a text file: it holds the control character U+0000"),
    "terminal escape": (b"style: \x1b[2J", ", line 1: not a text file: it holds the control character U+001B"),
    "half a UTF-16 character": (b"\xff\xfea", ": not UTF-8 text"),
    "too large": (b"#" * (FULL + 1), ": larger than 65 kB"),
    "far too large": (bytes(100 << 20), ": larger than 65 kB"),
}


@pytest.mark.parametrize("attack", REFUSED_AT_ONCE)
def test_a_bomb_is_refused_at_once(attack):
    data, sentence = REFUSED_AT_ONCE[attack]
    work, refusal = calls(data)
    assert isinstance(refusal, SpecUnreadable)
    assert refusal.message.startswith(f"x.yaml{sentence}")
    assert work <= AT_ONCE


REFUSED_AFTER_READING = {
    "question marks": (full(b"?"), SpecUnreadable, ", line 1: not a list of fields"),
    "colons": (full(b":"), SpecUnreadable, ", line 1: not a list of fields"),
    "a long key": (full(b"a")[:-3] + b": 1", SpecUnreadable, ", line 1: not a list of fields"),
    "a long explicit key": (
        b"? " + b"num_layers" * 6_000 + b"\n: 1",
        SpecInvalid,
        ', line 1: unknown field "num_layersnum_layers',
    ),
    "an open quotation": (full(b"\n", b'seed: 1\nstyle: "'), SpecUnreadable, ", line 2: a quotation mark is never closed"),
    "blank lines": (full(b"\n")[:-4] + b"a: 1", SpecInvalid, f', line {FULL - 3}: unknown field "a"'),
    "a text block": (full(b"\n", b"style: |\n x"), SpecInvalid, ", line 1: style contains a line break"),
    "words": (full(b"b "), SpecUnreadable, ", line 1: not a list of fields"),
    "explicit empty keys": (full(b"?\n"), SpecUnreadable, ", line 1002: more than 2,000 values"),
    "unknown fields": (
        b"".join(b"num_layer%d: 1\n" % n for n in range(999)),
        SpecInvalid,
        ', line 1: unknown field "num_layer0"',
    ),
    "too many fields": (b"".join(b"a%d: 1\n" % n for n in range(6_500)), SpecUnreadable, ", line 1001: more than 2,000 values"),
    "a field again and again": (b"seed: 1\n" * 999, SpecInvalid, ", line 2: seed appears twice"),
    "a long list": (full(b"a,", b"images: ["), SpecUnreadable, ", line 1: more than 2,000 values"),
    "a long wrong list": (b"formats: [" + b"a," * 1_900 + b"]", SpecInvalid, ", line 1: formats must be a list of formats"),
    "5,000 digits": (b"seed: " + b"9" * 5_000, SpecInvalid, ", line 1: seed must be a whole number"),
    "5,000 digits of a fraction": (b"strength: 0." + b"9" * 5_000, SpecInvalid, ", line 1: strength must be a number"),
    "5,000 hexadecimal digits": (b"seed: 0x" + b"f" * 5_000, SpecInvalid, ", line 1: seed must be a whole number"),
    "a huge exponent": (b"strength: 1e999999999", SpecInvalid, ", line 1: strength must be a number"),
    "not a number": (b"timeout_seconds: .nan", SpecInvalid, ", line 1: timeout_seconds must be a number"),
    "half a character": (b'style: "\\ud800"', SpecInvalid, ", line 1: style contains a line break or another control character"),
    "a zero in a name": (b'images: ["a\\0.jpg"]', SpecInvalid, ", line 1: images contains a line break or another control"),
    "a way out": (b'image: "../../etc/passwd"', SpecInvalid, ', line 1: unknown field "image"; did you mean "images"?'),
    "a way out of a batch": (b'images: ["../../*"]', SpecInvalid, ", line 1: images may name only files beside the batch file"),
    "an id that is a path": (b"id: ../../x", SpecInvalid, ", line 1: id must be 1 to 64 of the characters"),
    "an id that is hidden": (b"id: .work", SpecInvalid, ", line 1: id must be 1 to 64 of the characters"),
}


@pytest.mark.parametrize("attack", REFUSED_AFTER_READING)
def test_reading_costs_no_more_than_the_bytes_are_worth(attack):
    data, kind, sentence = REFUSED_AFTER_READING[attack]
    work, refusal = calls(data)
    assert type(refusal) is kind
    assert refusal.message.startswith(f"x.yaml{sentence}")
    assert work <= PER_BYTE * len(data) + FOR_ALL_VALUES
    assert len(refusal.message) < 500
    assert len(refusal.detail or "") < 5_000


def read_to_the_end(parser):
    while not parser.done:
        parser.next_event()


@pytest.mark.parametrize("pattern", [b"[", b"{", b"- ", b"? ", b"{a: ", b"[{"])
def test_what_is_nested_too_deeply_is_not_read_to_the_end(pattern):
    text = full(pattern).decode()
    parser = yaml_subset.SubsetParser(text, max_depth=3)
    with pytest.raises(yaml_subset.OutsideSubset):
        read_to_the_end(parser)
    assert parser.index < 100


def test_nothing_is_given_from_behind_the_first_fault():
    entries = yaml_subset.entries(b"seed: 1\nmode: &x painterly\nid: a\n", max_depth=3)
    assert next(entries).key == "seed"
    with pytest.raises(yaml_subset.OutsideSubset):
        next(entries)
    assert next(entries, None) is None


@pytest.mark.parametrize(
    "data", [data for data, _ in REFUSED_AT_ONCE.values()] + [d for d, _, _ in REFUSED_AFTER_READING.values()]
)
def test_no_bomb_has_an_id(data):
    assert sidecar.requested_id(data) is None
