"""Checkpoints that somebody else wrote: read into a model whose values are then finite, or refused in one line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from fuzz.mutations import changed_bytes
from fuzz.watch import harmless
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pose.models import checkpoint


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


STATE = {key: value.clone() for key, value in Network().state_dict().items()}


def _saved(value: object, **how: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


WRAPPED = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in STATE.items()}}
ZIPPED = _saved(WRAPPED)
FILES = {
    "zip.pt": ZIPPED,
    "legacy.pth": _saved(WRAPPED, _use_new_zipfile_serialization=False),
    "plain.safetensors": safetensors.torch.save(STATE),
}


@st.composite
def changed_member(draw: st.DrawFn) -> bytes:
    """The archive with one member changed and its checksum right again."""
    with zipfile.ZipFile(io.BytesIO(ZIPPED)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from([*(name for name in members if name.endswith("data.pkl")), *members]))
    members[name] = draw(changed_bytes(members[name]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return buffer.getvalue()


@st.composite
def changed_header(draw: st.DrawFn) -> bytes:
    """The safetensors file with another header, whose length is right."""
    content = FILES["plain.safetensors"]
    end = 8 + int.from_bytes(content[:8], "little")
    header = draw(changed_bytes(content[8:end]))
    return len(header).to_bytes(8, "little") + header + content[end:]


CASES = st.one_of(
    changed_member().map(lambda content: ("zip.pt", content)),
    changed_header().map(lambda content: ("plain.safetensors", content)),
    *(changed_bytes(content).map(lambda changed, name=name: (name, changed)) for name, content in FILES.items()),
)


@given(case=CASES)
def test_any_checkpoint_is_read_or_refused(case: tuple[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    name, content = case
    folder = tmp_path_factory.getbasetemp() / "checkpoints"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    model = Network()
    with harmless(folder):
        checkpoint.load(model, folder / name, "network")
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", FILES)
def test_the_checkpoint_itself_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    model = Network()
    checkpoint.load(model, tmp_path / name, "network")
    assert all(torch.equal(value, STATE[key]) for key, value in model.state_dict().items())
