"""What runs are made of: names of tags and params, and how runs are read back into points and states."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import TYPE_CHECKING

from scaling import machine
from scaling.core.curves import Point
from scaling.metrics import FIRST

if TYPE_CHECKING:
    from mlflow.entities import Run

KIND, SWEEP, FINGERPRINT, CURVE = "scaling.kind", "scaling.sweep", "scaling.fingerprint", "scaling.curve_id"
HOST, PROCESS, HEARTBEAT, REASON = "scaling.host", "scaling.process", "scaling.heartbeat", "scaling.reason"
PRECISION_USED, POOL = "scaling.precision_used", "scaling.pool"
BACKBONE, MACHINE = "scaling.backbone", "scaling.machine"  # by which the time of other runs is looked up
METRIC = "scaling.metric"  # the name of the primary metric, the one that P stands for
COMMAND = "scaling.command"
DESCRIPTION = "mlflow.note.content"  # what the UI shows first of a run, as Markdown
FLAG = "scaling.flag"  # what must be known of a score before it is averaged, such as that it is at chance
LEAKAGE, CONTRADICTIONS = "scaling.leakage", "scaling.contradictions"  # exact copies in the data set, in words
REVISION = "scaling.revision"  # of the method at the point's n, where it changed for some n alone
EVERY_SEED = "scaling.every_seed"  # set where one result stands for all seeds
ABSENT = "scaling.absent"  # classes that no training sample of the point is of
USER = "scaling.user"  # who started the command of a sweep last
PARENT = "mlflow.parentRunId"
OPENED = "scaling.opened"  # of a sweep: when its command was last started; a reopened run keeps its start time
GONE = "its process was gone before it finished"
TICKET = "scaling.ticket"  # of a run: the request that it came of
#: Params that settle once for all: whether a candidate is the run of its point or sweep; whether its result counts.
CLAIM, WON, LOST = "scaling.claim", "won", "lost"
END, FINISHED, GIVEN_UP = "scaling.end", "finished", "given up"
#: The runs that this process has open. Another that is RUNNING in its name came of a request whose reply was lost.
held: set[str] = set()
#: Params that say who a point is are not among these: these are settings by which curves may differ.
SETTING_PREFIXES = ("model.", "dataset.", "adaptation.", "subset.", "precision")


@dataclass(frozen=True)
class Sweep:
    """A parent run: its run id, and the id of the grid that it stands for."""

    run_id: str
    sweep_id: str


@dataclass(frozen=True)
class Claim:
    """What came of claiming a point: a run of our own, or the run of whoever has it."""

    run_id: str
    ours: bool
    finished: bool = False
    owner: str = ""


@dataclass(frozen=True)
class PointState:
    """What the store knows of a grid point: done, failed, running, or pending."""

    state: str
    run_id: str | None = None
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def tagged(tags: Mapping[str, str]) -> str:
    """Return the condition that a run has these tags, as MLflow's search takes it."""
    return " and ".join(f"tags.`{key}` = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in tags.items())


def source_tags() -> dict[str, str]:
    """Return the state of the source code and the versions that run, as tags."""
    commit, dirty = machine.git_state()
    tags = {f"scaling.version.{name}": value for name, value in machine.versions().items()}
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "scaling.git_dirty": str(dirty).lower()}
    return tags


def owner_tags(now: float) -> dict[str, str]:
    """Return who runs a run now, by the store's clock, as tags."""
    return {HOST: machine.host(), PROCESS: machine.process() or "", HEARTBEAT: f"{now:.0f}"}


def is_mine(tags: Mapping[str, str]) -> bool:
    """Say whether a run was opened by this very process."""
    return (tags.get(HOST), tags.get(PROCESS)) == (machine.host(), machine.process() or "")


def opened_by(user: str) -> str:
    """Return the tag of a sweep that says when a user's command for it was last started."""
    return f"{OPENED}.{metric_key(user).replace('/', '_')}"


def opened(run: "Run", user: str = "") -> float:
    """Return when a sweep's command was last started, by a user or by anybody, in seconds since the epoch."""
    tags = run.data.tags
    return float(tags.get(opened_by(user), tags.get(OPENED, run.info.start_time / 1000)))


