"""A cell as one file of PyTorch: a module, the step, the pass over a sequence and back, a test of itself."""

from collections.abc import Mapping, Sequence

import numpy as np

from minirnn.interop.made import Made
from minirnn.interop.source.content import Content
from minirnn.interop.source.expressions import array_text
from minirnn.interop.source.layout import beside, comma, gradient_texts, indented, tuple_text
from minirnn.interop.source.sizes import bare, size
from minirnn.interop.source.start import Law
from minirnn.interop.source.torch_dialect import TorchDialect

__all__ = ["DIALECT", "RESERVED", "torch_file"]

DIALECT = TorchDialect()
RESERVED = {
    "torch",
    "sys",
    "repeat",
    "T",
    "B",
    "I",
    "H",
    "inside",
    "made",
    "softplus",
    "step",
    "steps",
    "ahead",
    "back",
    "wants_x",
}


def torch_file(c: Content) -> str:
    """The text of the file, its sizes marked."""
    parts = [_head(c), _module(c), c.step_function(), _steps(), _ahead(c), _back(c), _scan(c), _by_steps(c), _test(c)]
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


# ---------------------------------------------------------------- the head
def _head(c: Content) -> list[str]:
    text = c.head("PyTorch", "Run as a program, this file compares itself with PyTorch's own autograd.")
    lines = [f'"""{text}"""', "", "import sys", "from itertools import repeat"]
    lines += [*["from typing import NamedTuple"] * c.several, "", "import torch"]
    if c.several:
        lines += ["", "", "class State(NamedTuple):", '    """Each (B, ...)."""', ""]
        lines += [f"    {name}: torch.Tensor" for name in c.states]
    if any("softplus(" in line for line in c.code()):
        lines += ["", "", "def softplus(x):", '    """log(1 + exp(x)), exactly."""']
        lines += ["    return torch.logaddexp(x, torch.zeros_like(x))"]
    return lines


# ---------------------------------------------------------------- the module
def _module(c: Content) -> list[str]:
    sizes = [] if c.what.fixed else ["input_size", "hidden_size"]
    own = c.own_sizes()
    kept = ["self.input_size, self.hidden_size = input_size, hidden_size", own] if sizes else []
    keywords = ["batch_first=False", "device=None", "dtype=None"]
    zeros = [f"like.new_zeros({tuple_text(['batch_size', *map(size, shape)])})" for shape in c.state_shapes]
    return [
        f"class {c.title}(torch.nn.Module):",
        f'    """{c.title} over sequences: xs (T, B, I), or (B, T, I) with batch_first -> outputs, final state.',
        "",
        "    lengths (B,): past its end a sequence's state is held, and its outputs are 0.",
        '    """',
        "",
        f"    def __init__({comma(['self', *sizes, *keywords])}):",
        "        super().__init__()",
        *indented(kept, 2),
        "        self.batch_first = batch_first",
        '        made = {"device": device, "dtype": dtype}',
        *[
            f"        self.{c.attributes[name]} = "
            f"torch.nn.Parameter(torch.empty({tuple_text([*map(size, shape)])}, **made))"
            for name, shape in c.parameters.items()
        ],
        *[
            f'        self.register_buffer("{c.attributes[name]}", torch.tensor({array_text(array)}, '
            f"{'**made' if array.dtype.kind == 'f' else 'device=device'}))"
            for name, array in c.buffers.items()
        ],
        "        self.reset_parameters()",
        "",
        "    @torch.no_grad()",
        "    def reset_parameters(self):",
        *indented([own, *_start(c)], 2),
        "",
        "    def initial_state(self, batch_size):",
        *indented([own, f"like = self.{c.attributes[next(iter(c.parameters))]}"], 2),
        f"        return {f'State({comma(zeros)})' if c.several else zeros[0]}",
        "",
        "    def forward(self, xs, state=None, lengths=None):",
        "        return self.run(Scan.apply, xs, state, lengths)",
        "",
        "    def run(self, scan, xs, state=None, lengths=None):",
        '        """scan: Scan.apply, or by_steps, which autograd differentiates step by step."""',
        *indented(_run(c), 2),
    ]


