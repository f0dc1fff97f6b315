"""What a file says, for one size of the cell: names, shapes, the plan of both passes. Printers write it down."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import minirnn
from minirnn.compile.errors import CannotCompile
from minirnn.compile.passes import optimised
from minirnn.compile.passes.alike import alike
from minirnn.compile.passes.fold import fold
from minirnn.compile.passes.share import share
from minirnn.compile.place import place
from minirnn.compile.trace import Traced, trace
from minirnn.interop.made import Made, made_of
from minirnn.interop.source.expressions import Dialect
from minirnn.interop.source.layout import WIDTH, comma, indented, tuple_text
from minirnn.interop.source.names import Names, names_of
from minirnn.interop.source.plan import Plan, plan_of, step_lines
from minirnn.interop.source.sizes import argument_sizes, batch_sizes
from minirnn.interop.source.start import Law
from minirnn.interop.source.what import Built, What

__all__ = ["Content", "Namings", "content_of"]


@dataclass
class Namings:
    """The names of both graphs, which are the same for every size."""

    step: Names
    whole: Names


@dataclass
class Content:
    """parameters and buffers by their names in the file; inputs: what the steps take, by name, and how it is made;
    options: what the cell was made with beside its sizes."""

    what: What
    sizes: Mapping[str, int]
    options: Mapping[str, Any]
    plan: Plan
    step: tuple[list[str], list[str], str]
    states: list[str]
    state_shapes: list[tuple[int, ...]]
    inputs: dict[str, Made]
    input_shapes: list[tuple[int, ...]]
    input_paths: dict[str, str]
    paths: dict[str, str]
    parameters: dict[str, tuple[int, ...]]
    buffers: dict[str, Any]
    laws: dict[str, Law | None]

    @property
    def title(self) -> str:
        return self.what.title

    @property
    def several(self) -> bool:
        return len(self.states) > 1

    @property
    def previous(self) -> list[str]:
        return [f"{name}_prev" for name in self.states]

    @property
    def first(self) -> list[str]:
        return [f"{name}_0" for name in self.states]

    @property
    def arguments(self) -> list[str]:
        """Names of parameters and buffers, as functions take them."""
        return list(self.paths.values())

    @property
    def parameter_gradients(self) -> dict[str, str]:
        """The gradients' texts, by names; None for a buffer's."""
        of = {path: text for (kind, path), text in self.plan.backward.results.items() if kind == "d_parameter"}
        return {name: of.get(path, "None") if name in self.parameters else "None" for path, name in self.paths.items()}

    @property
    def attributes(self) -> dict[str, str]:
        """What parameters and buffers are called in the module, by their names in functions."""
        return {name: path.replace(".", "_") for path, name in self.paths.items()}

    @property
    def saved(self) -> list[str]:
        """What forward leaves beside its outputs."""
        return [name for name in self.plan.saved if name != self.plan.output]

    def like(self) -> str:
        """An argument of floats, which every function has."""
        floats = [name for name, made in self.inputs.items() if made.dtype.kind == "f"]
        return next(iter([*floats, *self.parameters]))

    def inputs_made(self) -> list[tuple[str, Made, tuple[int, ...]]]:
        """What the steps take: its name, how it is made of xs, its shape without (T, B)."""
        return list(zip(self.inputs, self.inputs.values(), self.input_shapes, strict=True))

    def batch_line(self, whole: bool = True) -> str:
        """How many steps and rows there are, where lines ask for it; without steps where it is of one."""
        return batch_sizes(next(iter(self.inputs)), ("T", "B") if whole else ("B",))

    @property
    def d_y(self) -> str:
        return self.plan.names["d_output", ""]

    def sizes_line(self, states: list[str], whole: bool = True) -> str:
        """The sizes that a function uses, of its arguments' shapes: states (B, ...) by these names; inputs (T, B, ...),
        or (B, ...) where it is of one step."""
        shapes: dict[str, Any] = {name: (0, *shape) for name, shape in zip(states, self.state_shapes, strict=True)}
        shapes |= {name: (*[0] * whole, 0, *shape) for name, shape in zip(self.inputs, self.input_shapes, strict=True)}
        shapes |= self.parameters | {name: array.shape for name, array in self.buffers.items()}
        return argument_sizes(shapes)

    def own_sizes(self) -> str:
        """The same in a method, of the object's attributes."""
        i, h = self.what.fixed or (self.sizes["I"], self.sizes["H"])
        return argument_sizes({}, {"self.input_size": i, "self.hidden_size": h})

    def head(self, framework: str, run: str) -> str:
        """The file's docstring."""
        equations = "\n".join(line.rstrip() for line in self.what.text.replace("\\", "\\\\").splitlines())
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        said = [
            f"Written by minirnn {minirnn.__version__} from the cell's step{f', with {options}' if options else ''}. "
            "The backward pass is derived from it, and written out below.",
            *self._alone(),
            "In loops f_t is the value of a step; f is that of all steps, (T, B, ...); d_f is the loss's gradient by f."
            f" {run}",
        ]
        written = "\n".join(line for part in said for line in textwrap.wrap(part, WIDTH))
        return f"{self.title} in {framework}, forward and backward over whole sequences.\n\n{equations}\n\n{written}\n"

    def _alone(self) -> list[str]:
        given = self.what.fixed
        return [f"For input_size={given[0]} and hidden_size={given[1]} alone."] if given else []

    def step_function(self) -> list[str]:
        """One step as the cell has it."""
        lines, new, output = self.step
        return [
            f"def step({comma([*self.inputs, *self.previous, *self.arguments])}):",
            '    """One step, all (B, ...) -> output, new state. What follows is derived from this."""',
            f"    {self.batch_line(whole=False)}",
            f"    {self.sizes_line(self.previous, whole=False)}",
            *indented(lines),
            f"    return {output}, {tuple_text(new)}",
        ]

    def code(self) -> list[str]:
        """All lines of the three functions."""
        parts = [
            part
            for d in (self.plan.forward, self.plan.backward)
            for part in (d.once, d.before, d.loop, d.after, d.for_x)
        ]
        return [*self.step[0], *(line for part in parts for line in part)]


