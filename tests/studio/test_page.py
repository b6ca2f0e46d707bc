"""The studio's page in a browser, with the real service: what a visitor does in a session, and that all can take part."""

import base64
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from scenograph.data.pack import write_pack
from scenograph.data.source import Sample, Samples
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

WEB = Path(__file__).parents[2] / "src" / "scenograph" / "studio" / "web"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1360, "height": 820}, {"width": 390, "height": 780}
LIMIT = 60_000
"""Milliseconds that anything may take: the machine may be busy."""

pytestmark = pytest.mark.slow
pytest.importorskip("fastapi")
playwright = pytest.importorskip("playwright.sync_api")


FOUND = {
    "farm": {"tree": (0.05, 0.25, 0.35, 0.75), "sheep": (0.4, 0.6, 0.6, 0.8), "dog": (0.7, 0.6, 0.9, 0.9)},
    "harbour": {"boat": (0.1, 0.3, 0.3, 0.5), "dog": (0.1, 0.7, 0.3, 0.9)},
}
"""Scenes that can be searched for, the one that is more like the page's first."""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of :data:`FOUND`; None where the package that holds it is not installed."""
    if importlib.util.find_spec("lancedb") is None:
        return None
    from scenograph.retrieval.scene_build import build_index

    folder = tmp_path_factory.mktemp("found")
    Image.new("RGB", (64, 64), "wheat").save(folder / "picture.png")
    samples = [
        Sample(name, Scene(tuple(SceneObject(what, box=box) for what, box in boxes.items())), folder / "picture.png")
        for name, boxes in FOUND.items()
    ]
    names = Vocabulary(("boat", "dog", "sheep", "tree"), ("left of",))
    write_pack(folder / "pack", Samples(names, {"train": samples}))
    build_index(folder / "scenes.index", folder / "pack")
    return folder / "scenes.index"


@pytest.fixture(scope="module")
def address(index):
    command = [sys.executable, "-m", "scenograph", "serve", "--port", "0"]
    if index is not None:
        command += ["--search", f"mine={index}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    yield found.group()
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


class Visitor:
    """Somebody at the page, who remembers what the browser complained of."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce", **options)
        self.context.set_default_timeout(LIMIT)
        self.address = address
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))

    def visit(self, fragment=""):
        self.page.goto(self.address + fragment)
        self.drawn()
        return self

    def drawn(self):
        """Wait until the picture shows the scene as it is."""
        self.page.wait_for_timeout(500)
        self.page.locator(".picture .status", has_text="Finished").wait_for()

    def tab(self, name):
        self.page.click(f"#tab-{name}")

    @property
    def scene(self):
        self.tab("json")
        return json.loads(self.page.input_value("[aria-label='Scene as JSON']"))

    @property
    def categories(self):
        return [thing["category"] for thing in self.scene["objects"]]

    def canvas_point(self, x, y):
        """The place on the screen of a point of the layout's canvas."""
        area = self.page.locator(".stage").bounding_box()
        short = min(area["width"], area["height"])
        side = max(short - 2 * max(24, short * 0.07), 40)
        return (
            area["x"] + (area["width"] - side) / 2 + x * side,
            area["y"] + (area["height"] - side) / 2 + y * side,
        )

    def drag(self, start, *stops):
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        for stop in stops:
            mouse.move(*stop, steps=5)
        mouse.up()

    def drag_on_canvas(self, start, *stops):
        self.drag(self.canvas_point(*start), *(self.canvas_point(*stop) for stop in stops))

    def answer(self, text):
        """Type what the page asks for."""
        self.page.wait_for_function("() => document.activeElement.closest('.popover')")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def select(self, name):
        self.page.locator(".objects [role=option]", has_text=re.compile(f"^{name}")).click()

    def begin_empty(self):
        self.page.click("button[title='Begin with']")
        self.page.get_by_role("menuitem", name="Empty scene").click()

    def add(self, *categories):
        for category in categories:
            self.page.fill(".objects > .combobox input", category)
            self.page.press(".objects > .combobox input", "Enter")


@pytest.fixture
def visitor(browser, address):
    found = Visitor(browser, address)
    yield found
    assert found.complaints == []
    found.context.close()


