"""Every change to other people's code while a program is lowered. Each is a context manager that restores what it found.

Each says which version it was seen in, what it does there, and why we cannot do without. When a library is upgraded: take
the patch out, run `tests/targets`, and delete it if nothing but the time that is named here changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def share_node_histories() -> Iterator[None]:
    """torch 2.13.0: copy a node of a graph without copying the history of its origins.

    `torch.fx.traceback.NodeSource` records which node of which pass a node came from. Copying a node deep-copies the chain,
    and every pass copies every node: the chains grow with each pass, and lowering spends most of its time on them. A
    `NodeSource` is never changed after it was made, so that copies may share it.
    """
    from torch.fx.traceback import NodeSource

    NodeSource.__deepcopy__ = lambda source, _: source  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del NodeSource.__deepcopy__  # type: ignore[attr-defined]


@contextmanager
def validate_mil_once() -> Iterator[None]:
    """coremltools 9.0: validate a MIL program after the last pass, and not after each of about 90.

    `PassPipelineManager` calls `Program.validate` after every pass, which takes as long as the passes themselves. The
    finished program is validated when the block ends.
    """
    from coremltools.converters.mil import mil

    validate, programs = mil.Program.validate, []
    mil.Program.validate = lambda program, **_: programs.append(program)
    try:
        yield
    finally:
        mil.Program.validate = validate
    programs[-1].validate()


@contextmanager
def deduplicate_small_constants() -> Iterator[None]:
    """coremltools 9.0: store equal constants once, however small.

    The pass `const_deduplication` leaves constants of fewer than 100 elements alone. Each scale and zero point is then
    stored at every operator that reads it: the copies are a quarter of an int8 program's operators. The threshold can be
    set as an option of the pass, but the option is written to its class, where every later conversion finds it.
    """
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    deduplication = PASS_REGISTRY["common::const_deduplication"]
    threshold = deduplication.const_threshold
    deduplication.const_threshold = 1
    try:
        yield
    finally:
        deduplication.const_threshold = threshold


@contextmanager
def pad_in_nhwc() -> Iterator[None]:
    """litert-torch 0.10: let constant padding run in NHWC.

    Its pass `optimize_layout_transposes` turns a graph to NHWC and has no rewriter for `aten.constant_pad_nd`: it puts a
    transposition to NCHW before each padding and one back after it. Our rewriter reorders the padded axes instead.
    """
    import torch
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass.layout_rewrite import rewriters

    def rewrite(node: Any) -> None:
        padding = node.args[1]  # two numbers an axis, the last axis first: width, height, channels, batch
        node.args = (node.args[0], [*(padding[4:6] or [0, 0]), *padding[:4], *padding[6:]], *node.args[2:])

    operator = torch.ops.aten.constant_pad_nd.default
    rewriters[operator] = rewrite
    try:
        yield
    finally:
        del rewriters[operator]
