"""Learning curves beyond their largest n: fits, predictive distributions, and statements that rest on them."""

from scaling.core.extrapolation.forecast import Forecast, Prediction, forecast

__all__ = ["Forecast", "Prediction", "forecast"]
