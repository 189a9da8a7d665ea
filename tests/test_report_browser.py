"""The pages in a real browser: Debian's chromium with its driver, if they are installed."""

import shutil
from pathlib import Path

import pytest
from compared_runs import write_run
from PIL import Image
from tiny_run import HOSTILE, make_data, make_rows, make_run

import evacli.data
from evacli.comparing.compare import compare
from evacli.reporting.report import report

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
    """Reports of a plain run with all pictures, of hostile names and of a hundred classes; two and twenty runs."""
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
    return written


@pytest.mark.parametrize("width", [375, 1100, 1300, 1600])
@pytest.mark.parametrize(
    ("name", "pictures"), [("plain", 5), ("hostile", 5), ("many", 5), ("two runs", 2), ("twenty runs", 2)]
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
                    e => e.querySelector("table") && e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel),
                outside: outside.map(e => e.outerHTML.slice(0, 200)),
                scripts: document.scripts.length,
                handlers: document.querySelectorAll("[onload], [onerror]").length}""")
    assert measured["width"] <= measured["inner"] == width
    assert measured["outside"] == []
    assert measured["sideways"] == []
    assert measured["images"] >= pictures
    assert (measured["broken"], measured["scripts"], measured["handlers"]) == (0, 0, 0)
