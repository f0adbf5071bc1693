"""The backbone of the bundled int8 student: every backend's kernels give the bits of fake quantization."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calib_data.synthetic import validation
from pose import weights
from pose.crop import affine, normalise, warp
from pose.program import load_program
from targets.coreml.reference import MilProgram
from targets.executorch import backend as executorch
from targets.executorch.graph import for_xnnpack
from targets.onnx import qdq
from targets.onnx.backend import session
from targets.tflite.graph import convert

pytestmark = pytest.mark.minutes

PEOPLE = 4
Images = list[np.ndarray]


@pytest.fixture(scope="module")
def program():
    return load_program(weights.bundled())


@pytest.fixture(scope="module")
def images(program) -> Images:
    people, spec = validation(PEOPLE), program.card.spec
    return [
        normalise(warp(people.image(index), affine(people.labels(index).box, spec), spec), spec)[None]
        for index in range(PEOPLE)
    ]


def backbone(program) -> torch.export.ExportedProgram:
    """The int8 program up to the last of its maps, which the read takes in float; both outputs are the map, dequantized."""
    graph: Any = program.graph("int8").module()
    *_, last_map, _ = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default)
    (rounded,) = last_map.users
    graph.graph.output_node().args = (tuple(rounded.users) * 2,)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    with torch.no_grad():
        return torch.export.export(graph, program.graph("int8").example_inputs[0])


def in_executorch(graph: torch.export.ExportedProgram, images: Images) -> list[np.ndarray]:
    for_xnnpack(graph)
    _, buffer = executorch.lower_graph(graph, "xnnpack")
    module = executorch.runtime._load_for_executorch_from_buffer(buffer)
    return [module.forward([torch.from_numpy(image)])[0].numpy().copy() for image in images]


def in_tflite(graph: torch.export.ExportedProgram, images: Images) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    height, width = images[0].shape[-2:]
    interpreter = Interpreter(model_content=convert(graph, height, width, quantized=True), num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (result, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        scale, zero_point = entry["quantization"]
        steps = np.clip(np.round(image.transpose(0, 2, 3, 1) / scale) + zero_point, -128, 127)
        interpreter.set_tensor(entry["index"], steps.astype(np.int8))
        interpreter.invoke()
        scale, zero_point = result["quantization"]
        answer = interpreter.get_tensor(result["index"])
        steps = answer.astype(np.float32) - zero_point if answer.dtype == np.int8 else answer / (scale or 1)
        answers.append(steps * np.float32(scale or 1))
    return answers


def in_onnx(graph: torch.export.ExportedProgram, images: Images) -> list[np.ndarray]:
    opened = session(qdq.qdq_model(graph), Path("backbone.onnx"))
    return [opened.run(None, {qdq.INPUT: image})[0] for image in images]


def in_coreml(graph: torch.export.ExportedProgram, images: Images) -> list[np.ndarray]:
    """Evaluated in torch, without the normalisation: the input is normalised pixels."""
    import coremltools as ct

    model = ct.convert(
        graph.run_decompositions({}),
        inputs=[ct.TensorType(name="images", shape=images[0].shape)],
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/backbone.mlpackage")
        program = MilProgram(Path(folder) / "backbone.mlpackage")
        return [next(iter(program(images=torch.from_numpy(image)).values())).numpy() for image in images]


@torch.no_grad()
@pytest.mark.parametrize("backend", [in_executorch, in_tflite, in_onnx, in_coreml])
def test_the_backbone_is_the_same_to_the_bit(program, images: Images, backend: Callable[..., list[np.ndarray]]) -> None:
    graph = backbone(program)
    expected = [graph.module()(torch.from_numpy(image))[0].numpy() for image in images]
    for answer, wanted in zip(backend(graph, images), expected, strict=True):
        assert len(np.unique(wanted)) > 20  # a meaningful answer
        np.testing.assert_array_equal(answer if answer.shape == wanted.shape else answer.transpose(0, 3, 1, 2), wanted)
