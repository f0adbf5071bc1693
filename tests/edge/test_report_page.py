"""The command: its files and exit codes, and the page in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from answered_people import ListedPeople
from people_file import person, write_people
from PIL import Image
from report_examples import bench, check, column, device

from calib_data.sample import Labels
from edge.evaluate.records import Check
from edge.export import export
from edge.report import worst
from edge.report.collect import collect
from edge.report.measure import Order, measure
from pose.errors import InputError

PI = "ssh://pi@raspberrypi.local"
NASTY = '<script>alert("x")</script>|&'


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands would have written: two targets, three devices of which one is emulated and one throttled."""
    folder = tmp_path_factory.mktemp("measured")
    covered = {"delegates": 2, "delegated": {"conv": 9}, "undelegated": {"native_layer_norm": 3}, "undelegated_nodes": []}
    covered |= {"int8_ops": 0.9, "int8_macs": 0.98, "float_matmul_macs": 0.01}
    on_device = {PI: column(82.0, 88.0, 0.9, host_px={"median": 0.0, "p99": 0.0}), "ssh://me@qemu": column(82.5, 88.0, 0.9)}
    checks = {"tflite": check(on_device=on_device), "onnx": check("onnx", 82.5, coverage=covered)}
    facts = {"before": {"model": f"Raspberry Pi 5 {NASTY}", "celsius": [48.0]}, "after": {"celsius": [81.0]}}
    hot = device(PI, 60.0, 30.0, board="pi5", facts=facts, warnings=["throttled during the run: throttled"])
    qemu = device("ssh://me@qemu", 9e5, 5e5, emulated=True, board="pi4", facts={"before": {"model": "emulated"}})
    (folder / "checks.json").write_text(json.dumps({"targets": checks}))
    for target in checks:
        (folder / f"{target}.json").write_text(json.dumps(bench(device(), hot, qemu, target=target)))
    return folder


Report = Callable[..., Any]


@pytest.fixture
def made(files: Path, command: Callable[..., Any], tmp_path: Path) -> Report:
    """Run `edge.report` on the files."""

    def run(*more: object) -> Any:
        flags = ["--check", files / "checks.json", "--bench", files / "tflite.json", "--bench", files / "onnx.json"]
        return command("edge.report", *flags, "--out", tmp_path / "out" / "page.html", *more)

    return run


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--device", PI], "--device says what to measure, and --check and --bench name results"),
        (["--rigorous"], "--rigorous says what to measure"),
        (["--worse", "3"], "--worse and --slower belong to --against"),
        (["--against", "OLD"], "would write over"),
        (["--json", "PAGE"], "would write over"),
        (["--threads", "257"], "--threads"),
        (["--data", "people.json", "--exif", "apply"], "--exif says what to measure"),
        (["--data", "people.json", "--strict"], "--strict says what to measure"),
    ],
)
def test_flags_without_an_effect_are_refused(made: Report, tmp_path: Path, flags: list[str], words: str) -> None:
    assert made().returncode == 0
    places = {"OLD": tmp_path / "out" / "page.json", "PAGE": tmp_path / "out" / "page.html"}
    before = {path: path.read_bytes() for path in places.values()}
    answer = made(*(places.get(flag, flag) for flag in flags))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert words in answer.stderr
    assert {path: path.read_bytes() for path in places.values()} == before


def test_an_artefact_that_no_agent_runs_is_scored_and_not_timed(tiny_program: Path, tmp_path: Path) -> None:
    for target in ("onnx", "coreml"):
        export(tiny_program, target, "int8", tmp_path)
    order = Order(tmp_path / "tiny-onnx-int8.onnx", "all", ["local"], None, None, 2, 1, False, 0)
    checks, benches = measure(order)
    assert [check.target for check in checks] == ["coreml", "onnx"]
    assert [bench.artefacts["int8"].target for bench in benches] == ["onnx"]
    warnings = collect(checks, benches, []).warnings
    assert ("coreml", "accuracy only: edge.bench times executorch, tflite, onnx, tensorrt") in warnings
    assert "onnx" not in [where for where, text in warnings if text.startswith("accuracy only")]


