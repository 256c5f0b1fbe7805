"""Where settings come from, which are refused and how that is worded, and where all folders are."""

import os
import re
from pathlib import Path

import pytest

from daemon import settings
from daemon.contract.spec import JobSpec
from daemon.errors import Refusal
from daemon.settings import layout, sources
from daemon.settings.loading import load_what_is_right
from daemon.sidecar import yaml_subset

ROOT = Path(__file__).parents[3]
NO_FILE = {"MULTIPLANE_CONFIG": ""}


def load(home, text=None, is_network=lambda _: False, **environ):
    environ = {f"MULTIPLANE_{name}": value for name, value in environ.items()}
    if text is None:
        environ = {**NO_FILE, **environ}
    else:
        home.mkdir(exist_ok=True)
        (home / "my.yaml").write_text(text)
        environ["MULTIPLANE_CONFIG"] = str(home / "my.yaml")
    return settings.load(home, environ, is_network=is_network)


def refused(home, text=None, **environ):
    with pytest.raises(Refusal) as caught:
        load(home, text, **environ)
    assert caught.value.hint
    assert caught.value.exit_status == os.EX_CONFIG
    return caught.value.message.replace(str(home), "HOME")


def test_the_shipped_file_gives_every_key_and_explains_each():
    data = (ROOT / "config" / "default.yaml").read_bytes()
    given = {(group.key, entry.key) for group in yaml_subset.entries(data, max_depth=4) for entry in group.value.entries}
    assert given == set(sources.all_keys())
    for line in data.decode().splitlines():
        if line.startswith("  "):
            assert re.fullmatch(r"  \w+: [^#]+ # .{12,}", line), line


def test_the_shipped_values(tmp_path):
    found = load(tmp_path)
    assert found.defaults.model_copy(update={"style": None}) == JobSpec()
    assert found.defaults.style == "oil-strokes"
    assert found.queue.max_pending == 1000
    assert found.queue.max_concurrent_jobs == 1
    assert found.worker.max_timeout_seconds == 3600
    assert found.worker.max_log_bytes == 1_000_000
    assert found.limits.max_image_bytes == 500_000_000
    assert found.limits.max_image_pixels == 100_000_000


def test_the_environment_wins_over_the_users_file_and_that_over_the_shipped_one(tmp_path):
    text = "queue:\n  max_pending: 7\n  max_concurrent_jobs: 2\n"
    found = load(tmp_path, text, QUEUE__MAX_PENDING="5000")
    assert (found.queue.max_pending, found.queue.max_concurrent_jobs) == (5000, 2)
    assert found.worker.max_timeout_seconds == 3600


def test_a_users_file_that_is_absent_is_no_fault_unless_it_was_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sources.platformdirs, "user_config_dir", lambda name: str(tmp_path / name))
    assert settings.load(tmp_path, {}).queue.max_pending == 1000
    (tmp_path / "multiplane").mkdir()
    (tmp_path / "multiplane" / "config.yaml").write_text("queue: {max_pending: 3}")
    assert settings.load(tmp_path, {}).queue.max_pending == 3
    assert settings.load(tmp_path, NO_FILE).queue.max_pending == 1000
    assert refused(tmp_path, CONFIG=str(tmp_path / "typo.yaml")) == "There is no settings file HOME/typo.yaml."
    assert refused(tmp_path, CONFIG=str(tmp_path)) == "The settings file HOME cannot be read: Is a directory."


