"""Who may import whom: the rooms of the design, held by walking the imports of src/scaling."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scaling

ROOT = Path(scaling.__file__).parent
TORCH = ("torch", "torchvision", "timm", "transformers", "pytorch_lightning", "lightning", "safetensors")
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "sklearn",
    "pytorch_lightning",
    "mlflow",
    "matplotlib",
    "plotly",
)
TORCH_ROOMS = ("datasets", "modalities", "models", "features", "training", "adapt", "tasks", "lightning", "runs")
ROOMS_WITH_TORCH = tuple(f"scaling.{room}" for room in TORCH_ROOMS)


def name_of(path: Path) -> str:
    return ".".join(["scaling", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that can run: not what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            yield from (inner for other in child.orelse for inner in (other, *statements(other)))
        else:
            yield child
            yield from statements(child)


def names(node: ast.AST, package: str) -> list[str]:
    """What an import statement or a call of import_module names; `from a import b` names a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        return [source, *(f"{source}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        return [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


@cache
def imports(module: str) -> frozenset[str]:
    """Modules and packages that a module imports anywhere, at its top or when it is used."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    return frozenset(name for node in statements(tree) for name in names(node, package))


def touches(module: str, targets: tuple[str, ...]) -> set[str]:
    return {name for name in imports(module) if any(name == t or name.startswith(f"{t}.") for t in targets)}


def reached(module: str) -> set[str]:
    """All modules of ours that a module imports, and that these import in turn."""
    found, waiting = set(), [module]
    while waiting:
        for name in imports(waiting.pop()):
            # The package itself only hands out its public names when they are asked for.
            if name in MODULES and name not in found | {"scaling"}:
                found.add(name)
                waiting.append(name)
    return found


def importers(*targets: str) -> set[str]:
    return {module for module in MODULES if touches(module, targets)}


CORE = [module for module in MODULES if module.split(".")[1:2] == ["core"]]


def test_the_walk_sees_every_kind_of_import():
    source = """
import one.deep
from two import inner
from . import sibling
from .near import thing
def late():
    import three
    import_module("four")
if TYPE_CHECKING:
    import typing_only
else:
    import five
"""
    found = {name for node in statements(ast.parse(source)) for name in names(node, "scaling.room")}
    assert found >= {"one.deep", "two", "two.inner", "scaling.room.sibling", "scaling.room.near", "three", "four"}
    assert "five" in found
    assert "typing_only" not in found


def opened_in_the_locales_encoding(path: Path) -> Iterator[str]:
    """Yield the calls that read or write text without saying in which encoding."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = {keyword.arg for keyword in node.keywords}
            binary = any(isinstance(word, ast.Constant) and "b" in str(word.value) for word in node.args[-1:])
            text = name in ("read_text", "write_text") or (name == "open" and not binary)
            subprocesses = name in ("run", "Popen", "check_output") and "text" in words
            function = ast.unparse(node.func)  # read_text alone is a function of ours; Pillow's reads pictures
            other = function in ("Image.open", "os.open", "read_text") or function.startswith(("pillow.", "_pillow()."))
            if (text or subprocesses) and not other and "encoding" not in words:
                yield f"{path.name}:{node.lineno}: {ast.unparse(node)[:80]}"


def test_text_is_utf_8_in_every_locale():
    files = [*MODULES.values(), *ROOT.parent.joinpath("hydra_plugins").glob("*.py")]
    assert [call for path in files for call in opened_in_the_locales_encoding(path)] == []


def test_the_walk_finds_the_rooms():
    assert {"scaling.core.subsets", "scaling.adapt.softmax", "scaling.tracking", "scaling.figures"} <= set(MODULES)
    assert len(CORE) > 5


@pytest.mark.parametrize("module", CORE)
def test_core_imports_no_other_room(module):
    assert {name for name in touches(module, ("scaling",)) if not f"{name}.".startswith("scaling.core.")} <= {"scaling"}


@pytest.mark.parametrize("module", CORE)
def test_core_knows_numpy_and_scipy_and_no_other_library(module):
    outside = {name.partition(".")[0] for name in imports(module)} - sys.stdlib_module_names
    assert outside <= {"scaling", "numpy", "scipy"}


def test_torch_is_imported_where_networks_are_run_and_by_the_config_for_what_the_machine_has():
    allowed = tuple(f"scaling.{room}" for room in TORCH_ROOMS if room != "runs")
    assert {module for module in importers(*TORCH) if not module.startswith(allowed)} <= {"scaling.config"}


def test_mlflow_is_imported_by_tracking_alone():
    assert {module.rpartition(".")[0] for module in importers("mlflow")} == {"scaling.tracking"}


def test_matplotlib_and_plotly_are_imported_by_figures_alone():
    found = importers("matplotlib", "plotly")
    assert found
    assert {name for name in found if not f"{name}.".startswith("scaling.figures.")} == set()


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("scaling.report")])
def test_a_report_is_made_of_runs_and_drawings_and_runs_nothing(module):
    assert touches(module, (*ROOMS_WITH_TORCH, "scaling.run")) == set()


