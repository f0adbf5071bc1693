"""LiteRT (TensorFlow Lite): `.tflite` files for phones and boards. Start reading at `targets.tflite.backend`."""

from targets.spec import Option, TargetSpec

SPEC = TargetSpec(
    name="tflite",
    module="targets.tflite.backend",
    suffix=".tflite",
    needs=("litert_torch", "ai_edge_litert"),
    libraries=("litert-torch", "ai-edge-litert"),
    extra="tflite",
    options=(
        Option(
            "input",
            choices=("uint8", "float32"),
            default="uint8",
            card_field="input.dtype",
            help="TFLite: the bytes of a camera image [default], or normalised values.",
        ),
    ),
    wheels=("numpy", "ai-edge-litert"),
    runtime="tflite",
    order=20,
)
