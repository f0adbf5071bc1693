"""Every change that we make to other people's code. Each is a context manager that restores what it changed.

Each says in which version the behaviour was seen, what it is, where it is known upstream, and why we work around it. After
an upgrade, remove a patch and run `tests/targets`; delete it for good if lowering is as quick and the files are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def share_node_histories() -> Iterator[None]:
    """torch 2.13.0: a copied node shares the history of the node it was copied from.

    `torch.fx.traceback.NodeSource` records from which node of which pass a node was made. It deep-copies the record of that
    node, which holds all earlier ones, so that the time of a pass grows with the number of passes before it
    (https://github.com/pytorch/pytorch/pull/193051 and /175853). Nothing here changes a record after it was made: copies
    can share it, and no artefact contains it.
    """
    from torch.fx.traceback import NodeSource

    NodeSource.__deepcopy__ = lambda source, _: source  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del NodeSource.__deepcopy__  # type: ignore[attr-defined]


@contextmanager
def validate_mil_once() -> Iterator[None]:
    """coremltools 9.0: a MIL program is validated when the block ends, not after each of the 95 default passes.

    `PassPipelineManager.apply_pipeline` validates the whole program after every pass. This serves those who write passes; no
    option turns it off, and no upstream issue is known. Without the patch the same package comes out, later.
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
    """coremltools 9.0: equal constants are stored once, however small.

    The pass `const_deduplication` skips constants of fewer than 100 elements, which all scales and zero points of
    activations are: each is then stored once for every operator that reads it. The threshold is an option of the pass, but
    setting it changes the class, and with it every later conversion in the process; here it is set back.
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
    """litert-torch 0.10: constant padding is done in NHWC, like the convolution that follows it.

    The pass `optimize_layout_transposes` rewrites operators to NHWC by a table, in which `aten.constant_pad_nd` is missing:
    it puts a transposition to NCHW before each padding and one back after it. No upstream issue is known. The entry that is
    added here reorders the padded axes instead.
    """
    import torch
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass.layout_rewrite import rewriters

    def rewrite(node: Any) -> None:
        padding = node.args[1]  # (before, after) of each axis, the last axis first: width, height, channels, batch
        node.args = (node.args[0], [*(padding[4:6] or [0, 0]), *padding[:4], *padding[6:]], *node.args[2:])

    operator = torch.ops.aten.constant_pad_nd.default
    rewriters[operator] = rewrite
    try:
        yield
    finally:
        del rewriters[operator]


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """litert-torch 0.10: its own progress bar, which has no argument to turn it off, stays hidden behind ours."""
    import litert_torch

    shown = litert_torch.config.show_progress
    litert_torch.config.show_progress = False
    try:
        yield
    finally:
        litert_torch.config.show_progress = shown
