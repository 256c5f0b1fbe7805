"""What a sidecar, preset or batch file means, and how a refusal is worded."""

import codecs
import fnmatch

import pytest

from daemon import sidecar
from daemon.contract import registry
from daemon.contract.commands import unmarked
from daemon.contract.spec import JobSpec
from daemon.errors import SpecInvalid, SpecUnreadable
from daemon.shipped import PRESETS
from daemon.sidecar import fields
from daemon.sidecar.problems import choice

NAMES = " and ".join(", ".join(fields.FIELDS).rsplit(", ", 1))
FORMATS = choice([each.word for each in registry.FORMATS])
DEFAULTS = JobSpec().model_dump(exclude={"id", "images"})


def parse(text, name="photo.jpg.yaml"):
    return sidecar.parse(text.encode() if isinstance(text, str) else text, name=name)


def resolve(own=None, preset=None, kind="pair", **changes):
    options = {"defaults": DEFAULTS, "ceiling_seconds": 3600, **changes}
    return sidecar.resolve(
        preset=None if preset is None else parse(preset, "job.yaml" if kind == "batch" else "_preset.yaml"),
        own=None if own is None else parse(own),
        kind=kind,
        **options,
    )


def invalid(call, *arguments, **options):
    with pytest.raises(SpecInvalid) as caught:
        call(*arguments, **options)
    return caught.value


EVERY_FIELD = """\
mode: painterly
num_layers: 3
style: watercolor
strength: 0.25
seed: 7
depth: file
depth_kind: distance
formats: []
split: [0.3, 0.6]
priority: -2
timeout_seconds: 60
id: order-123
"""


def test_every_field_is_read_as_what_it_is():
    spec = resolve(EVERY_FIELD)
    assert spec == JobSpec(
        mode="painterly", num_layers=3, style="watercolor", strength=0.25, seed=7, depth="file", depth_kind="distance",
        formats=(), split=(0.3, 0.6), priority=-2, timeout_seconds=60, id="order-123",
    )  # fmt: skip
    assert parse(EVERY_FIELD).lines["formats"] == 8


def test_every_field_of_a_job_has_its_words():
    assert list(fields.FIELDS) == list(JobSpec.model_fields)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"# only a note\n", b"---\n", b"---\n...\n", codecs.BOM_UTF8, b"num_layers:\n", b"id: ~"]
)
def test_a_file_that_says_nothing_leaves_all_defaults(data):
    assert parse(data).fields == {}
    assert resolve(data) == JobSpec()


@pytest.mark.parametrize(
    "data",
    [
        "num_layers: 5\nstyle: café".encode(),
        codecs.BOM_UTF8 + "num_layers: 5\nstyle: café".encode(),
        "num_layers: 5\r\nstyle: café\r\n".encode(),
        "num_layers: 5\r\nstyle: café\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "num_layers: 5\r\nstyle: café\r\n".encode("utf-16-be"),
        "{num_layers: 5, style: café}".encode(),
    ],
)
def test_what_editors_of_mac_and_windows_write_is_read(data):
    assert parse(data) == sidecar.Sidecar({"num_layers": 5, "style": "café"}, parse(data).lines)
    assert parse(data).lines["num_layers"] == 1


