"""Which operators of a `.tflite` an Arm Ethos-U NPU takes, by Arm's compiler Vela: nothing is run, all is estimated."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.evaluate.bounds import Count
from edge.evaluate.records import Record
from pose.card import Digest
from pose.errors import BackendError, InputError, one_line

Large = Annotated[int, Field(strict=True, ge=0, le=10**15)]  # multiply-adds, cycles, bytes
_SECONDS = 600  # of a compilation, which takes about one
_FINDING = re.compile(r"^Warning \([^)]*\) operator: (\w+), ofm: .*\n(?:Reason: )?(.*)$", re.MULTILINE)
_TENSOR = re.compile(r" \([^()]*\)$")  # the name of a tensor, at the end of a reason


class CpuOperators(Record):
    """Operators of one kind that stay on the CPU for one reason."""

    operator: str
    reason: str
    count: Count


class NpuEstimate(Record):
    """What `edge.npu --json` writes. Nothing of it was measured on a device.

    Attributes:
        compiler: Vela's version. system, memory: its models of the chip around the NPU.
        operators, macs: of the file, and their multiply-adds.
        cpu_macs: of the operators that stay on the CPU, all of which `cpu` lists.
        cycles, sram_bytes: of the NPU's part alone.
    """

    schema_version: Literal[1] = 1
    artefact: str
    sha256: Digest
    compiler: str
    accelerator: str
    system: str
    memory: str
    operators: Count
    cpu: list[CpuOperators]
    macs: Large
    cpu_macs: Large
    cycles: Large
    sram_bytes: Large

    @model_validator(mode="after")
    def _parts_fit_the_whole(self) -> Self:
        if self.cpu_operators > self.operators or self.cpu_macs > self.macs:
            raise ValueError("more operators or multiply-adds stay on the CPU than the file has")
        return self

    @property
    def cpu_operators(self) -> int:
        """How many operators stay on the CPU."""
        return sum(group.count for group in self.cpu)

    @property
    def column(self) -> str:
        """Heading of these numbers in a table."""
        return f"estimated, {self.accelerator.title()}"


def estimate(artefact: Path, accelerator: str) -> NpuEstimate:
    """Compile a `.tflite` for an NPU and read what the compiler says about it.

    Args:
        accelerator: as Vela calls it, `ethos-u85-256`.

    Raises:
        InputError: there is no such file, or it is no `.tflite`.
        BackendError: Vela is not installed, or refuses the file.
    """
    from pose.card import digest
    from pose.files import LARGEST, read_bytes
    from targets.tflite import flatbuffer

    content = read_bytes(artefact, LARGEST)
    flatbuffer.require_plain(content, artefact)
    tool = _vela()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "network.tflite"
        copy.write_bytes(content)
        text = _run([*tool, str(copy), "--accelerator-config", accelerator, "--output-dir", folder], artefact)
        compiled = Path(folder) / "network_vela.tflite"
        summaries = sorted(Path(folder).glob("network_summary_*.csv"))
        if not compiled.is_file() or not summaries:
            raise BackendError(f"Vela wrote nothing for {artefact}: {one_line(text, 200)}")
        _, rest = flatbuffer.read(compiled.read_bytes())
        with summaries[0].open(newline="") as file:
            summary = next(csv.DictReader(file))
    _, operators = flatbuffer.read(content)
    on_cpu = [operator for operator in rest if operator.name != "custom"]  # what the NPU runs became one custom operator
    return NpuEstimate(
        artefact=str(artefact),
        sha256=digest(artefact),
        compiler=f"ethos-u-vela {_run([*tool, '--version'], artefact).strip()}",
        accelerator=accelerator,
        system=summary["system_config"],
        memory=summary["memory_mode"],
        operators=len(operators),
        cpu=_groups(Counter(operator.name for operator in on_cpu), text),
        macs=sum(operator.macs for operator in operators),
        cpu_macs=sum(operator.macs for operator in on_cpu),
        cycles=int(float(summary["cycles_total"])),
        sram_bytes=int(float(summary["sram_memory_used"]) * 1024),
    )


def _groups(on_cpu: Counter[str], text: str) -> list[CpuOperators]:
    """Kinds of operators with the reasons that Vela gives for them, the most frequent first."""
    reasons = Counter((name.lower(), _TENSOR.sub("", reason).strip()) for name, reason in _FINDING.findall(text))
    groups = []
    for (name, reason), count in reasons.items():
        count = min(count, on_cpu[name])
        on_cpu[name] -= count
        if count:
            groups.append(CpuOperators(operator=name, reason=reason, count=count))
    groups += [
        CpuOperators(operator=name, reason="Vela gives no reason", count=count)
        for name, count in on_cpu.items()
        if count > 0
    ]
    return sorted(groups, key=lambda group: (-group.count, group.operator))


def _vela() -> list[str]:
    """The command that starts Vela: of this environment, or one on the PATH."""
    if find_spec("ethosu") is not None:
        return [sys.executable, "-m", "ethosu.vela"]
    if path := shutil.which("vela"):
        return [path]
    raise BackendError("this needs Arm's compiler Vela; pip install 'distilpose-edge[vela]'")


def _run(command: list[str], artefact: Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"Vela has not compiled {artefact} after {_SECONDS} s; name a smaller network") from error
    except OSError as error:
        raise InputError(f"cannot run {command[0]}: {error.strerror}; install Vela again") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise BackendError(f"Vela refuses {artefact}: {one_line(last, 200)}")
    return done.stdout + done.stderr
