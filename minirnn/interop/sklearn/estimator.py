"""What the estimators share: the network by its hyper-parameters, the training loop, and how they are pickled."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_random_state

from minirnn import optim
from minirnn.interop.sklearn.sequences import Sequences, padded, read
from minirnn.layers import GRU, LSTM, RNN, Bidirectional, Dropout, Linear, Pool, Recurrent, Sequential, Stacked, cells
from minirnn.module import Array
from minirnn.transform import value_and_grad

__all__ = ["SequenceEstimator", "hyperparameters"]

SHARED: dict[str, Any] = {
    "cell": "lstm",
    "hidden_size": 32,
    "num_layers": 1,
    "bidirectional": False,
    "dropout": 0.0,
    "learning_rate": 0.01,
    "batch_size": "auto",
    "max_iter": 100,
    "tol": 1e-4,
    "n_iter_no_change": 10,
    "early_stopping": False,
    "validation_fraction": 0.1,
    "clip_norm": 1.0,
    "random_state": None,
}
ARCHITECTURE = ("cell", "hidden_size", "num_layers", "bidirectional", "dropout", "pool")
POSITIVE = ("hidden_size", "num_layers", "learning_rate", "max_iter", "n_iter_no_change", "validation_fraction")
LAYERS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
PREDICTED_AT_ONCE = 256


def hyperparameters(*without: str, **own: Any) -> Callable[[type], type]:
    """Give an estimator its __init__: SHARED, but for some, and its own, by keyword after the first three.

    scikit-learn reads the signature and wants each argument as an attribute of the same name, and nothing else done.
    """
    names = {name: default for name, default in {**SHARED, **own}.items() if name not in without}
    kinds = [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3 + [inspect.Parameter.KEYWORD_ONLY] * len(names)
    parts = [inspect.Parameter(n, k, default=names[n]) for n, k in zip(names, kinds, strict=False)]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *parts])

    def __init__(*args: Any, **keywords: Any) -> None:
        given = signature.bind(*args, **keywords)
        given.apply_defaults()
        estimator = given.arguments.pop("self")
        for name, value in given.arguments.items():
            setattr(estimator, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]

    def give(cls: Any) -> type:
        cls.__init__ = __init__
        return cls

    return give


class SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """Recurrent layers and a linear head, trained by Adam on a weighted mean of losses.

    cell: "lstm", "gru", "rnn", a name of the zoo (`minirnn cells`) or a Cell class, called as
    cell(input_size, hidden_size, rng=, dtype=). num_layers, bidirectional, hidden_size: its size. dropout: before the
    head and between layers, while training. pool: "last", "mean" or "max", what of a sequence the head sees.

    learning_rate, batch_size (sequences; "auto": 200, or all if fewer), max_iter (epochs), clip_norm (None: none).
    Training ends when the loss, or with early_stopping that of `validation_fraction` of the sequences, which are then
    not trained on, has not improved by `tol` for n_iter_no_change epochs; with early_stopping the best weights are
    kept. random_state: draws everything. float32 sequences are computed in float32, others in float64.

    Fitted: module_, the network; n_iter_; loss_curve_, and validation_curve_ with early_stopping.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False
        return tags

    # ---------------------------------------------------------------- what a kind of estimator says
    _per_step = False  # whether the head sees every step

    def _losses(self, outputs: Any, targets: Array) -> Any:
        """The loss of each entry: outputs (..., O) -> (...)."""
        raise NotImplementedError

    # ---------------------------------------------------------------- the network
    def _begin(self, n_outputs: int, dtype: Any, **more: Any) -> None:
        """A new network, its optimiser, and the generator of noise and batches."""
        for name in (*POSITIVE, *[n for n in ("batch_size", "clip_norm") if getattr(self, n) not in (None, "auto")]):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{type(self).__name__}: {name}={getattr(self, name)!r} came, more than 0 was expected"
                )
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self._rng = np.random.default_rng(seed)
        self._architecture = {
            **{name: getattr(self, name) for name in ARCHITECTURE if hasattr(self, name)},
            "input_size": self.n_features_in_,
            "n_outputs": n_outputs,
            "dtype": np.dtype(dtype).name,
            **more,
        }
        self.module_ = network(**self._architecture, rng=self._rng)
        self._optimizer = optim.Adam(self.module_, lr=self.learning_rate)
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []

    def _train(self, X: Sequences, targets: Sequence[Array], weights: Array, epochs: int) -> None:
        """Epochs over sequences, each with its targets and weight; a weight of 0 is as if it were not there."""
        some = np.flatnonzero(weights)
        kept, held = some, some[:0]
        if self.early_stopping and epochs > 1:
            seed = int(self._rng.integers(np.iinfo(np.int32).max))
            kept, held = train_test_split(some, test_size=self.validation_fraction, random_state=seed)
            self.validation_curve_: list[float] = []

        def rows(which: Array) -> tuple[list[Array], list[Array], Array]:
            return [X.each[k] for k in which], [targets[k] for k in which], weights[which]

        best, waited, best_state = np.inf, 0, None
        for _ in range(epochs):
            total = mass = 0.0
            for batch in self._batches(kept):
                value, grads = value_and_grad(self._loss)(self.module_, *rows(batch), self._rng)
                self._update(grads)
                of_batch = float(weights[batch].sum())
                total, mass = total + float(value) * of_batch, mass + of_batch
            self.n_iter_ += 1
            self.loss_curve_.append(total / mass)
            score = self.loss_curve_[-1]
            if len(held):
                score = float(self._loss(self.module_, *rows(held), None))
                self.validation_curve_.append(score)
            waited = 0 if score < best - self.tol else waited + 1
            if score < best:
                best, best_state = score, self.module_.state_dict() if len(held) else None
            if waited >= self.n_iter_no_change:
                break
        if best_state is not None:
            self.module_.load_state_dict(best_state)

    def _batches(self, rows: Array) -> Iterator[Array]:
        size = min(200, len(rows)) if self.batch_size == "auto" else int(self.batch_size)
        order = rows if size >= len(rows) else self._rng.permutation(rows)
        return (order[k : k + size] for k in range(0, len(order), size))

    def _update(self, grads: Any) -> None:
        if self.clip_norm is not None:
            grads = optim.clip_by_global_norm(grads, self.clip_norm)[0]
        self._optimizer.step(grads)

    def _loss(self, module: Any, each: Any, targets: Any, weights: Array, rng: Any) -> Any:
        """The mean of the entries' losses, each with its sequence's weight."""
        xs, lengths = padded(each, self._architecture["dtype"])
        outputs, _ = module(xs, lengths=lengths, rng=rng)
        if self._per_step:
            shaped, _ = padded(targets, targets[0].dtype)
            inside = np.ones(xs.shape[:2]) if lengths is None else np.arange(len(xs))[:, None] < lengths
            weights = weights * inside
        else:
            shaped = np.stack(targets)
        weights = (weights / weights.sum()).astype(outputs.dtype)
        return (self._losses(outputs, shaped) * weights).sum()

    def _outputs(self, X: Any) -> tuple[list[Array], Sequences]:
        """What the network says of each sequence: (O,), or (T_i, O) with a head that sees every step."""
        check_is_fitted(self)
        read_in, found = read(self, X, reset=False), []
        for k in range(0, len(read_in.each), PREDICTED_AT_ONCE):
            each = read_in.each[k : k + PREDICTED_AT_ONCE]
            xs, lengths = padded(each, self._architecture["dtype"])
            outputs, _ = self.module_(xs, lengths=lengths)
            found += [outputs[: len(one), i] for i, one in enumerate(each)] if self._per_step else list(outputs)
        return found, read_in

    def _weights(self, sample_weight: Any, count: int) -> Array:
        weights: Array = _check_sample_weight(
            sample_weight, np.empty((count, 1)), dtype=np.float64, ensure_non_negative=True
        )
        if not weights.any():
            raise ValueError("sample_weight is zero for all sequences")
        return weights

    # ---------------------------------------------------------------- pickling
    def __getstate__(self) -> dict[str, Any]:
        """The network as the bytes of a safetensors file, and how it is built; no object of ours."""
        from safetensors.numpy import save

        state = dict(super().__getstate__())
        if "module_" in state:
            arrays = {name: np.array(value, order="C") for name, value in state.pop("module_").state_dict().items()}
            state["_weights_file"] = save(arrays)
            state["_optimizer"] = state["_optimizer"].state_dict()
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        from safetensors.numpy import load

        state = dict(state)
        content, held = state.pop("_weights_file", None), state.pop("_optimizer", None)
        super().__setstate__(state)
        if content is not None:
            self.module_ = network(**self._architecture, rng=np.random.default_rng(0))
            self.module_.load_state_dict(load(content))
            self._optimizer = optim.Adam(self.module_, lr=self.learning_rate)
            self._optimizer.load_state_dict(held)


