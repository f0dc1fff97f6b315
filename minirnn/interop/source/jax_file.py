"""A cell as one file of JAX: init and apply, the step, the pass over a sequence and back, a test of itself."""

import math
from collections.abc import Sequence

import numpy as np

from minirnn.interop.made import Made
from minirnn.interop.source.content import Content
from minirnn.interop.source.expressions import array_text
from minirnn.interop.source.jax_dialect import JaxDialect
from minirnn.interop.source.layout import beside, comma, gradient_texts, indented, tuple_text
from minirnn.interop.source.plan import Direction
from minirnn.interop.source.sizes import argument_sizes, bare, size
from minirnn.interop.source.start import Law

__all__ = ["DIALECT", "RESERVED", "jax_file"]

DIALECT = JaxDialect()
RESERVED = {
    "jax",
    "jnp",
    "lax",
    "np",
    "sys",
    "T",
    "B",
    "I",
    "H",
    "inside",
    "one",
    "now",
    "step",
    "scan",
    "ahead",
    "back",
}


def jax_file(c: Content) -> str:
    """The text of the file, its sizes marked."""
    parts = [_head(c), _init(c), _apply(c), c.step_function(), _ahead(c), _back(c), _scan(c), _by_steps(c), _test(c)]
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


# ---------------------------------------------------------------- the head
def _head(c: Content) -> list[str]:
    text = c.head("JAX", "Run as a program, this file compares itself with JAX's own gradient of a lax.scan.")
    lines = [f'"""{text}"""', "", "import sys", "from typing import Any, NamedTuple", "", "import jax"]
    lines += ["import jax.numpy as jnp", "import numpy as np", "from jax import lax"]
    for name, array in c.buffers.items():
        lines += ["", f"{_buffer(name)} = np.array({array_text(array)})"]
    lines += ["", "", "class Parameters(NamedTuple):", '    """What is trained."""', ""]
    lines += [f"    {c.attributes[name]}: Any" for name in c.parameters]
    if c.several:
        lines += ["", "", "class State(NamedTuple):", '    """Each (B, ...)."""', ""]
        lines += [f"    {name}: Any" for name in c.states]
    return lines


def _buffer(name: str) -> str:
    return f"{name.upper()}_GIVEN"


# ---------------------------------------------------------------- init
def _init(c: Content) -> list[str]:
    sizes = [] if c.what.fixed else ["input_size", "hidden_size"]
    own = argument_sizes({}, {"input_size": c.sizes["I"], "hidden_size": c.sizes["H"]})
    drawn = {name: _drawn(name, shape, c.laws.get(name)) for name, shape in c.parameters.items()}
    many = sum(text.count("next(keys)") for text in drawn.values())
    said = [
        f"{name}: drawn by minirnn in a way of its own, which this file has not: set it as you need it"
        for name in c.parameters
        if c.laws.get(name) is None
    ]
    zeros = [f"jnp.zeros({tuple_text(['batch_size', *map(size, shape)])}, like.dtype)" for shape in c.state_shapes]
    shapes = {f"parameters.{c.attributes[name]}": shape for name, shape in c.parameters.items()}
    return [
        f"def init({comma(['key', *sizes, 'dtype=jnp.float32'])}):",
        '    """Parameters, drawn."""',
        f"    {own}",
        *[f"    # {line}" for line in said],
        *[f"    keys = iter(jax.random.split(key, {many}))"] * bool(many),
        "    return Parameters(",
        *[f"        {c.attributes[name]}={text}," for name, text in drawn.items()],
        "    )",
        "",
        "",
        "def initial_state(parameters, batch_size):",
        '    """The state before the first step."""',
        f"    {argument_sizes(shapes)}",
        f"    like = parameters.{c.attributes[next(iter(c.parameters))]}",
        f"    return {f'State({comma(zeros)})' if c.several else zeros[0]}",
    ]