def test_variables_of_others_are_not_ours(tmp_path):
    environ = {**NO_FILE, "QUEUE__MAX_PENDING": "3", "PATH": "/bin", "MULTIPLANEX": "1"}
    assert settings.load(tmp_path, environ).queue.max_pending == 1000


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DEFAULTS__FORMATS", "[]", ()),
        ("DEFAULTS__FORMATS", "[psd]", ("psd",)),
        ("DEFAULTS__SPLIT", "[0.2, 0.4, 0.6]", (0.2, 0.4, 0.6)),
        ("DEFAULTS__NUM_LAYERS", "6", 6),
        ("DEFAULTS__STYLE", "watercolor", "watercolor"),
        ("DEFAULTS__STYLE", "null", None),
        ("WORKER__THREADS", "2", 2),
        ("WORKER__MAX_MEMORY_SHARE", "0.5", 0.5),
        ("LIMITS__MAX_IMAGE_BYTES", "2 GiB", 2 << 30),
        ("QUEUE__MIN_FREE_BYTES", "1MB", 1_000_000),
        ("limits__max_image_bytes", "4096", 4096),
        ("FOLDERS__INBOX", "/a: b #c", Path("/a: b #c")),
    ],
)
def test_a_variable_is_written_as_in_the_file(tmp_path, name, value, found):
    group, key = name.lower().split("__")
    assert getattr(getattr(load(tmp_path, **{name: value}), group), key) == found


@pytest.mark.parametrize("name", ["JOB", "OUT", "PICTURES_DONE"])
def test_a_variable_of_a_script_is_no_setting(tmp_path, name):
    """`MULTIPLANE_JOB` is set for hooks, which may call the command line."""
    assert load(tmp_path, **{name: "x"}).digest == load(tmp_path).digest


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("QUEUE__MAX_PENDIN", "1", 'there is no setting of this name; did you mean "MULTIPLANE_QUEUE__MAX_PENDING"?'),
        ("QUEUE", "{max_pending: 1}", "there is no setting of this name"),
        ("NON__SENSE", "1", "there is no setting of this name"),
        ("HOMES", "x", 'there is no setting of this name; did you mean "MULTIPLANE_HOME"?'),
        ("DEFAULTS__ID", "x", 'there is no setting of this name; did you mean "MULTIPLANE_DEFAULTS__SIZE"?'),
        ("QUEUE__MAX_PENDING", "0", 'queue.max_pending must be a whole number from 1 to 1000000, not "0"'),
        ("QUEUE__MAX_PENDING", "", "queue.max_pending must be a whole number from 1 to 1000000, not nothing"),
        ("QUEUE__MAX_PENDING", "many", 'queue.max_pending must be a whole number from 1 to 1000000, not "many"'),
        ("QUEUE__MAX_PENDING", "[1]", "queue.max_pending must be a whole number from 1 to 1000000, not a list"),
        ("QUEUE__MAX_PENDING", "[1", 'a list without its closing "]"'),
        ("INTAKE__SETTLE_SECONDS", "nan", 'intake.settle_seconds must be a number from 0.5 to 600, not "nan"'),
        ("WORKER__THREADS", "0", 'worker.threads must be auto or a whole number from 1 to 1024, not "0"'),
        ("WORKER__DEVICE", "gpu", 'worker.device must be auto, cpu, mps or cuda, not "gpu"'),
        ("QUEUE__MIN_FREE_BYTES", "999KB", 'queue.min_free_bytes must be a size such as 500 MB, at least 1 MB, not "999KB"'),
        ("LIMITS__MAX_IMAGE_BYTES", "huge", 'limits.max_image_bytes must be a size such as 500 MB, at least 1 kB, not "huge"'),
        ("DEFAULTS__NUM_LAYERS", "50", "defaults.num_layers must be a whole number from 2 to 12, not 50"),
        ("DEFAULTS__NUM_LAYERS", "four", 'defaults.num_layers must be a whole number from 2 to 12, not "four"'),
        ("DEFAULTS__SPLIT", "[0.5]", "split: 4 layers need 3 thresholds, 1 given"),
        ("DEFAULTS__STYLE", "watercolour", 'there is no style "watercolour"; did you mean "watercolor"?'),
        (
            "WORKER__MAX_TIMEOUT_SECONDS",
            "60",
            "defaults.timeout_seconds (600) must be at most worker.max_timeout_seconds (60)",
        ),
    ],
)
def test_a_wrong_variable_is_refused_by_name(tmp_path, name, value, message):
    assert refused(tmp_path, **{name: value}) == f"MULTIPLANE_{name}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queue:\n  max_pendng: 7", 'line 2: unknown key "queue.max_pendng"; did you mean "queue.max_pending"?'),
        ("# mine\nqueu:\n  max_pending: 7", 'line 2: unknown key "queu"; did you mean "queue"?'),
        ("defaults:\n  images: ['*']", 'line 2: unknown key "defaults.images"'),
        ("queue: 7", "line 1: queue must be a group of keys, indented below it"),
        (
            "queue:\n  max_pending: 7\n  max_pending: 8",
            "line 3: queue.max_pending appears twice; the first time in line 2",
        ),
        (
            "queue:\n  max_pending: 7\nqueue:\n  max_pending: 8",
            "line 4: queue.max_pending appears twice; the first time in line 2",
        ),
        ("log:\n  level: loud", 'line 2: log.level must be DEBUG, INFO, WARNING or ERROR, not "loud"'),
        ("log:\n  level: [INFO]", "line 2: log.level must be DEBUG, INFO, WARNING or ERROR, not a list"),
        ("defaults:\n  num_layers: 4.5", "line 2: defaults.num_layers must be a whole number from 2 to 12, not 4.5"),
        ("defaults:\n  seed: 1\n  num_layers: 5\n  split: [0.5]", "line 4: split: 5 layers need 4 thresholds, 1 given"),
        ("log:\n\tlevel: INFO", "line 2: a tab; YAML needs spaces there"),
        (
            "log: &x\n  level: INFO",
            'line 1: an anchor ("&"), which is not allowed; put text that begins with "&" in quotation marks',
        ),
    ],
)
def test_a_wrong_key_in_the_file_is_refused_with_its_line(tmp_path, text, message):
    assert refused(tmp_path, text).startswith(f"HOME/my.yaml, {message}")


