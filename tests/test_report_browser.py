"""The pages in a real browser: Debian's chromium with its driver, if they are installed."""

import shutil
from pathlib import Path

import pytest
from compared_runs import write_run
from made_sweep import make_sweep
from PIL import Image
from tiny_run import HOSTILE, make_data, make_rows, make_run

import evacli.data
from evacli.comparing.compare import compare
from evacli.reporting.report import report
from evacli.sweeping.page import render_page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver: apt-get install chromium chromium-driver"
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of a plain run with all pictures, of hostile names and of a hundred classes; comparisons; a sweep."""
    cases = {
        "plain": make_data(),
        "hostile": make_data(HOSTILE, num_test=60),
        "many": make_data(tuple(f"class number {i}" for i in range(100)), num_train=100, num_test=300),
    }
    written = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, data in cases.items():
            patch.setattr(evacli.data, "load", lambda *_, data=data: data)
            run = make_run(tmp_path_factory.mktemp(name), data)
            for picture in (run.lr_find_png, run.gradcam_png):
                Image.new("RGB", (900, 600), "white").save(picture)
            report(run.path)
            written[name] = run.report.as_uri()
    hostile = (f"{i} {name}".replace("/", "|")[:200] for i, name in enumerate(HOSTILE))
    for key, names in ("two runs", ["one", "two"]), ("twenty runs", [*hostile, *"abcdefgh"]):
        folder = tmp_path_factory.mktemp("runs")
        paths = [
            write_run(folder / name.encode("utf-8", "replace").decode(), make_rows(3 + i), {"seed": i, "crop": i})
            for i, name in enumerate(names)
        ]
        written[key] = Path(compare(paths).page).as_uri()
    page = tmp_path_factory.mktemp("sweep") / "sweep.html"
    page.write_text(render_page(make_sweep()), encoding="utf-8")
    return written | {"sweep": page.as_uri()}


@pytest.mark.parametrize("width", [375, 1100, 1300, 1600])
@pytest.mark.parametrize(
    ("name", "pictures"), [("plain", 5), ("hostile", 5), ("many", 5), ("two runs", 2), ("twenty runs", 2), ("sweep", 0)]
)
def test_the_page_opens_cleanly_and_fits(browser, pages, name, pictures, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get_log("performance")
    browser.get(pages[name])
    assert browser.get_log("browser") == []
    requested = [
        entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent" in entry["message"]
    ]
    assert not [message for message in requested if '"url":"http' in message]
    measured = browser.execute_script("""
        const images = [...document.images];
        const outside = [...document.querySelectorAll("body *")].filter(
            e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1);
        return {width: document.documentElement.scrollWidth, inner: innerWidth, images: images.length,
                broken: images.filter(i => !i.complete || !i.naturalWidth).length,
                sideways: [...document.querySelectorAll(".scroll")].filter(
                    e => e.querySelector("table:not(#matrix)") && e.scrollWidth > e.clientWidth + 1
                ).map(e => e.ariaLabel),
                outside: outside.map(e => e.outerHTML.slice(0, 200)),
                scripts: [...document.scripts].filter(s => !s.type).length,
                handlers: document.querySelectorAll("[onload], [onerror]").length}""")
    assert measured["width"] <= measured["inner"] == width
    assert measured["outside"] == []
    assert measured["sideways"] == []
    assert measured["images"] >= pictures
    assert (measured["broken"], measured["handlers"]) == (0, 0)
    assert measured["scripts"] == (0 if "runs" in name or name == "sweep" else 1)


def open_page(browser, address, width=1300, dark=False):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(address)


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def labels(browser):
    """Of the pictures that are shown: the true class, and the one that was said."""
    texts = [button.get_attribute("aria-label") for button in find(browser, "#grid button")]
    return [tuple(text.partition(", test/")[0].split(", taken for ")) for text in texts]


def painted(browser, selector):
    """How many canvases show more than one colour."""
    return browser.execute_async_script(
        """const [selector, done] = arguments;
        setTimeout(() => done([...document.querySelectorAll(selector)].filter(c => new Set(new Uint32Array(
            c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size > 1).length), 300);""",
        selector,
    )


def table_of(pages, name):
    import pandas as pd

    return pd.read_csv(Path(pages[name].removeprefix("file://")).with_name("misclassified.csv"))


def test_a_cell_a_class_and_a_bar_lead_to_their_pictures(browser, pages):
    open_page(browser, pages["plain"])
    table = table_of(pages, "plain")
    pairs = list(zip(table["true_class"], table["predicted_class"], strict=True))
    assert labels(browser) == pairs
    assert painted(browser, "#grid canvas") == len(pairs)
    for true, row in zip(("cat", "dog", "frog"), find(browser, "#matrix tbody tr"), strict=True):
        for said, cell in zip(("cat", "dog", "frog"), row.find_elements("tag name", "td"), strict=True):
            cell.find_element("tag name", "button").click()
            wanted = [pair for pair in pairs if pair == (true, said)]
            shown = labels(browser)
            assert shown == wanted if true != said else set(shown) <= {(true,)}
            assert len(shown) == int(cell.text or 0)
    find(browser, "th[data-class='1'] button")[0].click()
    shown = labels(browser)
    assert {pair[0] for pair in shown} == {"dog"}
    assert {len(pair) for pair in shown} == {1, 2}
    at, confidence = -1, table["predicted_probability"]
    bar = find(browser, "[data-low]")[at]
    low, high = (float(bar.get_attribute(f"data-{end}")) for end in ("low", "high"))
    browser.execute_script("arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))", bar)
    assert len(labels(browser)) == sum((confidence >= low) & (confidence < high + 0.01 * (high == 1)))


def test_mistakes_are_sorted_and_filtered(browser, pages):
    from selenium.webdriver.support.ui import Select

    open_page(browser, pages["plain"])
    table = table_of(pages, "plain")
    for order, by in (("most confident", table["predicted_probability"]), ("loss", table["loss"])):
        Select(find(browser, "#sort")[0]).select_by_visible_text(order)
        sorted_table = table.loc[by.sort_values(ascending=False, kind="stable").index]
        files = [button.get_attribute("title") for button in find(browser, "#grid button")]
        assert files == sorted_table["file"].tolist()
    Select(find(browser, "#predicted")[0]).select_by_visible_text("frog")
    assert len(labels(browser)) == sum(table["predicted_class"] == "frog")
    assert find(browser, "#count")[0].text.startswith(f"{len(labels(browser))} mistake")
    find(browser, "#reset")[0].click()
    assert len(labels(browser)) == len(table)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_the_keyboard_goes_all_the_way_to_a_picture(browser, pages, width, dark):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages["plain"], width, dark)

    def press(*keys):
        for key in keys:
            browser.switch_to.active_element.send_keys(key)

    browser.execute_script("document.querySelector('#matrix button').focus()")
    press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert browser.switch_to.active_element.get_attribute("aria-label").startswith("dog taken for cat")
    table = table_of(pages, "plain")
    table = table[(table["true_class"] == "dog") & (table["predicted_class"] == "cat")]
    press(Keys.ENTER)
    assert len(labels(browser)) == len(table) > 1
    browser.execute_script("document.querySelector('#grid button').focus()")
    press(Keys.ENTER, Keys.ARROW_RIGHT)
    dialog = find(browser, "dialog[open]")[0]
    assert dialog.find_element("id", "path").get_attribute("value") == table["file"].iloc[1]
    assert "dog, taken for cat" in dialog.text
    assert len(find(browser, "#top li")) == 3
    assert painted(browser, "#near canvas") == 3
    assert {figure.text for figure in find(browser, "#near figure")} <= {"cat", "dog", "frog"}
    box = browser.execute_script("return document.querySelector('dialog').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert box["right"] <= width
    press(Keys.ESCAPE)
    assert find(browser, "dialog[open]") == []
    assert browser.switch_to.active_element.get_attribute("title") == table["file"].iloc[1]
    assert browser.get_log("browser") == []


def test_hostile_names_are_text_wherever_the_script_writes_them(browser, pages):
    open_page(browser, pages["hostile"])
    for button in find(browser, "#grid button")[:12]:
        button.click()
        find(browser, "#close")[0].click()
    options = [option.get_attribute("textContent") for option in find(browser, "#true option")]
    assert options[1:4] == list(HOSTILE[:3])
    made = "return document.querySelectorAll('#pictures script, dialog script, [onload], img[src=x]').length"
    assert browser.execute_script(made) == 0
    assert browser.get_log("browser") == []


def test_of_many_classes_the_matrix_is_drawn_and_leads_to_pictures(browser, pages):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages["many"], 390, dark=True)
    assert painted(browser, "#wide") == 1
    wide = find(browser, "#wide")[0]
    before = wide.rect["width"]
    find(browser, "#in")[0].click()
    assert wide.rect["width"] == pytest.approx(1.5 * before)
    wide.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    true = find(browser, "#cell")[0].text.split(" recognised")[0]
    wide.send_keys(Keys.ENTER)
    assert set(labels(browser)) <= {(true,)}
    assert browser.get_log("browser") == []


def test_without_scripts_the_page_reads_as_well(browser, pages):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page(browser, pages["plain"])
        text = find(browser, "main")[0].text
        assert "Worst mistakes" in text
        assert "Zoom" not in text
        assert not any(e.is_displayed() for e in find(browser, ".scripted-only, dialog"))
        assert len(find(browser, ".gallery img")) > 5
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