def network(
    cell: Any,
    hidden_size: int,
    num_layers: int,
    dropout: float,
    input_size: int,
    n_outputs: int,
    dtype: str,
    rng: np.random.Generator,
    bidirectional: bool = False,
    pool: str | None = None,
) -> Sequential:
    """Recurrent layers -> pool -> dropout -> linear; without a pool, a head for every step."""
    recurrent: Any
    between = dropout if num_layers > 1 else 0.0
    if isinstance(cell, str) and cell.lower() in LAYERS:
        make = LAYERS[cell.lower()]
        options = {"num_layers": num_layers, "bidirectional": bidirectional, "dropout": between}
        recurrent = make(input_size, hidden_size, rng=rng, dtype=dtype, **options)
    else:
        kind = cells.get(cell) if isinstance(cell, str) else cell
        layers: list[Any] = []
        for _ in range(num_layers):
            size = layers[-1].output_size if layers else input_size
            one = partial(kind, size, hidden_size, rng=rng, dtype=dtype)
            layers.append(Bidirectional(one) if bidirectional else Recurrent(one()))
        recurrent = layers[0] if num_layers == 1 else Stacked(layers, dropout=between)
    pooled = [] if pool is None else [Pool(pool)]
    head = Linear(int(recurrent.output_size), n_outputs, rng=rng, dtype=dtype)
    return Sequential(recurrent, *pooled, Dropout(dropout), head)