def test_several_faults_of_a_file_are_told_at_once(tmp_path):
    with pytest.raises(Refusal) as caught:
        load(tmp_path, "queu: 1\nlog:\n  levle: INFO\n")
    assert caught.value.message.endswith('did you mean "queue"? (and 1 more mistake)')
    assert 'line 3: unknown key "log.levle"; did you mean "log.level"?' in caught.value.hint


def test_a_group_left_empty_says_nothing(tmp_path):
    assert load(tmp_path, "queue:\nlog:\n  level: DEBUG\n").queue.max_pending == 1000


def test_what_a_job_starts_from_is_complete(tmp_path):
    assert set(load(tmp_path).spec_defaults) == set(JobSpec.model_fields) - {"id", "images"}


def test_everything_lies_in_the_home(tmp_path):
    paths = load(tmp_path).paths
    assert (paths.home, paths.inbox, paths.outbox) == (tmp_path, tmp_path / "inbox", tmp_path / "outbox")
    assert (paths.state, paths.work) == (tmp_path / ".state", tmp_path / "outbox" / ".work")
    assert paths.journal == tmp_path / ".state" / "journal"
    assert paths.requests == tmp_path / ".state" / "requests"
    assert paths.lock == tmp_path / ".state" / "lock"
    for name in ("inbox", "outbox", "state", "work", "journal", "requests", "lock"):
        assert getattr(paths, f"{name}_bytes") == os.fsencode(getattr(paths, name))
    assert not list(tmp_path.iterdir())


def test_weights_lie_once_for_all_homes_of_a_user(tmp_path, monkeypatch):
    monkeypatch.setattr(layout.platformdirs, "user_data_dir", lambda name: str(tmp_path / "data" / name))
    shared = tmp_path / "data" / "multiplane" / "models"
    assert [load(tmp_path / home).paths.models for home in ("one", "other")] == [shared, shared]


def test_weights_that_an_earlier_version_put_into_a_home_stay_in_use(tmp_path):
    own = tmp_path / ".state" / "models"
    own.mkdir(parents=True)  # as every daemon of that time made it
    assert load(tmp_path).paths.models != own
    (own / "depth-anything-v2-small").mkdir()
    assert load(tmp_path).paths.models == own


def test_the_home_is_the_argument_else_the_variable_else_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.load(Path("mine"), {**NO_FILE, "MULTIPLANE_HOME": "/other"}).paths.home == tmp_path / "mine"
    assert settings.load(None, {**NO_FILE, "MULTIPLANE_HOME": "/other"}).paths.home == Path("/other")
    assert settings.load(None, NO_FILE).paths.home == ROOT


