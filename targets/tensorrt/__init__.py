"""TensorRT: ONNX files that `trtexec` builds on a Jetson. Start reading at `targets.tensorrt.backend`."""

from targets.spec import TargetSpec

SPEC = TargetSpec(
    name="tensorrt",
    module="targets.tensorrt.backend",
    suffix=".onnx",
    needs=("onnx", "onnxscript", "onnxruntime"),
    libraries=("onnx", "onnxscript", "onnxruntime"),
    extra="tensorrt",
    wheels=("numpy", "onnxruntime"),  # ONNX Runtime runs the file where there is no trtexec
    runtime="onnx",
    device_tool="trtexec",
    order=50,
)
