"""The preview page in a real browser, opened from disk."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.export import preview
from pipeline.export.preview import PreviewLayer, PreviewPage
from tests.acceptance.pages.tabs import Tabs

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
COUNT = 4
HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>\'&amp;\u202etxt.exe'

Page = sync_api.Page
Open = Callable[..., Page]


def make(
    folder: Path, count: int = COUNT, title: str = "A garden", name: str = "Layer", size: tuple[int, int] = (240, 160)
) -> Path:
    width, height = size
    rng = np.random.default_rng(9)
    photo = rng.integers(0, 256, (height, width, 3), np.uint8)
    layers = []
    for k in range(count):
        layer = np.dstack([photo, np.full((height, width), 255, np.uint8)])
        layer[: height * k // count] = 0
        layers.append(layer)
    disparity = np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], (height, width)).copy()
    told = tuple(
        PreviewLayer(
            f"{name} {k + 1}", (k / count, (k + 1) / count), 1 / count, (k / (count - 1) - 1 / 3) * 0.03,
            (0.0, k / count, 1.0, 1 - k / count),
            f"Layer {k + 1}.png",
        )
        for k in range(count)
    )  # fmt: skip
    thresholds = tuple(k / count for k in range(1, count))
    page = PreviewPage(
        title, told, thresholds, f"{len(told)} layers", facts=((name, name),), links=((name, "layers.psd"),), note=name
    )
    preview.write(str(folder), photo, layers, disparity, page)
    (folder / "page.html").write_bytes(preview.standalone(photo, layers, disparity, page))
    return folder / "preview.html"


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("garden"))


@pytest.fixture(scope="module")
def tabs(browser) -> Iterator[Tabs]:
    made = Tabs(browser, must_load=True, viewport={"width": 1000, "height": 640}, reduced_motion="reduce")
    yield made
    made.close()


@pytest.fixture
def open_page(tabs: Tabs, garden: Path) -> Iterator[Open]:
    """Opens a page; at the end, nothing may have been logged, thrown or requested from the network."""

    def open_page(path: Path = garden, **options: object) -> Page:
        return tabs.open(path.as_uri(), **options)

    with tabs.of_one_test():
        yield open_page


@pytest.mark.parametrize("below", ["", "earlier", "earlier-2", "earlier/earlier"])
def test_all_jobs_leads_to_the_page_of_the_outbox_also_from_an_earlier_result(
    tmp_path: Path, open_page: Open, below: str
) -> None:
    folder = tmp_path / "a job" / below / "result"
    folder.mkdir(parents=True)
    page = open_page(make(folder))
    assert page.locator("#back").is_visible()
    assert page.evaluate("document.getElementById('back').href") == (tmp_path / "index.html").as_uri() + "#at=a%20job"


def test_a_result_in_another_folder_leads_to_no_other_page(tmp_path: Path, open_page: Open) -> None:
    assert open_page(make(tmp_path)).locator("#back").is_hidden()


def drawn(page: Page) -> None:
    """Wait for two animation frames, so that the screen shows what was requested."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def travel(page: Page, axis: int = 0) -> list[float]:
    """How far each layer is moved, back to front: in percent of the picture, in depth (axis 2) in pixels."""
    styles = page.eval_on_selector_all(".layer", "nodes => nodes.map(node => node.style.transform)")
    return [float(style.split("(")[1].split(")")[0].split(",")[axis].strip(" %px")) for style in styles]


def pressed(page: Page, selector: str, attribute: str = "aria-pressed") -> list[str]:
    return page.eval_on_selector_all(selector, f"nodes => nodes.map(node => node.getAttribute('{attribute}'))")


def test_every_picture_loads_from_disk_and_nothing_complains(open_page: Open) -> None:
    page = open_page()
    page.wait_for_load_state("load")
    widths = page.eval_on_selector_all("img", "nodes => nodes.map(node => node.naturalWidth)")
    assert len(widths) == 3 + 2 * COUNT
    assert set(widths) == {240}
    assert page.title() == "A garden"


