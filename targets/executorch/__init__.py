"""ExecuTorch: `.pte` files for phones and ARM boards. Start reading at `targets.executorch.backend`."""

from targets.spec import Option, TargetSpec

SPEC = TargetSpec(
    name="executorch",
    module="targets.executorch.backend",
    suffix=".pte",
    needs=("executorch",),
    libraries=("executorch",),
    extra="executorch",
    options=(
        Option(
            "delegate",
            choices=("xnnpack", "coreml", "vulkan"),
            default="xnnpack",
            card_field="metrics.delegate",
            help="ExecuTorch: XNNPACK [default], or a delegate that is compiled here but runs on phones only.",
        ),
    ),
    wheels=("numpy", "torch", "executorch"),
    python=">=3.10,<3.15",
    runtime="executorch",
    order=10,
)