def test_what_a_report_holds_and_shows_reaches_the_store_by_its_command_and_collection_alone():
    found = {module for module in importers("scaling.tracking") if module.startswith("scaling.report")}
    assert found <= {f"scaling.report.{name}" for name in ("collection", "command", "gaps")}


@pytest.mark.parametrize(("module", "other"), [("tracking", "figures"), ("figures", "tracking")])
def test_tracking_and_figures_reach_neither_each_other_nor_the_rooms_with_torch(module, other):
    module, other = f"scaling.{module}", f"scaling.{other}"
    for name in (module, *reached(module)):
        assert touches(name, (other, *ROOMS_WITH_TORCH, *TORCH)) == set(), name


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.startswith(("scaling.datasets", "scaling.modalities", "scaling.models"))]
)
def test_data_and_models_import_neither_features_nor_what_is_built_on_them(module):
    above = [f"scaling.{room}" for room in ("features", "training", "adapt", "runs", "run", "report", "tracking")]
    assert touches(module, tuple(above)) == set()


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.startswith(("scaling.features", "scaling.training", "scaling.adapt"))]
)
def test_features_trainings_and_adaptations_know_nothing_of_grid_points_and_runs(module):
    above = tuple(f"scaling.{room}" for room in ("runs", "run", "report", "tracking", "figures"))
    assert touches(module, above) == set()


def test_features_know_nothing_of_trainings_and_neither_of_adaptations():
    assert importers("scaling.training") & {m for m in MODULES if m.startswith("scaling.features")} == set()
    below = {m for m in MODULES if m.startswith(("scaling.features", "scaling.training"))}
    assert importers("scaling.adapt") & below == set()


def test_transformers_and_its_hub_are_imported_by_models_and_texts_alone():
    found = importers("transformers", "tokenizers", "huggingface_hub", "sentence_transformers")
    assert found == {f"scaling.{name}" for name in ("modalities.texts", "models.saved", "models.transformers")}


def test_peft_is_imported_where_networks_are_trained():
    assert importers("peft") == {"scaling.training.network"}


def test_the_command_that_extrapolates_knows_the_core_alone():
    assert {
        name for name in touches("scaling.extrapolate", ("scaling",)) if not name.startswith("scaling.core")
    } == set()
    assert touches("scaling.extrapolate", ("pandas", *HEAVY)) == set()


@pytest.mark.parametrize(
    "module", ["scaling", "scaling.runs.job", "scaling.runs.sweep", "scaling.adapt", "scaling.extrapolate"]
)
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


#: Words that belong to some rooms alone.
WORDS = {
    r"accurac": (
        "scaling.metrics",
        "scaling.extrapolate",  # the command reads what others call accuracies
        "scaling.templates.recount",
        "recount.py",  # it goes to reviewers, alone
    ),
    r"multilabel": ("scaling.metrics", "scaling.tasks", "scaling.datasets"),
}
#: Rooms that serve every modality, and words of single ones that they don't speak.
NEUTRAL = tuple(f"scaling.{room}" for room in ("core", "features", "training", "runs", "tasks", "metrics", "findings"))
MODALITIES = r"\b(images?|pixels?|pictures?|photos?|tokens?|tokenis\w+|audio|sounds?|waveforms?)\b"
#: What else these words stand for: secrets, and the name that stored features have been known by from the start.
MEANT_OTHERWISE = {"scaling.core.secrets": r"token", "scaling.features.provider": r'"images"'}


@pytest.mark.parametrize(("word", "rooms"), WORDS.items())
def test_a_word_stays_in_its_rooms(word, rooms):
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    texts |= {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "templates").iterdir()}
    speaking = {name for name, text in texts.items() if re.search(word, text.lower())}
    assert {name for name in speaking if not name.startswith(rooms)} == set()
    assert speaking


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(NEUTRAL)])
def test_rooms_for_every_modality_speak_of_none(module):
    text = MODULES[module].read_text(encoding="utf-8")
    text = re.sub(MEANT_OTHERWISE[module], "", text, flags=re.IGNORECASE) if module in MEANT_OTHERWISE else text
    assert [found[0] for found in re.finditer(MODALITIES, text, re.IGNORECASE)] == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("scaling.findings")])
def test_findings_know_the_core_and_metrics_alone(module):
    ours = ("scaling.core", "scaling.metrics", "scaling.findings")
    assert {name for name in touches(module, ("scaling",)) if not name.startswith(ours)} <= {"scaling"}
    assert touches(module, ("pandas", *HEAVY)) == set()