@pytest.mark.parametrize(
    ("text", "field", "meaning"),
    [
        ("id: 0123", "id", "0123"),
        ("id: 1_000", "id", "1_000"),
        ("id: true", "id", "true"),
        ("style: no", "style", "no"),
        ("style: 1:30", "style", "1:30"),
        ("style: 2024-01-01", "style", "2024-01-01"),
        ("style: 'null'", "style", "null"),
        ("seed: 0123", "seed", 123),
        ("seed: 0x10", "seed", 16),
        ("seed: 0o10", "seed", 8),
        ("strength: 1", "strength", 1),
        ("strength: .5", "strength", 0.5),
        ("strength: 5e-1", "strength", 0.5),
        ("split: [1e-1, 0.5]", "split", (0.1, 0.5)),
        ("images:\n- '*.jpg'\n- 12", "images", ("*.jpg", "12")),
    ],
)
def test_scalars_follow_the_core_rules_and_the_field(text, field, meaning):
    assert parse(text).fields == {field: meaning}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# hi\n\nnum_layer: 3", 'line 3: unknown field "num_layer"; did you mean "num_layers"?'),
        ("Num-Layers: 3", 'line 1: unknown field "Num-Layers"; did you mean "num_layers"?'),
        ("xyzzy: 3", f'line 1: unknown field "xyzzy"; the fields are {NAMES}'),
        ("a:\n  b:\n    c: 1", f'line 1: unknown field "a"; the fields are {NAMES}'),
        ("num_layers: 13", "line 1: num_layers must be a whole number from 2 to 12, not 13"),
        ("num_layers: 4.0", "line 1: num_layers must be a whole number from 2 to 12, not 4.0"),
        (
            'num_layers: "4"',
            'line 1: num_layers must be a whole number from 2 to 12, not the text "4"; leave out the quotation marks',
        ),
        ("num_layers: true", 'line 1: num_layers must be a whole number from 2 to 12, not "true"'),
        ("num_layers: [4]", "line 1: num_layers must be a whole number from 2 to 12, not a list"),
        ("num_layers: {a: 4}", "line 1: num_layers must be a whole number from 2 to 12, not further fields"),
        (
            "mode: photorealistic",
            'line 1: mode must be photo-realistic or painterly, not "photorealistic"; did you mean "photo-realistic"?',
        ),
        ("depth: no", 'line 1: depth must be auto, file, photo, model or cues, not "no"'),
        ("strength: .nan", 'line 1: strength must be a number from 0 to 1, not ".nan"'),
        ("strength: -.inf", 'line 1: strength must be a number from 0 to 1, not "-.inf"'),
        ("strength: 1e999", 'line 1: strength must be a number from 0 to 1, not "1e999"'),
        ("strength: 1.5", "line 1: strength must be a number from 0 to 1, not 1.5"),
        ("seed: 1:30", 'line 1: seed must be a whole number from 0 to 9223372036854775807, not "1:30"'),
        ("seed: -1", "line 1: seed must be a whole number from 0 to 9223372036854775807, not -1"),
        ("timeout_seconds: 0", "line 1: timeout_seconds must be a number of seconds above 0, not 0"),
        (
            "formats: psd",
            f'line 1: formats must be a list of formats ({FORMATS}) such as [psd], or [] for none, not "psd"; '
            "write \0`formats: [psd]`\0",
        ),
        (
            "formats: [pds]",
            f'line 1: formats must be a list of formats ({FORMATS}) such as [psd], or [] for none, not "pds"; '
            'did you mean "psd"?',
        ),
        ("motion: swing", 'line 1: motion must be sway, orbit, push-in, pan or tilt, not "swing"'),
        ("motion: push_in", 'line 1: motion must be sway, orbit, push-in, pan or tilt, not "push_in"; did you mean "push-in"?'),
        ("seconds: 61", "line 1: seconds must be a number of seconds from 1 to 60, not 61"),
        ("fps: 24.5", "line 1: fps must be a whole number from 5 to 60, not 24.5"),
        ("amount: 0", "line 1: amount must be a number above 0 and up to 1, not 0"),
        ("size: 4k", 'line 1: size must be a whole number of pixels from 160 to 3840, not "4k"'),
        (
            "split: eqal",
            "line 1: split must be natural, equal, quantile or a list of num_layers − 1 numbers between 0 and 1 such as "
            '[0.3, 0.6], not "eqal"; did you mean "equal"?',
        ),
        (
            "id: Order 1",
            "line 1: id must be 1 to 64 of the characters a-z, 0-9, ., _ and -, the first of them a letter or digit, "
            'not "Order 1"',
        ),
        (
            "id: index.html",
            'line 1: id "index.html" is reserved: a file of the outbox has this name; choose another id',
        ),
        (
            "seed: 1\nid: daemon.json",
            'line 2: id "daemon.json" is reserved: a file of the outbox has this name; choose another id',
        ),
        (
            "id: status.json",
            'line 1: id "status.json" is reserved: a file of the outbox has this name; choose another id',
        ),
        ('id: "a\\n"', 'line 1: id contains a line break or another control character: "a\\n"'),
        ("images: ['../x.jpg']", 'line 1: images may name only files beside the batch file, not "../x.jpg"'),
        ("images: ['a\\b']", 'line 1: images may name only files beside the batch file, not "a\\b"'),
        ("images: [..]", 'line 1: images may name only files beside the batch file, not ".."'),
        ("mode: painterly\nseed: 1\nmode: painterly", "line 3: mode appears twice; the first time in line 1"),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_what_is_allowed(text, message):
    error = invalid(parse, text)
    assert error.message == f"photo.jpg.yaml, {message}"
    assert error.detail is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"mode: painterly\n\tseed: 1", ", line 2: a tab; YAML needs spaces there"),
        (b"mode:\tpainterly", ", line 1: a tab; YAML needs spaces there"),
        (
            b"mode: painterly\nseed:\xc2\xa01",
            ", line 2: a non-breaking space after the colon (Option-Space on a Mac); type a plain space",
        ),
        ("style: “oil-strokes”".encode(), ", line 1: curly quotation marks; type straight ones, or none"),
        ("style: “oil-strokes”  # a note".encode(), ", line 1: curly quotation marks; type straight ones, or none"),
        ("seed: 7  # “a note”\nformats: [„psd“]".encode(), ", line 2: curly quotation marks; type straight ones, or none"),
        ("images:\n  - “*.jpg”".encode(), ", line 2: curly quotation marks; type straight ones, or none"),
        (
            b"mode: painterly\nseed:1\ndepth: auto",
            ", line 2: no space after the colon; write `seed: 1`",
        ),
        (b"seed:1", ", line 1: no space after the colon; write `seed: 1`"),
        (b"seed", ", line 1: not a list of fields; write one `name: value` per line, with a space after the colon"),
        (b"- mode", ", line 1: not a list of fields;"),
        (b'mode: painterly\nstyle: "oil\nseed: 1', ", line 2: a quotation mark is never closed"),
        (b"split: [0.1, 0.2", ', line 1: a list without its closing "]"'),
        (b"style: a: b", ', line 1: a ":" in the wrong place'),
        (b"style: @oil", ", line 1: text that begins with '@'; put it in quotation marks"),
        (
            b"seed: 1\nimages: [*.jpg]",
            ', line 2: a value that begins with "*" (a YAML alias), which is not allowed; put it in quotation marks',
        ),
        ("seed: 1\nstyle: café".encode("latin-1"), ", line 2: not UTF-8 text; save it as plain text in UTF-8"),
        ("seed: 1".encode("utf-16-le"), ", line 1: not a text file: it holds the control character U+0000"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", ", line 1: not UTF-8 text"),
        (b"mode: painterly\n---\nmode: painterly", ", line 2: more than one document"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_in_plain_words(data, message):
    with pytest.raises(SpecUnreadable) as caught:
        parse(data)
    assert unmarked(caught.value.message).startswith(f"photo.jpg.yaml{message}")


def test_all_mistakes_of_a_file_are_in_the_sentence_each_with_its_line_and_are_the_detail():
    error = invalid(parse, "strengh: 2\nseed: x\nnum_layers: 99\nmode: painterly")
    assert error.message == (
        'photo.jpg.yaml, line 1: unknown field "strengh"; did you mean "strength"?; line 2: seed must be a whole number from 0 '
        'to 9223372036854775807, not "x"; line 3: num_layers must be a whole number from 2 to 12, not 99'
    )
    assert [line.split(": ")[0] for line in error.detail.splitlines()] == [f"photo.jpg.yaml, line {n}" for n in (1, 2, 3)]


def test_names_and_values_cannot_forge_a_sentence():
    error = invalid(parse, "style: oil\nse\u202eed\u2066: 1", name="a\nb\u202e.yaml")
    assert error.message == 'a\\nb\\u202e.yaml, line 2: unknown field "se\\u202eed\\u2066"; did you mean "seed"?'


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"id: order-1\nnum_layers: 99", "order-1"),
        (b"nonsense: 1\nid: 0123", "0123"),
        (b"id: 'x.y_z'\nfoo: [", "x.y_z"),
        (b"id: a\nfoo: &anchor b", "a"),
        (b"foo: &anchor b\nid: a", None),
        (b"id: a\nid: b", None),
        (b"id: Order", None),
        (b"id: ../x", None),
        (b"id: [a]", None),
        (b"id: index.html", None),
        (b"id: null", None),
        (b"mode: painterly", None),
        (b"id: a\n" + b"#" * sidecar.MAX_BYTES, None),
    ],
)
def test_the_id_is_honoured_whenever_it_can_be_read(data, found):
    assert sidecar.requested_id(data) == found


