"""Options in TOML files: a user's, the presets that come with minirnn, and a run's own."""

import json
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from minirnn.train.config import TrainConfig, options

__all__ = ["DEFAULT_MINUTES", "config_text", "make_config", "preset", "preset_names", "read_config"]

DEFAULT_MINUTES = 2.0


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The options that a TOML file sets. FileNotFoundError: no such file. ValueError: no TOML, or an unknown option."""
    return _parsed(Path(path).read_bytes(), str(path))


def preset_names() -> list[str]:
    """The presets that there are."""
    names = [entry.name for entry in _presets().iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def preset(name: str) -> dict[str, Any]:
    """The options that a preset sets. ValueError: no such preset."""
    if name not in preset_names():
        raise ValueError(f"preset {name!r} came, one of {', '.join(preset_names())} was expected")
    return _parsed((_presets() / f"{name}.toml").read_bytes(), f"preset {name}")


def make_config(*layers: Mapping[str, Any]) -> TrainConfig:
    """A config from layers of options, the later over the earlier; steps and minutes take each other's place.

    Two minutes where none sets either. Of all layers but the last, options that change nothing beside others (a last
    learning rate, where the schedule is now constant) are left out. ValueError: an option out of its range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for one, other in (("steps", "minutes"), ("minutes", "steps"), ("text", "task"), ("task", "text")):
            if layer.get(one) is not None and layer.get(other) is None:
                merged.pop(other, None)
        merged |= layer
    if merged.get("steps") is None and merged.get("minutes") is None:
        merged["minutes"] = DEFAULT_MINUTES
    made = TrainConfig(**merged)
    idle = made.unused().keys() - (layers[-1].keys() if layers else set())
    return TrainConfig(**{name: value for name, value in merged.items() if name not in idle}) if idle else made


def config_text(config: TrainConfig) -> str:
    """The options as TOML that `read_config` reads; those that are left out are not there."""
    values = {option.name: getattr(config, option.name) for option in options()}
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None)


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # what JSON writes of numbers, bools and strings is TOML too


def _presets() -> Any:
    return resources.files("minirnn.train") / "presets"


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no TOML: {error}") from error
    known = [option.name for option in options()]
    unknown = [name for name in found if name not in known]
    if unknown:
        raise ValueError(f"{where} sets {unknown[0]!r}; the options are {', '.join(known)}")
    return found
