"""Any bytes give a spec or a clear refusal, and a written spec reads back unchanged."""

from hypothesis import example, given
from hypothesis import strategies as st

from daemon import sidecar
from daemon.contract.commands import unmarked
from daemon.contract.spec import JobSpec
from daemon.errors import SpecInvalid, SpecUnreadable
from daemon.sidecar import fields

DEFAULTS = JobSpec().model_dump(exclude={"id", "images"})

# YAML's own characters and the fields' names, so that most examples get past the first character.
PIECES = [
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    ": ",
    ":",
    "- ",
    "? ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "#",
    "&a",
    "*a",
    "!",
    "!!int",
    "|",
    ">",
]
PIECES += [
    "%",
    "@",
    "`",
    "---",
    "...",
    "<<",
    "~",
    "\\",
    "\\x",
    "0",
    "1",
    "4",
    ".5",
    "e",
    ".nan",
    "true",
    "null",
    "é",
    "\x85",
    "\u2028",
    "😀",
]
PIECES += [f"{name}: " for name in fields.FIELDS] + ["painterly", "natural", "psd", "oil"]

yaml_like = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
anything = st.one_of(st.binary(max_size=200), yaml_like.map(str.encode), yaml_like.map(lambda text: text.encode("utf-16")))


def outcome(data):
    """The spec, or the refusal; any other exception is a failure."""
    try:
        own = sidecar.parse(data, name="x.yaml")
        return sidecar.resolve(defaults=DEFAULTS, preset=None, own=own, ceiling_seconds=3600, kind="pair"), None
    except (SpecInvalid, SpecUnreadable) as error:
        return None, error


@given(anything)
@example(b'"\\U00110000": 1')
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"? [a]\n: 1")
@example(b"id: |2\n")
def test_bytes_are_a_spec_or_a_refusal_of_the_two_kinds(data):
    spec, refusal = outcome(data)
    if refusal is not None:
        assert refusal.message.startswith("x.yaml")
        assert unmarked(refusal.message).isprintable()
    requested = sidecar.requested_id(data)
    assert requested is None or JobSpec(id=requested).id == requested
    if spec is not None:
        assert requested == spec.id


@given(yaml_like, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_the_encoding_makes_no_difference(text, encoding):
    (spec, refusal), (plain_spec, plain_refusal) = outcome(text.encode(encoding)), outcome(text.encode())
    assert spec == plain_spec
    assert str(refusal) == str(plain_refusal)


printable = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=100)
finite = {"allow_nan": False, "allow_infinity": False}


@st.composite
def specs(draw):
    layers = draw(st.integers(2, 12))
    inside = st.floats(0, 1, exclude_min=True, exclude_max=True, **finite)
    thresholds = st.lists(inside, min_size=layers - 1, max_size=layers - 1, unique=True).map(sorted).map(tuple)
    return JobSpec(
        mode=draw(st.sampled_from(fields.FIELDS["mode"].choices)),
        num_layers=layers,
        style=draw(st.none() | printable),
        strength=draw(st.floats(0, 1, **finite)),
        seed=draw(st.integers(0, 2**63 - 1)),
        depth=draw(st.sampled_from(fields.FIELDS["depth"].choices)),
        depth_kind=draw(st.sampled_from(fields.FIELDS["depth_kind"].choices)),
        formats=draw(st.sampled_from([(), ("psd",), ("video", "stereo")])),
        motion=draw(st.sampled_from(fields.FIELDS["motion"].choices)),
        seconds=draw(st.floats(1, 60, **finite)),
        fps=draw(st.integers(5, 60)),
        amount=draw(st.floats(0, 1, exclude_min=True, **finite)),
        size=draw(st.integers(160, 3840)),
        split=draw(st.sampled_from(["natural", "equal", "quantile"]) | thresholds),
        priority=draw(st.integers(-10, 10)),
        timeout_seconds=draw(st.floats(0, 1e300, exclude_min=True, **finite)),
        id=draw(st.none() | st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")),
    )


@given(specs())
def test_a_spec_that_is_written_is_read_back_as_it_was(spec):
    written = sidecar.render(spec)
    found = sidecar.parse(written, name="x.yaml")
    read = sidecar.resolve(defaults=DEFAULTS, preset=None, own=found, ceiling_seconds=float("inf"), kind="pair")
    assert read == spec.model_copy(update={"id": None})
    assert sidecar.render(read) == written