def test_each_field_comes_from_the_sidecar_else_the_preset_else_the_configuration():
    spec = resolve(
        "seed: 3\nnum_layers:\n", "seed: 2\nnum_layers: 6", "preset", defaults={**DEFAULTS, "num_layers": 8, "depth": "cues"}
    )
    assert (spec.seed, spec.num_layers, spec.depth) == (3, 6, "cues")


def test_the_images_of_a_batch_are_in_its_spec():
    spec = resolve("id: own-id", "images: ['IMG_*.jpg']", "batch")
    assert spec.images == ("IMG_*.jpg",)
    assert spec.id == "own-id"
    assert fnmatch.fnmatch("IMG_1.jpg", spec.images[0])


@pytest.mark.parametrize(
    ("own", "preset", "kind", "message"),
    [
        (None, "id: a", "preset", "_preset.yaml, line 1: id is only allowed in a picture's own YAML file"),
        (None, "mode: painterly\nid: a", "batch", "job.yaml, line 2: id is only allowed in a picture's own YAML file"),
        (None, "images: ['*']", "preset", "_preset.yaml, line 1: images is only allowed in a batch's job.yaml"),
        ("images: ['*']", None, "pair", "photo.jpg.yaml, line 1: images is only allowed in a batch's job.yaml"),
        ("images: ['*']", "seed: 1", "batch", "photo.jpg.yaml, line 1: images is only allowed in a batch's job.yaml"),
    ],
)
def test_id_and_images_stand_only_where_they_mean_something(own, preset, kind, message):
    assert invalid(resolve, own, preset, kind).message.startswith(message)


