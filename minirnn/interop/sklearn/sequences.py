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

    X: a list of (T_i, F) arrays or nested lists, an (N, T, F) array, or an (N, F) array-like. ValueError: anything
    else, empty sequences, nan or infinity, another number of features; an (N, F) array, which is N sequences of one
    step, where the estimator was fitted on longer ones.
    """
    X = _as_arrays(X)
    if _is_ragged(X):
        each = [_checked(one, 2) for one in X]
        widths = sorted({one.shape[1] for one in each})
        if len(widths) > 1:
            raise ValueError(f"sequences of {', '.join(map(str, widths))} features came, one number was expected")
    elif getattr(X, "ndim", 2) == 3:
        each = list(_checked(X, 3))
    else:
        rows = validate_data(estimator, X, reset=reset, dtype=[np.float64, np.float32], order="C")
        if reset:
            estimator._flat = True
        elif not getattr(estimator, "_flat", True):
            raise ValueError(
                f"X is one array {rows.shape}, which would be {len(rows)} sequences of one step, but "
                f"{type(estimator).__name__} was fitted on longer ones; [X] is one sequence, X[:, None] many"
            )
        return Sequences(list(rows[:, None]), flat=True)
    _see_features(estimator, each[0].shape[1], reset)
    if reset:
        estimator._flat = False
    dtype = np.result_type(*{one.dtype for one in each})
    return Sequences([one.astype(dtype, copy=False) for one in each], together=getattr(X, "ndim", 2) == 3)


def _as_arrays(X: Any) -> Any:
    """Nested lists of three levels as a list of arrays. ValueError: series without an axis of features, of different
    lengths or beside such with one."""
    if not (isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)):
        return X
    nested = [isinstance(one, (list, tuple)) and len(one) > 0 and np.ndim(one[0]) > 0 for one in X]
    try:
        found = [np.asarray(one) if deep else one for one, deep in zip(X, nested, strict=True)]
    except ValueError:
        raise ValueError("X holds a sequence whose steps differ in length; (T, F) arrays were expected") from None
    axes = [getattr(one, "ndim", 1) for one in found]
    lengths = {len(one) for one, n in zip(found, axes, strict=True) if n == 1 and hasattr(one, "__len__")}
    if len(lengths) > 1 or (1 in axes and 2 in axes):
        raise ValueError(
            "X holds series of one axis; (T, F) arrays were expected: one[:, None] makes a series of one feature"
        )
    return found if any(nested) else X


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
