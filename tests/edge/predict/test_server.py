"""The page to try it: an upload, what is refused, and how it looks in a browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import cv2
import numpy as np
import pytest
from made_media import picture

pytest.importorskip("starlette", reason="needs the extra serve: starlette")
pytest.importorskip("uvicorn", reason="needs the extra serve: uvicorn")

from edge.predict.__main__ import main
from edge.predict.server import LARGEST_UPLOAD
from pose.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def address(tiny_onnx: Path) -> Iterator[str]:
    """Of a page on a free port."""
    command = [sys.executable, "-m", "edge.predict", "--serve", "--port", "0", "--artefact", str(tiny_onnx)]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    (found,) = re.findall(r"http://\S+/", line)
    yield found
    process.terminate()
    assert process.wait(30) == 0
    assert "Traceback" not in process.stderr.read()


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


def test_other_web_sites_cannot_use_it(address: str) -> None:
    assert ask(address, jpeg(picture()), Origin="http://elsewhere.example")[0] == 403
    assert ask(address, jpeg(picture()), Host="elsewhere.example")[0] == 400
    host = address.removeprefix("http://").rstrip("/")
    assert ask(address, jpeg(picture()), Origin=f"http://{host}")[0] == 200


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


@pytest.mark.skipif(browser.find() is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_takes_a_photo_in_a_browser(width: int, address: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(picture(5, 320, 240)))
    with browser.Browser(tmp_path / "profile") as tab:
        tab.look(width)
        tab.call("Page.navigate", url=address)
        wait_for(tab, "document.readyState === 'complete' && !!document.getElementById('file')")
        document = tab.call("DOM.getDocument")["root"]["nodeId"]
        node = tab.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
        tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(photo)])
        wait_for(tab, "document.querySelectorAll('canvas').length === 2")
        captions = tab.ask("[...document.querySelectorAll('figcaption')].map((one) => one.textContent)")
        assert [re.sub(r"[\d.]+ ms", "N ms", caption) for caption in captions] == ["fp32: N ms", "int8: N ms"]
        assert "1 person, " in tab.ask("document.getElementById('status').textContent")
        tops = tab.ask("[...document.querySelectorAll('figure')].map((one) => one.getBoundingClientRect().top)")
        assert (tops[0] == tops[1]) == (width > 600), "beside each other on a desktop, below each other on a phone"
        assert tab.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        problems = [event for event in tab.events if event["method"] == "Log.entryAdded"]
        assert not [event for event in problems if "favicon" not in json.dumps(event)]
        image = cv2.imdecode(np.frombuffer(tab.picture(), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[1] == width


def wait_for(tab: browser.Browser, expression: str) -> None:
    """Until a JavaScript expression is true."""
    deadline = time.monotonic() + 30
    while not tab.ask(expression):
        assert time.monotonic() < deadline, (expression, tab.ask("document.body.innerText"))
        time.sleep(0.05)
