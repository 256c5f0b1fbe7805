"""The page of all jobs in a real browser, opened from disk while the daemon's code writes its data."""

import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from daemon import clock
from daemon.contract.commands import RETRY, Commands, command
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo, Output, Progress, Source, Status
from daemon.errors import Cancelled
from daemon.fs import LocalFiles
from daemon.outbox import BatchProgress, Health, MoreWaiting, Outbox, Waiting
from daemon.outbox.gallery import Gallery
from daemon.outbox.gallery.cards import card_of, inert
from daemon.outbox.gallery.chunks import Chunks
from tests.acceptance.pages.tabs import Tabs

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>\'&amp;\u2028\u202etxt.exe'
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FILES = (
    ("result/preview.html", "preview"),
    ("result/preview/photo.webp", "preview"),
    ("result/preview/layer_1.webp", "preview"),
    ("result/preview/layer_2.webp", "preview"),
    ("result/layers.psd", "psd"),
    ("result/layer_manifest.json", "manifest"),
    ("result/Layer_1_background.png", "layer"),
    ("result/Layer_2_foreground.png", "layer"),
)
MADE = tuple(Output(path=path, kind=kind, bytes=1, sha256="") for path, kind in FILES)
FIRST_CARD = """new MutationObserver((_, watch) => {
  if (!document.querySelector(".card")) return;
  watch.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.firstCard = performance.now(); }));
}).observe(document, { childList: true, subtree: true });"""

#: The command that starts the daemon, with what is awkward in a page or a sentence.
START = "'/opt/`my` programs/multiplane' run --home '/home/anna/</script> $layers'"
#: Milliseconds after which the page has looked again.
LOOK = 2500
NAMED = Source(image="NAME.jpg", bytes=1)

Page = sync_api.Page
Open = Callable[..., Page]


class Home:
    """An outbox, and what a daemon would write into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outbox = Outbox(LocalFiles(), os.fsencode(root))
        self.outbox.prepare()
        self.gallery = Gallery(self.outbox, lambda most: (), START)
        self.moment = 0.0

    def make(self, job_id: str) -> None:
        """Make a job's folder with the pictures that the page shows."""
        pattern = self.root / ".pattern"
        if not pattern.exists():
            (pattern / "result" / "preview").mkdir(parents=True)
            for name in ("photo", "layer_1", "layer_2"):
                Image.new("RGBA", (60, 40), (200, 120, 60, 255)).save(pattern / "result" / "preview" / f"{name}.webp")
        (self.root / job_id).symlink_to(pattern)

    def ended(self, job_id: str, state: str = "completed", minutes: float = 0, **more: object) -> None:
        when = clock.rfc3339(NOON - timedelta(minutes=minutes))
        outputs: tuple[Output, ...] = ()
        if state == "completed":
            outputs = MADE
            self.make(job_id)
        given = {"source": Source(image=f"{job_id}.jpg", bytes=1), "outputs": outputs, "completed_at": when} | more
        self.gallery.ended(Status(job_id=job_id, state=state, created_at=when, **given))

    def many(self, count: int, **more: object) -> None:
        """Add jobs `job-00000`, `job-00001` and so on, one in fifty of them failed, as an earlier process wrote them."""
        folder = self.root / ".gallery"
        folder.mkdir()
        chunks = Chunks(self.outbox.fs, os.fsencode(folder))
        when = clock.rfc3339(NOON)
        lines = {
            state: inert(card_of(Status(job_id="NAME", state=state, created_at=when, completed_at=when, source=NAMED, **more)))
            for state in ("completed", "failed")
        }
        for number in range(count):
            chunks.add(lines["failed" if number % 50 == 7 else "completed"].replace("NAME", f"job-{number:05}"))
        chunks.flush()
        self.tell()

    def tell(self, *live: Status, alive: datetime | None = None, **more: object) -> None:
        """Write what is due."""
        self.moment += 1000
        given = {"state": "running", "pending": sum(job.state == "pending" for job in live)} | more
        alive_at = clock.rfc3339(alive or datetime.now(UTC))
        running = tuple(job.job_id for job in live if job.state == "processing")
        self.gallery.write(
            self.moment,
            Health(version="1.2.3", pid=5, alive_at=alive_at, started_at=clock.rfc3339(NOON), processing=running, **given),
            live,
        )


def running(job_id: str = "r", fraction: float = 0.25, **more: object) -> Status:
    given = {"source": Source(image=f"{job_id}.jpg", bytes=1)} | more
    progress = Progress(stage="depth", fraction=fraction, eta_seconds=12.0)
    return Status(job_id=job_id, state="processing", created_at=clock.rfc3339(NOON), progress=progress, **given)


def pending(job_id: str, position: int | None, **more: object) -> Status:
    given = {"source": Source(image=f"{job_id}.jpg", bytes=1)} | more
    return Status(job_id=job_id, state="pending", created_at=clock.rfc3339(NOON), queue_position=position, **given)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "out box #1")


@pytest.fixture(scope="module")
def tabs(browser) -> Iterator[Tabs]:
    given = {"viewport": {"width": 1000, "height": 700}, "reduced_motion": "reduce", "timezone_id": "UTC", "locale": "en-GB"}
    made = Tabs(browser, script=FIRST_CARD, **given)
    yield made
    made.close()


@pytest.fixture
def open_page(tabs: Tabs, home: Home) -> Iterator[Open]:
    """Opens the page; at the end, nothing may have been logged, thrown or requested from the network."""

    def open_page(*, at: datetime | None = None, **options: object) -> Page:
        return tabs.open((home.root / "index.html").as_uri(), clock=at or False, **options)

    with tabs.of_one_test():
        yield open_page


