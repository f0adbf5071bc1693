"""The page to try it: an upload, what is refused, and how it looks in a browser."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import cv2
import numpy as np
import pytest
from made_media import picture, write_stream

pytest.importorskip("starlette", reason="needs the extra serve: starlette")
pytest.importorskip("uvicorn", reason="needs the extra serve: uvicorn")

from edge.predict.__main__ import main
from edge.predict.server import LARGEST_UPLOAD
from pose.errors import InputError

ROOT = Path(__file__).parents[3]
FRAME = picture(5, 640, 480)  # of the browser's camera


def start(artefact: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """A server on a free port, and its address."""
    command = [sys.executable, "-m", "edge.predict", "--serve", "--port", "0", "--artefact", str(artefact), *more]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    (found,) = re.findall(r"http://\S+/", line)
    return process, found


@pytest.fixture(scope="module")
def address(tiny_onnx: Path) -> Iterator[str]:
    """Of a page on a free port."""
    process, found = start(tiny_onnx)
    yield found
    process.terminate()
    assert process.wait(30) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """A browser whose camera shows `FRAME`, and that grants it to every page."""
    if browser.find() is None:
        pytest.skip("needs Chromium")
    folder = tmp_path_factory.mktemp("chromium")
    stream = write_stream(folder / "camera.mjpeg", [FRAME] * 3)
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with browser.Browser(folder / "profile", *fake, f"--use-file-for-fake-video-capture={stream}") as opened:
        yield opened


@pytest.fixture
def tab(chromium: browser.Browser, address: str) -> browser.Browser:
    """The page, just opened, on a desktop."""
    chromium.look(1280)
    visit(chromium, address)
    return chromium


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def ask(address: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{address}predict", body, headers={"Content-Type": "image/jpeg", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {"error": text}


def test_an_upload_is_answered_by_both_precisions(address: str) -> None:
    status, answer = ask(address, jpeg(picture(3, 120, 80)))
    assert status == 200
    assert (answer["width"], answer["height"]) == (120, 80)
    assert [column["name"] for column in answer["columns"]] == ["fp32", "int8"]
    assert all(np.array(column["people"]).shape == (1, 17, 3) and column["ms"] > 0 for column in answer["columns"])
    assert answer["median_px"] > 0
    assert max(max(limb) for limb in answer["limbs"]) < 17


@pytest.mark.parametrize("body", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_photo_is_one_line(body: bytes, address: str) -> None:
    status, answer = ask(address, body)
    assert status == 400
    assert "is not readable" in answer["error"]
    assert "\n" not in answer["error"]


def test_too_large_an_upload_is_refused(address: str) -> None:
    assert ask(address, bytes(LARGEST_UPLOAD + 1)) == (413, {"error": "larger than 20 MB"})


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(address: str) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 11_000, 11_000, 8, 2, 0, 0, 0)
    no_pixels = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"no pixels") + chunk(b"IEND", b"")
    status, answer = ask(address, no_pixels)
    assert status == 400
    assert "more than 50 million pixels" in answer["error"]


def unfinished_upload(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    client.sendall(f"POST /predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\nxx".encode())
    time.sleep(0.5)  # until the server reads it
    return client


def test_uploads_that_never_end_are_no_traceback_and_do_not_keep_the_server(tiny_onnx: Path) -> None:
    process, found = start(tiny_onnx)
    unfinished_upload(found).close()
    with unfinished_upload(found):
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert process.stderr is not None
    assert len(process.stderr.read().splitlines()) <= 1  # which says that the upload was given up


def test_other_web_sites_cannot_use_it(address: str) -> None:
    assert ask(address, jpeg(picture()), Origin="http://elsewhere.example")[0] == 403
    assert ask(address, jpeg(picture()), Host="elsewhere.example")[0] == 400
    host = address.removeprefix("http://").rstrip("/")
    assert ask(address, jpeg(picture()), Origin=f"http://{host}")[0] == 200


def test_a_name_that_another_site_points_here_is_refused_on_every_address(tiny_onnx: Path) -> None:
    process, found = start(tiny_onnx, "--host", "0.0.0.0")
    try:
        address = found.replace("0.0.0.0", "127.0.0.1")
        for host in ("elsewhere.example", "localhost.elsewhere.example:8000", "127.0.0.1.elsewhere.example", "[::1", ""):
            status, answer = ask(address, jpeg(picture()), Host=host, Origin=f"http://{host}")
            assert status == 400, host
            assert "open it by the number of its address" in answer["error"]
            assert "\n" not in answer["error"]
        name = socket.gethostname()
        for host in ("127.0.0.1", "192.168.0.7:8000", "[fe80::1]:8000", "LOCALHOST", "localhost.", name, f"{name}.local:80"):
            assert ask(address, jpeg(picture()), Host=host, Origin=f"http://{host}")[0] == 200, host
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_nothing_but_the_page_is_served(address: str) -> None:
    for path in ("server.py", "..%2fserver.py", "%2e%2e/server.py", "index.html.bak"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}{path}", timeout=30)
        assert refused.value.code == 404
        refused.value.close()


def test_a_port_in_use_is_named(tiny_onnx: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="choose others with --host and --port"):
            main(None, artefact=str(tiny_onnx), serve=True, port=taken.getsockname()[1])
    with pytest.raises(InputError, match=r"cannot serve on 192\.0\.2\.1"):
        main(None, artefact=str(tiny_onnx), serve=True, host="192.0.2.1", port=0)
    with pytest.raises(InputError, match="leave the sources out"):
        main(["photo.jpg"], artefact=str(tiny_onnx), serve=True)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_takes_a_photo_in_a_browser(width: int, tab: browser.Browser, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(picture(5, 320, 240)))
    tab.look(width)
    choose(tab, photo)
    wait_for(tab, "document.querySelectorAll('canvas').length === 2")
    captions = tab.ask("[...document.querySelectorAll('figcaption')].map((one) => one.textContent)")
    assert [re.sub(r"[\d.]+ ms", "N ms", caption) for caption in captions] == ["fp32: N ms", "int8: N ms"]
    assert "1 person, " in status_of(tab)
    tops = tab.ask("[...document.querySelectorAll('figure')].map((one) => one.getBoundingClientRect().top)")
    assert (tops[0] == tops[1]) == (width > 600), "beside each other on a desktop, below each other on a phone"
    assert tab.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    problems = [event for event in tab.events if event["method"] == "Log.entryAdded"]
    assert not [event for event in problems if "favicon" not in json.dumps(event)]
    image = cv2.imdecode(np.frombuffer(tab.picture(), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] == width


def test_the_camera_of_the_browser_is_predicted_until_it_is_stopped(tab: browser.Browser, address: str) -> None:
    _, expected = ask(address, jpeg(FRAME))
    click_camera(tab)
    wait_for(tab, "document.querySelectorAll('canvas').length === 2")
    assert camera_button(tab) == "Stop the camera"
    assert "1 person, " in status_of(tab)
    for number, column in enumerate(expected["columns"]):
        drawn = canvas_pixels(tab, number)
        assert drawn.shape == FRAME.shape
        assert np.median(np.abs(drawn.astype(int) - FRAME)) < 8, "the frame is the camera's"
        (joints,) = column["people"]
        inside = [(int(x), int(y)) for x, y, _ in joints if 0 <= x < FRAME.shape[1] and 0 <= y < FRAME.shape[0]]
        assert inside
        assert all(drawn[y, x].min() > 200 for x, y in inside), "a white dot lies where the server found the joint"
    wait_for_answers(tab, exchanged(tab)[1] + 3)
    click_camera(tab)
    assert camera_button(tab) == "Use the camera"
    wait_for_rest(tab)


def test_a_photo_ends_the_camera(tab: browser.Browser, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(picture(3, 320, 240)))
    click_camera(tab)
    wait_for_answers(tab, 1)
    choose(tab, photo)
    wait_for(tab, "document.querySelector('canvas')?.width === 320")
    wait_for_rest(tab)
    assert tab.ask("document.querySelector('canvas').width") == 320, "the photo stays"
    assert camera_button(tab) == "Use the camera"


def test_two_clicks_open_one_camera(tab: browser.Browser) -> None:
    tab.ask("""
        const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
        var opened = 0;
        devices.getUserMedia = (wanted) => { opened += 1; return open(wanted); };
    """)
    tab.ask("document.getElementById('camera').click(); document.getElementById('camera').click()")
    wait_for_answers(tab, 1)
    assert tab.ask("opened") == 1


def test_a_camera_that_goes_away_is_named(tab: browser.Browser) -> None:
    click_camera(tab)
    wait_for_answers(tab, 1)
    tab.ask("stream.getTracks().forEach((track) => track.stop())")  # as if it were unplugged
    wait_for(tab, "document.getElementById('status').className === 'error'")
    assert status_of(tab) == "the camera was taken away"
    assert camera_button(tab) == "Use the camera"


def test_a_browser_that_offers_no_camera_is_named(tab: browser.Browser) -> None:
    """As to a page of another machine without https."""
    tab.ask("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    click_camera(tab)
    wait_for(tab, "document.getElementById('status').className === 'error'")
    assert "pages of this machine or over https only" in status_of(tab)
    assert not tab.ask("document.getElementById('camera').disabled")


def visit(tab: browser.Browser, address: str) -> None:
    tab.events.clear()
    tab.call("Page.navigate", url=address)
    wait_for(tab, "document.readyState === 'complete' && !!document.getElementById('file')")


def choose(tab: browser.Browser, photo: Path) -> None:
    """As a click on the drop area would."""
    document = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(photo)])


def click_camera(tab: browser.Browser) -> None:
    tab.ask("document.getElementById('camera').click()")


def camera_button(tab: browser.Browser) -> str:
    return tab.ask("document.getElementById('camera').textContent")


def status_of(tab: browser.Browser) -> str:
    return tab.ask("document.getElementById('status').textContent")


def exchanged(tab: browser.Browser) -> tuple[int, int]:
    """How many photos and frames the page has sent since it was opened, and how many answers have come."""
    tab.ask("0")  # reads the events
    sent = {
        event["params"]["requestId"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent" and event["params"]["request"]["url"].endswith("/predict")
    }
    ended = [event["params"]["requestId"] for event in tab.events if event["method"] == "Network.loadingFinished"]
    return len(sent), len(sent & set(ended))


def wait_for_answers(tab: browser.Browser, count: int) -> None:
    deadline = time.monotonic() + 30
    while exchanged(tab)[1] < count:
        assert time.monotonic() < deadline, tab.ask("document.body.innerText")
        time.sleep(0.05)


def wait_for_rest(tab: browser.Browser) -> None:
    """Until the page has sent nothing for a second and waits for no answer."""
    deadline, before = time.monotonic() + 30, (-1, -1)
    while (now := exchanged(tab)) != before or now[0] != now[1]:
        assert time.monotonic() < deadline, "the camera goes on"
        before = now
        time.sleep(1)


def canvas_pixels(tab: browser.Browser, number: int) -> np.ndarray:
    """uint8 [H, W, 3], RGB."""
    url = tab.ask(f"document.querySelectorAll('canvas')[{number}].toDataURL('image/png')")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def wait_for(tab: browser.Browser, expression: str) -> None:
    """Until a JavaScript expression is true."""
    deadline = time.monotonic() + 30
    while not tab.ask(expression):
        assert time.monotonic() < deadline, (expression, tab.ask("document.body.innerText"))
        time.sleep(0.05)
