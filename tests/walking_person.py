"""Frames of a made video: a drawn person who stands still, walks, turns, leaves and comes back, seen by a noisy camera."""

from __future__ import annotations

import cv2
import numpy as np

from calib_data.synthetic import body as bodies
from calib_data.synthetic.canvas import Canvas
from calib_data.synthetic.figure import View, draw_person, keypoints_3d
from calib_data.synthetic.scene import background
from calib_data.synthetic.wardrobe import sample_look

WIDTH, HEIGHT, FPS = 320, 240, 25.0
TALL = 170.0  # pixels of the person's height


class WalkingPerson:
    """A person of one look and one body; the pose depends on the arguments of `frame` alone.

    Args:
        seed: of the body, the clothes and the room.
        noise: standard deviation of the camera's noise, in 0..255.
    """

    def __init__(self, seed: int = 0, noise: float = 4.0) -> None:
        self._seed, self._noise = seed, noise
        rng = np.random.default_rng(seed)
        self._room = cv2.resize(background(rng), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)

    def frame(self, number: int, x: float, phase: float = 0.0, yaw: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
        """The image uint8 [HEIGHT, WIDTH, 3] and the joints float64 [17, 2] in its pixels.

        Args:
            number: of the frame: its noise.
            x: pixels of the person's middle from the left; outside 0..WIDTH the person is out of the picture.
            phase: of the walk, in radians; 0 stands.
            yaw: degrees that the person is turned away from the camera.
        """
        swing = np.sin(phase)
        legs = np.array([(28 * swing, 3, 5, 10 + 25 * max(-swing, 0)), (-28 * swing, 3, 5, 10 + 25 * max(swing, 0))])
        arms = np.array([(-22 * swing, 9, 10, 20), (22 * swing, 9, 10, 20)])
        turn = bodies.rotation(0, 4) @ bodies.rotation(1, yaw)
        rng = np.random.default_rng(self._seed)  # the same proportions and clothes in every frame
        body = bodies._forward(arms, legs, np.zeros((2, 3)), turn, rng)
        view = View(np.array([x, 0.52 * HEIGHT]), TALL, 6.0)
        canvas = Canvas(self._room.copy(), np.array([0.3, 0.5, 0.8]))
        draw_person(canvas, body, sample_look(np.random.default_rng(self._seed)), view, own=True)
        grain = np.random.default_rng((self._seed, number)).normal(0, self._noise, canvas.image.shape)
        image = np.clip(canvas.image + grain, 0, 255).astype(np.uint8)
        return image, view.project(keypoints_3d(body))