def test_looking_from_the_right_moves_near_layers_left_and_further_than_far_ones(open_page: Open) -> None:
    page = open_page()
    page.focus("#stage")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
    drawn(page)
    across, down = travel(page, 0), travel(page, 1)
    assert across == sorted(across, reverse=True)
    assert across[-1] < 0 < across[0]
    assert abs(across[-1]) == pytest.approx(2 * abs(across[0]), rel=1e-3)
    assert across[0] - across[-1] == pytest.approx(3.0, abs=0.01)
    assert down == sorted(down)
    assert down[-1] > 0


def test_layers_follow_the_pointer(open_page: Open) -> None:
    page = open_page(clock=True, reduced_motion="no-preference")
    box = page.locator("#view").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.clock.run_for(1500)
    left = travel(page)
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2)
    page.clock.run_for(1500)
    right = travel(page)
    assert left[-1] > 1.5
    assert right[-1] < -1.5
    assert left[-1] - right[-1] > left[1] - right[1]


def test_no_border_of_a_layer_ever_comes_into_view(open_page: Open) -> None:
    page = open_page()
    page.focus("#stage")
    for across, down in ((1, 1), (-1, -1)):
        for _ in range(9):
            page.keyboard.press("ArrowRight" if across > 0 else "ArrowLeft")
            page.keyboard.press("ArrowDown" if down > 0 else "ArrowUp")
        drawn(page)
        inside = page.evaluate("""() => {
          const stage = document.getElementById("stage").getBoundingClientRect();
          return [...document.querySelectorAll(".layer")].map((layer) => layer.getBoundingClientRect()).every((box) =>
            box.left <= stage.left + 0.01 && box.top <= stage.top + 0.01 &&
            box.right >= stage.right - 0.01 && box.bottom >= stage.bottom - 0.01);
        }""")
        assert inside


def test_it_drifts_by_itself_when_left_alone_and_space_stops_it(open_page: Open) -> None:
    page = open_page(clock=True, reduced_motion="no-preference")
    page.clock.run_for(6000)
    first = travel(page)
    page.clock.run_for(1000)
    assert travel(page) != first
    assert max(map(abs, first)) > 0.1
    page.keyboard.press("Space")
    assert pressed(page, "#drift") == ["false"]
    page.clock.run_for(20_000)
    assert max(map(abs, travel(page))) < 0.001


def test_nothing_moves_by_itself_where_less_motion_is_wanted(open_page: Open) -> None:
    page = open_page(clock=True)
    page.clock.run_for(10_000)
    assert set(travel(page)) == {0.0}
    assert pressed(page, "#drift") == ["false"]