def test_folders_can_be_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    paths = load(tmp_path / "home", "folders: {inbox: drop, outbox: ~/done, models: /w}").paths
    assert (paths.inbox, paths.outbox, paths.models) == (tmp_path / "home" / "drop", tmp_path / "me" / "done", Path("/w"))


def test_a_name_that_is_no_text_is_kept_byte_for_byte(tmp_path):
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff"))
    assert load(home).paths.inbox_bytes == os.fsencode(tmp_path) + b"/a\xff/inbox"


def test_the_state_of_a_home_on_a_share_is_on_the_local_disk_one_for_each_home(tmp_path, monkeypatch):
    monkeypatch.setattr(layout.platformdirs, "user_state_dir", lambda name: str(tmp_path / "local" / name))
    first = load(tmp_path / "a" / "studio", is_network=lambda path: path.name == "studio").paths
    second = load(tmp_path / "b" / "studio", is_network=lambda path: path.name == "studio").paths
    assert first.state.parent == tmp_path / "local" / "multiplane" / "homes"
    assert first.state.name.startswith("studio-")
    assert first.state != second.state
    assert first.inbox == tmp_path / "a" / "studio" / "inbox"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert load(tmp_path / "link" / "studio", is_network=lambda _: True).paths.state == first.state


@pytest.mark.parametrize(
    ("folders", "first", "second"),
    [
        ("{inbox: outbox/in}", "inbox", "outbox"),
        ("{outbox: inbox}", "inbox", "outbox"),
        ("{outbox: inbox/../inbox/out}", "inbox", "outbox"),
        ("{inbox: link}", "inbox", "outbox"),
        ("{inbox: link/deep/er}", "inbox", "outbox"),
        ("{inbox: deep}", "inbox", "outbox"),
        ("{inbox: ., outbox: /elsewhere}", "inbox", "state folder"),
        ("{inbox: .state/in}", "inbox", "state folder"),
    ],
)
def test_inbox_outbox_and_state_are_apart_by_real_path(tmp_path, folders, first, second):
    (tmp_path / "outbox").mkdir()
    (tmp_path / "link").symlink_to("outbox")
    (tmp_path / "deep").symlink_to("outbox/sub/sub")
    message = refused(tmp_path, f"folders: {folders}")
    assert message.startswith(f"The {first} (HOME")
    assert f"and the {second} (" in message


def test_two_names_of_one_folder_are_one_folder(tmp_path):
    """Some disks do not distinguish `Inbox` from `inbox`; a symbolic link to a parent shows the same through its identity."""
    (tmp_path / "real" / "box").mkdir(parents=True)
    assert layout._identity(tmp_path / "real" / "box") == layout._identity(tmp_path / "real" / ".." / "real" / "box")
    assert layout._within(tmp_path / "real" / "box" / "new", tmp_path / "real")
    assert not layout._within(tmp_path / "real", tmp_path / "real" / "box")
    assert not layout._within(tmp_path / "real-box", tmp_path / "real")


@pytest.mark.parametrize("path", ["daemon/in", "pipeline", "config", ".git/x", "."])
def test_nothing_is_dropped_into_the_program(tmp_path, path):
    assert "overlaps the program's folder" in refused(tmp_path, f"folders: {{inbox: {ROOT / path}}}")


def test_the_inbox_and_outbox_of_the_checkout_are_fine():
    paths = settings.load(ROOT, NO_FILE).paths
    assert (paths.inbox, paths.outbox) == (ROOT / "inbox", ROOT / "outbox")


STYLE = "mine: {description: a, engine: diffusion, prompt: a, negative_prompt: '', guidance: 7, steps: 9}\n"