def _drawn(name: str, shape: Sequence[int], law: Law | None) -> str:
    dims = tuple_text([*map(size, shape)])
    if law is None:
        return f"0.1 * jax.random.normal(next(keys), {dims}, dtype)"
    if law.kind == "blocks":
        part = (shape[0] // len(law.values), *shape[1:])
        return f"jnp.concatenate(({comma([_drawn(name, part, of) for of in law.values])}))"
    v = [bare(value) for value in law.values]
    match law.kind:
        case "constant":
            return f"jnp.full({dims}, {v[0]}, dtype)"
        case "uniform":
            return f"jax.random.uniform(next(keys), {dims}, dtype, {v[0]}, {v[1]})"
        case "normal":
            return f"{v[0]} * jax.random.normal(next(keys), {dims}, dtype)"
        case "exp" | "log":
            minus = "-" if law.values[2] < 0 else ""
            return f"{minus}jnp.{law.kind}(jax.random.uniform(next(keys), {dims}, dtype, {v[0]}, {v[1]}))"
        case "orthogonal":
            return f"jax.nn.initializers.orthogonal({v[0]})(next(keys), {dims}, dtype)"
        case "identity":
            return f"{v[0]} * jnp.eye({comma(map(size, shape))}, dtype=dtype)"
    return f"jnp.linspace({v[0]}, {v[1]}, {size(math.prod(shape))}, dtype=dtype)"


# ---------------------------------------------------------------- apply
def _apply(c: Content) -> list[str]:
    arguments = [
        f"jnp.asarray({_buffer(name)}{', xs.dtype' if c.buffers[name].dtype.kind == 'f' else ''})"
        if name in c.buffers
        else f"parameters.{c.attributes[name]}"
        for name in c.arguments
    ]
    return [
        "def apply(parameters, xs, state=None, lengths=None):",
        f'    """{c.title} over sequences: xs (T, B, I) -> outputs (T, B, ...), final state.',
        "",
        "    lengths (B,): past its end a sequence's state is held, and its outputs are 0.",
        '    """',
        "    return run(scan, parameters, xs, state, lengths)",
        "",
        "",
        "def run(scan, parameters, xs, state=None, lengths=None):",
        '    """By `scan`, or by `by_steps`, which JAX differentiates."""',
        "    T, B = xs.shape[:2]",
        "    inside = None",
        "    if lengths is not None:",
        "        inside = jnp.arange(T)[:, None] < jnp.asarray(lengths)",
        "        xs = jnp.where(inside[:, :, None], xs, lax.stop_gradient(xs[:1]))  # also where nan stands",
        "    if state is None:",
        "        state = initial_state(parameters, B)",
        f"    {comma(c.first)}{',' * (not c.several)} = {'state' if c.several else '(state,)'}",
        *[f"    {name} = {_made(made, shape)}" for name, made, shape in c.inputs_made()],
        f"    y, *final = scan({comma([*c.inputs, *c.first, *arguments, 'inside'])})",
        "    if inside is not None:",
        "        y = jnp.where(inside[:, :, None], y, 0)",
        f"    return y, {'State(*final)' if c.several else 'final[0]'}",
    ]


def _made(made: Made, shape: tuple[int, ...]) -> str:
    """What the steps take, of xs."""
    dims = tuple_text(["T", "B", *map(size, shape)])
    kind = "xs.dtype" if made.dtype.kind == "f" else f"jnp.{made.dtype.name}"
    if made.kind == "features":
        return f"xs[..., {size(made.first)}:{size(made.last)}]" if made.narrow else "xs"
    if made.kind == "steps":
        ones = comma([":", *["None"] * (1 + len(shape))])
        return f"jnp.broadcast_to(jnp.arange(T, dtype={kind})[{ones}], {dims})"
    value = np.frombuffer(made.value, made.dtype).reshape(made.shape)
    return f"jnp.broadcast_to(jnp.array({array_text(value)}, {kind}), {dims})"


# ---------------------------------------------------------------- the passes over time
def _one(d: Direction, carried: Sequence[str], middle: Sequence[str], end: str) -> list[str]:
    """The function of one step."""
    return [
        "def one(carried, now):",
        f"    {comma(carried)}{',' * (len(carried) == 1)} = carried",
        f"    {comma([*(f'{name}_t' for name in d.reads), 'inside_t'])}{',' * (not d.reads)} = now",
        *indented(middle),
        f"    return {end}, {tuple_text(list(d.collected.values()))}",
    ]


def _scanned(d: Direction, carried: Sequence[str], begin: Sequence[str], how: str = "") -> str:
    left = f"{tuple_text(carried)}, {tuple_text(list(d.collected))}"
    how += "" if d.reads else ", length=T"
    return f"{left} = lax.scan(one, {tuple_text(begin)}, {tuple_text([*d.reads, 'inside'])}{how})"


def _ahead(c: Content) -> list[str]:
    d, states = c.plan.forward, [f"{name}_t" for name in c.states]
    held = [
        f"    {new} = jnp.where({beside(shape)}, {new}, {old})"
        for new, old, shape in zip(states, c.previous, c.state_shapes, strict=True)
    ]
    one = _one(d, c.previous, [*d.loop, "if inside is not None:", *held], tuple_text(states))
    return [
        f"def ahead({comma([*c.inputs, *c.first, *c.arguments, 'inside'])}):",
        '    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""',
        f"    {c.batch_line()}",
        f"    {c.sizes_line(c.first)}",
        *indented([*d.once, *d.before, "", *one, "", _scanned(d, c.previous, c.first), *d.after]),
        f"    return {tuple_text([c.plan.output, *c.previous])}, {tuple_text(c.saved)}",
    ]


def _back(c: Content) -> list[str]:
    d = c.plan.backward
    running = [f"d_{name}_next" for name in c.states]
    ended = [f"jnp.where({beside(shape)}, 0, {name})" for name, shape in zip(running, c.state_shapes, strict=True)]
    middle = [
        "if inside is not None:  # past its end a sequence hands on what comes",
        f"    ended = {tuple_text(ended)}",
        *[f"    {name} = {name} - ended[{k}]" for k, name in enumerate(running)],
        *d.loop,
        f"carried = {tuple_text(d.states)}",
        "if inside is not None:",
        "    carried = tuple(a + b for a, b in zip(carried, ended))",
    ]
    before = [f"{old} = jnp.concatenate(({old[:-5]}_0[None], {old[:-5]}[:-1]))" for old in c.plan.before]
    of_x = {name: d.results.get(("d_input", path), "None") for path, name in c.input_paths.items()}
    given = [c.d_y, *running, *c.inputs, *c.first, *c.arguments, "inside", *c.plan.saved]
    gradients = [*gradient_texts(of_x, "jnp"), *running, *gradient_texts(c.parameter_gradients, "jnp")]
    return [
        f"def back({comma(given)}):",
        '    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""',
        f"    {c.batch_line()}",
        f"    {c.sizes_line(c.first)}",
        *indented([*before, *d.once, *d.before, "", *_one(d, running, middle, "carried"), ""]),
        *indented([_scanned(d, running, running, ", reverse=True"), *d.after, *d.for_x]),
        f"    return {comma([*gradients, 'None'])}",
    ]


# ---------------------------------------------------------------- the function
def _scan(c: Content) -> list[str]:
    arguments = comma([*c.inputs, *c.first, *c.arguments, "inside"])
    saved = [name if name != c.plan.output else "outputs[0]" for name in c.plan.saved]
    return [
        "@jax.custom_vjp",
        f"def scan({arguments}):",
        '    """Outputs and final state of `ahead`, whose derivative is `back`."""',
        f"    return ahead({arguments})[0]",
        "",
        "",
        "def scan_forward(*given):",
        "    outputs, saved = ahead(*given)",
        "    return outputs, (given, outputs, saved)",
        "",
        "",
        "def scan_backward(kept, cotangents):",
        "    given, outputs, saved = kept",
        *indented([f"{comma(c.saved)}{',' * (len(c.saved) == 1)} = saved"] if c.saved else []),
        f"    return back({comma(['*cotangents', '*given', *saved])})",
        "",
        "",
        "scan.defvjp(scan_forward, scan_backward)",
    ]


def _by_steps(c: Content) -> list[str]:
    arguments = comma([*c.inputs, *c.first, *c.arguments, "inside"])
    return [
        f"def by_steps({arguments}):",
        '    """The same by a plain lax.scan over `step`."""',
        "",
        "    def one(state, now):",
        "        *values, inside_t = now",
        f"        y, new = step({comma(['*values', '*state', *c.arguments])})",
        "        if inside is not None:",
        "            masks = [inside_t.reshape(-1, *[1] * (a.ndim - 1)) for a in new]",
        "            new = tuple(map(jnp.where, masks, new, state))",
        "        return new, y",
        "",
        f"    final, y = lax.scan(one, {tuple_text(c.first)}, {tuple_text([*c.inputs, 'inside'])})",
        "    return y, *final",
    ]


def _test(c: Content) -> list[str]:
    sizes = "" if c.what.fixed else "3, 8, "
    features = c.what.fixed[0] if c.what.fixed else 3
    return [
        "def main():",
        '    """Compare the derived backward pass with the gradient of the plain scan."""',
        '    jax.config.update("jax_enable_x64", True)',
        '    jax.config.update("jax_disable_most_optimizations", True)  # what is compiled runs once',
        f"    parameters, rng = init(jax.random.key(0), {sizes}jnp.float64), np.random.default_rng(0)",
        "    worst = 0.0",
        "    for lengths in None, np.array([7, 4, 1]):",
        f"        xs = rng.standard_normal((7, 3, {features}))",
        "        first = jax.tree.map(lambda a: rng.uniform(size=a.shape), initial_state(parameters, 3))",
        "        found = []",
        "        for how in scan, by_steps:",
        "",
        "            def loss(parameters, xs, state):",
        "                results = run(how, parameters, xs, state, lengths)",
        "                weighed = [(a * jnp.cos(lax.stop_gradient(a))).sum() for a in jax.tree.leaves(results)]",
        "                return sum(weighed), results",
        "",
        "            gradients, results = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(parameters, xs, first)",
        '            named = {"results": results, **dict(zip(("parameters", "xs", "state"), gradients))}',
        "            found.append(jax.tree_util.tree_leaves_with_path(named))",
        "        for (path, ours), (_, theirs) in zip(*found):",
        "            ours, theirs = np.asarray(ours), np.asarray(theirs)",
        "            error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1)",
        "            worst = max(worst, error)",
        "            where = 'all steps' if lengths is None else 'lengths'",
        '            print(f"{where:10} {jax.tree_util.keystr(path):30} {error:.1e}")',
        f'    print(f"{c.title}: {{worst:.1e}} from JAX\'s own gradient at most")',
        "    return 0 if worst < 1e-9 else 1",
        "",
        "",
        'if __name__ == "__main__":',
        "    sys.exit(main())",
    ]
