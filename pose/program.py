"""Programs on disk: `student_fp32.pt2`, `student_int8.pt2` and `card.yaml` in a folder. Every target lowers these."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose import card as cards
from pose.archives import require_checkpoint, stored_members
from pose.card import Card, Precision, TensorType
from pose.cut_graphs import whole_folder
from pose.errors import InputError
from pose.files import atomic_file, open_regular, sha256
from pose.operators import OPERATORS

if TYPE_CHECKING:
    from torch.export import ExportedProgram

CARD = "card.yaml"
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")

# What `torch.export.save` writes for a static graph of tensors.
_MEMBERS = re.compile(
    r"[^/]+/(data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|models/model\.json|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|version"
    r"|\.data/(version|serialization_id))"
)


@dataclass(frozen=True)
class Program:
    """A folder whose files match its card."""

    folder: Path
    card: Card

    def path(self, precision: Precision) -> Path:
        """Where one of the two graphs lies."""
        return self.folder / graph_name(precision)

    def graph(self, precision: Precision) -> ExportedProgram:
        """Images [1, 3, H, W] -> (coords [1, K, 2], scores [1, K]), read from the file at every call.

        Raises:
            InputError: the file changed, is truncated, or holds more than a graph of tensors.
        """
        path = self.path(precision)
        self.card.verify(path)
        graph = _load(path)
        _require_interface(graph, self.card, path)
        return graph


def graph_name(precision: Precision) -> str:
    """File name of the graph, float or int8, that an artefact of that precision is made of."""
    return "student_int8.pt2" if precision == "int8" else "student_fp32.pt2"


def graph_card(path: Path) -> Card:
    """The program's card, with the precision of the graph at a path beside it.

    Raises:
        InputError: see `load_program`; or the file is neither of its graphs.
    """
    path = Path(path)
    program = load_program(path.parent)
    for precision in _PRECISIONS:
        if path.name == graph_name(precision):
            return program.card.model_copy(update={"precision": precision})
    raise InputError(f"{path} is not a program's graph; those are named {graph_name('fp32')} and {graph_name('int8')}")


def load_program(folder: Path) -> Program:
    """The program in a folder; its graphs are read on demand.

    Of a bundled one without the weights of its float graph, the whole program in the user's cache: see `pose.cut_graphs`.

    Raises:
        InputError: the card or a graph is missing, damaged, or does not belong to the others.
    """
    card_path = Path(folder) / CARD
    card = cards.read(card_path)
    card.require_files(card_path, [graph_name(precision) for precision in _PRECISIONS])
    program = Program(whole_folder(card_path, card), card)
    for precision in _PRECISIONS:
        program.card.verify(program.path(precision))
    return program


def save_program(folder: Path, fp32: ExportedProgram, int8: ExportedProgram, card: Card) -> Program:
    """Write a program, the card last: an interrupted save leaves the old program, or a folder that `load_program` refuses.

    Args:
        card: `files` is set here.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder = Path(folder)
    with (
        atomic_file(folder / CARD) as card_file,
        atomic_file(folder / graph_name("fp32")) as fp32_file,
        atomic_file(folder / graph_name("int8")) as int8_file,
    ):
        _save(fp32, fp32_file)
        _save(int8, int8_file)
        card = card.model_copy(
            update={"files": {graph_name("fp32"): sha256(fp32_file), graph_name("int8"): sha256(int8_file)}}
        )
        card.write(card_file)
    return Program(folder, card)


