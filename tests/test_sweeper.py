"""The sweeper's own composition, against Hydra's."""

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from hydra_plugins.scaling_sweeper import Composer
from scaling.config import VERSION_BASE, config_path

GRID = [
    ["n=10", "seed=0"], ["n=20", "seed=1"], ["n=10", "adaptation=knn", "seed=3"], ["n=full", "adaptation=knn"],
    ["adaptation.k=3", "adaptation=knn", "n=null", "seed=0"], ["n=10", "seed=0"],
    ["n=30", "hydra.job.name=mine", "model=resnet18", "+dataset.more='a b'"],
]  # fmt: skip


@pytest.fixture
def context():
    """Hydra's context of a sweep, and its master config."""
    with initialize_config_dir(config_path(), version_base=VERSION_BASE):
        hydra = GlobalHydra.instance().hydra
        master = hydra.compose_config("config", [], RunMode.MULTIRUN, from_shell=False, with_log_configuration=False)
        yield HydraContext(hydra.config_loader, Callbacks()), master


def test_a_jobs_config_is_that_of_hydra(context):
    composer, (hydra, master) = Composer(context[0]), context
    for overrides in GRID * 2:
        expected = hydra.config_loader.load_sweep_config(master, overrides)
        assert composer.load_sweep_config(master, overrides) == expected
        assert OmegaConf.to_yaml(composer.load_sweep_config(master, overrides)) == OmegaConf.to_yaml(expected)


def test_jobs_that_differ_in_n_and_seed_alone_are_composed_once(context, monkeypatch):
    composer, (_, master), asked = Composer(context[0]), context, []
    whole = type(composer).__mro__[1].load_sweep_config
    monkeypatch.setattr(
        type(composer).__mro__[1], "load_sweep_config", lambda *given: asked.append(given[2]) or whole(*given)
    )
    for n in (10, 20, 30):
        for adaptation in ("knn", "linear_probe"):
            config = composer.load_sweep_config(master, [f"n={n}", f"adaptation={adaptation}", "seed=7"])
            assert (config.n, config.seed) == (n, 7)
    assert asked == [["adaptation=knn"], ["adaptation=linear_probe"]]


def test_a_config_that_a_job_changes_is_its_own(context):
    composer, (_, master) = Composer(context[0]), context
    first = composer.load_sweep_config(master, ["n=10"])
    first.n = 99
    assert composer.load_sweep_config(master, ["n=10"]).n == 10
