"""Core ML: `.mlpackage` folders for Apple devices. Start reading at `targets.coreml.backend`."""

from targets.spec import Option, TargetSpec

SPEC = TargetSpec(
    name="coreml",
    module="targets.coreml.backend",
    suffix=".mlpackage",
    needs=("coremltools",),
    libraries=("coremltools",),
    extra="coreml",
    options=(
        Option(
            "compute",
            choices=("float32", "float16"),
            default="float32",
            card_field="metrics.compute",
            help="Core ML: float32 between the int8 operators, on CPU and GPU [default], or float16 for the Neural Engine.",
            precisions=("int8",),
            if_unrecorded="float16",  # cards did not record it while float16 was the only way
            note="coreml computes in float32 on CPU and GPU; --compute float16 is for the Neural Engine, and rounds twice",
        ),
    ),
    order=30,
)