def link_to(scene):
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(json.dumps({"scene": scene}).encode()) + packer.flush()
    return "#scene=" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def box_of(scene, category):
    return next(thing["box"] for thing in scene["objects"] if thing["category"] == category)


def test_a_first_visit_shows_a_scene_already_drawn(visitor):
    visitor.visit()
    page = visitor.page
    assert page.evaluate("document.querySelector('.picture .frame img').naturalWidth") >= 64
    assert page.locator(".node").count() == page.locator(".objects [role=option]").count() == 7
    assert "sheep 1 left of sheep 2" in page.input_value("#sentence")
    page.click("button[title='Begin with']")
    assert page.locator("[role=menuitem]").all_inner_texts() == [
        "Meadow by the sea", "Sunday in the park", "Cubes and spheres", "Empty scene"
    ]  # fmt: skip
    for example in ("Sunday in the park", "Cubes and spheres"):
        if not page.get_by_role("menuitem", name=example).is_visible():
            page.click("button[title='Begin with']")
        page.get_by_role("menuitem", name=example).click()
        visitor.drawn()


def test_boxes_are_drawn_and_moved_and_each_drag_is_one_step(visitor):
    visitor.visit()
    page = visitor.page
    visitor.begin_empty()
    visitor.tab("layout")
    page.keyboard.press("b")
    visitor.drag_on_canvas((0.7, 0.8), (0.5, 0.5), (0.3, 0.4))  # towards the top left
    visitor.answer("dog")
    assert box_of(visitor.scene, "dog") == pytest.approx([0.3, 0.4, 0.7, 0.8], abs=0.01)

    visitor.tab("layout")
    visitor.drag_on_canvas((0.5, 0.6), (0.8, 0.7), (3, 0.7), (0.95, 0.7))  # off the page, and back beyond the edge
    moved = box_of(visitor.scene, "dog")
    assert moved == pytest.approx([0.75, 0.5, 1.15, 0.9], abs=0.02)
    visitor.tab("layout")
    page.keyboard.down("Alt")  # without snapping
    visitor.drag_on_canvas((moved[0], moved[1]), (0.5, 0.3))  # the corner's handle
    page.keyboard.up("Alt")
    assert box_of(visitor.scene, "dog") == pytest.approx([0.5, 0.3, moved[2], moved[3]], abs=0.01)

    page.locator("h1").click()
    page.keyboard.press("Control+z")
    assert box_of(visitor.scene, "dog") == pytest.approx(moved, abs=1e-3)
    page.click("button[aria-label^='Undo']")
    assert box_of(visitor.scene, "dog") == pytest.approx([0.3, 0.4, 0.7, 0.8], abs=0.01)
    page.click("button[aria-label^='Undo']")
    assert visitor.categories == []
    page.locator("h1").click()
    for _ in range(3):
        page.keyboard.press("Control+Shift+Z")
    assert box_of(visitor.scene, "dog")[:2] == pytest.approx([0.5, 0.3], abs=0.01)


def test_clicks_go_through_boxes_that_lie_over_each_other(visitor):
    visitor.visit()
    page = visitor.page
    visitor.tab("layout")
    seen = []
    for _ in range(3):
        page.mouse.click(*visitor.canvas_point(0.2, 0.6))  # on the tree, before the sea and the grass
        seen.append(page.locator(".objects [aria-selected=true] b").inner_text())
    assert seen == ["tree", "grass", "sea"]
    page.mouse.click(*visitor.canvas_point(0.06, 0.25))  # the label
    assert page.locator(".objects [aria-selected=true] b").inner_text() == "tree"


def test_layers_are_reordered_by_the_user_alone(visitor):
    visitor.visit()
    page = visitor.page
    before = visitor.categories
    visitor.select("tree")
    page.keyboard.press("]")
    after = visitor.categories
    assert after.index("tree") == before.index("tree") + 1
    visitor.tab("layout")
    visitor.drag_on_canvas((0.2, 0.5), (0.4, 0.5))
    visitor.drawn()
    assert visitor.categories == after