def test_people_are_read_as_the_flags_say(tiny_program: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    """A photo that is stored turned by half, and a file of two categories."""
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    someone = person(image, (4, 4, 40, 56), [(20.0, 20.0)] * 17)
    data = write_people(tmp_path / "people.json", tmp_path / "images", [someone])
    orientation = Image.Exif()
    orientation[0x0112] = 3
    Image.fromarray(image).save(tmp_path / "images" / "1.png", exif=orientation)
    held = json.loads(data.read_text())
    held["categories"].append({**held["categories"][0], "id": 2, "name": "horse"})
    held["annotations"].append({**held["annotations"][0], "id": 2, "category_id": 2})
    held["annotations"].append({**held["annotations"][1], "id": 3, "keypoints": [1, 2]})
    data.write_text(json.dumps(held))
    export(tiny_program, "onnx", "int8", tmp_path)
    order = Order(tmp_path / "tiny-onnx-int8.onnx", None, ["local"], data, None, None, 1, False, 0)
    for reading, words in (
        ({"category": "dog", "exif": "apply"}, "dog"),
        ({"category": "horse"}, "--exif apply"),
        ({"category": "horse", "exif": "ignore", "strict": True}, "leave out --strict"),
    ):
        with pytest.raises(InputError, match=words):
            measure(replace(order, reading=reading))
    flags = ["--artefact", order.artefact, "--data", data, "--out", tmp_path / "page.html"]
    answer = command("edge.report", *flags, "--category", "horse", "--exif", "apply")
    assert answer.returncode == 0, answer.stderr
    (scored,) = json.loads((tmp_path / "page.json").read_text())["checks"]
    assert (scored["category"], scored["exif"], scored["persons"]) == ("horse", "apply", 1)
    assert "--category horse --exif apply" in scored["command"]
    answer = command("edge.report", *flags[:2], "--exif", "apply")
    assert (answer.returncode, "--category, --exif and --strict belong to --data" in answer.stderr) == (2, True)


def test_four_files_come_out_of_measurements(made: Report, tmp_path: Path) -> None:
    answer = made("--json", tmp_path / "again.json")
    assert answer.returncode == 0, answer.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"page.{kind}" for kind in ("html", "md", "csv", "json")}
    assert "On this host (Cortex), tflite int8 answers in" in answer.stdout
    assert "throttled" in answer.stderr
    saved = json.loads((tmp_path / "out" / "page.json").read_text())
    assert saved == json.loads((tmp_path / "again.json").read_text())
    assert saved["commands"][-1].startswith("python -m edge.report --check")
    markdown = (tmp_path / "out" / "page.md").read_text()
    assert "| lowered, onnx | 82.5 | −1.5 |" in markdown
    assert "Raspberry Pi 5 &lt;script&gt;alert" in markdown
    assert "| tflite int8 | 4.6 | emulated, not latency; golden crop: 0.000 px from its card's answer |" in markdown
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert all(len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1 for block in blocks)


def test_gates_fail_after_the_page_is_written(made: Report, tmp_path: Path) -> None:
    answer = made("--max-drop", "1", "--max-p90-ms", f"{PI}=20")
    assert answer.returncode == 1
    assert "gates failed: AP lost, tflite on ssh://pi@raspberrypi.local: 2.00 points, 1 allowed" in answer.stderr
    assert "p90 latency: at most 20 ms" in (tmp_path / "out" / "page.html").read_text()
    assert made("--max-drop", "3", "--max-p90-ms", "200").returncode == 0
    assert "All 16 gates kept" in (tmp_path / "out" / "page.html").read_text()


def test_an_earlier_report_is_a_gate(made: Report, tmp_path: Path) -> None:
    assert made().returncode == 0
    old = tmp_path / "old.json"
    saved = json.loads((tmp_path / "out" / "page.json").read_text())
    old.write_text(json.dumps(saved))
    assert made("--against", old).returncode == 0
    saved["checks"][0]["lowered"]["ap"] = 90.0
    old.write_text(json.dumps(saved))
    answer = made("--against", old)
    assert answer.returncode == 1
    assert "1 regressions: AP, tflite lowered: 90.00 -> 83.40 points" in answer.stderr
    assert "1 regressions against the earlier report" in (tmp_path / "out" / "page.html").read_text()
    assert made("--against", old, "--worse", "10").returncode == 0


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--check", "missing.json"], "cannot read missing.json"),
        (["--max-p90-ms", "fast"], "'fast' is not [DEVICE=]MS"),
        (["--max-p90-ms", "ssh://me@qemu=1"], "emulated time is not latency"),
        (["--out", "page.txt"], "the page's name ends in .html"),
        (["--data", "missing.json"], None),
    ],
)
def test_bad_input_is_one_line(made: Report, tmp_path: Path, more: list[str], complaint: str | None) -> None:
    answer = made(*more)
    if complaint is None:  # the page is worth having without its pictures
        assert answer.returncode == 0
        assert "are not drawn: " in answer.stderr
        return
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert complaint in answer.stderr
    assert not (tmp_path / "out").exists()