def test_lists_beside_the_users_file_add_to_the_shipped_ones(tmp_path):
    shipped = settings.load(tmp_path, NO_FILE)
    (tmp_path / "styles.yaml").write_text(STYLE)
    (tmp_path / "models.yaml").write_text("default_depth: dpt-large\n")
    found = load(tmp_path, "defaults:\n  style: mine\n")
    assert found.styles == (*shipped.styles, "mine")
    assert found.paths.style_lists == (*shipped.paths.style_lists, str(tmp_path / "styles.yaml"))
    assert found.paths.model_lists == (*shipped.paths.model_lists, str(tmp_path / "models.yaml"))
    assert settings.load(tmp_path, NO_FILE).styles == shipped.styles
    replaced = load(tmp_path, "folders:\n  catalogue: models.yaml\n", FOLDERS__CATALOGUE=str(ROOT / "config" / "models.yaml"))
    assert replaced.paths.model_lists == (str(ROOT / "config" / "models.yaml"), str(tmp_path / "models.yaml"))


def test_a_list_of_ones_own_that_is_at_fault_is_refused_with_its_line(tmp_path):
    (tmp_path / "models.yaml").write_text("models:\n  taesd:\n    path: mine\n")
    assert refused(tmp_path, "").startswith("The list of models HOME/models.yaml is not valid: line 2: models.taesd")
    (tmp_path / "models.yaml").unlink()
    (tmp_path / "styles.yaml").symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path, "") == "The list of styles HOME/styles.yaml cannot be read: No such file or directory."


def test_the_shipped_settings_as_the_users_file_bring_no_lists_of_their_own():
    found = settings.load(ROOT, {"MULTIPLANE_CONFIG": str(ROOT / "config" / "default.yaml")})
    assert found.styles == settings.load(ROOT, NO_FILE).styles
    assert found.paths.own_styles == found.paths.own_models == ()


def test_the_styles_are_those_of_the_file_and_complete():
    names = settings.load(ROOT, NO_FILE).styles
    engines = {}
    for style in yaml_subset.entries((ROOT / "config" / "styles.yaml").read_bytes(), max_depth=4):
        said = {entry.key: entry.value for entry in style.value.entries}
        engines[style.key] = said["engine"].text
        wanted = {
            "diffusion": {"description", "engine", "prompt", "negative_prompt", "guidance", "steps"},
            "strokes": {
                *("description", "engine", "brushes", "threshold", "length", "curvature", "opacity", "jitter", "relief", "paper"),
            },
        }
        assert set(said) == wanted[said["engine"].text], style.key
    assert tuple(engines) == names
    assert sorted(name for name, engine in engines.items() if engine == "diffusion") == sorted(
        ["oil", "watercolor", "gouache", "impasto", "ink", "pastel", "woodblock", "impressionist", "storybook", "charcoal"]
    )
    assert sum(engine == "strokes" for engine in engines.values()) == 3
    assert engines["oil-strokes"] == "strokes"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("folders:\n  outbox: OUT\nqueue:\n  max_pendign: 3\n", "line 4"),
        ("folders:\n  outbox: OUT\nqueue:\n  max_pending: many\n", "line 4"),
        ("folders:\n  outbox: OUT\nqueue:\n  max_pending: 3\nqueue\n", "line 5"),
        ("folders:\n  outbox: OUT\ncluster:\n  scheduler: nonsense\n", "line 4"),
        ("folders:\n  outbox: OUT\ndefaults:\n  style: no such style\n", "line 4"),
    ],
)
def test_who_only_looks_sees_what_there_is_although_the_settings_have_a_mistake(tmp_path, text: str, place: str) -> None:
    """Also the outbox that the settings name: only what is wrong is left out."""
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(Refusal) as refused:
        load(tmp_path, text.replace("OUT", str(elsewhere)))
    environ = {"MULTIPLANE_CONFIG": str(tmp_path / "my.yaml")}
    found, refusal = load_what_is_right(tmp_path, environ)
    assert refusal is not None
    assert (refusal.message, refusal.hint) == (refused.value.message, refused.value.hint)
    assert place in refusal.message
    assert found.paths.outbox == elsewhere
    assert found.queue.max_pending in (3, 1000)
    (tmp_path / "my.yaml").write_text("queue:\n  max_pending: 3\n")
    assert load_what_is_right(tmp_path, environ)[1] is None