@pytest.mark.parametrize(
    ("own", "preset", "message"),
    [
        ("split: [0.3]", None, "photo.jpg.yaml, line 1: split: 4 layers need 3 thresholds, 1 given"),
        ("seed: 1\nnum_layers: 5", "split: [0.2, 0.4, 0.6]", "_preset.yaml, line 1: split: 5 layers need 4 thresholds, 3 given"),
        (
            "num_layers: 3\nsplit: [0.6, 0.3]",
            None,
            "photo.jpg.yaml, line 2: split: the thresholds must rise from far (0) to near (1)",
        ),
        (
            "timeout_seconds: 7200",
            None,
            "photo.jpg.yaml, line 1: timeout_seconds must be at most 3600, the limit in the settings "
            "(worker.max_timeout_seconds), not 7200",
        ),
        ("style: watercolour", None, 'photo.jpg.yaml, line 1: there is no style "watercolour"; did you mean "watercolor"?'),
        ("style: zzz", None, 'photo.jpg.yaml, line 1: there is no style "zzz"; there are oil, watercolor'),
    ],
)
def test_fields_that_do_not_fit_together_are_refused_where_they_stand(own, preset, message):
    assert invalid(resolve, own, preset, "preset" if preset else "pair", styles=("oil", "watercolor")).message == message


def test_problems_of_both_files_are_told_at_once_the_own_file_first():
    error = invalid(resolve, "seed: 1\ntimeout_seconds: 9999", "id: x", "preset")
    assert error.message.startswith("photo.jpg.yaml, line 2: timeout_seconds")
    assert "; _preset.yaml, line 1: id" in error.message
    assert "_preset.yaml, line 1: id" in error.detail


def test_mistakes_in_reading_and_in_meaning_are_told_at_once_and_none_is_made_up():
    """The split has too few thresholds for the four layers of the defaults, but the file asks for another number."""
    own = sidecar.read(b"num_layers: 99\nstyle: watercolour\nsplit: [0.5]\ntimeout_seconds: 9999", name="photo.jpg.yaml")
    with pytest.raises(SpecInvalid) as caught:
        sidecar.resolve(defaults={}, preset=None, own=own, ceiling_seconds=60, kind="pair", styles=("oil", "watercolor"))
    lines = caught.value.detail.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"photo.jpg.yaml, line {n}" for n in (1, 2, 4)]


