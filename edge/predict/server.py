"""`python -m edge.predict --serve`: a page to try a student in the browser, float and int8 side by side.

It answers this machine only unless another address is named, and other web sites cannot use it: their requests carry
another Host or Origin. Photos are decoded in memory and forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.predict.hosts import OwnNames, names
from edge.predict.people import apart
from pose.errors import BackendError, InputError, UserError
from pose.failures import as_user_error

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from edge.predict.estimator import Estimator
    from pose.poses import Poses

LARGEST_UPLOAD = 20_000_000  # bytes
LARGEST_PHOTO = 50_000_000  # pixels
_LAST_ANSWERS = 2  # seconds for them after Ctrl-C: an upload that never ends would keep the server for ever
PAGE = Path(__file__).with_name("page")
_TYPES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(
    find: Callable[[np.ndarray], Poses],
    estimators: dict[str, Estimator],
    hosts: frozenset[str],
    limbs: list[tuple[int, int]],
) -> Starlette:
    """The page and its one question: a photo as the body of POST /predict.

    Args:
        find: the people of an image uint8 [H, W, 3], RGB.
        estimators: precision -> estimator, the one that `find` uses last; they answer and are timed on the same boxes.
        hosts: names under which a browser may ask, besides numbers of addresses.
        limbs: pairs of joint numbers that the page draws.

    Raises:
        BackendError: starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.middleware import Middleware
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Route
    except ModuleNotFoundError as error:
        raise BackendError(f"--serve needs {error.name}; pip install 'distilpose-edge[serve]'") from error
    answer = _Answerer(find, estimators, limbs)

    async def predict(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return JSONResponse({"error": "this page answers its own requests only"}, 403, _HEADERS)
        data = bytearray()
        try:
            async for part in request.stream():
                data += part
                if len(data) > LARGEST_UPLOAD:
                    return JSONResponse({"error": f"larger than {LARGEST_UPLOAD // 1_000_000} MB"}, 413, _HEADERS)
            return JSONResponse(await run_in_threadpool(answer, bytes(data)), headers=_HEADERS)
        except (ClientDisconnect, asyncio.CancelledError):  # during the upload, by either side: nobody reads this
            return Response(status_code=400)
        except Exception as error:
            known = error if isinstance(error, UserError) else as_user_error(error)
            if known is None:
                raise
            return JSONResponse({"error": str(known)}, 400 if isinstance(known, InputError) else 500, _HEADERS)

    async def page(request: Request) -> Response:
        file = request.path_params.get("file", "index.html")
        if file not in _TYPES:
            return Response("not found", 404, _HEADERS)
        return Response((PAGE / file).read_bytes(), headers=_HEADERS, media_type=_TYPES[file])

    routes = [Route("/", page), Route("/predict", predict, methods=["POST"]), Route("/{file}", page)]
    return Starlette(routes=routes, middleware=[Middleware(OwnNames, allowed=hosts)])


class _Answerer:
    """Call it with the bytes of a photo: what the page draws."""

    def __init__(
        self, find: Callable[[np.ndarray], Poses], estimators: dict[str, Estimator], limbs: list[tuple[int, int]]
    ) -> None:
        self._find, self._estimators, self._limbs = find, estimators, limbs
        self._one_at_a_time = threading.Lock()  # two requests would be in each other's times, and memory

    def __call__(self, data: bytes) -> dict[str, Any]:
        columns, answers = [], []
        with self._one_at_a_time:
            image = _decoded(data)
            boxes = self._find(image).boxes
            for name, estimator in self._estimators.items():
                start = time.perf_counter()
                answers.append(estimator(image, boxes))
                milliseconds = 1e3 * (time.perf_counter() - start) if len(boxes) else None
                columns.append({"name": name, "people": _people(answers[-1]), "ms": milliseconds})
        distance = float(np.median(apart(answers[0], answers[-1]))) if len(boxes) and len(answers) > 1 else None
        height, width = image.shape[:2]
        return {"width": width, "height": height, "limbs": self._limbs, "columns": columns, "median_px": distance}


def serve(build: Callable[[frozenset[str]], Starlette], host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        build: makes the application for the names under which a browser may ask.
        ready: is called with the address, once it is listened to.

    Raises:
        InputError: the address or port cannot be had.
        BackendError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise BackendError("--serve needs uvicorn; pip install 'distilpose-edge[serve]'") from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"cannot serve on {host}, port {port}: {reason}; choose others with --host and --port"
            ) from error
        bound = listener.getsockname()
        app = build(names(host, bound[0]))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=_LAST_ANSWERS)
        )
        ready(f"http://{f'[{host}]' if ':' in host else host}:{bound[1]}/")
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # which uvicorn passes on; it is the way to end
            return


def _decoded(data: bytes) -> np.ndarray:
    from PIL import Image

    from calib_data.photos import decode_photo

    size = (0, 0)
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as photo:  # what Pillow cannot read is decided below
        size = photo.size
    _require_small(*size)  # before 400 KB become 400 MB
    image = decode_photo(data, "the upload", as_shown=True)
    _require_small(*image.shape[:2])
    return image


def _require_small(side: int, other: int) -> None:
    if side * other > LARGEST_PHOTO:
        raise InputError(f"the photo has more than {LARGEST_PHOTO // 1_000_000} million pixels; make it smaller")


def _people(poses: Poses) -> list[list[list[float]]]:
    """[x, y, score] of each joint of each person."""
    return np.concatenate([poses.keypoints, poses.scores[..., None]], axis=-1).round(3).tolist()
