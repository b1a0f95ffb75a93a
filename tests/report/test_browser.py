"""The page in a real browser, with the network cut: it draws, its controls work, its numbers are those of the files."""

import csv
import json
import shutil
import time
from dataclasses import replace

import pytest

from scaling.core.curves import Point, curves_of
from scaling.findings import Settings, find
from scaling.report.collection import Report
from scaling.report.files import write_points
from scaling.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its driver is installed")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
#: What a name could try.
NASTY = '</script><script>window.broken=1</script><b onclick="x">%{x}&amp;'
LABEL = f"{NASTY} digits knn"


class Nothing:
    """Keeps no predictions."""

    def of(self, point, metric):
        return None


def points():
    """Three curves on two data sets, three seeds, six sizes."""
    first = Point(
        curve_id="a", model="net", dataset="digits", adaptation="knn", n=50, n_requested="50", seed=0,
        metric="accuracy", train_score=0.99, test_score=0.5, fingerprint="", run_id="", test_low=0, test_high=0,
    )  # fmt: skip
    curves = {"a": {}, "b": {"model": NASTY}, "c": {"dataset": "other", "adaptation": "linear_probe"}}
    for shift, (curve_id, names) in enumerate(curves.items()):
        for n in (50, 100, 200, 400, 800, 1600):
            for seed in range(3):
                accuracy = round(1 - (0.5 + 0.05 * shift) * (n / 50) ** -0.4 + 0.004 * seed, 4)
                yield replace(
                    first, curve_id=curve_id, n=n, n_requested=str(n), seed=seed, test_score=accuracy,
                    test_low=accuracy - 0.02, test_high=accuracy + 0.02, run_id=f"run-{curve_id}-{n}-{seed}",
                    fingerprint=f"{curve_id}{n}{seed}", metrics={"time/fit_s": n / 100}, **names,
                )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report's folder."""
    curves = curves_of(points())
    found = find(curves, Nothing(), Settings(targets=(0.9,)))
    place = tmp_path_factory.mktemp("report")
    made = Report("</title>", curves, [], {}, [], None, findings=found)
    write_points(made, place / "curves.csv")
    (place / "report.html").write_text(render(made), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def browser(folder):
    """A browser with the page, and what its console said."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_window_size(1280, 900)
        driver.get((folder / "report.html").as_uri())
        wait(driver, "return document.documentElement.dataset.drawn === 'yes'")
        yield driver
    finally:
        driver.quit()


def wait(driver, script, seconds=300):
    """Wait until a script returns something true."""
    end = time.monotonic() + seconds
    while not driver.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


def drawn(browser, kind="scaling"):
    """All traces of a kind of figure, as plotly has them."""
    script = """return JSON.stringify([...document.querySelectorAll(`.figure[data-kind=${arguments[0]}]`)].flatMap(
        (place) => place.data.map(({meta, x, y, customdata}) => ({meta, x, y, customdata}))))"""
    return json.loads(browser.execute_script(script, kind))


def only(browser, meta, kind="scaling"):
    return [trace for trace in drawn(browser, kind) if trace["meta"] == meta]


def click(browser, selector):
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


@pytest.fixture
def switched(browser):
    """Click a control, and click it back afterwards."""
    back = []

    def switch(selector, again):
        click(browser, selector)
        back.append(again)

    yield switch
    for selector in back:
        click(browser, selector)


def rows(folder):
    with (folder / "curves.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_loads_alone_and_the_console_stays_empty(browser):
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []
    assert browser.title == "Scaling report: </title>"


def test_names_stay_text(browser):
    assert browser.execute_script("return window.broken") is None
    assert browser.execute_script("return document.querySelectorAll('b[onclick], script:not([id])').length") == 3
    text = browser.execute_script("return document.querySelector('#numbers tbody').textContent")
    assert LABEL in text


@pytest.mark.parametrize(("kind", "column"), [("scaling", "test_accuracy"), ("upgradeability", "upgradeability")])
def test_the_points_of_a_figure_are_those_of_curves_csv(browser, folder, kind, column):
    curves = browser.execute_script("return data.curves.map((curve) => curve.points.run)")
    shown = {
        curves[index][place]: (n, value)
        for trace in only(browser, "seeds", kind)
        for n, value, (index, _, place) in zip(trace["x"], trace["y"], trace["customdata"], strict=True)
    }
    assert shown == {row["run_id"]: (int(row["n"]), float(row[column])) for row in rows(folder)}


def test_the_table_shows_the_means_of_curves_csv(browser, folder):
    found = "[...document.querySelectorAll('#numbers tbody tr')]"
    cells = browser.execute_script(f"return {found}.map((row) => [...row.cells].map((cell) => cell.textContent))")
    expected = {}
    for row in rows(folder):
        expected.setdefault((row["label"], row["n"]), []).append(float(row["test_accuracy"]))
    assert len(cells) == len(expected)
    assert {(row[0], row[1]): row[4] for row in cells} == {
        key: f"{sum(values) / len(values):.4f}" for key, values in expected.items()
    }
    assert {(row[0], row[1]): int(row[2]) for row in cells} == {key: len(values) for key, values in expected.items()}


def test_each_data_set_has_its_figure(browser):
    script = "return [...document.querySelectorAll('.figure[data-kind=scaling]')].map((place) => place.dataset.dataset)"
    assert browser.execute_script(script) == ["digits", "other"]


def test_the_n_axis_can_be_linear(browser, switched):
    script = "return document.querySelector('.figure').layout.xaxis.type"
    assert browser.execute_script(script) == "log"
    switched("input[name=axis][value=linear]", "input[name=axis][value=log]")
    assert browser.execute_script(script) == "linear"


def test_errors_are_one_minus_accuracies(browser, switched):
    before = [trace["y"] for trace in only(browser, "mean")]
    switched("input[name=show][value=error]", "input[name=show][value=value]")
    after = [trace["y"] for trace in only(browser, "mean")]
    assert after == [[pytest.approx(1 - value, abs=1e-11) for value in values] for values in before]


def test_seeds_forecasts_and_curves_can_be_left_out(browser, switched):
    assert len(only(browser, "seeds")) == len(only(browser, "forecast")) == len(only(browser, "mean")) == 3
    switched("input[name=seeds]", "input[name=seeds]")
    assert only(browser, "seeds") == []
    switched("input[name=forecast]", "input[name=forecast]")
    assert only(browser, "forecast") == only(browser, "band") == []
    switched("input[name=curve][value='1']", "input[name=curve][value='1']")
    assert len(only(browser, "mean")) == 2
    switched("button[data-all='']", "button[data-all='1']")
    assert only(browser, "mean") == []


def test_the_axis_can_be_seconds(browser, switched):
    switched("input[name=over][value=seconds]", "input[name=over][value=n]")
    assert only(browser, "mean")[0]["x"] == [0.5, 1, 2, 4, 8, 16]
    assert only(browser, "seeds") == []


def test_forecasts_go_on_from_the_largest_n(browser):
    for trace in only(browser, "forecast"):
        assert trace["x"][0] == 1600
        assert trace["x"][-1] == pytest.approx(8 * 1600)
        assert all(0 <= value <= 1 for value in trace["y"])
    script = "return document.querySelector('.figure').layout.shapes.map((shape) => shape.x0)"
    assert browser.execute_script(script)[0] == 4 * 1600


def test_tables_sort_by_a_column_and_back(browser):
    heading = "document.querySelectorAll('#numbers th')[1]"
    column = "return [...document.querySelectorAll('#numbers tbody tr')].map((row) => Number(row.cells[1].textContent))"
    browser.execute_script(f"{heading}.firstChild.click()")
    sizes = browser.execute_script(column)
    assert sizes == sorted(sizes)
    assert browser.execute_script(f"return {heading}.getAttribute('aria-sort')") == "ascending"
    browser.execute_script(f"{heading}.firstChild.click()")
    assert browser.execute_script(column) == sizes[::-1]
    assert browser.execute_script(f"return {heading}.getAttribute('aria-sort')") == "descending"


def test_a_click_on_a_point_shows_its_run(browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    browser.execute_script("document.querySelector('.figure').scrollIntoView({block: 'center'})")
    mark = browser.find_elements(By.CSS_SELECTOR, ".figure .scatterlayer .trace .points path")[0]
    ActionChains(browser).move_to_element(mark).pause(0.3).click().perform()
    wait(browser, "return document.querySelector('#chosen a') !== null", 5)
    link = browser.execute_script("return document.querySelector('#chosen a').href")
    run = browser.execute_script("return document.querySelector('#chosen code').textContent")
    assert link == f"http://127.0.0.1:5000/#/experiments/0/runs/{run}"
    assert run.startswith("run-")


def test_a_click_opens_the_run_where_a_server_answers(browser):
    script = """const opened = [], open = window.open;
        window.open = (...given) => opened.push(given);
        choose([0, 50, 0]);
        data.served = true;
        choose([0, 50, 0]);
        data.served = false;
        window.open = open;
        return opened"""
    run = browser.execute_script("return data.curves[0].points.run[0]")
    address = f"http://127.0.0.1:5000/#/experiments/0/runs/{run}"
    assert browser.execute_script(script) == [[address, "_blank", "noopener"]]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_the_screen(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wait(browser, f"return innerWidth === {width}", 5)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    box = "const box = document.querySelector('.figure .main-svg').getBoundingClientRect();"
    wait(browser, f"{box} return box.right <= {width}", 5)
    left, right = browser.execute_script(f"{box} return [box.left, box.right]")
    assert left >= 0
    assert right - left > 0.8 * min(width, 1100)


def test_nothing_that_was_done_here_upset_the_page(browser):
    assert browser.get_log("browser") == []