def test_a_painterly_field_on_a_photo_is_worth_a_warning():
    own = parse("style: oil\nnum_layers: 3")
    (warning,) = sidecar.without_effect(JobSpec(style="oil", num_layers=3), None, own)
    assert unmarked(warning) == "photo.jpg.yaml, line 1: style has no effect without `mode: painterly`"
    assert sidecar.without_effect(JobSpec(mode="painterly", style="oil"), None, own) == ()
    assert sidecar.without_effect(JobSpec(), None, parse("num_layers: 3")) == ()
    assert "seed has no effect" in sidecar.without_effect(JobSpec(seed=7), None, parse("seed: 7"))[0]
    assert sidecar.without_effect(JobSpec(seed=7, fill="model"), None, parse("seed: 7\nfill: model")) == ()
    (warning,) = sidecar.without_effect(JobSpec(), None, parse("motion: pan\nfps: 25"))
    assert unmarked(warning) == (
        "photo.jpg.yaml, line 1: motion, fps has no effect without a format that moves, such as `formats: [video]`"
    )
    assert sidecar.without_effect(JobSpec(formats=("webp",)), None, parse("motion: pan")) == ()
    assert sidecar.without_effect(JobSpec(formats=("stereo",)), None, parse("amount: 0.5")) == ()
    (warning,) = sidecar.without_effect(JobSpec(), None, parse("mesh: relief"))
    assert unmarked(warning) == "photo.jpg.yaml, line 1: mesh has no effect without a 3-D scene, such as `formats: [glb]`"
    assert sidecar.without_effect(JobSpec(formats=("usdz",)), None, parse("mesh: relief")) == ()


@pytest.mark.parametrize("field", ["matting", "fill"])
def test_a_model_for_the_layers_is_asked_for_by_word(field):
    assert parse(f"{field}: model").fields == {field: "model"}
    with pytest.raises(SpecInvalid, match=f"{field} must be auto or model, not .modle.; did you mean .model"):
        parse(f"{field}: modle")


def test_the_effective_spec_reads_like_a_sidecar_and_repeats_no_id():
    text = sidecar.render(JobSpec(split=(0.1, 0.2, 0.5), style="no", id="a", images=("*",))).decode()
    assert text.splitlines()[1:] == [
        "mode: photo-realistic", "num_layers: 4", "style: 'no'", "strength: 0.5", "seed: 42", "depth: auto",
        "depth_kind: disparity", "depth_quality: fast", "formats: [psd]", "naming: plain", "motion: sway", "seconds: 6",
        "fps: 30", "amount: 1", "size: 1920", "mesh: flat", "split: [0.1, 0.2, 0.5]",
        "matting: auto", "fill: auto", "priority: 0", "timeout_seconds: 600",
    ]  # fmt: skip


def test_the_schema_names_every_field_with_its_description_and_default():
    printed = sidecar.schema()
    properties = printed["properties"]
    assert set(properties) == set(JobSpec.model_fields)
    assert all(field["description"] for field in properties.values())
    assert "required" not in printed
    assert printed["additionalProperties"] is False
    assert properties["num_layers"] == {
        "type": "integer", "minimum": 2, "maximum": 12, "default": 4, "description": "how many layers to make",
    }  # fmt: skip
    assert properties["style"]["type"] == "string"
    assert sidecar.schema() == printed


@pytest.mark.parametrize("name", ["photo in 4 layers", "oil painting"])
def test_the_shipped_presets_are_good_ones(name):
    data = (PRESETS / name / "_preset.yaml").read_bytes()
    spec = sidecar.resolve(defaults=DEFAULTS, preset=parse(data), own=None, ceiling_seconds=3600, kind="preset")
    assert spec.num_layers == 4
    assert spec.mode == ("painterly" if "painting" in name else "photo-realistic")
    # What it proposes to try is right, too.
    tried = parse(data.replace(b"\n# formats", b"\nformats").replace(b"\n# split", b"\nsplit").replace(b"\n# seed", b"\nseed"))
    assert len(tried.fields) > len(parse(data).fields)


def test_the_effective_spec_keeps_letters_as_they_are_and_one_line_a_field():
    style = "café 中景 " * 10
    assert f"\nstyle: '{style}'\n" in sidecar.render(JobSpec(style=style)).decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"{\\rtf1\\ansi num_layers: 4}",
            "rich text, not plain text: save it as plain text (in TextEdit: Format, Make Plain Text)",
        ),
        (
            "{\\rtf1 x}".encode("utf-16"),
            "rich text, not plain text: save it as plain text (in TextEdit: Format, Make Plain Text)",
        ),
        (b"PK\x03\x04\x14\x00", "a document, not plain text: save it as plain text"),
        (b"\n<!DOCTYPE html><html>num_layers: 4", "a web page, not plain text: save it as plain text"),
    ],
)
def test_what_a_word_processor_saved_is_told_with_how_to_save_it(data, said):
    with pytest.raises(SpecUnreadable) as refused:
        parse(data, name="photo.yaml")
    assert refused.value.message == f"photo.yaml: {said}"
