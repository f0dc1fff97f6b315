"""Which tests belong to a file: its namesake first, then those of its folder, the quick ones first; some have more."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (
    "core", "compile", "layers", "gradcheck", "train", "data", "optim", "interop", "parallel", "sweep", "derivations",
    "analysis", "cli", "speed", "bptt",
)  # fmt: skip

# by room: folders and files that test it, in the order in which they run; "core" are the files of minirnn/ itself
TESTS = {
    "core": ["tests/test_*.py", "tests/layers/test_recurrent.py", "tests/layers/test_cell.py"],
    "compile": ["tests/compile", "tests/test_engines.py"],
    "layers": ["tests/layers", "tests/layers/cells", "tests/test_summary.py"],
    "gradcheck": ["tests/gradcheck", "tests/cli/test_check.py"],
    "train": [
        "tests/train",
        "tests/parallel/test_same_batches.py",
        "tests/cli/test_train_options.py",
        "tests/cli/test_train_and_sample.py",
    ],
    "data": ["tests/data", "tests/data/tasks"],
    "optim": ["tests/optim"],
    "interop": ["tests/interop", "tests/cli/test_export.py"],
    "derivations": ["tests/test_derivations.py", "tests/cli/test_check.py"],
}
NOT_HERE = ("test_structure", "test_documentation", "test_examples")  # long, or blind to a line

# what is tested beside where it is to be expected, by the file's place under minirnn/
MORE = {
    "transform.py": ["tests/test_primitive.py", "tests/test_reference.py"],
    "primitive.py": ["tests/test_functional.py", "tests/test_transform.py"],
    "boxes.py": ["tests/test_transform.py"],
    "bundle.py": ["tests/compile/test_classic_calls.py", "tests/test_primitive.py"],
    "resets.py": ["tests/layers/test_counted.py"],
    "rules.py": ["tests/test_derivative_rules.py"],
    "checks.py": ["tests/layers/test_lengths.py", "tests/test_engines.py"],
    "loop.py": ["tests/test_reference.py", "tests/test_engines.py"],
    "late.py": ["tests/test_engines.py"],
    "padding.py": ["tests/layers/test_undefined_steps.py", "tests/layers/test_padded_batches.py"],
    "printing.py": ["tests/test_module.py", "tests/test_summary.py"],
    "threads.py": ["tests/test_threads.py", "tests/compile/test_tiers_and_threads.py"],
    "tier.py": ["tests/compile/test_tiers_and_threads.py"],
    "whole_file.py": ["tests/test_whole_file.py", "tests/train/test_checkpoint.py", "tests/train/test_faults.py"],
}


def room_of(path: str) -> str:
    """The room of a file of minirnn/, as in "compile"."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else "core"


def files(only: str) -> list[str]:
    """The files of a room, or of a folder or file under minirnn/."""
    if only == "core":
        found = ROOT.glob("minirnn/*.py")
    else:
        place = ROOT / "minirnn" / only
        found = place.rglob("*.py") if place.is_dir() else [place]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.exists() and path.name != "__main__.py")


def belonging(path: str) -> list[str]:
    """The test files that belong to a file, in the order in which they are to run."""
    place = Path(path).relative_to("minirnn")
    found: list[Path] = []
    for pattern in TESTS.get(room_of(path), [f"tests/{room_of(path)}"]):
        where = ROOT / pattern
        group = where.glob("test_*.py") if where.is_dir() else ROOT.glob(pattern)
        found += sorted(group, key=lambda test: test.stat().st_size)
    namesakes = [test for test in found if place.stem != "__init__" and _namesake(test.stem[5:], place.stem)]
    more = [ROOT / test for test in MORE.get(str(place), [])]
    if place.parent.name == "cells":
        more += [test for test in found if test.parent.name == "cells"]
    every = dict.fromkeys([*namesakes, *more, *found])
    return [str(test.relative_to(ROOT)) for test in every if test.exists() and test.stem not in NOT_HERE]


def _namesake(test: str, stem: str) -> bool:
    """test_gru.py and test_grus.py are gru.py's, and so is test_stacked_gru.py."""
    return test.removesuffix("s") == stem.removesuffix("s") or test.endswith("_" + stem)