def _run(c: Content) -> list[str]:
    given = [*c.inputs, *c.first, *[f"self.{c.attributes[name]}" for name in c.arguments], "inside"]
    state = "state" if c.several else "(state,)"
    return [
        "if self.batch_first:",
        "    xs = xs.transpose(0, 1)",
        "T, B = xs.shape[:2]",
        "if T == 0:",
        '    raise ValueError(f"xs has shape {tuple(xs.shape)}; at least one step was expected")',
        "inside = None",
        "if lengths is not None:",
        "    lengths = torch.as_tensor(lengths, device=xs.device)",
        "    inside = torch.arange(T, device=xs.device)[:, None] < lengths",
        "    xs = torch.where(inside[:, :, None], xs, xs[0].detach())  # also where nan stands",
        "if state is None:",
        "    state = self.initial_state(B)",
        f"{comma(c.first)}{',' * (not c.several)} = {state}",
        *[f"{name} = {_made(made, shape)}" for name, made, shape in c.inputs_made()],
        f"y, *final = scan({comma(given)})[:{1 + len(c.states)}]",
        "if inside is not None:",
        "    y = torch.where(inside[:, :, None], y, 0)",
        "if self.batch_first:",
        "    y = y.transpose(0, 1)",
        f"return y, {'State(*final)' if c.several else 'final[0]'}",
    ]


def _made(made: Made, shape: tuple[int, ...]) -> str:
    """What the steps take, of xs."""
    dims = comma(["T", "B", *map(size, shape)])
    kind = "xs.dtype" if made.dtype.kind == "f" else f"torch.{made.dtype.name}"
    if made.kind == "features":
        return f"xs[..., {size(made.first)}:{size(made.last)}]" if made.narrow else "xs"
    if made.kind == "steps":
        ones = comma([":", *["None"] * (1 + len(shape))])
        return f"torch.arange(T, dtype={kind}, device=xs.device)[{ones}].expand({dims})"
    value = np.frombuffer(made.value, made.dtype).reshape(made.shape)
    return f"torch.tensor({array_text(value)}, dtype={kind}, device=xs.device).expand({dims})"


def _start(c: Content) -> list[str]:
    """The parameters' start."""
    own = {name: f"self.{c.attributes[name]}" for name in c.parameters}
    drawn = {name: _drawn(own[name], name, c.laws.get(name)) for name in c.parameters}
    alike = {tuple([line.replace(own[name], "parameter") for line in lines]) for name, lines in drawn.items()}
    if len(alike) == 1 and len(drawn) > 1 and all(len(lines) == 1 for lines in drawn.values()):
        return ["for parameter in self.parameters():", f"    {next(iter(alike))[0]}"]
    return [line for lines in drawn.values() for line in lines]


def _drawn(what: str, name: str, law: Law | None) -> list[str]:
    if law is None:
        said = f"# minirnn draws {name} in a way of its own, which this file has not: set it as you need it"
        return [said, f"torch.nn.init.normal_({what}, 0, 0.1)"]
    if law.kind == "blocks":
        blocks = [f"{name}_{k}" for k in range(len(law.values))]
        lines = [f"{comma(blocks)} = {what}.chunk({len(blocks)})"]
        return lines + [line for pair in zip(blocks, law.values, strict=True) for line in _drawn(pair[0], *pair)]
    numbers = [bare(value) for value in law.values]
    match law.kind:
        case "constant":
            return [f"{what}.fill_({numbers[0]})"]
        case "uniform":
            return [f"{what}.uniform_({numbers[0]}, {numbers[1]})"]
        case "normal":
            return [f"{what}.normal_(0, {numbers[0]})"]
        case "exp" | "log":
            return [f"{what}.uniform_({numbers[0]}, {numbers[1]}).{law.kind}_(){'.neg_()' * (law.values[2] < 0)}"]
        case "orthogonal":
            return [f"torch.nn.init.orthogonal_({what}, {numbers[0]})"]
        case "identity":
            return [f"torch.nn.init.eye_({what}){f'.mul_({numbers[0]})' * (law.values[0] != 1)}"]
    return [f"{what}.copy_(torch.linspace({numbers[0]}, {numbers[1]}, {what}.numel()))"]


# ---------------------------------------------------------------- the passes over time
def _steps() -> list[str]:
    return [
        "def steps(*sequences, backwards=False):",
        '    """The values of each step, one step after another; None of None."""',
        "    every = [repeat(None) if a is None else a.unbind(0)[:: -1 if backwards else 1] for a in sequences]",
        "    return zip(*every)",
    ]