def cards(page: Page) -> list[str]:
    return page.eval_on_selector_all("#history .card h3", "nodes => nodes.map(node => node.textContent)")


def filled(page: Page, count: int) -> None:
    page.wait_for_function("count => document.querySelectorAll('#history .card').length === count", arg=count)


def test_every_state_says_what_a_person_wants_to_know(home: Home, open_page: Open) -> None:
    warning = "The depth was estimated without a model."
    home.ended("old", "cancelled", 70)
    home.ended("bad", "failed", 5, error=ErrorInfo(code="timeout", message="It took longer than 600 s.", hint="Ask for less."))
    home.ended("good", minutes=1, processing_seconds=2.62, warnings=(warning,), source=Source(image="good.png", bytes=1))
    waiting = (Waiting(path="a.jpg", reason="waiting for a.yaml"),)
    home.tell(running(fraction=0.42), pending("p", 1), pending("q", 2), waiting=waiting, waiting_total=1)
    page = open_page()
    filled(page, 3)
    assert cards(page) == ["good.png", "bad.jpg", "old.jpg"]
    assert page.locator("#health").text_content() == "Running · 1 in progress · 2 queued"
    assert page.locator("#running .meta").text_content() == "Finding the depth · 42 % · about 12 s left"
    assert page.locator("#running progress").evaluate("bar => bar.value") == pytest.approx(0.42)
    assert page.locator("#queue .rows p").all_text_contents() == ["Next", "Number 2 in line"]
    assert page.locator("#waiting .rows li").all_text_contents() == ["a.jpgwaiting for a.yaml"]
    # The first thing that everybody drops; what to do about it is said, and only then.
    assert "photo in 4 layers" in page.locator("#bare:visible").text_content()
    assert page.locator(".completed .meta").text_content() == "2 layers · 2.6 s · 9\xa0bytes · 11:59"
    assert page.locator(".failed .well p, .failed .hint").all_text_contents() == ["It took longer than 600 s.", "Ask for less."]
    assert not page.get_by_text(warning).is_visible()
    page.get_by_text("1 note").click()
    assert page.get_by_text(warning).is_visible()
    links = page.eval_on_selector_all(".completed .links a", "nodes => nodes.map(n => [n.textContent, n.getAttribute('href')])")
    assert links == [
        ["Preview", "good/result/preview.html"],
        ["Folder", "good/"],
        ["PSD", "good/result/layers.psd"],
        ["Manifest", "good/result/layer_manifest.json"],
    ]
    page.wait_for_function("() => document.querySelector('.shot img').naturalWidth === 60")
    assert page.locator(".shot").get_attribute("href") == "good/result/preview.html"
    assert page.title() == "42 % · Multiplane"


def test_it_follows_what_happens_without_being_loaded_again(home: Home, open_page: Open) -> None:
    home.ended("first", minutes=2)
    home.tell(running("r", 0.1))
    page = open_page(at=datetime.now(UTC))
    filled(page, 1)
    page.evaluate("window.sameAsBefore = true")
    home.tell(running("r", 0.8))
    page.clock.run_for(LOOK)
    page.wait_for_function("() => document.querySelector('#running .meta').textContent.includes('80 %')")
    home.ended("r", minutes=1)
    home.tell()
    page.clock.run_for(LOOK)
    filled(page, 2)
    assert cards(page) == ["r.jpg", "first.jpg"]
    assert page.locator("#now").is_hidden()
    home.gallery.removed("first")
    home.tell()
    page.clock.run_for(LOOK)
    filled(page, 1)
    assert cards(page) == ["r.jpg"]
    assert page.evaluate("window.sameAsBefore")


def test_focus_and_what_was_unfolded_stay_while_it_refreshes(home: Home, open_page: Open) -> None:
    home.ended("noted", warnings=("Look.",))
    home.tell(running("r", 0.1))
    page = open_page(at=datetime.now(UTC))
    filled(page, 1)
    page.get_by_text("1 note").click()
    page.get_by_role("link", name="PSD of noted.jpg").focus()
    home.ended("newer", minutes=-1)
    home.tell(running("r", 0.5))
    page.clock.run_for(LOOK)
    filled(page, 2)
    assert page.get_by_text("Look.").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "PSD"


def test_of_thousands_of_jobs_only_the_first_are_drawn_and_all_are_found(home: Home, open_page: Open) -> None:
    home.many(5400, batch="20260131T120000-feast-0a1b2c3d")
    page = open_page()
    page.wait_for_function("() => window.firstCard")
    counts = "() => document.querySelector('[data-filter=all] span').textContent"
    page.wait_for_function(f"() => ({counts})() === '5,000+'")
    assert "feastBatch of at least 5,000 pictures" in page.locator("#history h2").text_content()
    assert page.locator(".card").count() <= 240
    page.locator("[data-filter=failed]").click()
    page.wait_for_function("() => !document.querySelector('.completed') && document.querySelector('.failed')")
    page.locator("#search").fill("job-05107")
    page.wait_for_function("() => document.querySelectorAll('.card').length === 1")
    assert cards(page) == ["job-05107.jpg"]
    page.locator("#search").fill("")
    page.locator("[data-filter=all]").click()
    page.evaluate("scrollTo(0, 1e6)")
    page.wait_for_function("() => document.querySelectorAll('.card').length >= 120")
    # Beyond 5,000 the page asks first.
    page.locator("#search").fill("job-00000")
    page.get_by_role("button", name="Show older jobs").click()
    filled(page, 1)
    assert cards(page) == ["job-00000.jpg"]


