"""SequenceRegressor, numbers for each sequence, and SequenceForecaster, what follows a series."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted

from minirnn.interop.sklearn.estimator import SequenceEstimator, hyperparameters
from minirnn.interop.sklearn.sequences import Sequences, read, without_target
from minirnn.module import Array

__all__ = ["SequenceForecaster", "SequenceRegressor"]


class _Numbers(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """Targets, brought to mean 0 and deviation 1 for the network."""

    def _losses(self, outputs: Any, targets: Array) -> Any:
        """The mean squared error of a sequence's or a step's numbers."""
        squared = (outputs - targets.astype(outputs.dtype)) ** 2
        return squared.sum(axis=-1) * (1.0 / targets.shape[-1])

    def _standardise(self, values: Array, weights: Array) -> None:
        """Learn mean and deviation (O,) of values (M, O); weights: (M,)."""
        self._mean = np.average(values, axis=0, weights=weights)
        deviation = np.sqrt(np.average((values - self._mean) ** 2, axis=0, weights=weights))
        self._deviation = np.where(deviation > 0, deviation, 1.0)

    def _in_units(self, outputs: Any) -> Array:
        scaled: Array = np.asarray(outputs) * self._deviation + self._mean
        return scaled


@hyperparameters(pool="last")
class SequenceRegressor(_Numbers):
    """One number, or several, for each sequence: recurrent layers, what `pool` makes of their outputs, a linear head.

    y: (N,) or (N, O). The loss is the squared error of y, standardised inside; the hyper-parameters are
    SequenceEstimator's.
    """

    __doc__ += SequenceEstimator.__doc__ or ""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network on sequences X and their numbers y; sample_weight: (N,)."""
        return self._learn(X, y, sample_weight, self.max_iter, True)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One more epoch of training, on these sequences. The first call's y says in what units."""
        return self._learn(X, y, sample_weight, 1, not hasattr(self, "module_"))

    def _learn(self, X: Any, y: Any, sample_weight: Any, epochs: int, new: bool) -> Self:
        if y is None:
            raise without_target(self)
        sequences = read(self, X, reset=new)
        values = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        check_consistent_length(sequences.each, values)
        weights = self._weights(sample_weight, len(sequences.each))
        columns = values.reshape(len(values), -1).astype(np.float64)
        if new:
            self._one_number = values.ndim == 1
            self._standardise(columns, weights)
            self._begin(columns.shape[1], sequences.each[0].dtype)
        if columns.shape[1] != len(self._mean):
            raise ValueError(f"y has {columns.shape[1]} columns, {len(self._mean)} were expected")
        self._train(sequences, list((columns - self._mean) / self._deviation), weights, epochs)
        return self

    def predict(self, X: Any) -> Array:
        """(N,), or (N, O) where y was."""
        outputs, _ = self._outputs(X)
        made = self._in_units(np.stack(outputs))
        return made[:, 0] if self._one_number else made


@hyperparameters("bidirectional", horizon=1)
class SequenceForecaster(_Numbers):
    """What follows a series: at every step, the next `horizon` values of all features, said in one go.

    fit(X): series of more than `horizon` steps, each step of which is trained on (in one pass over the series); predict
    gives (N, horizon, F), what follows the last steps. With fit(X, y) the values that follow each series are given, of
    any meaning: y (N,) or (N, O), predict as y, and `horizon` is not asked. score is R^2; without y it is that of the
    last `horizon` steps of each series, forecast from those before. The hyper-parameters are SequenceEstimator's.
    """

    __doc__ += SequenceEstimator.__doc__ or ""
    _per_step = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = False
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train a new network; sample_weight: (N,), of series."""
        return self._learn(X, y, sample_weight, self.max_iter, True)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """One more epoch of training, on these series. The first call says in what units."""
        return self._learn(X, y, sample_weight, 1, not hasattr(self, "module_"))

    def _learn(self, X: Any, y: Any, sample_weight: Any, epochs: int, new: bool) -> Self:
        sequences = read(self, X, reset=new)
        weights = self._weights(sample_weight, len(sequences.each))
        if new:
            self._per_step = y is None
        if self._per_step != (y is None):
            raise ValueError("SequenceForecaster: y came in one of fit and partial_fit, and not in the other")
        if y is None:
            sequences, targets = self._windows(sequences)
            known = np.concatenate(sequences.each), np.repeat(weights, sequences.lengths)
        else:
            values = _check_y(y, multi_output=True, y_numeric=True, estimator=self).astype(np.float64)
            check_consistent_length(sequences.each, values)
            targets = list(values.reshape(len(values), -1))
            known = np.stack(targets), weights
        if new:
            self._one_number = y is not None and values.ndim == 1
            self._standardise(*known)
            width = targets[0].shape[-1]
            self._horizon, pool = self.horizon, None if y is None else "last"
            self._begin(width, sequences.each[0].dtype, pool=pool)
        repeats = targets[0].shape[-1] // len(self._mean)
        mean, deviation = np.tile(self._mean, repeats), np.tile(self._deviation, repeats)
        self._train(sequences, [(one - mean) / deviation for one in targets], weights, epochs)
        return self

    def _windows(self, X: Sequences) -> tuple[Sequences, list[Array]]:
        """The series without their ends, and at each step the `horizon` that follow: (T_i - horizon, horizon * F)."""
        self._see_horizon()
        h = self.horizon
        if X.lengths.min() <= h:
            raise ValueError(
                f"SequenceForecaster: a series of {X.lengths.min()} steps came; without y, more than horizon={h} were "
                "expected"
            )
        targets = [
            np.concatenate([one[k : len(one) - h + k] for k in range(1, h + 1)], axis=1).astype(np.float64)
            for one in X.each
        ]
        return X._replace(each=[one[:-h] for one in X.each]), targets

    def _see_horizon(self) -> None:
        if not isinstance(self.horizon, (int, np.integer)) or self.horizon < 1:
            raise ValueError(f"SequenceForecaster: horizon={self.horizon!r} came, a number of steps was expected")

    def predict(self, X: Any) -> Array:
        """What follows each series: (N, horizon, F), or shaped as the y that was fitted."""
        outputs, _ = self._outputs(X)
        if not self._per_step:
            made = self._in_units(np.stack(outputs))
            return made[:, 0] if self._one_number else made
        last = np.stack([one[-1] for one in outputs])
        return self._in_units(last.reshape(len(last), self._horizon, -1))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R^2 of what is said of y, or without y of the last `horizon` steps of each series."""
        check_is_fitted(self)
        if y is None:
            series = read(self, X, reset=False).each
            shortest = min(len(one) for one in series)
            if not self._per_step or shortest <= self._horizon:
                raise ValueError(f"SequenceForecaster: score without y needs more than horizon steps, {shortest} came")
            y = np.stack([one[-self._horizon :] for one in series]).reshape(len(series), -1)
            X = [one[: -self._horizon] for one in series]
        said = self.predict(X).reshape(len(np.asarray(y)), -1)
        return float(r2_score(np.reshape(y, said.shape), said, sample_weight=sample_weight))
