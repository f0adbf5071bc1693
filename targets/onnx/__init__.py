"""ONNX with quantize/dequantize nodes, for ONNX Runtime. Start reading at `targets.onnx.backend`."""

from targets.spec import TargetSpec

INPUT, OUTPUTS = "images", ("coords", "scores")  # names in the file

SPEC = TargetSpec(
    name="onnx",
    module="targets.onnx.backend",
    suffix=".onnx",
    needs=("onnx", "onnxscript", "onnxruntime"),
    libraries=("onnx", "onnxscript", "onnxruntime"),
    extra="onnx",
    wheels=("numpy", "onnxruntime"),
    runtime="onnx",
    order=40,
)