def test_nodes_are_connected_and_contradictions_repaired(visitor):
    visitor.visit()
    page = visitor.page
    visitor.begin_empty()
    visitor.add("dog", "tree")
    visitor.tab("graph")
    dog, tree = page.locator(".node", has_text="dog"), page.locator(".node", has_text="tree")
    for predicate, start, end in (("left of", dog, tree), ("left of", tree, dog)):
        visitor.drawn()  # what is said above the graph has come, and nodes stay where they are
        port, goal = start.locator(".port").first.bounding_box(), end.locator(".pill").bounding_box()
        visitor.drag(
            (port["x"] + port["width"] / 2, port["y"] + port["height"] / 2),
            (goal["x"] + 40, goal["y"] + goal["height"] / 2),
        )
        visitor.answer(predicate)
    page.locator(".edge.contradicted").first.wait_for()
    assert page.locator(".edge.contradicted").count() == 2
    page.locator(".alarm button").click()
    page.locator(".alarm").wait_for(state="detached")
    assert page.locator(".edge").count() == 1
    page.locator(".edge").click()
    page.fill(".popover input", "behind")
    page.press(".popover input", "Enter")
    (relation,) = visitor.scene["relationships"]
    assert relation[1] == "behind"


def test_relations_that_the_picture_lacks_are_said_and_arranged(visitor):
    boxes = {"dog": [0.6, 0.5, 0.8, 0.7], "tree": [0.1, 0.2, 0.4, 0.7]}
    scene = {"objects": [{"category": name, "box": box} for name, box in boxes.items()]}
    visitor.visit(link_to(scene | {"relationships": [[0, "left of", 1]]}))
    remark = visitor.page.locator(".remark", has_text="dog left of tree")
    remark.get_by_role("button").click()
    remark.wait_for(state="detached")
    dog, tree = (box_of(visitor.scene, name) for name in boxes)
    assert dog[0] + dog[2] < tree[0] + tree[2]
    visitor.complaints.clear()  # the browser reports that the relation does not hold while all boxes, all pinned, stay


def test_a_sentence_becomes_the_scene_and_the_scene_a_sentence(visitor):
    visitor.visit()
    page = visitor.page
    page.fill("#sentence", "two sheep standing on grass; a boat in the ocean")
    page.press("#sentence", "Enter")
    page.get_by_text("ocean is taken as sea").wait_for()
    visitor.drawn()
    assert sorted(visitor.categories) == ["boat", "grass", "sea", "sheep", "sheep"]
    assert all("box" in thing for thing in visitor.scene["objects"])
    assert page.input_value("#sentence") == "two sheep standing on grass; a boat in the ocean"
    visitor.select("boat")
    page.keyboard.press("Delete")
    page.wait_for_function("() => !document.querySelector('#sentence').value.includes('boat')")
    assert "standing on grass" in page.input_value("#sentence")
    page.fill("#sentence", "a sheep standing on a zzyzx")
    page.press("#sentence", "Enter")
    page.locator(".sentence .wrong", has_text="zzyzx").wait_for()
    visitor.complaints.clear()  # the browser reports the refusal
    visitor.begin_empty()
    assert page.input_value("#sentence") == "" and page.locator(".sentence .wrong").count() == 0


def test_what_was_deleted_stays_deleted_after_a_reload(visitor):
    visitor.visit()
    visitor.select("boat")
    visitor.page.keyboard.press("Delete")
    left = visitor.scene
    assert "boat" not in [thing["category"] for thing in left["objects"]]
    visitor.page.wait_for_timeout(800)
    visitor.page.reload()
    visitor.drawn()
    assert visitor.scene == left


def test_pictures_and_files_reopen(visitor, tmp_path):
    visitor.visit()
    page = visitor.page
    scene = visitor.scene
    saved = {}
    for item in ("Picture", "Scene", "Graph"):
        page.click("button[title='Save']")
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=re.compile(f"^{item}")).click()
        saved[item] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[item])
    assert saved["Graph"].read_text().startswith("<svg")
    assert json.loads(saved["Scene"].read_text()) == scene
    for item in ("Picture", "Scene"):
        visitor.begin_empty()
        assert visitor.categories == []
        with page.expect_file_chooser() as chooser:
            page.click("button[aria-label^='Open']")
        chooser.value.set_files(saved[item])
        page.locator(".objects [role=option]", has_text="boat").wait_for()
        visitor.drawn()
        assert visitor.categories == [thing["category"] for thing in scene["objects"]]
        for found, made in zip(visitor.scene["objects"], scene["objects"], strict=True):
            assert found["box"] == pytest.approx(made["box"], abs=1e-3)


