"""A server that can't be relied on: replies get lost, it goes away, and results wait for it on the disk.

The server is a real one, and so are the faults: see tests/servers.py.
"""

import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from tests.conftest import DIGITS
from tests.hosts import drill
from tests.servers import LOSE, PASS, REFUSE, proxy, served

from scaling.tracking import RunStore, spool

__all__ = ["proxy", "served"]

NUMBERS = count()
SPOOL = Path(".checkpoints/spool")
#: Requests that write, as the paths of MLflow's REST interface end.
WRITES = (
    "experiments/create",
    "runs/create",
    "log-batch",
    "log-inputs",
    "log-metric",
    "log-parameter",
    "runs/delete",
    "set-tag",
    "runs/update",
    ".npz",
)


@pytest.fixture
def experiment():
    return f"outage {next(NUMBERS)}"


@pytest.fixture
def run(proxy, command, experiment):
    """Run a grid, of two points unless told otherwise, on the server behind the proxy, as a user would."""
    where = f"tracking.uri={proxy.uri}", f"tracking.experiment='{experiment}'"
    return lambda n="n=50,100": command("scaling.run", "-m", *DIGITS, n, *where)


@pytest.fixture
def runs(served, experiment):
    """All runs on the server, deleted ones too, of a kind."""
    from mlflow.entities import ViewType
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"http://127.0.0.1:{served}")

    def found(kind):
        where = [client.get_experiment_by_name(experiment).experiment_id]
        return client.search_runs(where, f"tags.`scaling.kind` = '{kind}'", ViewType.ALL)

    return found


def statuses(runs):
    return Counter(run.info.status for run in runs if run.info.lifecycle_stage == "active")


def nothing_runs(runs):
    return all(run.info.status != "RUNNING" for kind in ("point", "sweep") for run in runs(kind))


# ---- replies that are lost -----------------------------------------------------------------------------------


def test_every_write_may_be_carried_out_twice(proxy, run, runs):
    proxy.lose_every_first(*WRITES)
    assert run() == 0
    assert statuses(runs("point")) == {"FINISHED": 2}
    assert statuses(runs("sweep")) == {"FINISHED": 1}
    assert nothing_runs(runs)
    for found in runs("point"):
        if found.info.lifecycle_stage == "active":
            assert len(found.inputs.dataset_inputs) == 1
            assert found.data.params["n"] in ("50", "100")
            assert found.data.metrics["test/accuracy"] > 0.8


def test_what_was_made_in_spite_of_an_error_is_taken(proxy, run, runs):
    proxy.rule = lambda path, body: LOSE if path.endswith(("s/create", "log-parameter")) else PASS
    assert run() == 0
    assert statuses(runs("point")) == {"FINISHED": 2}
    assert statuses(runs("sweep")) == {"FINISHED": 1}
    assert nothing_runs(runs)


def test_an_experiment_that_another_client_makes_at_the_same_time_is_shared(proxy, served, experiment):
    made = []

    def rule(path, body):  # ours has looked for the experiment, and another's request comes first
        if path.endswith("experiments/create") and not made:
            made.append(RunStore(f"http://127.0.0.1:{served}", experiment).client.create_experiment(experiment))
        return PASS

    proxy.rule = rule
    assert [RunStore(proxy.uri, experiment).experiment_id] == made


# ---- a server that is away -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "number"),
    [("runs/create", 3), ("log-inputs", 2), (".npz", 3), ("log-parameter", 5), ("runs/update", 2)],
    ids=["claim", "inputs", "artifacts", "settle", "finish"],
)
def test_a_server_that_goes_away_costs_time_and_no_result(end, number, proxy, run, runs, capfd):
    proxy.refuse_from(end, number)
    assert run() == 1
    out, err = capfd.readouterr()
    assert "0.8300" in out  # the table, of the first point
    assert "1 of 2 points failed" in err
    kept = spool.entries(SPOOL)
    if end == "runs/create":
        assert "n=100    seed=0: not run: The MLflow server" in err
        assert kept == []
    else:
        assert str(kept[0]) in err
        assert "0.8620" in out  # what is kept is in the table too
    proxy.rule = lambda path, body: PASS
    assert run() == 0
    out, _ = capfd.readouterr()
    assert ("logged now: 1" in out) == bool(kept)
    assert ("[1/1]" in out) == (not kept)  # what was kept is not computed again
    assert statuses(runs("point")) == {"FINISHED": 2}
    assert nothing_runs(runs)
    assert not SPOOL.parent.exists()


@pytest.mark.parametrize(("end", "number"), [("runs/create", 2), ("log-inputs", 1)], ids=["claim", "log"])
def test_an_outage_in_the_middle_is_made_up_for_by_the_same_command(end, number, proxy, run, runs, capfd):
    proxy.refuse_from(end, number, times=2)  # as often as the client asks
    assert run() == 0
    out, _ = capfd.readouterr()
    assert "FAILED  not" in out
    assert "2 points: 2 done" in out
    assert statuses(runs("point")) == {"FINISHED": 2}
    assert statuses(runs("sweep")) == {"FINISHED": 1}
    assert nothing_runs(runs)


def test_a_result_that_is_refused_for_good_is_named_and_not_computed_again(proxy, run, runs, capfd):
    proxy.rule = lambda path, body: REFUSE if path.endswith("log-inputs") else PASS
    assert run("n=50") == run("n=50") == 1
    (entry,) = spool.entries(SPOOL)
    out, err = capfd.readouterr()
    assert str(entry) in err
    assert out.count("[1/1]") == 1
    assert statuses(runs("point")).total() == 1
    assert run("n=100,200") == 1  # another grid: its points fail for themselves alone
    assert "2 of 2 points failed" in capfd.readouterr().err


def test_what_is_kept_is_logged_by_a_report_too(proxy, run, command, experiment, runs, capfd):
    proxy.refuse_from("log-inputs", 2)
    assert run() == 1
    proxy.rule = lambda path, body: PASS
    assert command("scaling.report", f"tracking.uri={proxy.uri}", f"tracking.experiment='{experiment}'") == 0
    out, _ = capfd.readouterr()
    assert "logged now: 1" in out
    assert statuses(runs("point")) == {"FINISHED": 2}
    assert not SPOOL.parent.exists()


def test_a_host_that_is_cut_off_loses_its_point_to_another_and_nothing_else(served, proxy, tmp_path):
    def cut(process):
        proxy.down()
        time.sleep(10)  # the other has long given up on it
        proxy.up()

    uris = proxy.uri, f"http://127.0.0.1:{served}"
    came = drill(tmp_path, uris, "cut", 12, seconds=0.1, after=3, fault=cut)
    assert (came.twice, came.lost) == (0, 0)
    assert came.again <= 1


def test_a_heartbeat_is_judged_by_the_servers_clock(proxy, experiment):
    store = RunStore(proxy.uri, experiment)
    before = store.clock()
    proxy.clock = 900
    assert 890 < store.clock() - before < 960
