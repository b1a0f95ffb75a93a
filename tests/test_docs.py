"""The documentation: its examples run, and the paths and links that it names exist."""

import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from scaling.core.errors import AdaptationError, DataError, SettingError
from scaling.core.extrapolation import forecast
from scaling.metrics import FAMILIES
from scaling.runs.job import Evaluation, Job, evaluate_job
from scaling.runs.spec import RunSpec, composed

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTENDING = ROOT / "docs" / "extending.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Files that the page has the reader write. Each block begins with its file's name as a comment.
EXAMPLES = {
    "embed_digits.py", "grades.py", "nearest_class_mean.py", "npz_images.py", "signals.py",
    "my_conf/dataset/npz_grades.yaml", "my_conf/dataset/npz_signals.yaml", "my_conf/model/spectrum.yaml",
    "my_conf/adaptation/nearest_class_mean.yaml", "my_conf/dataset/npz_images.yaml", "my_conf/dataset/photos.yaml",
    "my_conf/model/mobilenetv3_small.yaml", "my_conf/model/my_resnet18.yaml", "my_conf/model/resnet34.yaml",
}  # fmt: skip

Evaluate = Callable[..., Evaluation]


def blocks(language: str) -> list[str]:
    return [text for found, text in FENCE.findall(EXTENDING.read_text()) if found == language]


def files() -> dict[str, str]:
    return {text.split("\n", 1)[0].removeprefix("# "): text for text in [*blocks("python"), *blocks("yaml")]}


