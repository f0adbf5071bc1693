"""PTQ, QAT on labels alone and QAT with distillation, compared on networks of a few thousand parameters."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from drawn_source import Dots
from safetensors.torch import load_file, save_file

from calib_data.joined import Converted
from pose.errors import InputError
from pose.program import load_program
from pose.skeleton import COCO_17, LSP_14
from quantize import compare
from quantize.comparison import Cell, Comparison, Figures, as_markdown, interval, read, rows
from results.render import tables

RECIPE = "{epochs: 1, batch: 4, optimiser: adamw, lr: 0.003, backbone_lr: 0.001, bf16: false, losses: {float_twin: 1}}\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with tiny_models.home(tmp_path_factory.mktemp("home"), RECIPE) as folder:
        yield folder


def run(home: Path, out: Path, **changed: Any) -> Comparison:
    given = {
        "teacher": "tiny_teacher", "student": "tiny", "teacher_file": home / "teacher.safetensors",
        "weights": home / "student.safetensors", "recipe": str(home / "recipe.yaml"), "people": 8, "steps": 2, "seeds": 2,
        "calibration": 4, "out": out,
    } | changed  # fmt: skip
    compare.main(**given)
    return read(out / "compare.json")


def log(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_way_is_trained_for_as_many_steps_and_scored(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compare"
    first = run(home, out, seeds=1)
    assert [(cell.way, cell.seed) for cell in first.cells] == [
        ("fp32", None),
        ("ptq", None),
        ("distilled", 0),
        ("labels", 0),
    ]
    assert list(first.people) == ["drawn"]
    rows_of = {way: log(out / f"{way}-0") for way in ("distilled", "labels")}
    assert [len(lines) for lines in rows_of.values()] == [2, 2]
    distillation = {"keypoint_token", "visual_token", "simulated_heatmap", "confidence", "float_twin"}
    assert all(float(rows_of["distilled"][-1][term]) > 0 for term in distillation)
    alone = {term: float(value) for term, value in rows_of["labels"][-1].items() if term in {*distillation, "regression"}}
    assert {term for term, value in alone.items() if value} == {"regression"}
    for cell in first.cells:
        folder = out / ("distilled-0/ptq" if cell.seed is None else f"{cell.way}-0")
        column = {"fp32": "fp32", "ptq": "ptq"}.get(cell.way, "qat")
        validated = load_program(folder).card.metrics["validation"][column]
        assert cell.figures["drawn"].pck == validated["pck"]
    assert "distillation over labels alone" in capsys.readouterr().out

    with pytest.raises(InputError, match=r"compare\.json exists already; add --resume"):
        run(home, out)
    with pytest.raises(InputError, match="another 'calibration'"):
        run(home, out, calibration=3, resume=True)
    other = {name: (tensor + 0.01).to(tensor.dtype) for name, tensor in load_file(home / "teacher.safetensors").items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"another 'digests\.the teacher'"):  # the table would mix two teachers
        run(home, out, teacher_file=tmp_path / "other.safetensors", resume=True)
    monkeypatch.setattr("quantize.cells.quantize", stop_at_seed_1)
    with pytest.raises(KeyboardInterrupt):
        run(home, out, resume=True)
    assert read(out / "compare.json").cells == first.cells  # what is finished is kept, and not made again


def stop_at_seed_1(request: Any, *_: Any) -> None:
    assert request.recipe.seed == 1
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"teacher": "labels", "teacher_file": None}, "--teacher labels is what the teacher is compared with"),
        ({"val": ["a=x.json"]}, "--data and --val belong together"),
        ({"val_boxes": ["a=keypoints"]}, "--val-boxes a=...: no --val has that name"),
    ],
)
def test_wrong_input_is_one_line(home: Path, tmp_path: Path, changed: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(home, tmp_path / "out", **changed)


def example() -> Comparison:
    def cell(way: str, seed: int | None, ap: float) -> Cell:
        return Cell(way=way, seed=seed, figures={"val": Figures(ap=ap, pck=None)})

    trained = [cell("distilled", n, 42.0 + n) for n in range(3)] + [cell("labels", n, 41.0 + 2 * n) for n in range(2)]
    cells = [cell("fp32", None, 43.0), cell("ptq", None, 40.5), *trained]
    return Comparison(student="s", teacher="t", steps=200, seeds=3, people={"val": 193}, cells=cells)


def test_the_table_pairs_the_seeds_that_both_ways_have() -> None:
    heads, table = rows(example())
    assert heads == ["", "seeds", "val: AP", "val: PCK@0.2"]
    assert [row[:2] for row in table[:4]] == [
        ["float", ""],
        ["PTQ: calibrated only", ""],
        ["QAT on labels alone", "2"],
        ["QAT, distillation losses active", "3"],
    ]
    assert table[1][2:] == ["40.5", ""]
    assert table[3][2] == "43.0 (40.5 to 45.5)"  # 4.303 / sqrt(3)
    assert table[4][2] == "+0.5 (-5.9 to +6.9)"  # of +1 and 0: 12.706 / 2
    assert "| PTQ: calibrated only |  | 40.5 |  |" in as_markdown(example())


def test_the_table_of_the_documents_is_made_of_the_file(tmp_path: Path) -> None:
    assert tables(tmp_path)["compare"] == ""
    (tmp_path / "compare.json").write_text(example().model_dump_json())
    assert tables(tmp_path)["compare"] == as_markdown(example())


def test_one_seed_has_no_interval() -> None:
    assert interval([40.0]) is None
    low, high = interval([40.0, 42.0]) or (0, 0)
    assert (low, high) == pytest.approx((41 - 12.706, 41 + 12.706), abs=0.01)


def test_a_number_that_means_nothing_is_refused(tmp_path: Path) -> None:
    held = json.loads(example().model_dump_json())
    held["cells"][0]["figures"]["val"]["ap"] = 143.0
    (tmp_path / "compare.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"cells\.0\.figures\.val\.ap: .*100.* quantize\.compare"):
        read(tmp_path / "compare.json")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda cells: cells[0]["figures"].clear(), "fp32 has figures of , and people are val"),
        (lambda cells: cells.append(cells[-1]), "labels of seed 1 is there twice"),
    ],
)
def test_a_file_that_disagrees_with_itself_is_refused(change: Any, complaint: str, tmp_path: Path) -> None:
    held = json.loads(example().model_dump_json())
    change(held["cells"])
    (tmp_path / "compare.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=complaint):
        read(tmp_path / "compare.json")


def test_labels_of_other_joints_say_nothing_about_the_rest() -> None:
    source = Dots(2, skeleton=LSP_14)
    converted = Converted(source, COCO_17)
    labels = converted.labels(1)
    assert labels.keypoints.shape == (17, 3)
    assert (labels.keypoints[:, 2] > 0).sum() <= 12
    assert converted.image(1).shape == source.image(1).shape
