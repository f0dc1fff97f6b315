"""Optuna's study: where a sweep's trials are kept, how they are chosen, and what makes it the same sweep again."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from minirnn import tree
from minirnn.sweep.cluster import INSTALL
from minirnn.sweep.space import Space
from minirnn.sweep.spec import Pruning

__all__ = ["check_same", "identity", "import_optuna", "importance", "open_study", "quiet"]


def import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(f"a sweep needs Optuna, which is not installed: {INSTALL} ({error})") from None
    return optuna


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def open_study(optuna: Any, folder: Path, maximize: bool, pruning: Pruning | None, sampler: str, seed: int) -> Any:
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / 'study.db').absolute()}")
    study = optuna.create_study(
        storage=storage,
        study_name="sweep",
        direction="maximize" if maximize else "minimize",
        load_if_exists=True,
        pruner=_pruner(optuna, pruning),
    )
    count = len(study.trials)  # a driver that goes on must not draw what the first one drew
    study.sampler = (
        optuna.samplers.RandomSampler(seed=seed + count)
        if sampler == "random"
        else optuna.samplers.TPESampler(seed=seed + count, n_startup_trials=8, constant_liar=True)
    )
    return study


def _pruner(optuna: Any, pruning: Pruning | None) -> Any:
    if pruning is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=pruning.first, reduction_factor=pruning.keep)


def importance(optuna: Any, study: Any, space: Space) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255)."""
    if len([t for t in study.trials if t.state.name == "COMPLETE"]) < 4 or len(space) < 2:
        return {}
    try:
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    except (ValueError, RuntimeError):  # all scores are the same
        return {}
    return {name: float(share) for name, share in found.items()}


def identity(
    objective: Any, space: Space, maximize: bool, pruning: Pruning | None, sampler: str, seed: int
) -> dict[str, Any]:
    """What a sweep is, in words; not how long it goes on, and on what."""
    what = (
        asdict(objective)
        if is_dataclass(objective) and not isinstance(objective, type)
        else getattr(objective, "__name__", type(objective).__name__)
    )
    described = {
        "direction": "maximize" if maximize else "minimize",
        "objective": what,
        "space": {name: f"{type(values).__name__}{tuple(values)}" for name, values in space.items()},
        "pruning": None if pruning is None else asdict(pruning),
        "sampler": sampler,
        "seed": seed,
    }
    return {name: str(leaf) for name, leaf in tree.named_leaves(described)}


def check_same(folder: Path, study: Any, now: dict[str, Any]) -> None:
    """ValueError: the sweep in the folder was begun as another one. It stays as it is."""
    before = study.user_attrs.get("identity")
    if before is None:
        study.set_user_attr("identity", now)
        return
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if names:
        other = "; ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in names)
        raise ValueError(f"{folder}: the sweep there is another one: {other}; give what it was begun with")