def _save(program: ExportedProgram, path: Path) -> None:
    import torch

    for node in program.graph.nodes:  # stack traces hold paths of this machine, and differ at every export
        for key in ("stack_trace", "from_node"):
            node.meta.pop(key, None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    path.write_bytes(buffer.getvalue())


def _load(path: Path) -> ExportedProgram:
    import torch
    import torch.ao.quantization.fx._decomposed  # torch.export.load knows quantize and dequantize by it

    # A card's sha256 shows that a file is complete, not that it is harmless. `torch.export.load` can be made to run code in
    # five ways: it unpickles tensors marked `use_pickle`, falls back to a full unpickle of sample inputs that `weights_only`
    # refuses, unpickles custom objects and opens compiled libraries in the archive, takes any attribute of `torch` or `math`
    # for a node's target, and evaluates symbolic shapes and guards. A student needs none of them, and of the operators only
    # those of `pose.operators`. Its reader of archives is not Python's, and of two members with one name it may take the
    # other: it gets a copy of the checked ones only, which are no larger than the file.
    try:
        return torch.export.load(_without_code(path))
    except InputError:
        raise
    except Exception as error:  # torch raises RuntimeError, KeyError, AssertionError, ... on damaged archives
        raise InputError(f"{path} is not a whole program ({type(error).__name__}); quantize the student again") from error


def _require_interface(graph: ExportedProgram, card: Card, path: Path) -> None:
    """Raises InputError unless a graph maps one input to coords and scores, in this order, of the types on its card."""
    values = {node.name: node.meta.get("val") for node in graph.graph.nodes}
    names = graph.graph_signature.user_inputs, graph.graph_signature.user_outputs
    card.require_interface(path, *([_type(values.get(name)) for name in side] for side in names))


def _type(value: Any) -> TensorType:
    return str(getattr(value, "dtype", "none")).removeprefix("torch."), tuple(getattr(value, "shape", ()))


def _without_code(path: Path) -> io.BytesIO:
    """A copy of the archive in memory, of members that cannot run code."""
    import torch

    copy = io.BytesIO()
    with open_regular(path) as file, zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as checked:
        members = stored_members(archive, path.stat().st_size, path)
        sizes = {member.filename: member.file_size for member in members}
        for member in members:
            name = member.filename
            if not _MEMBERS.fullmatch(name) or archive.getinfo(name) is not member:
                raise InputError(f"{path} is not loaded: it holds {name}, which is not part of a graph of tensors, or twice")
            content = archive.read(member)
            checked.writestr(name, content)
            if name.endswith("sample_inputs/model.pt"):
                require_checkpoint(io.BytesIO(content), len(content), path)
                torch.load(io.BytesIO(content), weights_only=True)
            elif name.endswith(".json"):
                document, text = json.loads(content), content
                if b'"as_expr"' in text:
                    _refuse_dynamic(path, document)
                if name.endswith("_config.json"):
                    _require_whole_tensors(path, document, name, sizes)
                for key, value in _items(document):
                    code = (
                        (key == "use_pickle" and value is not False)
                        or (key in ("guards_code", "range_constraints", "custom_obj_values") and bool(value))
                        or key in ("expr_str", "as_custom_obj", "as_operator")
                    )
                    if key == "target" and not (isinstance(value, str) and value in OPERATORS):
                        name = str(value)[:80].removeprefix("torch.ops.")
                        raise InputError(f"{path} is not loaded: {name} is not among the operators that a program may hold")
                    if code:
                        raise InputError(f"{path} is not loaded: {key} '{str(value)[:60]}' could run code")
    copy.seek(0)
    return copy


def _require_whole_tensors(path: Path, config: Any, name: str, sizes: Mapping[str, int]) -> None:
    """Raises InputError where a tensor has more elements than its member has bytes: by strides of 0 a small one is huge."""
    for tensor, held in config["config"].items():
        member = f"{name.rpartition('/')[0]}/{held['path_name']}"
        elements = math.prod(size["as_int"] for size in held["tensor_meta"]["sizes"])
        if elements > sizes.get(member, 0):
            raise InputError(f"{path} is not loaded: {tensor} has {elements} elements, more than {member} holds")


def _refuse_dynamic(path: Path, document: Any) -> None:
    for key, value in _items(document):
        dynamic = [number for number, size in enumerate(value) if "as_expr" in size] if key == "sizes" else []
        if dynamic:
            part = "batch" if dynamic == [0] else "shape"
            raise InputError(f"{path} is not loaded: its {part} is dynamic, and targets fix it; quantize the student again")


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object in a json value, with its value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _items(item)
    elif isinstance(value, list):
        for item in value:
            yield from _items(item)
