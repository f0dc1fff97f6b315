"""python -m benchmarks: every measurement, as tables, as JSON, as a picture, and as benchmarks/RESULTS.md."""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

BENCHMARKS = [
    *("overhead", "single_steps", "layers", "resets", "ragged"),
    *("training_step", "scaling", "parallel_scan", "parallel"),
]
KNOWN = [
    *BENCHMARKS,
    "first_call",
    "compiled",
    "zoo",
    "source_files",
    "torch_modules",
]  # these take long, and are run by their names alone
PACKAGES = ["minirnn", "numpy", "autograd", "llvmlite", "torch", "jax"]
RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> dict[str, str]:
    """The processor, the cores that this process may use, the system, and the versions of what is measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    there = [name for name in PACKAGES if importlib.util.find_spec(name)]
    return {
        "processor": f"{model} ({vectors})",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        **{name: importlib.metadata.version(name) for name in there},
    }


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(KNOWN)}; may be given again.")] = None,
    quick: Annotated[bool, typer.Option(help="Smaller, shorter and less exact.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw what can be drawn there, as PNG.")] = None,
) -> None:
    """Measure, and print tables. A run of all (no --only) also writes benchmarks/RESULTS.md."""
    unknown = [name for name in only or [] if name not in KNOWN]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)} came, one of {', '.join(KNOWN)} was expected")
    figures: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": machine()}
    console, tables = Console(highlight=False), []
    if not console.is_terminal:
        console.width = 200
    console.print(*[f"{name}: {value}" for name, value in figures["machine"].items()], sep="\n", markup=False)
    for name in only or BENCHMARKS:
        benchmark = importlib.import_module(f"benchmarks.{name}")
        figures[name] = benchmark.measure(quick)
        tables.append(benchmark.table(figures[name]))
        console.print(tables[-1])
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    if plot_file is not None:
        draw(figures, plot_file)
    if not only:
        write_results(figures, tables, quick)


def draw(figures: dict[str, Any], path: Path) -> None:
    """One panel for each measurement that has a `plot`."""
    if importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter("--plot needs matplotlib: pip install 'minirnn[plot]'")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = [
        name
        for name in BENCHMARKS
        if name in figures and hasattr(importlib.import_module(f"benchmarks.{name}"), "plot")
    ]
    if not drawn:
        raise typer.BadParameter("--plot: none of these measurements can be drawn; layers and scaling can")
    figure, panels = plt.subplots(1, len(drawn), figsize=(6 * len(drawn), 4), layout="constrained", squeeze=False)
    for axes, name in zip(panels[0], drawn, strict=True):
        importlib.import_module(f"benchmarks.{name}").plot(figures[name], axes)
    figure.savefig(path, dpi=110)


def write_results(figures: dict[str, Any], tables: list[Any], quick: bool) -> None:
    """The tables as text in RESULTS.md, with the date and the machine."""
    wide = Console(width=220, file=open(os.devnull, "w"), record=True, highlight=False)  # noqa: SIM115
    for table in tables:
        wide.print(table)
    described = "\n".join([f"- date: {figures['date']}", *(f"- {k}: {v}" for k, v in figures["machine"].items())])
    text = "\n".join([line.rstrip() for line in wide.export_text().splitlines()])
    RESULTS.write_text(
        f"# Results\n\nThe last run, written by `python -m benchmarks{' --quick' * quick}`"
        f"{': the small sizes only, and few repetitions' * quick}.\n\n{described}\n\n```\n{text}\n```\n"
    )


if __name__ == "__main__":
    typer.run(main)