def test_a_link_holds_the_scene(visitor, browser, address):
    visitor.visit()
    visitor.add("dog")
    visitor.drawn()
    visitor.page.click("button[aria-label='Copy a link to this scene']")
    visitor.page.wait_for_function("() => location.hash.startsWith('#scene=')")
    other = Visitor(browser, address).visit(visitor.page.evaluate("location.hash"))
    assert other.scene == visitor.scene
    assert other.complaints == []
    other.context.close()


def test_everything_can_be_done_by_keyboard(visitor):
    visitor.visit()
    page = visitor.page
    keys = page.keyboard
    keys.press("n")
    keys.type("kit")
    keys.press("ArrowDown")
    keys.press("Enter")
    keys.press("Tab")
    visitor.drawn()
    page.locator(".objects [aria-selected=true]", has_text="kite").focus()
    before = box_of(visitor.scene, "kite")
    page.locator(".objects [aria-selected=true]").focus()
    keys.press("Shift+ArrowRight")
    keys.press("ArrowLeft")
    after = box_of(visitor.scene, "kite")
    assert after[0] - before[0] == pytest.approx(0.04, abs=1e-3)
    page.locator(".objects [aria-selected=true]").focus()
    keys.press("r")
    page.wait_for_function("() => document.activeElement.closest('#relate')")
    keys.type("left of")
    keys.press("Enter")
    assert visitor.scene["relationships"][-1][1] == "left of"
    page.locator(".objects [aria-selected=true]").focus()
    keys.press("Delete")
    assert "kite" not in visitor.categories
    page.locator("#tab-json").focus()
    keys.press("Control+z")
    assert "kite" in visitor.categories
    keys.press("?")
    page.get_by_role("dialog").wait_for()
    keys.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    for view, key in (("graph", "1"), ("layout", "2"), ("sketch", "3")):
        page.locator("#tab-graph").focus()
        keys.press(key)
        assert page.locator(f"#tab-{view}").get_attribute("aria-selected") == "true"


def test_sketches_and_shapes_are_drawn_and_erased(visitor):
    visitor.visit()
    page = visitor.page
    visitor.begin_empty()
    visitor.tab("sketch")
    area = page.locator(".sketch .canvas").bounding_box()

    def at(x, y):
        return area["x"] + x * area["width"], area["y"] + y * area["height"]

    visitor.drag(at(0.3, 0.3), at(0.6, 0.3), at(0.6, 0.6))
    visitor.drag(at(0.3, 0.6), at(0.5, 0.65))
    page.fill(".naming input", "kite")
    page.press(".naming input", "Enter")
    (kite,) = visitor.scene["objects"]
    assert kite["box"] == pytest.approx([0.3, 0.3, 0.6, 0.65], abs=0.02)
    assert len(kite["sketch"]["strokes"]) == 2
    visitor.tab("sketch")
    visitor.drag(at(0.7, 0.8), at(0.9, 0.9))  # after a name, something new
    page.click("button[aria-label='Discard the strokes']")
    visitor.select("kite")
    visitor.drag(at(0.35, 0.35), at(0.5, 0.45))  # more of what is selected
    (kite,) = visitor.scene["objects"]
    assert len(kite["sketch"]["strokes"]) == 3
    visitor.tab("sketch")
    page.click("button[aria-label='Eraser']")
    visitor.drag(at(0.2, 0.6), at(0.55, 0.66))
    (kite,) = visitor.scene["objects"]
    assert len(kite["sketch"]["strokes"]) == 2
    visitor.tab("layout")
    page.keyboard.press("m")
    visitor.drag_on_canvas((0.4, 0.4), (0.5, 0.5))
    (kite,) = visitor.scene["objects"]
    assert kite["mask"]["size"] == [64, 64]
    page.click("button[aria-label^='Undo']")
    assert "mask" not in visitor.scene["objects"][0]