def content_of(
    what: What,
    built: Built,
    options: Mapping[str, Any],
    dialect: Dialect,
    reserved: set[str],
    namings: Namings | None,
) -> tuple[Content, Namings]:
    """The content at one size. CannotCompile: the step cannot be traced, or has what the dialect has no text for."""
    cell = built.cell
    traced = _traced(cell)
    placed = place(optimised(traced.graph), sink=dialect.fuses)
    if not placed.row_wise:
        raise CannotCompile("rows of the batch meet within its step, which no file is written for")
    plain = optimised(traced.graph.only("state", "output"), (alike, fold, share))
    if namings is None:
        namings = Namings(names_of(cell, traced, plain), names_of(cell, traced, placed.graph))
    plan = plan_of(placed, namings.whole, dialect, reserved)
    signature = traced.signature
    paths = {leaf.name: plan.names["parameter", leaf.name] for leaf in signature.parameters}
    made = made_of(cell, (cell.input_size,), np.dtype(np.float64))
    names = [plan.names["input", leaf.name] for leaf in signature.inputs]
    shapes = {paths[leaf.name]: leaf.shape for leaf in signature.parameters}
    content = Content(
        what,
        {"I": cell.input_size, "H": cell.hidden_size},
        options,
        plan,
        step_lines(plain, namings.step, dialect, reserved),
        plan.states,
        [leaf.shape[1:] for leaf in signature.states],
        dict(zip(names, made, strict=True)),
        [leaf.shape[1:] for leaf in signature.inputs],
        {leaf.name: plan.names["input", leaf.name] for leaf in signature.inputs},
        paths,
        {name: shape for name, shape in shapes.items() if not any(paths[path] == name for path in built.buffers)},
        {paths[path]: array for path, array in built.buffers.items()},
        {paths[path]: law for path, law in built.laws.items()},
    )
    return content, namings


def _traced(cell: Any) -> Traced:
    xs = np.ones((2, 2, cell.input_size))
    traced = trace(cell, cell.initial_state(2), cell.inputs(xs))
    if [leaf.name for leaf in traced.outputs] != [""]:
        raise CannotCompile("its output is several arrays, and one was expected")
    if any(leaf.dtype.kind != "f" for leaf in traced.signature.states):
        raise CannotCompile("its state holds integers, and floats were expected")
    return traced