def test_the_exploded_view_parts_the_layers_in_depth_and_fits_the_view(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("e")
    drawn(page)
    depths = travel(page, 2)
    assert depths == sorted(depths)
    assert depths[-1] - depths[0] > 300
    assert "rotateY(32" in page.evaluate("document.getElementById('scene').style.transform")
    boxes = page.eval_on_selector_all(
        ".layer", "nodes => nodes.map(n => n.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
    )
    view = page.locator("#view").bounding_box()
    assert min(box[0] for box in boxes) >= view["x"] - 1
    assert max(box[2] for box in boxes) <= view["x"] + view["width"] + 1
    assert min(box[1] for box in boxes) >= view["y"] - 1
    assert max(box[3] for box in boxes) <= view["y"] + view["height"] + 1
    assert all(near[0] > far[0] for far, near in itertools.pairwise(boxes))
    page.keyboard.press("E")
    drawn(page)
    assert set(travel(page, 2)) == {0.0}
    assert pressed(page, "[data-view]") == ["true", "false", "false", "false"]


def test_dragging_turns_the_exploded_view(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Exploded").click()
    view = page.locator("#view").bounding_box()
    page.mouse.move(view["x"] + 300, view["y"] + 300)
    page.mouse.down()
    page.mouse.move(view["x"] + 400, view["y"] + 300)
    page.mouse.up()
    drawn(page)
    assert "rotateY(57deg)" in page.evaluate("document.getElementById('scene').style.transform")


def test_number_keys_and_switches_turn_layers_off_and_on(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("1")
    page.keyboard.press("9")  # there is no ninth layer
    page.get_by_role("switch", name="Layer 3").click()
    assert pressed(page, "#layers button", "aria-checked") == ["true", "false", "true", "false"]  # listed near to far
    page.mouse.move(5, 5)
    page.wait_for_function("() => getComputedStyle(document.querySelector('.layer img')).opacity === '0'")
    shown = page.eval_on_selector_all(".layer img", "nodes => nodes.map(node => getComputedStyle(node).opacity)")
    assert shown == ["0", "1", "0", "1"]
    page.keyboard.press("0")
    assert pressed(page, "#layers button", "aria-checked") == ["true"] * COUNT


def test_before_and_after_is_wiped_by_hand_and_by_keyboard_in_register(open_page: Open) -> None:
    page = open_page()
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    drawn(page)
    assert page.locator("#wipe").is_visible()
    assert set(travel(page)) == {0.0}
    sizes = page.evaluate("[...document.querySelectorAll('.before img, .layer img')].map(n => n.getBoundingClientRect().width)")
    assert max(sizes) - min(sizes) < 0.01
    page.locator("#wipe-at").focus()
    page.keyboard.press("End")
    assert page.evaluate("getComputedStyle(document.querySelector('.before')).clipPath") in (
        "inset(0px)",
        "inset(0px 0% 0px 0px)",
    )
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    assert float(page.locator("#wipe-at").input_value()) == pytest.approx(25, abs=2)
    page.keyboard.press("Escape")
    assert not page.locator("#wipe").is_visible()


def test_the_depth_map_is_one_key_away(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("d")
    assert page.get_by_alt_text("Depth map").is_visible()
    page.keyboard.press("d")
    assert not page.get_by_alt_text("Depth map").is_visible()


def test_help_opens_with_a_question_mark_and_takes_the_keys(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("e")
    assert pressed(page, "[data-view='exploded']") == ["false"]
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_histogram_shows_every_threshold_and_the_layers_colours(open_page: Open) -> None:
    page = open_page()
    lines = page.eval_on_selector_all(".histogram .threshold", "nodes => nodes.map(node => Number(node.getAttribute('x1')))")
    assert lines == [64, 128, 192]
    marks = page.eval_on_selector_all(".layer", "nodes => nodes.map(node => node.style.getPropertyValue('--mark'))")
    bars = page.eval_on_selector_all(".histogram rect", "nodes => nodes.map(node => node.getAttribute('fill'))")
    assert bars == [mark for mark in marks for _ in range(32)]
    assert "0.25, 0.50, 0.75" in page.locator("#histogram").get_attribute("aria-label")


def test_hostile_names_stay_text(open_page: Open, tmp_path: Path) -> None:
    page = open_page(make(tmp_path, title=HOSTILE, name=HOSTILE))
    page.keyboard.press("e")
    drawn(page)
    assert page.evaluate("window.hacked === undefined")
    assert page.title() == HOSTILE
    assert page.locator("#title").text_content() == HOSTILE
    assert page.locator(".name").last.text_content() == f"{HOSTILE} 1"
    assert page.locator(".tag").first.text_content() == f"{HOSTILE} 1"
    for place in ("#note", "#facts dt", "#facts dd", "#links a"):
        assert page.locator(place).text_content() == HOSTILE
    # Text that runs the other way is held within its own element.
    isolated = page.eval_on_selector_all("bdi", "nodes => nodes.map(node => getComputedStyle(node).unicodeBidi)")
    assert set(isolated) <= {"isolate", "plaintext"}


def test_a_finger_and_the_tilt_of_the_device_move_the_layers(open_page: Open) -> None:
    page = open_page(
        clock=True, reduced_motion="no-preference", has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page.evaluate("""() => {
      const send = (type, x) => document.getElementById("stage").dispatchEvent(
        new PointerEvent(type, { pointerType: "touch", clientX: x, clientY: 150, bubbles: true }));
      send("pointerdown", 100); send("pointermove", 220); send("pointerup", 220);
    }""")
    page.clock.run_for(1500)
    dragged = travel(page)
    assert dragged[-1] > 0.5  # near layers go with the finger
    page.evaluate("""() => [0, 12].forEach((gamma) =>
      dispatchEvent(new DeviceOrientationEvent("deviceorientation", { beta: 40, gamma })))""")
    page.clock.run_for(1500)
    assert travel(page)[-1] < -0.5


def test_a_phone_shows_the_picture_first_and_never_scrolls_sideways(open_page: Open, tmp_path: Path) -> None:
    for number, size in enumerate(((600, 60), (60, 600))):
        (tmp_path / str(number)).mkdir()
        page = open_page(
            make(tmp_path / str(number), 7, size=size), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
        )
        for key in ("", "e", "b"):
            if key:
                page.keyboard.press(key)
            drawn(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        stage = page.locator("#stage").bounding_box()
        assert stage["y"] + stage["height"] < 844
        assert stage["width"] / stage["height"] == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_easy_to_read_in_both_themes(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    ratios = page.evaluate("""() => {
      const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
      const paper = light(parse(getComputedStyle(document.documentElement).backgroundColor));
      return ["h1", ".quiet", ".name", ".detail", "#facts dt", "#drift", "h2"].map((name) => {
        const ink = light(parse(getComputedStyle(document.querySelector(name)).color));
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      });
    }""")
    assert min(ratios) >= 4.5
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background == {"light": "rgb(244, 243, 240)", "dark": "rgb(19, 19, 20)"}[scheme]


def test_everything_is_reached_by_tab_with_a_name_and_a_ring(open_page: Open) -> None:
    page = open_page()
    seen = []
    for _ in range(8 + COUNT):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("""() => {
          const node = document.activeElement;
          return [node.getAttribute("aria-label") || node.textContent.trim(), getComputedStyle(node).outlineStyle];
        }""")
        )
    names = [name for name, _ in seen]
    assert all(names)
    assert len(set(names)) == len(names)
    assert {style for _, style in seen} == {"solid"}


@pytest.mark.parametrize("view", ["b", "d"])
def test_photo_and_layers_never_drift_apart_while_they_are_compared(open_page: Open, view: str) -> None:
    page = open_page(clock=True, reduced_motion="no-preference")
    page.clock.run_for(6000)
    assert travel(page)[-1] != 0.0
    page.keyboard.press(view)
    page.clock.run_for(9000)
    at_rest = travel(page)
    assert at_rest == [0.0] * COUNT
    page.mouse.move(300, 300)
    page.clock.run_for(3000)
    assert travel(page) == at_rest


def test_arrow_keys_scroll_the_page_unless_the_picture_has_the_focus(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 500})
    # Chromium drops the key while it has not drawn the page yet: as a person would, press it again.
    for _ in range(50):
        page.keyboard.press("ArrowDown")
        drawn(page)
        if page.evaluate("() => scrollY > 0"):
            break
    page.wait_for_function("() => scrollY > 0")
    assert set(travel(page)) == {0.0}
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    drawn(page)
    assert travel(page, 1)[-1] != 0.0


def test_a_layer_s_small_picture_shows_its_visible_part_and_its_file_is_one_click_away(open_page: Open) -> None:
    page = open_page()
    # The nearest layer fills the lowest quarter of the picture.
    frame, image = (page.locator(f"#layers li:first-child {each}").bounding_box() for each in (".thumb", ".thumb img"))
    left, top = image["x"], image["y"] + image["height"] * 0.75
    assert left >= frame["x"] - 0.5
    assert top >= frame["y"] - 0.5
    assert left + image["width"] <= frame["x"] + frame["width"] + 0.5
    assert top + image["height"] * 0.25 <= frame["y"] + frame["height"] + 0.5
    assert image["width"] > 0.9 * frame["width"]
    assert page.get_by_role("link", name="Layer 4 as PNG").get_attribute("href") == "Layer%204.png"


def test_the_page_in_one_file_shows_the_same_without_any_other_file(open_page: Open, garden: Path, tmp_path: Path) -> None:
    alone = tmp_path / "sent.html"
    alone.write_bytes((garden.parent / "page.html").read_bytes())
    page = open_page(alone)
    page.wait_for_load_state("load")
    widths = page.eval_on_selector_all("img", "nodes => nodes.map(node => node.naturalWidth)")
    assert widths == [240] * (3 + 2 * COUNT)
    assert page.locator("a:visible").count() == 0
    assert open_page(garden).locator("a:visible").count() > COUNT
