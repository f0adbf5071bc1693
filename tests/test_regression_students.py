"""A small student of each regression family: trained with the losses of distillation, made int8, lowered, and checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from regression_program import PEOPLE, program

from calib_data.synthetic import validation
from edge.dist import Dist
from edge.evaluate.check import check_all
from edge.export import export

for extra, module in (("executorch", "executorch"), ("tflite", "litert_torch"), ("onnx", "onnxruntime")):
    pytest.importorskip(module, reason=f"needs the extra {extra!r}")

TARGETS = ("onnx", "executorch", "tflite")
DROP = 10.0  # of PCK, in percent, that int8 may cost so small a network
LEARNED = 25.0  # PCK in percent on the people that it was trained on, far above chance


@pytest.mark.minutes
@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("deeppose", TARGETS),
        ("rle", ("onnx",)),
        ("prtr", ("onnx",)),
        ("poseur", TARGETS),
    ],  # lowering takes half a minute each
    ids=["deeppose", "rle", "prtr", "poseur"],
)
def test_every_target_keeps_the_accuracy(family: str, targets: tuple[str, ...], tmp_path: Path) -> None:
    program(family, tmp_path / "program")
    for target in targets:
        export(tmp_path / "program", target, "int8", tmp_path / "dist")
    checks = check_all(Dist(tmp_path / "dist").artefacts, validation(PEOPLE))
    assert len(checks) == len(targets)
    for check in checks.values():
        assert check.fp32.pck > LEARNED
        assert check.lowered.pck >= check.fp32.pck - DROP
        assert check.lowered.fake_quant_px.median < 0.1
