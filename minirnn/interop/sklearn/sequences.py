"""Sequences as scikit-learn's users hold them, as padded batches (T, B, F)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from minirnn.module import Array

__all__ = ["Sequences", "padded", "read", "without_target"]


class Sequences(NamedTuple):
    """each: N arrays (T_i, F). flat: they came as one (N, F) array, sequences of length 1; together: as (N, T, F)."""

    each: Sequence[Array]
    flat: bool = False
    together: bool = False

    @property
    def lengths(self) -> Array:
        return np.array([len(one) for one in self.each], np.int64)


def read(estimator: Any, X: Any, *, reset: bool) -> Sequences:
    """X as sequences of float32, where that came, or float64. reset: X is fitted on, and says how many features.

    X: a list of (T_i, F) arrays, an (N, T, F) array, or an (N, F) array-like. ValueError: anything else, empty
    sequences, nan or infinity, another number of features.
    """
    if _is_ragged(X):
        each = [_checked(one, 2) for one in X]
        widths = sorted({one.shape[1] for one in each})
        if len(widths) > 1:
            raise ValueError(f"sequences of {', '.join(map(str, widths))} features came, one number was expected")
    elif getattr(X, "ndim", 2) == 3:
        each = list(_checked(X, 3))
    else:
        rows = validate_data(estimator, X, reset=reset, dtype=[np.float64, np.float32], order="C")
        return Sequences(list(rows[:, None]), flat=True)
    _see_features(estimator, each[0].shape[1], reset)
    dtype = np.result_type(*{one.dtype for one in each})
    return Sequences([one.astype(dtype, copy=False) for one in each], together=getattr(X, "ndim", 2) == 3)


def _is_ragged(X: Any) -> bool:
    listed = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)
    return listed and len(X) > 0 and all(getattr(one, "ndim", 0) == 2 for one in X)


def _checked(X: Any, axes: int) -> Array:
    found: Array = check_array(X, dtype=[np.float64, np.float32], allow_nd=True, order="C", input_name="X")
    if found.ndim != axes or 0 in found.shape:
        raise ValueError(f"X holds an array of shape {found.shape}; {axes} axes, none of them empty, were expected")
    return found


def _see_features(estimator: Any, features: int, reset: bool) -> None:
    if reset:
        estimator.n_features_in_ = features
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
            "features as input"
        )


def padded(each: Sequence[Array], dtype: Any) -> tuple[Array, Array | None]:
    """(T, B, ...), zeros past each end, and the lengths (B,); no lengths where all are equal."""
    lengths = np.array([len(one) for one in each], np.int64)
    made = np.zeros((int(lengths.max()), len(each), *each[0].shape[1:]), dtype)
    for k, one in enumerate(each):
        made[: len(one), k] = one
    return made, None if (lengths == lengths[0]).all() else lengths


def without_target(estimator: Any) -> ValueError:
    return ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
