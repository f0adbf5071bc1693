"""What surrounds a person: backgrounds, clutter, things in front, light, and the faults of a camera."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from calib_data.synthetic.canvas import Canvas, capsule, ellipse, hull
from calib_data.synthetic.wardrobe import colour, noise, sample_fabric

WIDTH, HEIGHT = 256, 288
_SIZE = np.array([WIDTH, HEIGHT], np.float64)
_RAMP = np.linspace(0, 1, 256)[:, None]


def background(rng: np.random.Generator) -> np.ndarray:
    """Smooth light, texture, a floor, and clutter of any shape and colour, out of focus or not; uint8 [HEIGHT, WIDTH, 3]."""
    cells = int(rng.integers(2, 6))
    tint = colour(rng)
    spread = rng.uniform(5, 60)
    coarse = np.clip(tint + rng.normal(0, spread, (cells, cells, 3)), 0, 255).astype(np.uint8)
    image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        horizon = int(rng.uniform(0.35, 0.9) * HEIGHT)
        floor = np.clip(colour(rng) + rng.normal(0, 12, (3, 2, 3)), 0, 255).astype(np.uint8)
        image[horizon:] = cv2.resize(floor, (WIDTH, HEIGHT - horizon), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 14))):
        _clutter(image, rng)
    if rng.random() < 0.45:
        size = int(rng.choice((3, 5, 9, 15)))
        image = cv2.blur(image, (size, size))
    if rng.random() < 0.4:
        cells = int(rng.integers(12, 90))
        rough = rng.integers(0, 256, (cells, cells), np.uint8)
        rough = cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        share = float(rng.uniform(0.05, 0.25))
        image = cv2.addWeighted(image, 1 - share, cv2.cvtColor(rough, cv2.COLOR_GRAY2RGB), share, 0)
    return image


def _clutter(image: np.ndarray, rng: np.random.Generator) -> None:
    at, kind, shade = rng.uniform(0, 1, 2) * _SIZE, rng.integers(5), colour(rng)
    size = rng.uniform(8, 70, 2)
    if kind == 0:
        outline = hull(at + rng.normal(0, 1, (6, 2)) * size * 0.6)
    elif kind == 1:
        outline = ellipse(at, np.array([size[0] * 0.6, 0]), np.array([0, size[1] * 0.6]))
    elif kind == 2:
        outline = at + np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * size
    else:  # shaped like a limb, so that this shape alone does not show a limb
        end = at + rng.normal(0, 40, 2)
        outline = capsule(at, end, *rng.uniform(2, 10, 2))
    cv2.fillConvexPoly(image, np.rint(outline * 16).astype(np.int32), shade.tolist(), cv2.LINE_AA, 4)


def light_direction(rng: np.random.Generator) -> np.ndarray:
    """Towards the light, somewhere above and in front; float64 [3], camera axes."""
    light = np.array([rng.normal(0, 0.6), rng.uniform(0, 0.7), rng.uniform(0.5, 1.0)])
    return np.asarray(light / np.linalg.norm(light))


def hide(canvas: Canvas, box: np.ndarray, label: int, rng: np.random.Generator) -> None:
    """Put a thing in front of a part of the box (x, y, width, height): furniture from below, a post, or a loose object."""
    x, y, w, h = box
    kind = rng.integers(3)
    if kind == 0:
        top = y + h * rng.uniform(0.6, 0.92)
        left, right = sorted(x + w * rng.uniform(-0.4, 1.4, 2))
        outline = np.array([(left, top), (right, top), (right, HEIGHT), (left, HEIGHT)])
    elif kind == 1:
        left, width = x + w * rng.uniform(0, 1), rng.uniform(0.06, 0.16) * max(w, 40)
        lean = rng.normal(0, 6)
        outline = np.array(
            [(left + lean, 0), (left + width + lean, 0), (left + width - lean, HEIGHT), (left - lean, HEIGHT)]
        )
    else:
        at = np.array([x, y]) + rng.uniform(0, 1, 2) * (w, h)
        outline = hull(at + rng.normal(0, 1, (7, 2)) * rng.uniform(5, 0.12 * max(w, h) + 6))
    ends = outline.min(0), outline.max(0)
    middle = (ends[0][0] + ends[1][0]) / 2
    fabric = sample_fabric(colour(rng), rng)
    canvas.fabric(outline, label, fabric, np.array([middle, ends[0][1]]), np.array([middle, ends[1][1]]),
                  max(float(ends[1][0] - ends[0][0]), 2.0), 0.7)  # fmt: skip


def photograph(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scene as a camera would have it: uneven light, contrast, gamma and tint, blur, noise, JPEG."""
    image: Any = scene  # OpenCV's stubs know no dtype
    if rng.random() < 0.6:
        coarse = np.clip(rng.normal(128, 28, (3, 3)), 50, 210).astype(np.uint8)
        glow = cv2.cvtColor(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), cv2.COLOR_GRAY2RGB)
        image = cv2.multiply(image, glow, scale=1 / 128)
    ramp = _RAMP ** np.exp(rng.normal(0, 0.22)) * 255
    ramp = (ramp - 128) * rng.uniform(0.65, 1.2) + 128 + rng.normal(0, 14) + rng.normal(0, 7, 3)
    image = cv2.LUT(image, np.clip(ramp, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.3)))
    if rng.random() < 0.5:
        grain = (noise(rng, HEIGHT, WIDTH) * np.float32(rng.uniform(2, 9))).astype(np.int16)
        image = cv2.add(image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        image = cv2.imdecode(code, cv2.IMREAD_COLOR)  # channels in whatever order they went in
    return np.asarray(image, np.uint8)