def is_of(run: "Run", user: str) -> bool:
    """Say whether a user started a sweep; those of earlier versions are everybody's."""
    return opened_by(user) in run.data.tags or USER not in run.data.tags


def metric_key(name: str) -> str:
    """Replace what MLflow doesn't allow in the name of a metric: it has to be a plain relative path."""
    parts = [re.sub(r"[^\w\-.: ]", "_", part) for part in name.split("/") if part]
    return "/".join("_" if set(part) == {"."} else part for part in parts)[:250]


def distinct_keys(metrics: Mapping[str, float]) -> dict[str, float]:
    """Give each metric a key that MLflow takes; names that become the same (C+, C#) get a number."""
    keyed: dict[str, float] = {}
    for name, value in metrics.items():
        key, count = metric_key(name), 2
        while key in keyed:
            key, count = f"{metric_key(name)[:240]}_{count}", count + 1
        keyed[key] = value
    return keyed


def is_candidate(run: "Run") -> bool:
    """Say whether it is not settled yet if a run is its point's or sweep's; runs of earlier versions asked nobody."""
    return run.info.status == "RUNNING" and TICKET in run.data.tags and CLAIM not in run.data.params


def is_standing(run: "Run") -> bool:
    """Say whether a run is RUNNING as the run of its point or sweep."""
    asked = TICKET in run.data.tags
    return run.info.status == "RUNNING" and (not asked or run.data.params.get(CLAIM) == WON)


def was_silent(tags: Mapping[str, str], now: float, seconds: float) -> bool:
    """Say whether a run was not heard of for some time, or never, by the clock of the store."""
    try:
        return now - float(tags.get(HEARTBEAT, "")) > seconds
    except ValueError:
        return True


def to_point(run: "Run") -> Point:
    """Read a finished run back into a point."""
    info = run.info
    return replace(
        point_of(info.run_id, run.data.params, run.data.metrics, run.data.tags),
        seconds=(info.end_time - info.start_time) / 1000 if info.end_time is not None else None,
        artifacts=info.artifact_uri or "",
    )


def point_of(run_id: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]) -> Point:
    """Return a point of what its run logged."""
    metric = tags.get(METRIC, FIRST.name)
    return Point(
        curve_id=tags[CURVE],
        model=params["model"],
        dataset=params["dataset"],
        adaptation=params["adaptation"],
        n=int(params["n"]),
        n_requested=params.get("n_requested", params["n"]),
        seed=int(params["seed"]),
        metric=metric,
        train_score=metrics.get(f"train/{metric}", nan),
        test_score=metrics.get(f"test/{metric}", nan),
        fingerprint=tags[FINGERPRINT],
        run_id=run_id,
        test_low=metrics.get(f"test/{metric}_low", nan),
        test_high=metrics.get(f"test/{metric}_high", nan),
        pool=int(tags[POOL]) if POOL in tags else None,
        settings={key: value for key, value in params.items() if key.startswith(SETTING_PREFIXES)},
        metrics=metrics,
        machine=tags.get(MACHINE, ""),
        flag=tags.get(FLAG, ""),
        caveats=tuple(tags[name] for name in (LEAKAGE, CONTRADICTIONS) if name in tags),
        revision=int(tags.get(REVISION, 0)),
        every_seed=EVERY_SEED in tags,
    )


def state_of(runs: "Sequence[Run]", is_gone: "Callable[[Run], bool]") -> PointState:
    """Judge a point by its runs, newest first."""
    for run in runs:
        if run.info.status == "FINISHED":
            return PointState("done", run.info.run_id, metrics=run.data.metrics)
    for run in runs:
        if (is_standing(run) or is_candidate(run)) and not is_gone(run):
            return PointState("running", run.info.run_id, owner_of(run.data.tags))
    for run in runs:
        if run.info.status in ("FAILED", "KILLED"):
            return PointState("failed", run.info.run_id, run.data.tags.get(REASON, ""))
    return PointState("pending")


def owner_of(tags: Mapping[str, str]) -> str:
    """Say in words who runs a run."""
    return f"process {tags.get(PROCESS, '?').partition(':')[0]} on {tags.get(HOST, '?').partition('/')[0]}"