def _loop(c: Content, reads: Sequence[str], how: str = "") -> str:
    names = list(reads) or [next(iter(c.inputs))]
    return f"for {comma([*(f'{name}_t' for name in names), 'inside_t'])} in steps({comma([*names, 'inside'])}{how}):"


def _gathered(names: Sequence[str], steps: str) -> list[str]:
    """The sequences, of what every step left."""
    return [f"{comma(names)}{',' * (len(names) == 1)} = map(torch.stack, zip(*{steps}))"] if names else []


def _left(collected: Mapping[str, str]) -> list[str]:
    return [f"made.append({tuple_text(list(collected.values()))})"] if collected else []


def _ahead(c: Content) -> list[str]:
    d, states = c.plan.forward, [f"{name}_t" for name in c.states]
    held = [
        f"    {new} = torch.where({beside(shape)}, {new}, {old})"
        for new, old, shape in zip(states, c.previous, c.state_shapes, strict=True)
    ]
    return [
        f"def ahead({comma([*c.inputs, *c.first, *c.arguments, 'inside'])}):",
        '    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""',
        f"    {c.batch_line()}",
        f"    {c.sizes_line(c.first)}",
        *indented([*d.once, *d.before, f"{comma(c.previous)} = {comma(c.first)}", "made = []"]),
        f"    {_loop(c, d.reads)}",
        *indented(d.loop, 2),
        *indented(
            ["if inside_t is not None:", *held, *_left(d.collected), f"{comma(c.previous)} = {comma(states)}"], 2
        ),
        *indented([*_gathered(list(d.collected), "made"), *d.after]),
        f"    return {comma([c.plan.output, *c.previous, *c.saved])}",
    ]


def _back(c: Content) -> list[str]:
    d = c.plan.backward
    running = [f"d_{name}_next" for name in c.states]
    given = [c.d_y, *running, *c.inputs, *c.first, *c.arguments, "inside", *c.plan.saved]
    before = [f"{old} = torch.cat(({old[:-5]}_0[None], {old[:-5]}[:-1]))" for old in c.plan.before]
    of_x = {name: d.results.get(("d_input", path), "None") for path, name in c.input_paths.items()}
    late = _late(c)
    gradients = [*gradient_texts(of_x, "torch"), *running, *gradient_texts(c.parameter_gradients, "torch")]
    past = [
        f"past_{name} = torch.where({beside(shape)}, 0, {name})"
        for name, shape in zip(running, c.state_shapes, strict=True)
    ]
    return [
        f"def back({comma([*given, *['wants_x'] * bool(late)])}):",
        '    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""',
        f"    {c.batch_line()}",
        f"    {c.sizes_line(c.first)}",
        *indented([*before, *d.once, *d.before, "made = []"]),
        f"    {_loop(c, d.reads, ', backwards=True')}",
        "        if inside_t is not None:  # past its end a sequence hands on what comes",
        *indented([*past, *[f"{name} = {name} - past_{name}" for name in running]], 3),
        *indented([*d.loop, *_left(d.collected), f"{comma(running)} = {comma(d.states)}"], 2),
        "        if inside_t is not None:",
        *indented([f"{name} = {name} + past_{name}" for name in running], 3),
        *indented([*_gathered(list(d.collected), "reversed(made)"), *d.after, *[f"{name} = None" for name in late]]),
        *(["    if wants_x:", *indented(d.for_x, 2)] if late else []),
        f"    return {comma(gradients)}",
    ]


def _late(c: Content) -> list[str]:
    """The gradients of inputs for which there are lines of their own."""
    texts = [c.plan.backward.results.get(("d_input", path), "None") for path in c.input_paths]
    return [text for text in texts if any(line.startswith(f"{text} = ") for line in c.plan.backward.for_x)]


