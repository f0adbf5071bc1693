"""The operators that a program may hold."""

from __future__ import annotations

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers quantize and dequantize

from pose.operators import OPERATORS


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_operator_reaches_no_file_and_writes_only_over_its_own_input(name: str) -> None:
    operator = torch.ops
    for part in name.split(".")[2:]:
        operator = getattr(operator, part)
    schema = operator._schema
    assert not {argument.name for argument in schema.arguments} & {"filename", "out", "generator", "storage"}
    written = [argument.name for argument in schema.arguments if argument.alias_info and argument.alias_info.is_write]
    assert written in ([], ["self"])
    if written:
        activation = name.split(".")[3].removesuffix("_")
        assert hasattr(torch.nn.functional, activation) or hasattr(torch, activation)
