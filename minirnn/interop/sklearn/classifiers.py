"""SequenceClassifier, a class for each sequence, and SequenceTagger, a class for each step."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_consistent_length, column_or_1d

from minirnn import functional
from minirnn.interop.sklearn.estimator import SequenceEstimator, hyperparameters
from minirnn.interop.sklearn.sequences import Sequences, read, without_target
from minirnn.losses import cross_entropy
from minirnn.module import Array

__all__ = ["SequenceClassifier", "SequenceTagger"]


class _Classes(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """Labels to numbers and back, and their weights."""

    def _losses(self, outputs: Any, targets: Array) -> Any:
        weights = self._class_weights[targets].astype(outputs.dtype)
        return cross_entropy(outputs, targets, reduction="none") * weights

    def _labels(self, X: Sequences, y: Any) -> list[Array]:
        """The labels of each sequence."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network on sequences X and their labels y; sample_weight: (N,)."""
        return self._learn(X, y, sample_weight, self.max_iter, None, True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One more epoch of training, on these sequences. classes: all that there will be, in the first call."""
        return self._learn(X, y, sample_weight, 1, classes, not hasattr(self, "module_"))

    def _learn(self, X: Any, y: Any, sample_weight: Any, epochs: int, classes: Any, new: bool) -> Self:
        if y is None:
            raise without_target(self)
        sequences = read(self, X, reset=new)
        labels = self._labels(sequences, y)
        weights, every = self._weights(sample_weight, len(sequences.each)), np.concatenate(labels)
        check_classification_targets(every)
        if new:
            self.classes_ = np.unique(every if classes is None else classes)
            self._begin(len(self.classes_), sequences.each[0].dtype)
        strangers = np.setdiff1d(every, self.classes_)
        if len(strangers):
            raise ValueError(f"y holds {strangers.tolist()}; the classes are {self.classes_.tolist()}")
        self._class_weights = self._weights_of_classes(every)
        numbers = [np.searchsorted(self.classes_, one) for one in labels]
        self._train(sequences, numbers if self._per_step else [one[0] for one in numbers], weights, epochs)
        return self

    def _weights_of_classes(self, every: Array) -> Array:
        """class_weight, a dict by label or "balanced", as numbers in the order of the classes."""
        made = np.ones(len(self.classes_))
        if isinstance(self.class_weight, str):
            there = np.unique(every)
            at = np.searchsorted(self.classes_, there)
            made[at] = compute_class_weight(self.class_weight, classes=there, y=every)
        elif self.class_weight is not None:
            for label, weight in dict(self.class_weight).items():
                made[self.classes_ == label] = weight
        return made


@hyperparameters(pool="last", class_weight=None)
class SequenceClassifier(_Classes):
    """A class for each sequence: recurrent layers, what `pool` makes of their outputs, and a softmax.

    y: (N,) labels. class_weight: a dict by label, or "balanced". The other hyper-parameters are SequenceEstimator's.
    """

    __doc__ += SequenceEstimator.__doc__ or ""

    def _labels(self, X: Sequences, y: Any) -> list[Array]:
        checked = column_or_1d(_check_y(y, multi_output=False, estimator=self), warn=True)
        check_consistent_length(X.each, checked)
        return list(checked[:, None])

    def predict_proba(self, X: Any) -> Array:
        """(N, classes), in the order of classes_."""
        outputs, _ = self._outputs(X)
        made: Array = functional.softmax(np.stack(outputs))
        return made

    def predict(self, X: Any) -> Array:
        """The most probable class of each sequence, (N,)."""
        outputs, _ = self._outputs(X)
        labels: Array = self.classes_[np.argmax(np.stack(outputs), axis=-1)]
        return labels


@hyperparameters(class_weight=None)
class SequenceTagger(_Classes):
    """A class for each step of each sequence: recurrent layers, and a softmax at every step.

    y: a list of (T_i,) labels, or (N, T) for (N, T, F) sequences, or (N,) for an (N, F) array. predict gives what fits
    X in the same way. bidirectional=True lets a step see what follows. The other hyper-parameters are
    SequenceEstimator's.
    """

    __doc__ += SequenceEstimator.__doc__ or ""
    _per_step = True

    def _labels(self, X: Sequences, y: Any) -> list[Array]:
        if X.flat:
            y = column_or_1d(_check_y(y, multi_output=False, estimator=self), warn=True)[:, None]
        check_consistent_length(X.each, y)
        labels = [np.asarray(one) for one in y]
        for k, (one, steps) in enumerate(zip(labels, X.lengths, strict=True)):
            if one.shape != (steps,):
                raise ValueError(
                    f"y[{k}] has shape {one.shape}, ({steps},) was expected: a label for each step of X[{k}]"
                )
        return labels

    def predict_proba(self, X: Any) -> Any:
        """The classes' probabilities at each step: (T_i, classes) for each sequence."""
        outputs, sequences = self._outputs(X)
        return _like(sequences, [functional.softmax(one) for one in outputs])

    def predict(self, X: Any) -> Any:
        """The most probable class of each step."""
        outputs, sequences = self._outputs(X)
        return _like(sequences, [self.classes_[np.argmax(one, axis=-1)] for one in outputs])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of steps that are right; sample_weight: (N,), of sequences."""
        outputs, sequences = self._outputs(X)
        found = [self.classes_[np.argmax(one, axis=-1)] for one in outputs]
        weights = None if sample_weight is None else np.repeat(np.asarray(sample_weight), sequences.lengths)
        labels = np.concatenate(self._labels(sequences, y))
        return float(accuracy_score(labels, np.concatenate(found), sample_weight=weights))


def _like(X: Sequences, each: Sequence[Array]) -> Any:
    """One array where the sequences came as one, a list otherwise."""
    if X.flat:
        return np.concatenate(each)
    return np.stack(each) if X.together else list(each)
