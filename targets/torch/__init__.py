"""The program itself, run by torch: the float column, and the fake-quant column (quantize/dequantize nodes as written)."""

from targets.spec import TargetSpec

SPEC = TargetSpec(name="torch", module="targets.torch.backend", suffix=".pt2", lowers=False, order=0)