# one person, in the middle of a grey picture
FLAT = ListedPeople([
    (np.full((200, 150, 3), 128, np.uint8), Labels(np.array([50.0, 40, 60, 120]), np.zeros((17, 3)), 1.0, 1, 1))
])  # fmt: skip


def test_poses_are_drawn_where_they_are() -> None:
    centre = [[80.0, 100.0]] * 17
    moved = [[80.0, 100.0]] * 16 + [[80.0, 124.0]]
    example = check(worst=[{"index": 0, "px": 3.0, "fp32": centre, "lowered": moved}])
    (crop,) = worst.crops(Check.model_validate(example), FLAT)
    picture = str(crop.picture)
    assert 'viewBox="0 0 288 384"' in picture
    assert picture.count('<circle cx="144" cy="192"') == 17 + 16  # the box's middle is the crop's
    assert picture.count('class="moved"') == 1
    assert picture.count('href="data:image/jpeg;base64,') == 1
    with pytest.raises(Exception, match="holds 1 people, and the check names number 1"):
        worst.crops(Check.model_validate(check()), FLAT)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if browser.find() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with browser.Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


# of each drawing that is shown: width, height, number of parts
SIZES = """[...document.querySelectorAll('svg')].filter(e => e.getClientRects().length).map(e => {
    const box = e.getBoundingClientRect();
    return [box.width, box.height, e.childElementCount];
})"""
# the least contrast of a text against the page, as WCAG 2 reckons it
CONTRAST = """(() => {
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).map(v => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const texts = [...document.querySelectorAll('p, td, th, figcaption, svg text:not(.in)')];
    return Math.min(...texts.filter(e => e.textContent.trim() && e.getClientRects().length).map(e => {
        const style = getComputedStyle(e);
        const ink = light(e.closest('svg') ? style.fill : style.color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }));
})()"""
LABELLED = "[...document.querySelectorAll('[role=img]')].every(e => e.getAttribute('aria-label'))"
TABLES = "[...document.querySelectorAll('table')].every(e => e.caption && e.tHead && e.querySelector('th[scope=row]'))"
COMPLAINTS = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
PAPER = {False: "rgb(253, 253, 251)", True: "rgb(20, 23, 26)"}


def test_the_page_in_a_browser(made: Report, chromium: browser.Browser, tmp_path: Path) -> None:
    assert made("--max-drop", "1").returncode == 1
    chromium.open(tmp_path / "out" / "page.html")
    drawn = {}
    for width, dark in ((1200, False), (1200, True), (390, False), (390, True)):
        chromium.look(width, dark=dark)
        assert chromium.ask("document.documentElement.scrollWidth") == width  # nothing to scroll sideways to
        sizes = chromium.ask(SIZES)
        assert all(w > 20 and h > 10 and parts for w, h, parts in sizes)
        drawn[width] = len(sizes)
        assert chromium.ask(CONTRAST) >= 4.5, (width, dark)
        assert chromium.ask("getComputedStyle(document.body).backgroundColor") == PAPER[dark]
    # scatter, 4 distributions, stages, joints, 2 people; and at a desk the tables' 6 + 1 drawings
    assert drawn == {1200: 9 + 6 + 1, 390: 9}
    assert chromium.ask("document.images.length + document.scripts.length") == 0
    assert chromium.ask(LABELLED)
    assert chromium.ask(TABLES)
    asked = [e["params"]["request"]["url"] for e in chromium.events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith("data:") or url.endswith("/page.html") for url in asked)
    assert [event for event in chromium.events if event["method"] in COMPLAINTS] == []


def test_the_page_on_paper(made: Report, chromium: browser.Browser, tmp_path: Path) -> None:
    assert made().returncode == 0
    chromium.open(tmp_path / "out" / "page.html")
    chromium.look(1200, media="print")
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert 3 <= chromium.printed().count(b"/Type /Page\n") <= 8