# ---------------------------------------------------------------- the function
def _scan(c: Content) -> list[str]:
    cotangents = [f"d_{name}_last" for name in c.states]
    count = len(c.inputs) + len(c.states) + len(c.arguments) + 1
    late = ["ctx.needs_input_grad[0]"] * bool(_late(c))
    return [
        "class Scan(torch.autograd.Function):",
        '    """`ahead`, whose backward pass is `back`; second derivatives come from autograd of the steps."""',
        "",
        "    generate_vmap_rule = True",
        "    forward = staticmethod(ahead)",
        "",
        "    @staticmethod",
        "    def setup_context(ctx, inputs, output):",
        f"        ctx.mark_non_differentiable(*output[{1 + len(c.states)}:])",
        "        ctx.set_materialize_grads(False)",
        "        ctx.save_for_backward(*inputs, *output)",
        "",
        "    @staticmethod",
        f"    def backward(ctx, {comma(['d_y', *cotangents, '*_'])}):",
        f"        inputs, outputs = ctx.saved_tensors[:{count}], ctx.saved_tensors[{count}:]",
        f"        given = {comma(['d_y', *cotangents])}",
        "        cotangents = [torch.zeros_like(a) if d is None else d for a, d in zip(outputs, given)]",
        "        if torch.is_grad_enabled():",
        "            inputs = [a if a is None else a.view_as(a) for a in inputs]",
        "            pairs = [pair for pair in zip(by_steps(*inputs), cotangents) if pair[0].requires_grad]",
        "            wanted = [a for a, needed in zip(inputs, ctx.needs_input_grad) if needed]",
        "            results, weights = zip(*pairs)",
        "            made = iter(torch.autograd.grad(results, wanted, weights, create_graph=True, allow_unused=True))",
        "            return tuple(next(made) if needed else None for needed in ctx.needs_input_grad)",
        f"        {comma([c.plan.output, *['_'] * len(c.states), *c.saved])}{',' * (not c.saved)} = outputs",
        f"        return (*back({comma(['*cotangents', '*inputs', *c.plan.saved, *late])}), None)",
    ]


def _by_steps(c: Content) -> list[str]:
    xs = [f"{name}[t]" for name in c.inputs]
    return [
        f"def by_steps({comma([*c.inputs, *c.first, *c.arguments, 'inside'])}):",
        '    """Outputs and final state, one `step` after another."""',
        f"    state, ys = {tuple_text(c.first)}, []",
        f"    for t in range(len({next(iter(c.inputs))})):",
        f"        y, new = step({comma([*xs, '*state', *c.arguments])})",
        "        if inside is not None:",
        "            mask = [inside[t].reshape(-1, *[1] * (a.dim() - 1)) for a in new]",
        "            new = [torch.where(*three) for three in zip(mask, new, state)]",
        "        state = new",
        "        ys.append(y)",
        "    return torch.stack(ys), *state",
    ]


def _test(c: Content) -> list[str]:
    sizes = "" if c.what.fixed else "3, 8, "
    features = c.what.fixed[0] if c.what.fixed else 3
    names = ["outputs", *(f"final {name}" for name in c.states), "d_xs", *(f"d_{name}" for name in c.states)]
    return [
        "def main():",
        '    """Compare the derived backward pass with autograd of the steps."""',
        "    torch.manual_seed(0)",
        f"    module = {c.title}({sizes}dtype=torch.float64)",
        "    parameters = dict(module.named_parameters())",
        f"    names = [{comma([repr(name) for name in names]).replace(chr(39), chr(34))}, *parameters]",
        "    worst = 0.0",
        "    for lengths in None, torch.tensor([7, 4, 1]):",
        f"        xs = torch.randn(7, 3, {features}, dtype=torch.float64, requires_grad=True)",
        f"        state = {'' if c.several else '['}module.initial_state(3){'' if c.several else ']'}",
        "        first = [torch.rand_like(a).requires_grad_() for a in state]",
        "        found = []",
        "        for scan in Scan.apply, by_steps:",
        f"            y, final = module.run(scan, xs, {'State(*first)' if c.several else 'first[0]'}, lengths)",
        f"            results = [y, {'*final' if c.several else 'final'}]",
        "            loss = sum((a * a.detach().cos()).sum() for a in results)",
        "            wanted = [xs, *first, *parameters.values()]",
        "            found.append([*results, *torch.autograd.grad(loss, wanted, materialize_grads=True)])",
        "        for name, ours, autograds in zip(names, *found):",
        "            error = ((ours - autograds).abs().max() / autograds.abs().max().clamp(min=1)).item()",
        "            worst = max(worst, error)",
        "            print(f\"{'all steps' if lengths is None else 'lengths':10} {name:20} {error:.1e}\")",
        f'    print(f"{c.title}: {{worst:.1e}} from PyTorch\'s autograd at most")',
        "    return 0 if worst < 1e-9 else 1",
        "",
        "",
        'if __name__ == "__main__":',
        "    sys.exit(main())",
    ]
