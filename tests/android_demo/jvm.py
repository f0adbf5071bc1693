"""Builds the Android app for a desktop JVM and runs its tests there: Maven, Surefire, Robolectric and the real runtimes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import app_vectors
import bionic
import numpy as np

from android_demo import build, compiler, parts
from calib_data.synthetic import SyntheticPeople
from edge.app_assets import CARD
from edge.devices.job import artefact_job
from pose import crop
from pose.card import Card

PEOPLE = 32  # crops of the job `infer`
LIBRARIES = "libraries"  # folder of ExecuTorch's library, see bionic.py
# Runtime -> tests in Java. The screen and the vectors know no runtime: they are tested once.
ALL = sorted(path.stem for path in (Path(__file__).parent / "java").rglob("*Test.java"))
TESTS = {
    "tflite": [name for name in ALL if name != "ExecutorchTest"],
    "executorch": ["CardTest", "ExecutorchTest", "JobTest"],
}


def prepare(work: Path, runtime: str) -> None:
    """Classes, resources, assets, cases and jobs in a working folder."""
    fetched = parts.fetch(runtime)
    testing = parts.fetch_testing(fetched)
    assets = build.stage_assets(work / "assets", runtime, None)
    base = compiler.link_resources(work, assets, fetched)
    compiler.compile_classes(work, fetched, runtime)
    folder = compiler.fresh(work / "testing")
    for name in sorted(testing.glob("*.aar")):
        with zipfile.ZipFile(name) as aar, zipfile.ZipFile(aar.open("classes.jar")) as jar:
            jar.extractall(folder)
    config = folder / "com/android/tools/test_config.properties"
    config.parent.mkdir(parents=True, exist_ok=True)
    places = {
        "merged_manifest": work / "AndroidManifest.xml",
        "merged_assets": assets,
        "merged_resources": parts.HERE / "res",
    }
    lines = [f"android_{name}={path}" for name, path in places.items()]
    config.write_text(
        "\n".join([*lines, f"android_resource_apk={base}", f"android_custom_package={compiler.PACKAGE}"]) + "\n"
    )
    app_vectors.write_all(work / "vectors")
    write_jobs(work / "jobs", assets)
    if runtime == "executorch":
        write_undelegated(work / "undelegated.pte")


def write_undelegated(path: Path) -> None:
    """A `.pte` with an operator outside of XNNPACK, whose name it holds: the app's artefacts are delegated whole."""
    import torch

    from targets.executorch import backend

    class Sums(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.cumsum(-1)

    graph = torch.export.export(Sums().eval(), (torch.zeros(1, 3, 4, 4),), strict=True)
    path.write_bytes(backend.lower_graph(graph, "xnnpack")[1])


def write_jobs(folder: Path, assets: Path) -> None:
    """The jobs of edge.bench and edge.check for the app's own artefacts, as the host writes them."""
    folder.mkdir()
    artefacts = {}
    for path in sorted(assets.glob(f"*{CARD}")):
        card = Card.model_validate(json.loads(path.read_text()))
        file = path.with_name(path.name.removesuffix(CARD))
        remote = f"{card.files[file.name][:16]}/{file.name}"
        (folder / remote).parent.mkdir()
        shutil.copyfile(file, folder / remote)
        artefacts[card.precision] = (artefact_job(str(card.precision), file, remote, card), card)
    people = SyntheticPeople(PEOPLE, seed=5)
    (_, card), *_ = artefacts.values()
    crops = [crop.warp(people.image(i), crop.affine(people.labels(i).box, card.spec), card.spec) for i in range(PEOPLE)]
    np.save(folder / "crops.npy", np.stack(crops))
    frame = {"threads": 1, "affinity": []}
    both = [job for job, _ in artefacts.values()]
    jobs = {
        "load": {"job": "load", "artefacts": both[:1]},
        "time": {"job": "time", "artefacts": both, "runs": 15, "seconds": 0.1},
    }
    for name, (job, _) in artefacts.items():
        answers = {"crops": "crops.npy", "answers": f"{name}.npz"}
        jobs[f"infer-{name}"] = {"job": "infer", "artefacts": [job], **answers}
    for name, job in jobs.items():
        (folder / f"{name}.json").write_text(json.dumps({**frame, **job}))


def phone_command(work: Path, runtime: str, *options: str) -> list[str]:
    """The command that runs the app of an emulated phone; the classes of its tests must be compiled.

    Args:
        options: of Java.
    """
    fetched = parts.fetch(runtime)
    natives = sorted((fetched.folder / "testing").glob("*linux-x86_64.jar"))
    path = [work / "classes", work / "packed", work / "test-classes", *natives, fetched.framework]
    usual = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Xshare:auto", f"-Dorg.bytedeco.javacpp.cachedir={work}/natives"]
    java = shutil.which("java") or "java"
    return [java, *usual, *options, "-cp", ":".join(map(str, path)), "org.distilpose.demo.DesktopPhone"]


def run_tests(work: Path, runtime: str) -> dict[str, str]:
    """Test -> "" or why it failed."""
    fetched = parts.fetch(runtime)
    options = [f"-Dwork={work}", f"-Dparts={fetched.folder}", f"-Dtest={','.join(TESTS[runtime])}"]
    done = subprocess.run(
        ["mvn", "-B", "-q", "-f", str(parts.POM), *options, "test"],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"LC_ALL": "C"} | (bionic.environment(work / LIBRARIES) if runtime == "executorch" else {}),
        check=False,
    )
    results = {}
    for report in (work / "surefire-reports").glob("*.xml"):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            failed = [*case.findall("failure"), *case.findall("error"), *case.findall("skipped")]
            name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
            results[name] = "\n".join((one.get("message") or "") + (one.text or "") for one in failed)
    assert results, done.stdout + done.stderr
    return results
