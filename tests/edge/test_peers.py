"""Our artefacts beside networks of others: one record, whose figures are those of the other commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import yaml
from foreign_network import description, write_model

from calib_data.synthetic import validation
from edge import dist
from edge.evaluate.answers import answer
from edge.evaluate.columns import accuracy
from edge.evaluate.peers import Network, Peers, PeerTiming, read_peers
from edge.evaluate.teacher import score_teacher
from edge.peers.__main__ import main
from edge.peers.measure import BLOCK, WARM_UP, take_turns, with_ratios
from edge.peers.networks import Request
from edge.report import peers as report
from pose.errors import BackendError, GateError, InputError
from pose.files import write_json
from pose.foreign import load_teacher
from results.render import render

PEOPLE = 3


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    write_model(tmp_path / "net.onnx")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(description()))
    return path


def run(folder: Path, *artefacts: object, **options: object) -> Peers:
    main([str(one) for one in artefacts], rounds=1, limit=PEOPLE, json=folder / "peers.json", **options)
    return read_peers(folder / "peers.json")


def test_figures_are_those_of_the_other_commands(tiny_onnx: Path, foreign: Path, capsys: pytest.CaptureFixture) -> None:
    twin = tiny_onnx.with_name("tiny-onnx-fp32.onnx")
    other = f"other={foreign}:{foreign.parent / 'none.onnx'}"
    result = run(foreign.parent, tiny_onnx, f"float={twin}", peer=[str(foreign), other])
    networks = {network.name: network for network in result.networks}
    assert list(networks) == ["tiny-onnx-int8", "float", "mine", "other"]
    people = validation()
    for name, path in (("tiny-onnx-int8", tiny_onnx), ("float", twin)):
        artefact = dist.find(path)
        scene, answers = answer({name: artefact.open()}, artefact.card.spec, people, PEOPLE)
        expected = accuracy(scene, answers[name], artefact.card.skeleton).model_dump()
        assert expected["pck"] is not None
        assert all(expected.get(key) == value for key, value in networks[name].accuracy["drawn"] if key != "joints")
        assert networks[name].bytes == path.stat().st_size
        assert networks[name].multiply_adds == 3 * 34 + 3 * 17
    score = score_teacher(load_teacher(foreign), people, "drawn", PEOPLE)
    mine = networks["mine"].accuracy["drawn"]
    assert (mine.ap, mine.pck, mine.joints) == (score.ap, score.pck, score.joints)
    assert len(mine.joints) == 12
    assert networks["other"].skipped
    assert "none.onnx" in (networks["other"].error or "")
    assert result.baseline == "mine"
    assert networks["mine"].timings[0].ratio == 1
    for network in networks.values():
        for timing in network.timings:
            assert timing.latency_ms.runs == BLOCK
            assert timing.ratio == timing.min_ms / networks["mine"].timings[0].min_ms
    peak = result.peaks[0].mmac_per_ms
    int8 = networks["tiny-onnx-int8"].timings[0]
    assert int8.peak_share == pytest.approx(153 / 1e6 / int8.min_ms / peak)
    assert networks["float"].timings[0].peak_share is None
    shown = capsys.readouterr()
    assert "other" in shown.out
    assert "skipped" in shown.out
    assert "other is skipped: there is no file" in shown.err


def test_a_network_for_several_crops_at_once_is_refused(foreign: Path) -> None:
    """Its latency is not that of one."""
    write_model(foreign.parent / "net.onnx", batch=4)
    with pytest.raises(InputError, match=r"net\.onnx takes 4 crops at once; export it for one"):
        run(foreign.parent, peer=[str(foreign)])


def test_a_network_that_answers_nan_has_no_figures(tiny_onnx: Path, foreign: Path) -> None:
    model = onnx.load(foreign.parent / "net.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "gains":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(15, np.nan, np.float32), "gains"))
    onnx.save(model, foreign.parent / "net.onnx")
    with pytest.raises(BackendError, match=r"1 of 2 networks failed; mine: .*NaN"):
        run(foreign.parent, tiny_onnx, peer=[str(foreign)])
    result = read_peers(foreign.parent / "peers.json")  # is written all the same
    mine = result.networks[1]
    assert mine.accuracy["drawn"].ap is None
    assert mine.accuracy["drawn"].pck is None
    assert result.networks[0].accuracy["drawn"].pck is not None
    row = next(cells for cells in report.rows(result, [1]) if cells[0].startswith("mine"))
    assert row[6] == ""
    assert any("mine: " in note and "NaN" in note for note in report.notes(result, [1]))


def test_turns_are_interleaved_and_a_failure_ends_those_of_one() -> None:
    order: list[str] = []

    def fail() -> None:
        order.append("b")
        if order.count("b") > WARM_UP + BLOCK:
            raise RuntimeError("out of\nmemory")

    times, failures = take_turns({"a": lambda: order.append("a"), "b": fail, "c": lambda: order.append("c")}, rounds=3)
    assert [len(ms) for ms in times.values()] == [3 * BLOCK] * 2
    assert failures == {"b": "out of memory"}
    turns = re.findall(r"a+|b+|c+", "".join(order))
    assert [turn[0] for turn in turns] == list("abcabcacac")  # the first to warm up; b fails in its second
    assert {len(turn) for turn in turns if turn[0] != "b"} == {WARM_UP, BLOCK + 1}


TIMING = {
    "threads": 1,
    "min_ms": 2.0,
    "decode_ms": 0.0,
    "latency_ms": {"p50": 2.5, "p90": 3, "p99": 4, "mean": 3, "runs": 10},
}


@pytest.mark.parametrize("changes", [{"min_ms": 0.0}, {"min_ms": float("nan")}, {"min_ms": 2.6}, {"ratio": 0.0}])
def test_times_that_mean_nothing_are_refused(changes: dict) -> None:
    PeerTiming.model_validate(TIMING)
    with pytest.raises(ValueError, match=r"min_ms|ratio"):
        PeerTiming.model_validate(TIMING | changes)


def test_without_a_baseline_that_was_timed_there_is_no_ratio() -> None:
    network = Network(
        name="a", title="a", kind="peer", runtime="onnx", path="a", timings=[PeerTiming.model_validate(TIMING)]
    )
    assert with_ratios([network], "b", [])[0].timings[0].ratio is None
    assert with_ratios([network], "a", [])[0].timings[0].ratio == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("movenet_lightning", ("movenet_lightning", "movenet_lightning", None)),
        ("fast=movenet_lightning", ("fast", "movenet_lightning", None)),
        ("fast=movenet_lightning:a.onnx", ("fast", "movenet_lightning", "a.onnx")),
        ("fast=there/a.yaml:b:c.onnx", ("fast", "there/a.yaml", "b:c.onnx")),
        ("there/a.yml", ("a", "there/a.yml", None)),
    ],
)
def test_how_peers_are_named(text: str, parts: tuple) -> None:
    request = Request.parse(text)
    assert (request.name, request.teacher, request.file and str(request.file)) == parts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peer": ["=movenet_lightning"]}, "--peer =movenet_lightning: write NAME=YAML"),
        ({"peer": ["tiny-onnx-int8=MINE"]}, "two networks are named tiny-onnx-int8"),
        ({"baseline": "nobody"}, "--baseline nobody is not among .* tiny-onnx-int8"),
        ({"threads": [10_000]}, "--threads 10000: this machine has"),
        ({"data": ["people.json"]}, "--data people.json: write NAME=VALUE"),
        ({"data": ["a=x.json", "a=y.json"]}, "--data names a twice"),
        ({"boxes": ["a=keypoints"]}, "--boxes a=...: no --data has that name"),
    ],
)
def test_wrong_input_is_one_line(tiny_onnx: Path, foreign: Path, options: dict, message: str) -> None:
    options = {k: [v.replace("MINE", str(foreign)) for v in vs] if k == "peer" else vs for k, vs in options.items()}
    with pytest.raises(InputError, match=message):
        run(foreign.parent, tiny_onnx, **options)
    assert not (foreign.parent / "peers.json").exists()


def test_files_of_the_data_folder_are_named_by_their_place_there(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("POSE_DATA", str(foreign.parent))
    result = run(foreign.parent, peer=[str(foreign), "thunder=movenet_thunder"])
    assert [network.path for network in result.networks] == [
        "$POSE_DATA/net.onnx",
        "$POSE_DATA/movenet/movenet-thunder.onnx",
    ]
    assert str(foreign.parent) not in str(result.networks[1].error)


def test_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        main([])


def example() -> Peers:
    def network(name: str, ms: float, ap: float, joints: int = 17, **more: object) -> dict:
        latency = {"p50": ms * 1.1, "p90": ms * 1.2, "p99": ms * 1.3, "mean": ms * 1.1, "runs": 200}
        timings = [
            {"threads": n, "min_ms": ms / n, "decode_ms": 0.1, "latency_ms": latency, "ratio": ms / 2} for n in (1, 2)
        ]
        scored = {"val": {"ap": ap, "pck": min(ap + 30, 90.0), "persons": 9, "joints": [str(n) for n in range(joints)]}}
        sizes = {"bytes": 3_000_000, "crop": [192, 192], "multiply_adds": 1_219_794_944, "precision": "int8"}
        kinds = {"title": name.partition("-")[0], "kind": "peer", "runtime": "tflite", "path": "a"}
        return {"name": name, "timings": timings, "accuracy": scored, **sizes, **kinds, **more}

    skipped = {"title": "gone", "kind": "peer", "runtime": "", "path": "g", "error": "no file | g", "skipped": True}
    held = {
        "people": {"val": {"path": "v.json", "persons": 9, "joints": 17}},
        "threads": [1, 2],
        "rounds": 20,
        "block": 10,
        "baseline": "net-a",
        "peaks": [{"runtime": "tflite", "threads": 1, "mmac_per_ms": 455.0}],
        "networks": [
            network("slow", 4, 45.0),
            network("net-a", 2, 38.2),
            network("float", 8, 41.0, precision="fp32", runtime="onnx"),
            network("other", 3, 80.0, 12),
            {"name": "gone", **skipped},
        ],
    }
    return Peers.model_validate(json.loads(json.dumps(held)))


def test_the_table_names_what_was_skipped_and_what_is_not_comparable() -> None:
    lines = report.as_markdown(example(), [1]).splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")}) == 1
    assert [line.split(" | ")[0] for line in lines[2:7]] == ["| net-a (baseline)", "| other", "| slow", "| float", "| gone"]
    assert "| 38.2, 68.2 | 2.00 | 2.20, 2.40 | 1.00 |" in lines[2]
    assert "| 80.0, 90.0 (12) |" in lines[3]
    assert lines[6].startswith("| gone | skipped |")
    assert any(r"gone: skipped: no file \| g" in line for line in lines[7:])


def test_the_figure_is_a_file_of_its_own_for_both_themes() -> None:
    drawn = report.figures(example())
    root = ElementTree.fromstring(drawn["val"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"net int8", "slow int8", "float float"} <= set(texts)
    assert "other int8" not in texts  # scored on other joints
    assert "prefers-color-scheme: dark" in drawn["val"]
    assert "svg .pareto" in drawn["val"]
    assert "figcaption" not in drawn["val"]


def test_documents_get_the_table_and_the_figure(tmp_path: Path) -> None:
    write_json(tmp_path / "peers.json", example().as_json())
    regions = "".join(
        f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("results", "results-all", "targets", "compare")
    )
    page, readme = tmp_path / "page.md", tmp_path / "README.md"
    page.write_text(f"{regions}<!-- peers-all:begin -->\n<!-- peers-all:end -->\n")
    readme.write_text("<!-- peers:begin -->\n<!-- peers:end -->\n")
    render(tmp_path, [readme, page])
    assert "](results/peers-val.svg)" in readme.read_text()
    assert "](../results/peers-val.svg)" in page.read_text()
    assert "2 threads, ms: min" in page.read_text()
    assert "2 threads, ms: min" not in readme.read_text()
    render(tmp_path, [readme, page], check=True)
    (tmp_path / "peers-val.svg").write_text("<svg/>")
    with pytest.raises(GateError, match=r"peers-val\.svg is not what .*peers\.json holds"):
        render(tmp_path, [readme, page], check=True)