def test_sketches_are_recognised_and_named(visitor):
    visitor.visit()
    page = visitor.page
    visitor.begin_empty()
    visitor.tab("sketch")
    area = page.locator(".sketch .canvas").bounding_box()

    def draw(*points):
        visitor.drag(*((area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in points))

    draw((0.5, 0.1), (0.65, 0.3), (0.5, 0.6), (0.35, 0.3), (0.5, 0.1))
    draw((0.5, 0.1), (0.5, 0.6))
    draw((0.35, 0.3), (0.65, 0.3))
    guess = page.locator(".naming .button.primary")
    guess.wait_for()
    assert re.fullmatch(r"[a-z ]+ \d+ %", guess.inner_text())
    guess.click()
    runner_up = page.locator(".naming .chip").first
    runner_up.wait_for()
    named = visitor.categories[0]
    visitor.tab("sketch")
    other = runner_up.inner_text()
    runner_up.click()
    assert visitor.categories[0] != named and visitor.scene["objects"][0]["sketch"]["strokes"]
    assert visitor.page.locator(".objects [role=option] b").inner_text() == re.sub(r" \d+ %$", "", other)


def test_crops_are_used_where_they_are_clicked_or_dropped(visitor):
    visitor.visit()
    page = visitor.page
    visitor.select("boat")
    page.click(".drawers button")
    page.click(".found li:nth-child(2) button")
    visitor.drawn()
    boat = next(thing for thing in visitor.scene["objects"] if thing["category"] == "boat")
    assert boat["crop"]["png"] and boat["origin"]
    visitor.tab("layout")
    x, y = visitor.canvas_point(0.3, 0.2)
    area = page.locator(".stage").bounding_box()
    found = page.locator(".found li").nth(2)
    found.drag_to(page.locator(".stage"), target_position={"x": x - area["x"], "y": y - area["y"]})
    visitor.drawn()
    assert visitor.categories.count("boat") == 2
    x0, y0, x1, y1 = visitor.scene["objects"][-1]["box"]
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((0.3, 0.2), abs=0.02)


def test_scenes_like_this_are_found_and_dropped_into_it(visitor, index):
    if index is None:
        pytest.skip("lancedb is not installed")
    visitor.visit()
    page = visitor.page
    before = visitor.scene
    visitor.tab("layout")
    page.get_by_role("button", name="Scenes like this").click()
    found = page.locator(".found.scenes li")
    found.nth(1).wait_for()
    scores = [int(text.removesuffix(" %")) for text in found.locator(".match b").all_inner_texts()]
    assert 0 < scores[1] < scores[0] <= 100
    best = found.first
    assert sorted(best.locator(".matched").inner_text().split()) == ["sheep", "tree"]
    hues = [
        set(re.findall(r"hue-\d", one))
        for one in (html(best.locator(".matched")), html(best.locator(".thumbnail svg")))
    ]
    here = page.locator(".objects [role=option]", has_text=re.compile("^(sheep|tree)"))
    assert hues[0] == hues[1] and len(hues[0]) == 2
    assert hues[0] <= {hue for row in here.all() for hue in row.get_attribute("class").split()}
    lines = best.locator("rect")
    # The index keeps boxes as float32.
    shown = {tuple(round(float(line.get_attribute(name)), 6) for name in ("x", "y")) for line in lines.all()}
    assert shown == {FOUND["farm"][name][:2] for name in ("sheep", "tree")}
    best.hover()
    assert lines.first.evaluate("line => getComputedStyle(line).stroke") != "none"

    best.drag_to(page.locator(".stage"))
    page.locator(".objects [role=option]", has_text="dog").wait_for()
    visitor.drawn()
    after = visitor.scene
    assert after["objects"][:-1] == before["objects"] and after["relationships"] == before["relationships"]
    assert box_of(after, "dog") == pytest.approx(FOUND["farm"]["dog"], abs=1e-3)
    page.locator("h1").click()
    page.keyboard.press("Control+z")
    assert visitor.scene == before
    assert "sky" in page.locator(".drawers").inner_text() and str(index) not in page.locator(".drawers").inner_text()


def html(element):
    return element.evaluate("one => one.outerHTML")


def test_variants_are_chosen_and_pictures_come_back(visitor):
    visitor.visit()
    page = visitor.page
    page.get_by_role("button", name="Draw four variants").click()
    strip = page.locator(".strip").first.locator("li button")
    strip.nth(3).wait_for()
    first = page.get_attribute(".picture .frame img", "src")
    strip.nth(1).click()
    visitor.drawn()
    assert page.input_value(".seed input") == "2"
    page.get_by_role("button", name="Compare").click()
    assert page.locator(".compared").get_attribute("src") == first
    page.locator("h1").click()
    page.keyboard.press("Control+z")
    assert page.input_value(".seed input") == "0"
    page.wait_for_timeout(300)
    assert page.get_attribute(".picture .frame img", "src") == first  # without drawing it again


def test_mistakes_in_json_are_marked_where_they_are(visitor):
    visitor.visit()
    page = visitor.page
    text = json.dumps(visitor.scene)
    page.fill("[aria-label='Scene as JSON']", text.replace("[0, 0, 1, 0.42]", "[0, 0, 0, 0.42]"))
    assert page.locator(".json mark").inner_text() == "[0, 0, 0, 0.42]"
    assert "objects[0].box" in page.locator(".json .state").inner_text()
    page.fill("[aria-label='Scene as JSON']", text.replace('"boat"', '"train"'))
    page.locator(".objects [role=option]", has_text="train").wait_for()
    page.fill("[aria-label='Scene as JSON']", text.replace('"boat"', '"bot"'))
    page.get_by_role("group", name="Nearest names").or_(page.locator(".objects .wrong")).first.wait_for()
    page.locator(".picture .status.wrong").wait_for()
    visitor.complaints.clear()  # the browser reports the refusal


def test_nothing_is_lost_while_the_service_is_away(visitor):
    visitor.visit()
    page = visitor.page
    page.route(re.compile("/(v1|healthz)"), lambda route: route.abort())
    visitor.add("dog")
    page.locator(".away").wait_for()
    visitor.select("boat")
    page.keyboard.press("Delete")
    assert visitor.categories[-1] == "dog" and "boat" not in visitor.categories
    page.unroute(re.compile("/(v1|healthz)"))
    page.locator(".away").wait_for(state="detached")
    visitor.drawn()
    assert "box" in visitor.scene["objects"][-1]
    visitor.complaints.clear()  # the browser reports the lost connections


def test_fingers_and_pens_draw_on_a_phone(browser, address):
    visitor = Visitor(browser, address, has_touch=True, is_mobile=True)
    page = visitor.page
    page.set_viewport_size(PHONE)
    page.goto(address)
    page.locator(".node").first.wait_for()
    screen = visitor.context.new_cdp_session(page)

    def touch(kind, *points):
        touched = [{"x": x, "y": y} for x, y in points]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    before = box_of(visitor.scene, "boat")
    visitor.tab("objects")
    visitor.select("boat")
    visitor.tab("layout")
    page.wait_for_timeout(300)
    touch("touchStart", visitor.canvas_point(0.76, 0.48))
    for x in (0.7, 0.6, 0.5):
        touch("touchMove", visitor.canvas_point(x, 0.48))
    touch("touchEnd")
    assert box_of(visitor.scene, "boat")[0] == pytest.approx(before[0] - 0.26, abs=0.03)  # it may snap

    visitor.tab("sketch")
    page.get_by_role("button", name="Draw something new").click()
    area = page.locator(".sketch .canvas").bounding_box()

    def press(kind, x, force):
        at = {"x": area["x"] + x * area["width"], "y": area["y"] + 0.2 * area["height"]}
        pen = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": force}
        screen.send("Input.dispatchMouseEvent", {"type": kind, **at, **pen})

    press("mousePressed", 0.2, 0.1)
    for step in range(1, 9):
        press("mouseMoved", 0.2 + 0.07 * step, 0.1 * step)
    press("mouseReleased", 0.76, 0.8)
    path = page.locator(".stroke.draft").get_attribute("d")
    points = [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]
    height = [max(ys) - min(ys) for ys in ([y for x, y in points if low < x < low + 120] for low in (150, 300))]
    assert height[1] > 1.3 * height[0]  # the line is thicker where the pen pressed harder
    assert visitor.complaints == []
    visitor.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser, address, scheme, size):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci in src/scenograph/studio/web")
    visitor = Visitor(browser, address, color_scheme=scheme)
    page = visitor.page
    page.set_viewport_size(size)
    page.goto(address)
    page.locator(".top").wait_for()
    page.wait_for_timeout(1500)
    views = ["graph", "layout", "sketch", "json", *(["picture", "objects"] if size is PHONE else [])]
    for view in views:
        visitor.tab(view)
        if view == "objects" or (size is DESKTOP and view == "graph"):
            visitor.select("tree")
        assert axe(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], view
    page.click("button[aria-label='Keyboard shortcuts']")
    page.get_by_role("dialog").wait_for()
    assert axe(page) == []
    visitor.context.close()