def test_a_daemon_that_fell_silent_is_noticed_and_so_is_its_return(home: Home, open_page: Open) -> None:
    home.tell(alive=NOON)
    page = open_page(at=NOON + timedelta(seconds=2))
    page.wait_for_function("() => document.getElementById('health').textContent === 'Running'")
    page.clock.run_for(50_000)
    assert page.locator("#banner").is_hidden()
    page.clock.run_for(14_000)
    page.locator("#banner").wait_for()
    banner = page.locator("#banner").text_content()
    assert banner.startswith("Multiplane hasn't responded since ")
    assert banner.endswith(f"12:00. To start it, run this in a terminal:{START}Copy")
    assert page.locator("#banner code").text_content() == START
    assert page.locator("#health").text_content() == "Silent"
    home.tell(alive=NOON + timedelta(seconds=66))
    page.clock.run_for(LOOK)
    page.wait_for_function("() => document.getElementById('banner').hidden")
    assert page.locator("#health").text_content() == "Running"


@pytest.mark.parametrize("gone", ["silent", "stopped"])
def test_without_a_daemon_nothing_is_in_work_and_no_time_is_promised(home: Home, open_page: Open, gone: str) -> None:
    crashed = ErrorInfo(code="worker_crashed", message="The worker was killed.", hint="Nothing to do.")
    again = {"attempts": 1, "retry_at": clock.rfc3339(NOON + timedelta(minutes=5)), "error": crashed}
    home.tell(running(fraction=0.23), pending("p", 1), pending("q", None, **again), alive=NOON)
    page = open_page(at=NOON + timedelta(seconds=2))
    page.wait_for_function("() => document.getElementById('health').textContent === 'Running · 1 in progress · 2 queued'")
    assert page.locator("#now-title").text_content() == "In progress"
    assert page.locator("#queue .rows p").all_text_contents() == [
        "Next",
        "Next attempt at 12:05:00 (attempt 2 of 3) · The worker was killed.",
    ]
    if gone == "stopped":
        home.tell(running(fraction=0.23), pending("p", 1), pending("q", None, **again), alive=NOON, state="stopped")
    page.clock.run_for(64_000 if gone == "silent" else LOOK)
    page.locator("#banner").wait_for()
    assert page.locator("#health").text_content() == f"{gone.capitalize()} · 1 unfinished · 2 queued"
    assert page.locator("#now-title").text_content() == "Unfinished"
    assert page.locator("#running .meta").text_content() == "Finding the depth · 23 % · as\xa0of\xa0the\xa0last\xa0report"
    assert page.locator("#queue .rows p").all_text_contents() == ["Pending", "Pending · earlier attempt: The worker was killed."]
    assert "In progress" not in page.locator("#filters").inner_text()
    assert page.title() == "Multiplane"
    home.tell(running(fraction=0.23), pending("p", 1), alive=NOON + timedelta(minutes=2))
    page.clock.run_for(LOOK)
    page.wait_for_function("() => document.getElementById('now-title').textContent === 'In progress'")
    assert page.locator("#running .meta").text_content() == "Finding the depth · 23 % · about 12 s left"
    assert "In progress" in page.locator("#filters").inner_text()


@pytest.mark.parametrize("state", ["paused", "offline"])
def test_a_page_that_is_open_says_beside_each_job_that_nothing_is_started(home: Home, open_page: Open, state: str) -> None:
    queue = pending("p", 1), pending("q", 2)
    waiting = {"waiting": (Waiting(path="big.jpg", reason="still growing"),), "waiting_total": 1}
    home.tell(*queue, alive=NOON, **waiting)
    page = open_page(at=NOON + timedelta(seconds=2))
    rows = page.locator("#queue .rows p")
    page.wait_for_function("() => document.getElementById('health').textContent === 'Running · 2 queued'")
    assert rows.all_text_contents() == ["Next", "Number 2 in line"]
    assert page.locator("#waiting h2 .quiet").text_content() == "1"
    home.tell(*queue, alive=NOON + timedelta(seconds=3), state=state, problem="No room.", **waiting)
    page.clock.run_for(LOOK)
    page.locator("#banner").wait_for()
    assert rows.all_text_contents() == [f"Pending, {state}"] * 2
    page.clock.run_for(64_000)
    page.wait_for_function("() => document.getElementById('health').textContent.startsWith('Silent')")
    assert rows.all_text_contents() == ["Pending", "Pending"]
    assert page.locator("#waiting h2 .quiet").text_content() == "1 · as of the last report"
    home.tell(*queue, alive=NOON + timedelta(minutes=3), **waiting)
    page.clock.run_for(LOOK)
    page.wait_for_function("() => document.getElementById('health').textContent === 'Running · 2 queued'")
    assert rows.all_text_contents() == ["Next", "Number 2 in line"]


def test_a_job_that_is_tried_again_says_when_and_which_attempt_it_is_at(home: Home, open_page: Open) -> None:
    crashed = ErrorInfo(code="worker_crashed", message="The worker was killed.", hint="Nothing to do.")
    rests = pending("p", None, attempts=2, retry_at=clock.rfc3339(NOON), error=crashed)
    home.tell(running(fraction=0.57, attempts=2), rests, pending("q", 1, attempts=1, error=crashed))
    page = open_page()
    page.locator("#running .card").wait_for()
    assert page.locator("#running .meta").text_content() == "Finding the depth · 57 % · about 12 s left · attempt\xa02\xa0of\xa03"
    assert page.locator("#queue .rows p").all_text_contents() == [
        "Next attempt at 12:00:00 (attempt 3 of 3) · The worker was killed.",
        "Next · earlier attempt: The worker was killed.",
    ]


