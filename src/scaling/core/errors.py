"""The errors that a user can cause and mend; each message says what, got, expected and the remedy."""


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
