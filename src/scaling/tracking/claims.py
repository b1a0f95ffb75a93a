"""Who computes a point: settled by the store, for all hosts alike, and no two clocks are compared.

A param of a run can be written once; the store refuses every other value. So a param settles a question for whoever
asks. Two of them make a claim: CLAIM, by which a candidate becomes the run of a point, and END, by which its result
counts or is given up. docs/cluster.md says why that is safe, and what it costs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from scaling import machine
from scaling.core.errors import StoreError
from scaling.core.secrets import mask
from scaling.tracking import records
from scaling.tracking.connection import Connection
from scaling.tracking.records import CLAIM, END, FINISHED, GIVEN_UP, LOST, TICKET, WON, Claim

if TYPE_CHECKING:
    from mlflow.entities import Run

#: A heart beats so often, in seconds.
HEARTBEAT_SECONDS = 30.0
#: So much of the time between two looks at a heart counts as silence: the store may have been away between them.
LOOK_SECONDS = 45.0
#: Seconds that a heart was watched in silence, before its run is taken from another host …
STALE_SECONDS = 600.0
#: … or, where it was silent for long already by the clock of the store; beats come late after an outage.
SURE_SECONDS = 180.0
#: … or its owner has not even said that the run is the point's.
CANDIDATE_SECONDS = 30.0
#: A candidate is put out by rivals or given up before it is seen; so often in a row it wasn't chance.
UNLUCKY = 20
UNSEEN = (
    "The store does not show runs that it has just made.\n"
    "Its database may be read from a replica that lags behind: claims need the database that is written to."
)


def shown(value: Any, limit: int = 5000, words: bool = True) -> str:
    """Return a value as a store may keep it; see `mask`."""
    return mask(str(value), words)[:limit]


@dataclass
class Watch:
    """For how long hearts were seen not to beat, by this process's own clock alone."""

    seen: dict[str, tuple[str, float, float]] = field(default_factory=dict)

    def silence(self, run_id: str, beat: str, now: float) -> float:
        """Look at a heart; return the seconds in which its beat did not change.

        >>> watch = Watch()
        >>> [watch.silence("r", beat, now) for beat, now in (("1", 0), ("1", 20), ("1", 500), ("2", 510))]
        [0.0, 20.0, 65.0, 0.0]
        """
        before, silent, looked = self.seen.get(run_id, ("", 0.0, now))
        silent = silent + min(now - looked, LOOK_SECONDS) if before == beat and run_id in self.seen else 0.0
        self.seen[run_id] = (beat, silent, now)
        return silent


#: What this process has seen of others' hearts.
watch = Watch()