def test_clocks_that_differ_are_no_silence_once_the_daemon_is_seen_to_live(home: Home, open_page: Open) -> None:
    home.tell(alive=NOON - timedelta(minutes=10))
    page = open_page(at=NOON)
    page.locator("#banner").wait_for()
    home.tell(alive=NOON - timedelta(minutes=10) + timedelta(seconds=15))
    page.clock.run_for(LOOK)
    page.wait_for_function("() => document.getElementById('banner').hidden")


def test_a_stop_and_a_problem_are_said_in_words(home: Home, open_page: Open) -> None:
    home.tell(state="paused", problem="The disk is full.", hint="Make room.")
    page = open_page(own=True)
    page.locator("#banner").wait_for()
    assert page.locator("#banner").text_content() == "The disk is full. Make room."
    home.tell(state="stopped")
    page.wait_for_function("() => document.getElementById('health').textContent === 'Stopped'")
    assert page.locator("#banner").text_content().endswith(f". To start it, run this in a terminal:{START}Copy")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#banner button")
    page.wait_for_function("() => document.querySelector('#banner button').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == START


def test_hostile_names_stay_text_everywhere(home: Home, open_page: Open) -> None:
    source, error = Source(image=HOSTILE, bytes=1), ErrorInfo(code="internal", message=HOSTILE, hint=HOSTILE)
    home.ended("bad", "failed", source=source, error=error, warnings=(HOSTILE,), batch=HOSTILE)
    home.ended("good", source=source, batch=HOSTILE)
    waiting = (Waiting(path=HOSTILE, reason=HOSTILE),)
    home.tell(
        running("r", source=source, batch=HOSTILE),
        pending("p", 1, source=source, batch=HOSTILE, error=error),
        waiting=waiting, waiting_total=1, problem=HOSTILE, hint=HOSTILE, last_fault=HOSTILE,
    )  # fmt: skip
    page = open_page()
    filled(page, 2)
    assert cards(page) == [HOSTILE, HOSTILE]
    for place in ("#history h2 bdi", "#running h3", "#queue b", "#waiting b", "#waiting p bdi"):
        assert page.locator(place).text_content() == HOSTILE
    # A sentence that a worker said has lost what turns the direction of writing, and what begins a new line.
    assert page.locator(".failed .well p >> nth=0").text_content() == HOSTILE.translate({0x202E: None, 0x2028: None})
    for place in ("#banner", "#foot", "#running .meta", "#queue p >> nth=0", ".notes li"):
        assert HOSTILE in page.locator(place).text_content()
    assert page.evaluate("window.hacked === undefined")
    assert page.eval_on_selector_all("img", "nodes => nodes.map(node => node.getAttribute('src'))") == [
        "good/result/preview/photo.webp"
    ]
    # What turns the direction of writing around is held within its own element wherever ours stands beside it.
    loose = page.evaluate("""() => {
      const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const { data, parentElement } = walker.currentNode;
        if (data.includes("\\u202e") && !parentElement.closest("bdi")) found.push(parentElement.outerHTML);
      }
      return found;
    }""")
    assert loose == []


def test_batches_stand_under_their_name_and_single_drops_under_their_day(home: Home, open_page: Open) -> None:
    home.ended("single", minutes=24 * 60)
    for number in range(3):
        home.ended(f"b{number}", "failed" if number == 1 else "completed", 9 - number, batch="20260131T120000-holiday-0a1b2c3d")
    home.ended("late", minutes=1)
    home.tell(alive=NOON)
    page = open_page(at=NOON)
    filled(page, 5)
    assert page.locator("#batches").is_hidden()
    headings = page.locator("#history h2").all_text_contents()
    assert headings == [
        "Today1 job · 9 bytes",
        "holidayBatch of 3 pictures · 1 failed · 18 bytes · today",
        "Yesterday1 job · 9 bytes",
    ]
    assert page.locator("#history section").nth(1).locator(".card").count() == 3


def test_the_heading_of_a_batch_counts_what_runs_and_waits_and_what_is_not_loaded_as_well(home: Home, open_page: Open) -> None:
    trip = "20260131T120000-trip-0a1b2c3d"
    home.ended("t", "failed", minutes=1, batch=trip)
    under_way = BatchProgress(batch=trip, name="trip", total=30, ended=12, failed=2, eta_seconds=None)
    home.tell(running("r", batch=trip), pending("p", 1, batch=trip), batches=(under_way,), alive=NOON)
    page = open_page(at=NOON)
    page.locator("#card-t").wait_for()
    assert page.locator("#history h2").all_text_contents() == ["trip12 of 30 pictures · 1 failed · today"]
    assert page.locator("#batches li").all_text_contents() == ["trip12 of 30 · 2 failed"]
    # Without the daemon's count, as after a retry: all that is on the page counts.
    home.tell(running("r", batch=trip), pending("p", 1, batch=trip), alive=NOON)
    page.wait_for_function("() => document.querySelector('#history h2').textContent.startsWith('trip1 of 3 pictures')")
    page.click("[data-filter=failed]")
    assert page.locator("#history h2").all_text_contents() == ["trip1 of 3 pictures · 1 failed · today"]


def test_the_card_of_a_painting_shows_the_painting(home: Home, open_page: Open) -> None:
    """The small picture of a painting is the photo before it was painted; the layers are the painting."""
    home.ended("painted", mode="painterly")
    home.ended("photo", minutes=1, mode="photo-realistic")
    for name, colour in (("photo", (255, 0, 0, 255)), ("layer_1", (0, 0, 255, 255)), ("layer_2", (0, 0, 0, 0))):
        Image.new("RGBA", (60, 40), colour).save(home.root / "painted" / "result" / "preview" / f"{name}.webp")
    home.tell()
    page = open_page()
    for job, colour in (("painted", (0, 0, 255)), ("photo", (255, 0, 0))):
        page.locator(f"#card-{job} .shot.seen").wait_for()
        page.wait_for_function(
            "id => [...document.querySelectorAll(`#${id} img`)].every((each) => each.complete)", arg=f"card-{job}"
        )
        shown = Image.open(io.BytesIO(page.locator(f"#card-{job} .shot").screenshot())).convert("RGB")
        assert max(abs(a - b) for a, b in zip(shown.getpixel((shown.width // 2, 60)), colour, strict=True)) < 24


def test_a_card_shows_the_whole_picture_whatever_its_shape_and_no_label_covers_it(home: Home, open_page: Open) -> None:
    shapes = {"portrait": (40, 60), "square": (60, 60), "panorama": (120, 40), "wide": (64, 36)}
    for job, (width, height) in shapes.items():
        home.ended(job, depth_source="heuristic")
        (home.root / job).unlink()
        (home.root / job / "result" / "preview").mkdir(parents=True)
        picture = Image.new("RGB", (width, height), (0, 0, 255))
        picture.paste((255, 0, 0), (0, 0, width, height // 10))  # where the hair is
        picture.paste((255, 0, 0), (0, 0, width // 10, height))
        picture.save(home.root / job / "result" / "preview" / "photo.webp", lossless=True)
    home.tell()
    page = open_page()
    for job, (width, height) in shapes.items():
        page.locator(f"#card-{job} .shot.seen").wait_for()
        frame, shown, badge = (page.locator(f"#card-{job} {name}").bounding_box() for name in (".shot", ".shot img", ".badge"))
        assert abs(shown["width"] / shown["height"] / (width / height) - 1) < 0.02, job
        assert shown["width"] > frame["width"] - 1 or shown["height"] > frame["height"] - 1
        assert badge["y"] >= frame["y"] + frame["height"]
        seen = Image.open(io.BytesIO(page.locator(f"#card-{job} .sheet").screenshot())).convert("RGB")
        for place in ((seen.width // 2, 3), (3, seen.height // 2)):
            assert max(abs(a - b) for a, b in zip(seen.getpixel(place), (255, 0, 0), strict=True)) < 24, (job, place)


def test_another_result_is_made_by_hand_or_by_a_command_with_six_layers(home: Home, open_page: Open) -> None:
    home.ended("good")
    home.tell()
    page = open_page()
    page.click("#card-good .again summary")
    told = page.locator("#card-good .again").text_content()
    assert "drag this job's folder into a preset's folder in the inbox" in told
    assert page.locator("#card-good .again .typed code").text_content() == home.outbox.commands.typed(
        "redo", "good", "--num-layers", "6"
    )


def test_it_is_used_by_keyboard_alone(home: Home, open_page: Open) -> None:
    home.ended("garden", minutes=1)
    home.ended("harbour", minutes=2, batch="Cafe\u0301")
    home.tell()
    page = open_page()
    filled(page, 2)
    page.keyboard.press("/")
    page.keyboard.type("caf\u00e9 HARB")
    filled(page, 1)
    assert cards(page) == ["harbour.jpg"]
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.dataset.filter")
        )
    kinds = ("Preview", "Folder", "PSD", "Manifest")
    assert reached == ["all", "completed", *(f"{kind} of harbour.jpg" for kind in kinds)]
    page.keyboard.press("/")
    page.keyboard.type("nothing like it")
    filled(page, 0)
    page.get_by_role("button", name="Show all jobs").click()
    filled(page, 2)


def test_long_lists_are_folded_and_say_how_much_more_there_is(home: Home, open_page: Open) -> None:
    waiting = tuple(Waiting(path=f"{number}.jpg", reason="waits") for number in range(9))
    more = (MoreWaiting(reason="waiting for NAME.yaml", count=2), MoreWaiting(reason="a video", count=1))
    jobs = (pending(f"p{number}", number + 1) for number in range(3))
    home.tell(*jobs, pending=40, waiting=waiting, waiting_total=12, waiting_more=more)
    page = open_page()
    page.locator("#waiting").wait_for()
    assert page.locator("#waiting .rows li").count() == 4
    page.get_by_role("button", name="Show the first 9").click()
    assert page.locator("#waiting .rows li").count() == 9
    more = "… and 3 more in the inbox: 2 waiting for NAME.yaml; 1 a video"
    assert page.locator("#waiting .more").text_content() == more
    assert page.locator("#bare").is_hidden()
    assert page.locator("#queue .more").text_content() == "… and 37 more jobs"


def test_an_empty_outbox_says_what_to_do(home: Home, open_page: Open) -> None:
    home.tell()
    page = open_page()
    page.locator("#empty h2").wait_for()
    assert "photo.jpg and photo.yaml" in page.locator("#empty").text_content()
    assert page.locator("#filters").is_hidden()


def test_under_the_pointer_a_picture_parts_into_its_layers_unless_less_motion_is_wanted(home: Home, open_page: Open) -> None:
    home.ended("good")
    home.tell(running())
    page = open_page(reduced_motion="no-preference")
    filled(page, 1)
    page.locator(".shot").hover()
    page.locator(".shot.deep .plane").first.wait_for()
    assert page.locator(".plane").count() == 2
    calm = open_page()
    filled(calm, 1)
    calm.locator(".shot").hover()
    calm.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert calm.locator(".plane").count() == 0
    assert calm.evaluate("document.getAnimations().length") == 0
    assert page.evaluate("document.getAnimations().length") > 0


def test_a_phone_never_scrolls_sideways(home: Home, open_page: Open) -> None:
    long = "x" * 200
    home.ended("bad", "failed", error=ErrorInfo(code="internal", message=long, hint=long), warnings=(long,))
    home.ended("good", source=Source(image=long, bytes=1), batch=long)
    home.tell(running("r", source=Source(image=long, bytes=1)), waiting=(Waiting(path=long, reason=long),), waiting_total=1)
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    filled(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_phone_shows_all_tabs_and_each_list_as_wide_as_the_page(home: Home, open_page: Open) -> None:
    home.ended("good", batch="20260131T110000-trip-aaaa")
    home.ended("bad", "failed", error=ErrorInfo(code="internal", message="It broke.", hint="Ask."))
    home.ended("gone", "cancelled")
    under_way = BatchProgress(batch="20260131T110000-trip-aaaa", name="trip", total=30, ended=12, failed=2)
    waiting = (Waiting(path="a.jpg", reason="waiting for a.yaml"),)
    home.tell(running("r"), pending("p", 1), batches=(under_way,), waiting=waiting, waiting_total=1)
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    filled(page, 3)
    edges = "(all) => all.map((one) => one.getBoundingClientRect()).map((at) => [Math.round(at.left), Math.round(at.right)])"
    left, right = page.locator("main").evaluate_all(edges)[0]
    tabs = page.locator("#filters button").evaluate_all(edges)
    assert len(tabs) == 5
    assert [tab for tab in tabs if tab[0] < left or tab[1] > right] == []
    assert page.locator("#batches, #queue, #waiting").evaluate_all(edges) == [[left, right]] * 3


def test_a_batch_of_another_day_is_headed_with_the_day_as_it_is_spelled(home: Home, open_page: Open) -> None:
    home.ended("t", batch="20260131T110000-trip-aaaa")
    home.tell(alive=NOON)
    for later, day in ((timedelta(), "today"), (timedelta(days=1), "yesterday"), (timedelta(days=3), "Saturday 31 January")):
        page = open_page(at=NOON + later)
        page.locator("#card-t").wait_for()
        assert page.locator("#history h2").inner_text().endswith(f" · {day}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_easy_to_read_in_both_themes(home: Home, open_page: Open, scheme: str) -> None:
    home.ended("bad", "failed", error=ErrorInfo(code="internal", message="It broke.", hint="Ask."), warnings=("Look.",))
    home.ended("gone", "cancelled")
    home.tell(running(), pending("p", 1), problem="Trouble.", hint="Ask.")
    page = open_page(color_scheme=scheme)
    filled(page, 2)
    page.get_by_text("1 note").click()
    ratios = page.evaluate("""() => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const over = (colours) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
      };
      const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
      return ["h1", "h2", "#health", "#banner", "#filters button", "#filters span", ".meta", ".links a", ".failed .well p",
        ".failed .hint", ".cancelled .well p, .cancelled .well", ".notes li", "#queue p", "#foot"].map((name) => {
        const node = document.querySelector(name), grounds = [];
        for (let at = node; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
        const paper = light(over(grounds)), ink = light(over([...grounds, getComputedStyle(node).color]));
        return [name, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
      });
    }""")
    assert [entry for entry in ratios if entry[1] < 4.5] == []
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(244, 243, 240)", "dark": "rgb(19, 19, 20)"}[scheme]


COMMAND = "/Users/me/multi plane/.venv/bin/multiplane models fetch depth-anything-v2-small --home '/Users/me/my <b>layers</b>'"


def test_a_picture_cut_by_an_estimate_says_so_and_the_page_says_how_to_get_real_depth(home: Home, open_page: Open) -> None:
    home.ended("guessed", minutes=1, depth_source="heuristic")
    home.ended("measured", minutes=2, depth_source="file")
    home.ended("learned", minutes=3, depth_source="model")
    home.ended("of-old", minutes=4)
    home.tell(fetch_model=COMMAND)
    page = open_page()
    filled(page, 4)
    badges = page.eval_on_selector_all(
        ".badge", "nodes => nodes.map(node => [node.closest('.card').querySelector('h3').textContent, node.textContent])"
    )
    assert badges == [["guessed.jpg", "Estimated depth"]]
    assert page.locator("#model").is_visible()
    assert page.text_content("#model code") == COMMAND
    home.tell()  # somebody fetched it
    redo = home.outbox.commands.typed("redo", "--guessed")
    page.wait_for_function("redo => document.querySelector('#model code').textContent === redo", arg=redo)
    assert page.locator(".badge").count() == 1
    home.ended("guessed-again", minutes=5, depth_source="model", redo_of="guessed")
    home.tell()
    page.wait_for_function("() => document.querySelector('#model').hidden")
    assert page.locator(".badge").count() == 0
    assert page.get_by_label("PSD of measured.jpg").get_attribute("download") == "measured.psd"
    assert "redo measured" in page.locator("#card-measured .again .typed code").text_content()


def test_no_model_is_asked_for_where_none_would_have_been_used(home: Home, open_page: Open) -> None:
    home.ended("measured", minutes=1, depth_source="file")
    home.ended("wished", minutes=2, depth_source="heuristic", spec=JobSpec(depth="cues"))
    home.tell(fetch_model=COMMAND)
    page = open_page()
    filled(page, 2)
    assert page.locator(".badge").count() == 1
    assert not page.locator("#model").is_visible()


def test_a_command_in_a_hint_is_shown_as_code_to_be_copied(home: Home, open_page: Open) -> None:
    home.outbox.commands = Commands("'/my `own` programs/multiplane'", "--home '/Anna`s <b>fotos</b>'")
    error = ErrorInfo(code="internal", message="It broke: a`b.jpg.", hint=f"Run: {RETRY}. If it happens again, report it.")
    home.ended("bad", "failed", error=error, warnings=(f"See {RETRY}.",))
    home.tell(state="paused", problem="it is full", hint=f"Look: {command('doctor')}.")
    page = open_page()
    page.locator(".failed .hint code").wait_for()
    retry = home.outbox.commands.typed("retry", "ID")
    assert page.locator(".failed .hint code, .notes:not(.again) code").all_text_contents() == [retry, retry]
    assert page.locator(".failed .well p, .failed .hint").all_text_contents() == [
        error.message,
        f"Run: {retry}. If it happens again, report it.",
    ]
    assert page.locator("#banner code").all_text_contents() == [home.outbox.commands.typed("doctor")]


def test_a_name_that_looks_like_a_command_is_shown_as_the_name_it_is(home: Home, open_page: Open) -> None:
    home.outbox.commands = Commands("/opt/multiplane", "--home /h")
    name = "`multiplane rm victim`.png"
    retry = home.outbox.commands.typed("retry", "ID")
    error = ErrorInfo(
        code="internal", message=f"{name} is broken: {name}.", hint=f"Look at {name}, then run: {RETRY}.", detail=name
    )
    home.ended("bad", "failed", 1, error=error, source=Source(image=name, bytes=1))
    home.ended("good", minutes=2, source=Source(image=name, bytes=1), warnings=(f"{name}: half a warning",), batch=name)
    waiting = (Waiting(path=f"`multiplane rm victim`/{name}", reason=f"waiting for {name}.yaml"),)
    home.tell(
        running(source=Source(image=name, bytes=1), batch=name), pending("p", 1, source=Source(image=name, bytes=1)),
        waiting=waiting, waiting_total=1,
        state="paused", problem=f"{name} cannot be read", hint=f"Remove {name}.", last_fault=name,
    )  # fmt: skip
    page = open_page()
    filled(page, 2)
    assert cards(page) == [name, name]
    assert page.locator(".failed .well p, .failed .hint").all_text_contents() == [
        error.message,
        f"Look at {name}, then run: {retry}.",
    ]
    assert page.locator(".notes li").all_text_contents() == [f"{name}: half a warning"]
    assert page.locator("#waiting li").all_text_contents() == [f"`multiplane rm victim`/{name}waiting for {name}.yaml"]
    assert page.locator("#banner").text_content() == f"{name} cannot be read. Remove {name}."
    assert page.locator("#running h3, #queue li b").all_text_contents() == [name, name]
    assert (page.locator("#foot").text_content() or "").endswith(name)
    shown = page.locator("code").evaluate_all(
        "nodes => nodes.filter((node) => node.checkVisibility()).map((node) => node.textContent)"
    )
    assert [text for text in shown if "multiplane" in text] == [retry]


@pytest.mark.parametrize("clipboard", [True, False])
def test_the_command_for_the_model_is_copied_as_it_stands(home: Home, open_page: Open, clipboard: bool) -> None:
    home.ended("guessed", depth_source="heuristic")
    home.tell(fetch_model=COMMAND)
    page = open_page(own=True)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('before')")
    if not clipboard:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
    page.click("#model button")
    page.wait_for_function("() => document.querySelector('#model button').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == COMMAND
    page.wait_for_function("() => document.querySelector('#model button').textContent === 'Copy'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_a_long_command_stays_on_the_page(home: Home, open_page: Open, width: int, scheme: str) -> None:
    home.gallery = Gallery(home.outbox, lambda most: (), START.replace("/anna/", f"/{'x' * 300}/"))
    home.ended("guessed", depth_source="heuristic")
    home.tell(fetch_model=COMMAND.replace("my <b>", "x" * 300), state="stopped")
    page = open_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
    filled(page, 1)
    assert page.locator("#banner").is_visible()
    assert page.locator("#model").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def address(page: Page) -> str:
    return page.evaluate("decodeURIComponent(location.hash)")


def test_filter_and_search_are_in_the_address_and_back_returns_to_them(home: Home, open_page: Open) -> None:
    home.ended("wedding-1")
    home.ended("wedding-2", "failed", error=ErrorInfo(code="image_corrupt", message="It ends early.", hint="Drop it again."))
    home.ended("beach")
    home.tell()
    page = open_page(own=True)
    page.wait_for_selector(".card")
    page.fill("#search", "wedding")
    page.click("[data-filter=failed]")
    assert address(page) == "#show=failed&find=wedding"
    page.wait_for_function("() => document.querySelectorAll('.card').length === 1")
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 2")
    assert address(page) == "#find=wedding"
    page.go_forward()
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 1")
    assert page.input_value("#search") == "wedding"
    assert page.get_attribute("[data-filter=failed]", "aria-pressed") == "true"


def test_back_from_a_folder_leads_to_the_same_place_of_a_long_list(home: Home, open_page: Open) -> None:
    home.many(300)
    page = open_page(own=True)
    page.wait_for_selector(".card")
    page.evaluate("scrollTo(0, 3000)")
    page.wait_for_function("() => history.state?.top > 2900")
    top = page.evaluate("scrollY")
    page.goto((home.root / "index.html").as_uri() + "#show=failed")
    page.wait_for_function(
        "() => document.querySelectorAll('.card.failed').length > 3 && !document.querySelector('.card.completed')"
    )
    page.goto("about:blank")
    page.go_back()
    page.go_back()
    page.wait_for_function(f"() => Math.abs(scrollY - {top}) < 2")


def test_a_preview_opens_in_place_with_the_next_job_and_a_way_back(home: Home, open_page: Open) -> None:
    for number in (2, 1, 0):  # the last to end comes first
        home.ended(f"picture-{number}", minutes=number)
    home.ended("broken", "failed", minutes=1.5, error=ErrorInfo(code="image_corrupt", message="It ends early.", hint="Again."))
    home.tell()
    preview = home.root / ".pattern" / "result" / "preview.html"
    preview.write_text("<script>onkeydown = ({ key }) => parent.postMessage({ n: 'next', Escape: 'close' }[key], '*')</script>")
    page = open_page(own=True)
    page.click("#card-picture-0 a[data-role=Preview]")
    inside = page.frame_locator("#viewer iframe")
    inside.locator("script").wait_for(state="attached")
    assert (page.text_content("#place"), address(page)) == ("1 of 3", "#job=picture-0")
    assert page.is_disabled("#previous")
    page.click("#next")
    assert (page.text_content("#place"), address(page)) == ("2 of 3", "#job=picture-1")
    [shown] = [frame for frame in page.frames if frame.parent_frame]
    shown.wait_for_url("**/picture-1/result/preview.html")
    inside.locator("body").press("n")
    page.wait_for_function("() => document.querySelector('#place').textContent === '3 of 3'")
    assert page.is_disabled("#next")
    page.go_back()
    page.wait_for_function("() => !document.querySelector('#viewer').open")
    assert address(page) == ""
    assert page.evaluate("document.activeElement.closest('.card').id") == "card-picture-2"


def test_all_jobs_leads_from_a_preview_to_its_card(home: Home, open_page: Open) -> None:
    home.many(150)
    page = open_page()
    page.goto((home.root / "index.html").as_uri() + "#at=job-00020")
    page.wait_for_function("() => document.activeElement.closest('.card')?.id === 'card-job-00020'")
    assert page.evaluate("document.activeElement.getBoundingClientRect().bottom <= innerHeight")
    assert address(page) == ""


def test_the_waiting_list_folds_to_one_line_and_stays_folded(home: Home, open_page: Open) -> None:
    home.tell(waiting=tuple(Waiting(path=f"{k}.jpg", reason=f"waiting for {k}.yaml") for k in range(9)), waiting_total=9)
    page = open_page()
    page.wait_for_selector("#waiting li")
    tall = page.locator("#waiting").bounding_box()["height"]
    page.click("#waiting .fold")
    low = page.locator("#waiting").bounding_box()["height"]
    assert low < 40 < tall
    page.reload()
    page.wait_for_selector("#waiting:not([hidden])")
    assert page.locator("#waiting").bounding_box()["height"] == low
    assert page.get_attribute("#waiting .fold", "aria-expanded") == "false"
    assert "9" in page.text_content("#waiting-title")


@pytest.mark.parametrize("width", [390, 1300])
def test_failed_cards_keep_one_height_and_never_cut_what_to_do(home: Home, open_page: Open, width: int) -> None:
    short = ErrorInfo(code="image_corrupt", message="It ends early.", hint="Drop it again.")
    long = ErrorInfo(code="internal", message="This goes on. " * 40, hint=f"Then run {command('retry', 'ID')}. " * 5)
    home.ended("short", "failed", error=short)
    home.ended("long", "failed", error=long)
    home.tell()
    page = open_page(viewport={"width": width, "height": 900})
    page.wait_for_selector("#card-long .told button:visible")
    heights = page.eval_on_selector_all(".card.failed .well", "nodes => nodes.map(node => node.getBoundingClientRect().height)")
    assert len(heights) == 2
    assert max(heights) - min(heights) < 1
    cut = "nodes => nodes.filter(node => node.scrollHeight > node.clientHeight + 1).map(node => node.textContent)"
    assert page.eval_on_selector_all(".card .hint, .card .told", cut) == []
    assert page.locator("#card-short .told button").is_hidden()
    page.click("#card-long .told button")
    assert page.eval_on_selector_all(".card .hint, .card .told, .card .told p", cut) == []
    page.click("#card-long .told button")
    assert page.locator("#card-long .well").bounding_box()["height"] == pytest.approx(heights[0], abs=1)


def test_the_card_of_a_cancelled_job_says_how_to_run_it_after_all(home: Home, open_page: Open) -> None:
    home.ended("gone", "cancelled", error=Cancelled("the job was cancelled").info())
    home.tell()
    page = open_page()
    retry = home.outbox.commands.typed("retry", "ID")
    assert page.locator("#card-gone .hint").text_content() == f"Run: {retry}, if it should be done after all."
    assert page.locator("#card-gone .links button").is_visible()


def test_next_follows_the_cards_and_closing_is_one_step_back_at_the_card(home: Home, open_page: Open) -> None:
    """A batch stands together under its name, although single drops ended between its pictures."""
    for number in range(84, 0, -1):
        of = {} if number % 21 == 2 else {"batch": "20260131T120000-many-00000000"}
        home.ended(f"job-{number:02}", minutes=number * 60 * 24 if not of else number, **of)
    home.tell()
    page = open_page(own=True)
    page.wait_for_selector("#card-job-01")
    steps = page.evaluate("history.length")
    page.click("#card-job-01 a[data-role=Preview]")
    page.wait_for_function("() => document.querySelector('#viewer').open")
    page.click("#next")
    assert address(page) == "#job=job-03", "the next card, which is of the same batch"
    page.click("#close")
    page.wait_for_function("() => document.activeElement.closest('.card')?.id === 'card-job-03'")
    assert address(page) == ""
    assert page.evaluate("history.length") == steps + 1, "Back was taken, so only Forward is left"
    page.click("#card-job-03 a[data-role=Preview]")
    page.wait_for_function("() => document.querySelector('#viewer').open")
    page.evaluate("() => { for (let step = 0; step < 79; step++) document.querySelector('#next').click(); }")
    assert address(page) == "#job=job-02", "the first of the single drops, behind the whole batch"
    page.click("#close")
    page.wait_for_function("() => document.activeElement.closest('.card')?.id === 'card-job-02'")
