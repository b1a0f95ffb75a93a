"""Claims: one run a point, whoever asks and whenever; see tests/test_tracking.py for those of one host."""

import random
import threading
from itertools import count
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from tests.hosts import drill
from tests.servers import served

from scaling import machine
from scaling.core.errors import StoreError
from scaling.tracking import records
from scaling.tracking.claims import Claims, watch
from scaling.tracking.records import END, FINISHED

__all__ = ["served"]


class Turns:
    """Lets one thread go on at a time, for one request to the store; chance says which."""

    def __init__(self, seed):
        self.dice, self.waiting, self.current, self.lock = random.Random(seed), set(), None, threading.Condition()

    def run(self, programs):
        threads = [threading.Thread(target=self.thread, args=(program,)) for program in programs]
        with self.lock:
            self.waiting = {thread.name for thread in threads}
            for thread in threads:
                thread.start()
            self.choose()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def choose(self):
        self.current = self.dice.choice(sorted(self.waiting)) if self.waiting else None
        self.lock.notify_all()

    def turn(self):
        with self.lock:
            self.choose()
            self.lock.wait_for(lambda: self.current == threading.current_thread().name)

    def thread(self, program):
        with self.lock:
            self.lock.wait_for(lambda: self.current == threading.current_thread().name)
        try:
            program()
        finally:
            with self.lock:
                self.waiting.discard(threading.current_thread().name)
                self.choose()


class Server:
    """What MLflow's server promises of runs: ids of its own, params that are written once, searches that see all."""

    def __init__(self, turns, dice):
        self.turns, self.dice, self.runs = turns, dice, {}

    def create_run(self, experiment, run_name, tags):
        self.turns.turn()
        for _ in range(self.dice.choice((1, 1, 2))):  # of which one reply is lost
            run_id = f"{self.dice.random():.9f}"
            info = SimpleNamespace(run_id=run_id, status="RUNNING", run_name=run_name)
            self.runs[run_id] = SimpleNamespace(info=info, data=SimpleNamespace(tags=dict(tags), params={}), there=True)
        if self.dice.random() < 0.1:
            raise MlflowException("the reply is lost")

    def search(self, running):
        self.turns.turn()
        there = [run for run in self.runs.values() if run.there and (run.info.status == "RUNNING" or not running)]
        copied = [self.copy(run) for run in there]
        return self.dice.sample(copied, len(copied))

    def get_run(self, run_id):
        self.turns.turn()
        return self.copy(self.runs[run_id])

    def copy(self, run):
        data = SimpleNamespace(tags=dict(run.data.tags), params=dict(run.data.params))
        return SimpleNamespace(info=SimpleNamespace(**vars(run.info)), data=data)

    def log_param(self, run_id, key, value):
        self.turns.turn()
        if not self.runs[run_id].there or self.runs[run_id].data.params.setdefault(key, value) != value:
            raise MlflowException("Changing param values is not allowed")
        if self.dice.random() < 0.1:
            raise MlflowException("the reply is lost")

    def set_tag(self, run_id, key, value):
        self.turns.turn()
        self.runs[run_id].data.tags[key] = value

    def set_terminated(self, run_id, status):
        self.turns.turn()
        self.runs[run_id].info.status = status

    def delete_run(self, run_id):
        self.turns.turn()
        self.runs[run_id].there = False

    def log_batch(self, run_id, params):
        self.turns.turn()


class Host(Claims):
    def __init__(self, server):
        super().__init__("http://host")
        self.client, self.experiment_id = server, "0"

    def search(self, condition="", limit=None):
        return self.client.search(running="RUNNING" in condition)

    def clock(self):
        return 0.0


@pytest.fixture
def elsewhere(monkeypatch):
    """Nobody's process can be looked up, as on different hosts, and hearts are heard."""
    monkeypatch.setattr(records, "owner_tags", lambda now: {records.HOST: "elsewhere"})
    monkeypatch.setattr(watch, "seen", {})
    monkeypatch.setattr(machine, "git_state", lambda: (None, False))


@pytest.mark.parametrize("seeds", [range(start, start + 75) for start in (0, 75)], ids=str)
def test_of_hosts_that_claim_a_point_at_once_exactly_one_gets_it_in_whichever_order_they_ask(seeds, elsewhere):
    for seed in seeds:
        dice, turns = random.Random(seed), Turns(seed)
        server, got = Server(turns, dice), []

        def program(server=server, got=got):
            claim = Host(server).open_point("f", "name", {}, {}, force=False)
            if claim.ours:
                got.append(claim.run_id)

        turns.run([program] * dice.choice((2, 3, 4)))
        assert len(got) == 1, seed
        assert [run.info.run_id for run in server.runs.values() if run.there and run.info.status == "RUNNING"] == got


@pytest.mark.parametrize("seeds", [range(start, start + 75) for start in (0, 75)], ids=str)
def test_a_host_that_is_taken_for_dead_finishes_its_point_or_another_does_and_never_both(seeds, elsewhere, monkeypatch):
    for seed in seeds:
        dice, turns = random.Random(seed), Turns(seed)
        server, finished, tries = Server(turns, dice), [], count()
        gone = lambda store, run, dice=dice: dice.random() < 0.5  # noqa: E731
        monkeypatch.setattr(Claims, "is_gone", gone)

        def program(server=server, finished=finished, tries=tries):
            store = Host(server)
            while not finished and next(tries) < 200:
                try:
                    claim = store.open_point("f", "name", {}, {}, force=False)
                    store.close_stale()
                except StoreError:  # what came of a request whose reply was lost is gone already
                    continue
                if claim.ours and store.settle(claim.run_id, END, FINISHED) == FINISHED:
                    server.set_terminated(claim.run_id, "FINISHED")
                    finished.append(claim.run_id)

        turns.run([program] * 3)
        assert len(finished) == 1, seed
        assert [run.info.run_id for run in server.runs.values() if run.info.status == "FINISHED"] == finished


def test_a_copy_of_the_database_that_lags_behind_is_named(elsewhere, monkeypatch):
    server = Server(SimpleNamespace(turn=lambda: None), random.Random(1))
    monkeypatch.setattr(server, "search", lambda running: [])
    monkeypatch.setattr(server.dice, "random", iter(range(1, 100)).__next__)  # no reply is lost
    with pytest.raises(StoreError, match="does not show runs that it has just made"):
        Host(server).open_point("f", "name", {}, {}, force=False)


def test_hosts_run_no_point_twice_though_their_clocks_are_an_hour_apart(served, tmp_path):
    came = drill(tmp_path, [f"http://127.0.0.1:{served}"] * 2, "drill", 20)
    assert (came.again, came.twice, came.lost) == (0, 0, 0)
    assert len(came.computed) == 20


def test_no_point_is_lost_with_a_host_that_is_killed(served, tmp_path):
    came = drill(tmp_path, [f"http://127.0.0.1:{served}"] * 2, "killed", 12, seconds=0.1, after=3)
    assert (came.twice, came.lost) == (0, 0)
