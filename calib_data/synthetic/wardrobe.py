"""What people wear and look like. Colours are float RGB in 0..255."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

import cv2
import numpy as np

from calib_data.synthetic.canvas import TEXTURE

_SKINS = np.array(
    [(255, 219, 190), (241, 194, 158), (224, 172, 125), (198, 134, 92), (141, 85, 54), (92, 58, 42)], np.float64
)
_FRONTS = ("buttons", "logo", "tie", "print", "jacket")
_HAIR = np.array([(28, 22, 20), (60, 40, 26), (110, 74, 40), (190, 150, 90), (150, 70, 35), (165, 165, 165)], np.float64)

_BLACK, _WHITE = (np.full((TEXTURE, TEXTURE, 3), value, np.float32) for value in (0, 255))  # numpy is slower with scalars

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Look:
    """One person's appearance; a fabric is float32 [TEXTURE, TEXTURE, 3], 0..255.

    Attributes:
        skin, hair, shirt, trousers, shoes, extra: fabrics; `extra` is the hat, the backpack and the print.
        sleeve, leg: covered share of arm and leg, 0..1, in halves: up to 0.5 ends above elbow or knee.
        skirt: length over that of the thigh, 0 for none.
        hair_style: bald, short, covering the ears, or long.
        front: how the chest's front tells itself from the back: buttons, logo, tie, print, jacket.
        hat, glasses, beard, backpack: worn or not.
        outline: brightness of contours over that of the fabric.
    """

    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    extra: np.ndarray
    sleeve: float
    leg: float
    skirt: float
    hair_style: str
    front: str
    hat: bool
    glasses: bool
    beard: bool
    backpack: bool
    outline: float


def sample_look(rng: np.random.Generator) -> Look:
    """Draw an appearance."""
    skin = _between(_SKINS, rng) + rng.normal(0, 6, 3)
    hair = colour(rng) if rng.random() < 0.08 else _between(_HAIR, rng)
    shirt = sample_fabric(colour(rng), rng)
    trousers = shirt if rng.random() < 0.1 else sample_fabric(colour(rng), rng, plain=0.75)
    worn = rng.random(7).tolist()
    sleeve, leg, hair_style, front = rng.random(4).tolist()
    return Look(
        skin=_plain(skin, rng, 4),
        hair=_plain(hair, rng, 14),
        shirt=shirt,
        trousers=trousers,
        shoes=_plain(skin if worn[0] < 0.08 else colour(rng), rng, 5),
        extra=_plain(colour(rng), rng, 8),
        sleeve=_pick({0.0: 0.12, 0.3: 0.23, 0.45: 0.2, 1.0: 0.45}, sleeve),
        leg=_pick({0.25: 0.1, 0.42: 0.2, 1.0: 0.7}, leg),
        skirt=float(rng.uniform(0.45, 0.95)) if worn[1] < 0.14 else 0.0,
        hair_style=_pick({"bald": 0.08, "short": 0.56, "ears": 0.12, "long": 0.24}, hair_style),
        front=_FRONTS[int(front * len(_FRONTS))],
        hat=worn[2] < 0.14,
        glasses=worn[3] < 0.14,
        beard=worn[4] < 0.12,
        backpack=worn[5] < 0.1,
        outline=1.0 if worn[6] < 0.35 else float(rng.uniform(0.45, 0.85)),
    )


def colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of anything, people and background alike: from grey to vivid, sometimes that of skin."""
    r, g, b, kind, vivid = rng.random(5).tolist()
    if kind < 0.1:
        return _between(_SKINS, rng)
    grey, vivid = (r + g + b) / 3, 0.1 + 1.2 * vivid
    return np.array([min(max(15 + 230 * (grey + (part - grey) * vivid), 5), 250) for part in (r, g, b)])


def sample_fabric(base: np.ndarray, rng: np.random.Generator, plain: float = 0.4) -> np.ndarray:
    """A fabric of a base colour: plain, striped, checked, dotted or mottled."""
    if rng.random() < plain:
        return _plain(base, rng, 5)
    period, phase = rng.uniform(5, 18), rng.uniform(0, 6)
    wave = np.sin((np.arange(TEXTURE) + phase) * (2 * np.pi / period))
    across, along = wave[None], wave[:, None]
    kind = rng.integers(6)
    if kind == 0:
        pattern = along > rng.uniform(-0.6, 0.6)
    elif kind == 1:
        pattern = across > rng.uniform(-0.6, 0.6)
    elif kind == 2:
        pattern = (across > 0) ^ (along > 0)
    elif kind == 3:
        pattern = across + along > 1.1
    elif kind == 4:
        pattern = 0.5 * (across > 0.3) + 0.5 * (along > 0.3)
    else:
        pattern = rng.random((8, 8)).repeat(TEXTURE // 8, 0).repeat(TEXTURE // 8, 1)
    other = _plain(colour(rng), rng, 5)
    mixed = _grey(np.broadcast_to(pattern, (TEXTURE, TEXTURE)).astype(np.float32))
    return np.asarray(other + mixed * (_plain(base, rng, 5) - other))


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Standard normal noise, grey: float32 [height, width, 1], cut from a fixed bank of it."""
    bank = _bank()
    row, column = rng.integers(0, bank.shape[0] - height + 1), rng.integers(0, bank.shape[1] - width + 1)
    return bank[row : row + height, column : column + width]


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((640, 640, 1), np.float32)


def _plain(base: np.ndarray, rng: np.random.Generator, grain: float) -> np.ndarray:
    rough = _grey(noise(rng, TEXTURE, TEXTURE) * np.float32(grain))
    rough += np.full((TEXTURE, 3), base, np.float32)
    return np.minimum(np.maximum(rough, _BLACK, out=rough), _WHITE, out=rough)


def _grey(values: np.ndarray) -> np.ndarray:
    """Float32 [h, w] or [h, w, 1] as [h, w, 3]: numpy would broadcast three values at a time."""
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB))


def _between(palette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    at = rng.random() * (len(palette) - 1)
    first = int(at)
    return np.asarray(palette[first] + (at - first) * (palette[first + 1] - palette[first]))


def _pick(odds: dict[Choice, float], roll: float) -> Choice:
    """The choice at `roll`, 0..1, of odds that add up to 1."""
    return next(
        (choice for choice, end in zip(odds, accumulate(odds.values()), strict=True) if roll < end), next(iter(odds))
    )