class Claims(Connection):
    """An MLflow experiment in which each point, and each sweep, has one run at a time, whoever asks for it."""

    def serialised(self) -> AbstractContextManager[None]:
        """Spare the processes of this host to be each other's rivals in a SQLite file; a server takes them as well."""
        return nullcontext() if self._database is None else self.locked()

    def settle(self, run_id: str, key: str, value: str) -> str:
        """Write a param unless it is written, and return what it says: the same to all who ask, however often."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.log_param(run_id, key, value)
        except MlflowException:  # another value is written; or ours is, and the reply was lost
            written = self.client.get_run(run_id).data.params.get(key)
            if written is None:
                raise
            return written
        return value

    def elect(
        self, same: str, name: str, tags: Mapping[str, str], taken: "Callable[[Run], Claim | None]"
    ) -> Claim:  # fmt: skip
        """Open the one run of those that meet a condition, or return whose it is.

        A candidate is made first, then all others are looked at. Of two, the one that is made last sees the other: it
        leaves the run to it, or puts it out, which it then learns from its own CLAIM. So no two can win.

        Args:
            same: the condition.
            taken: says of a run that is no candidate any more whether it leaves no room for another.
        """
        for _ in range(UNLUCKY):
            if found := self._before(self.search(same), taken):
                return found
            ticket = uuid4().hex
            failed = self._candidate(name, {**tags, TICKET: ticket})
            runs = self.search(same)
            mine = sorted(run.info.run_id for run in runs if run.data.tags.get(TICKET) == ticket)
            if not mine and failed is not None:
                raise failed
            if not mine:  # somebody gave it up before we looked
                continue
            won = False
            try:
                others = [run for run in runs if run.data.tags.get(TICKET) != ticket]
                found = self._before(others, taken, mine[0])
                won = found is None and self.settle(mine[0], CLAIM, WON) == WON
            finally:  # where a reply is lost MLflow's client asks again, and several runs come of one request
                for run_id in mine[won:]:
                    self._withdraw(run_id)
            if won:
                return Claim(mine[0], ours=True)
            if found:
                return found
        raise StoreError(UNSEEN)

    def _candidate(self, name: str, tags: Mapping[str, str]) -> Exception | None:
        """Ask for a run; return what went wrong, which does not say that there is none."""
        from mlflow.exceptions import MlflowException

        tags = {key: shown(value, words=key == records.COMMAND) for key, value in tags.items()}
        try:
            self.client.create_run(self.experiment_id, run_name=shown(name, words=False), tags=tags)
        except MlflowException as error:
            return error
        return None

    def _before(self, runs: "Sequence[Run]", taken: "Callable[[Run], Claim | None]", ours: str = "") -> Claim | None:
        """Return the claim that leaves no room for ours; candidates that come after ours are put out.

        Args:
            ours: our candidate: those of higher ids come after it. Without one, all that somebody has go before.
        """
        if found := next(filter(None, map(taken, filterfalse(records.is_candidate, runs))), None):
            return found
        for run in filter(records.is_candidate, runs):
            run_id, nobodys = run.info.run_id, self.is_gone(run)
            theirs = Claim(run_id, ours=False, owner=records.owner_of(run.data.tags))
            if not nobodys and (not ours or run_id < ours):
                return theirs
            if self.settle(run_id, CLAIM, LOST) == WON:
                return theirs
            if nobodys:
                self._withdraw(run_id)
        return None

    def _withdraw(self, run_id: str) -> None:
        """Put out a candidate, unless it won meanwhile; MLflow keeps it among the deleted runs."""
        if self.settle(run_id, CLAIM, LOST) == WON:
            return
        self._end(run_id, "KILLED", "another run was made for the same")
        self.client.delete_run(run_id)

    def open_point(
        self, fingerprint: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any], force: bool
    ) -> Claim:  # fmt: skip
        """Open a run for a point, unless it is finished or somebody has it; runs that nobody has are ended."""
        from mlflow.entities import Param

        def taken(run: "Run") -> Claim | None:
            finished = run.info.status == "FINISHED"
            if records.is_standing(run) and self.is_gone(run):
                finished = self.bury(run)
            elif records.is_standing(run):
                return Claim(run.info.run_id, ours=False, owner=records.owner_of(run.data.tags))
            return Claim(run.info.run_id, ours=False, finished=True) if finished and not force else None

        _ = self.experiment_id
        with self.serialised(), self.translated():
            everything = {
                records.KIND: "point", records.FINGERPRINT: fingerprint,
                **tags, **records.owner_tags(self.clock()), **records.source_tags(),
            }  # fmt: skip
            claim = self.elect(records.tagged({records.FINGERPRINT: fingerprint}), name, everything, taken)
            if claim.ours:
                listed = [Param(key, shown(value, 6000, words=False)) for key, value in params.items()]
                self.client.log_batch(claim.run_id, params=listed)
                records.held.add(claim.run_id)
            return claim

    def is_gone(self, run: "Run") -> bool:
        """Say whether a RUNNING run is nobody's: its process is gone from this host, or its heart stood still."""
        tags, run_id = run.data.tags, run.info.run_id
        if tags.get(records.HOST) == machine.host():
            if not machine.is_running(tags.get(records.PROCESS, "")):
                return True
            if records.is_mine(tags):  # one that we don't hold came of a request whose reply was lost, or never ended
                return run_id not in records.held
        silent = watch.silence(run_id, tags.get(records.HEARTBEAT, ""), time.monotonic())
        if records.is_candidate(run):
            return silent > CANDIDATE_SECONDS
        return silent > STALE_SECONDS or (
            silent > SURE_SECONDS and records.was_silent(tags, self.clock(), STALE_SECONDS)
        )

    def bury(self, run: "Run") -> bool:
        """End a run that nobody has any more; where its result is logged already it is finished, which is returned."""
        run_id = run.info.run_id
        point = run.data.tags.get(records.KIND) == "point"
        if point and self.settle(run_id, END, GIVEN_UP) == FINISHED:
            self.client.set_terminated(run_id, "FINISHED")
            return True
        self._end(run_id, "KILLED", records.GONE)
        return False

    def close_stale(self) -> None:
        """End all runs of the experiment that are RUNNING and nobody's; see `is_gone`."""
        _ = self.experiment_id
        with self.serialised(), self.translated():
            for run in filter(self.is_gone, self._running()):
                if records.is_standing(run):
                    self.bury(run)
                else:
                    self._withdraw(run.info.run_id)

    def look(self) -> None:
        """Look at the hearts of all that run, so that those which stand still are known when it matters."""
        with self.translated():
            for run in self._running():
                self.is_gone(run)

    def _running(self) -> "list[Run]":
        running = self.search("attributes.status = 'RUNNING'")
        return [run for run in running if records.KIND in run.data.tags]

    def _end(self, run_id: str, status: str, reason: str) -> None:
        self.client.set_tag(run_id, records.REASON, shown(reason))
        self.client.set_terminated(run_id, status)
