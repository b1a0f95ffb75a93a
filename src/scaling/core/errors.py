"""The errors that a user can cause and mend; each message says what, got, expected and the remedy."""

import errno


def remedy(error: OSError, otherwise: str, free: str = "Free some space") -> str:
    """Say what to do about a place that can't be written to: make room only where room is wanting.

    >>> remedy(PermissionError(13, "Permission denied"), "take another place.")
    'Give yourself the permission, or take another place.'
    >>> remedy(OSError(30, "Read-only file system"), "take another place.")
    'Take another place.'
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    first = free if full else "Give yourself the permission" if isinstance(error, PermissionError) else ""
    return f"{first}, or {otherwise}" if first else otherwise[:1].upper() + otherwise[1:]


def reason_of(error: BaseException) -> str:
    """Return the first line of what a library raised, else the name of its error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class ScalingError(Exception):
    """Base of every error that is shown as a message of at most three lines, without a traceback."""


class SettingError(ScalingError):
    """A setting has a value that can't be used."""


class DataError(ScalingError):
    """A data set is missing, damaged or not of the expected shape."""


class ModelError(ScalingError):
    """A network or its weights can't be had, or don't fit each other."""


class UnavailableError(ModelError):
    """Weights can't be fetched, whatever the settings."""


class AdaptationError(ScalingError):
    """An adaptation can't work on this model, data set and n."""


class StoreError(ScalingError):
    """The MLflow store or the feature store can't be used."""


class SweepError(ScalingError):
    """Points of a sweep failed; the message lists them."""