@pytest.fixture
def written(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files, written where it says, in a working directory that Python imports from."""
    for name, text in files().items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    monkeypatch.syspath_prepend(str(place))
    yield place
    for module in (Path(name).stem for name in files() if name.endswith(".py")):
        sys.modules.pop(module, None)


def settings(place: Path, *overrides: str) -> RunSpec:
    return composed([f"hydra.searchpath=[file://{place / 'my_conf'}]", "trainer=cpu", *overrides])


def evaluate(place: Path, *overrides: str) -> Evaluation:
    return evaluate_job(Job(settings(place, *overrides)))


def test_every_block_of_the_page_is_known_here():
    assert set(files()) == EXAMPLES


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # blank pixels
def test_the_adaptation_agrees_with_scikit_learn(written):
    from sklearn.neighbors import NearestCentroid

    point = ("model=pixels", "dataset=digits", "n=200")
    evaluation = evaluate(written, *point, "adaptation=nearest_class_mean")
    job = Job(settings(written, *point, "adaptation=nearest_class_mean"))
    train, test = (
        split.samples.pixels.reshape(len(split), -1) / 255 for split in (job.dataset.train, job.dataset.test)
    )
    peer = NearestCentroid().fit(train[job.subset.indices], job.subset.labels)
    assert np.mean(evaluation.outcome.test.predicted == peer.predict(test)) > 0.995  # but for ties
    assert 0.8 < evaluation.score.test_accuracy < evaluation.score.train_accuracy < 1
    assert (job.point.adaptation, evaluation.score.n) == ("nearest_class_mean", 200)


def test_the_adaptations_setting_is_part_of_the_fingerprint_and_changes_no_prediction(written):
    point = ("model=pixels", "dataset=digits", "n=100", "adaptation=nearest_class_mean")
    one, two = (evaluate(written, *point, f"adaptation.temperature={t}") for t in (1, 8))
    assert one.score.test_accuracy == two.score.test_accuracy
    assert one.score.test_nll != two.score.test_nll
    jobs = [Job(settings(written, *point, f"adaptation.temperature={t}")) for t in (1, 8)]
    assert jobs[0].point.curve_id != jobs[1].point.curve_id


def test_the_adaptation_refuses_what_it_cannot_do(written):
    point = ("model=pixels", "dataset=digits", "subset.draw=first", "adaptation=nearest_class_mean")
    with pytest.raises(AdaptationError, match="Use n=10 or more"):
        Job(settings(written, *point, "n=9")).check()


def test_the_data_set_reads_what_it_says(written):
    digits = Job(settings(written, "model=pixels", "dataset=digits", "adaptation=knn", "n=100"))
    parts = {"train": digits.dataset.train, "test": digits.dataset.test}
    arrays = {f"{name}_images": part.samples.pixels for name, part in parts.items()}
    arrays |= {f"{name}_labels": part.labels for name, part in parts.items()}
    np.savez("digits.npz", **arrays)
    here = ("model=pixels", "dataset=npz_images", "dataset.path=digits.npz", "adaptation=knn", "n=100")
    assert evaluate(written, *here).score.test_accuracy == evaluate_job(digits).score.test_accuracy
    np.savez("floats.npz", **{**arrays, "test_images": arrays["test_images"] / 255})
    with pytest.raises(DataError, match="test_images is float64"):
        Job(settings(written, *here, "dataset.path=floats.npz")).check()


def test_the_task_kind_is_drawn_learnt_and_scored(written):
    digits = Job(settings(written, "model=pixels", "dataset=digits", "adaptation=knn")).dataset
    arrays = {f"{name}_images": digits.split(name).samples.pixels for name in ("train", "test")}
    arrays |= {f"{name}_labels": digits.split(name).labels for name in ("train", "test")}
    np.savez("digits.npz", **arrays)
    point = ("model=pixels", "dataset=npz_grades", "dataset.path=digits.npz", "n=100")
    try:
        found = evaluate(written, *point, "adaptation=linear_probe")
        test = found.outcome.test
        off = np.abs(test.predicted - test.labels)
        assert found.score.metric == "grade_error"
        assert found.score.test_score == pytest.approx(off.mean())
        low, high = found.score.intervals["grade_error"]
        assert (low + high) / 2 == pytest.approx(off.mean())
        assert high - low == pytest.approx(2 * 1.96 * off.std() / np.sqrt(len(off)), rel=0.01)
        neighbours = evaluate(written, *point, "adaptation=knn", "adaptation.k=[1,90]")
        rows = neighbours.outcome.tables["neighbours"]
        assert rows[0]["leave_one_out_grade_error"] < rows[1]["leave_one_out_grade_error"]  # lower is better
        assert neighbours.outcome.params == {"chosen.k": 1}
    finally:
        FAMILIES.pop("grades")


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_the_modality_is_read_stored_and_learnt(written, adaptation):
    rng, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 60), ("test", 40)):
        labels = np.arange(count) % 2
        phase, steps = rng.uniform(0, 6, (count, 1)), np.arange(64)
        noise = rng.normal(0, 0.5, (count, 64))
        arrays |= {
            f"{part}_series": np.sin((labels[:, None] + 2) * steps / 5 + phase) + noise,
            f"{part}_labels": labels,
        }
    np.savez("signals.npz", **arrays)
    point = ("model=spectrum", "dataset=npz_signals", "dataset.path=signals.npz", f"adaptation={adaptation}")
    assert evaluate(written, *point, "n=40").score.test_accuracy > 0.95
    with pytest.raises(SettingError, match="spectrum reads signals, and digits holds images"):
        Job(settings(written, "model=spectrum", "dataset=digits")).check()


def test_the_embeddings_of_the_page_are_made_and_run(command, written, capsys):
    runpy.run_path("embed_digits.py")
    (line,) = [line for text in blocks("bash") for line in text.splitlines() if "dataset=embeddings" in line]
    _, _, module, *arguments = shlex.split(line)
    assert command(module, *arguments, "n=100,300") == 0
    out = capsys.readouterr().out
    assert "4 points: 4 done" in out
    assert "pca16 digits_pca linear_probe" in out


def test_the_folder_of_photos_is_read(written):
    from PIL import Image

    for part, count in (("train", 4), ("test", 2)):
        for label, grey in (("cat", 40), ("dog", 200)):
            folder = Path("photos", part, label)
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (16, 12), (grey, grey + number, grey)).save(folder / f"{number}.png")
    job = Job(settings(written, "model=pixels", "dataset=photos", "adaptation=knn", "adaptation.k=1", "n=full"))
    assert (job.point.dataset, job.point.n) == ("photos", 8)
    assert job.dataset.class_names == ("cat", "dog")
    assert evaluate_job(job).score.test_accuracy == 1


@pytest.mark.parametrize(("name", "width", "outputs"), [("resnet34", 512, 1000), ("mobilenetv3_small", 1024, 1000)])
def test_the_models_are_built(written, name, width, outputs):
    job = Job(settings(written, f"model={name}", "model.pretrained=false", "dataset=digits"))
    backbone = job.spec.model.build()
    assert (backbone.head.in_features, backbone.head.out_features) == (width, outputs)
    assert job.spec.model.processor().crop == 64  # what digits asks for
    assert job.spec.model.id == name


def test_own_weights_are_loaded_and_known_by_content(written):
    import torch
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(num_classes=37)
    torch.save(network.state_dict(), "my_resnet18.pth")
    job = Job(settings(written, "model=my_resnet18", "dataset=digits"))
    backbone = job.spec.model.build()
    assert torch.equal(backbone.head.weight, network.fc.weight)
    assert torch.equal(backbone.network.conv1.weight, network.conv1.weight)
    assert job.model_identity["weights"].startswith("sha256:")
    assert job.spec.model.label_space == "my_classes"


def test_the_command_of_the_page_runs(command, written, capsys):
    (line,) = [line for text in blocks("bash") for line in text.splitlines() if "--config-dir" in line]
    python, dash, module, *arguments = shlex.split(line)
    assert (python, dash) == ("python", "-m")
    assert command(module, *arguments) == 0
    assert "2 points: 2 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", [line for text in blocks("bash") for line in text.splitlines() if "scaling.run" in line]
)
def test_the_overrides_of_the_page_exist(written, line):
    overrides = [text for text in shlex.split(line)[3:] if "=" in text]
    assert overrides
    settings(written, *[text.split(",")[0] for text in overrides])


# ---- paths and links --------------------------------------------------------------------------------------

NAMED_PATH = re.compile(r"(?<![\w./-])(?:conf|src|tests|scripts)/[\w./*-]*")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def place_id(case: tuple[Path, str]) -> str:
    return f"{case[0].name}:{case[1]}"


NAMED = sorted({(page, path.rstrip("./")) for page in PAGES for path in NAMED_PATH.findall(page.read_text())})
LINKED = sorted({(page, target) for page in PAGES for target in LINK.findall(page.read_text()) if "://" not in target})


@pytest.mark.parametrize("case", NAMED, ids=place_id)
def test_a_path_that_a_page_names_exists(case):
    page, path = case
    assert any(ROOT.glob(path)), f"{page.name} names {path}"


@pytest.mark.parametrize("case", LINKED, ids=place_id)
def test_a_relative_link_leads_somewhere(case):
    page, target = case
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists(), f"{page.name} links to {target}"
    if anchor:
        assert anchor in anchors(file), f"{page.name} links to {target}; there are {sorted(anchors(file))}"


def test_the_pages_link_to_each_other():
    assert len(NAMED) > 20
    assert len(LINKED) > 10


def test_the_extrapolation_that_the_readme_shows_is_what_comes_out():
    text = (ROOT / "README.md").read_text()
    rows = [line.split(",") for line in re.findall(r"^fine-tuned,.*,experts$", text, re.MULTILINE)]
    *errors, _ = map(float, re.findall(r"0\.\d{4}", text.partition("Hoiem et al. 2021;")[2])[:5])
    made = forecast([2500, 5000, 10000, 20000], errors).predict([float(row[1]) for row in rows])
    shown = np.array([[float(value) for value in row[2:5]] for row in rows]).T
    np.testing.assert_allclose([made.error, made.lower90, made.upper90], shown, rtol=1e-6)
