"""ONNX with quantize/dequantize nodes, for ONNX Runtime. Start reading at `targets.onnx.backend`."""

from targets.spec import TargetSpec

INPUT, OUTPUTS = "images", ("coords", "scores")  # names in the file
# A session's option. Without it, sums of uint8 times int8 saturate at 16 bits on x86 processors that have no VNNI.
EXACT = ("session.x64quantprecision", "1")

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