def axe(page):
    """What axe-core finds, each as its rule and the elements. It is evaluated, not added: the page allows no scripts."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]


def test_two_tabs_keep_their_own_scenes(visitor):
    visitor.visit()
    other = visitor.context.new_page()
    other.goto(visitor.address)
    first = visitor.page
    for page, category in ((first, "cow"), (other, "horse")):
        visitor.page = page
        visitor.begin_empty()
        visitor.add(category)
    other.wait_for_timeout(600)
    for page, category in ((first, "cow"), (other, "horse")):
        visitor.page = page
        page.reload()
        page.locator(".objects [role=option]").wait_for()
        assert visitor.categories == [category]


def test_a_duplicate_of_a_tab_keeps_a_scene_of_its_own(visitor):
    visitor.visit()
    first = visitor.page
    visitor.begin_empty()
    visitor.add("cow")
    first.wait_for_timeout(600)
    with visitor.context.expect_page() as opened:
        first.evaluate("void open(location.href)")  # it takes along what the tab's session holds, as a duplicate does
    second = opened.value
    second.locator(".objects [role=option]", has_text="cow").wait_for()
    visitor.page = second
    visitor.begin_empty()
    visitor.add("horse")
    second.wait_for_timeout(600)
    for page, category in ((first, "cow"), (second, "horse")):
        visitor.page = page
        page.reload()
        page.locator(".objects [role=option]").wait_for()
        assert visitor.categories == [category]


def test_a_repair_that_is_clicked_twice_removes_one_relation(visitor):
    boxes = {"sheep": [0.1, 0.3, 0.4, 0.6], "tree": [0.6, 0.2, 0.9, 0.7]}
    scene = {"objects": [{"category": name, "box": box} for name, box in boxes.items()]}
    scene["relationships"] = [[0, "left of", 1], [1, "left of", 0], [0, "above", 1]]
    visitor.page.goto(visitor.address + link_to(scene))
    visitor.page.locator(".alarm button").dblclick()
    visitor.drawn()
    assert visitor.page.locator(".alarm").count() == 0 and len(visitor.scene["relationships"]) == 2


def test_links_with_hostile_scenes_do_no_harm(visitor):
    mask = {"size": [100_000, 100_000], "counts": [10**10]}
    for objects in (["sheep"] * 100_000, [{"category": "sheep", "box": [0, 0, 1, 1], "mask": mask}]):
        visitor.page.goto("about:blank")
        visitor.visit(link_to({"objects": objects}))
        assert "whole scene" in visitor.page.inner_text(".notice") and len(visitor.categories) == 7
    scene = {"objects": [{"category": "sheep", "box": [0, 0, 1, 1], "attributes": ["<script>alert(1)</script>"]}]}
    visitor.page.goto("about:blank")
    visitor.page.goto(visitor.address + link_to(scene))
    visitor.page.locator(".node", has_text="<script>").wait_for()
    visitor.complaints.clear()  # of the attribute, which the service does not know


def test_shift_and_an_arrow_move_the_object_of_the_list(visitor):
    visitor.visit()
    before = box_of(visitor.scene, "boat")
    visitor.tab("layout")
    visitor.select("boat")
    visitor.page.keyboard.press("Shift+ArrowUp")
    assert box_of(visitor.scene, "boat")[1] == pytest.approx(before[1] - 0.05)
