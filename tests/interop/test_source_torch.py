"""Cells as files of PyTorch: what they compute is what minirnn computes, wherever PyTorch runs them."""

import subprocess
import sys

import numpy as np
import pytest
from few import few
from own_cells import CrowdedCell, leaky_cell
from source_cases import LENGTHS, VECTOR_CELLS, assert_same, built, example, ours, written

from minirnn import tree

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'minirnn[peers]'")


def module_of(file, cell, fixed):
    """The file's module with the cell's weights."""
    sizes = () if fixed else (cell.input_size, cell.hidden_size)
    kind = next(
        value for value in vars(file).values() if isinstance(value, type) and issubclass(value, torch.nn.Module)
    )
    module = kind(*sizes, dtype=torch.float64)
    module.load_state_dict({k.replace(".", "_"): torch.tensor(v) for k, v in cell.state_dict().items()})
    return module


def theirs(file, module, xs, state, lengths):
    """As `ours`, of the file's module."""
    xs, *first = (torch.tensor(a, requires_grad=True) for a in (xs, *tree.leaves(state)))
    given = file.State(*first) if len(first) > 1 else first[0]
    y, final = module(xs, given, None if lengths is None else torch.tensor(lengths))
    final = list(final) if len(first) > 1 else [final]
    (torch.sin(y).sum() + sum(torch.cos(a).sum() for a in final)).backward()
    found = {"y": y, "d_xs": xs.grad}
    found |= {f"final {k}": a for k, a in enumerate(final)} | {f"d_state {k}": a.grad for k, a in enumerate(first)}
    found |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: np.zeros(()) if a is None else a.detach().numpy() for name, a in found.items()}


@pytest.mark.parametrize("name", few(VECTOR_CELLS, ("LSTM", "LayerNormLSTM", "PhasedLSTM", "mLSTM")))
def test_a_file_computes_what_minirnn_computes(name):
    cell, fixed = built(name)
    file, _ = written(name, "torch", fixed)
    xs, state = example(cell)
    for lengths in LENGTHS:
        expected = ours(cell, xs, state, lengths)
        assert_same(theirs(file, module_of(file, cell, fixed), xs, state, lengths), expected)


def test_names_may_be_those_that_a_file_uses_itself():
    cell = CrowdedCell(3, 4, rng=np.random.default_rng(0), dtype=np.float64)
    file, _ = written(CrowdedCell, "torch")
    xs, state = example(cell)
    found = theirs(file, module_of(file, cell, None), xs, state, LENGTHS[1])
    assert_same(found, ours(cell, xs, state, LENGTHS[1]))


@pytest.fixture(scope="module")
def file():
    return written(leaky_cell, "torch")[0]


@pytest.fixture(scope="module")
def module(file):
    return file.leaky_cell(2, 3, dtype=torch.float64)


def draw(*shape, **options):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), **options)


def loss(run, xs):
    return run(xs)[0].square().sum()


def test_a_file_tests_itself_and_needs_no_minirnn(tmp_path):
    path = tmp_path / "leaky.py"
    path.write_text(written(leaky_cell, "torch")[1])
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "from PyTorch's autograd at most" in done.stdout
    wrong = path.read_text().replace("d_h_t = d_h_next + ", "d_h_t = 2 * d_h_next + ")
    assert wrong != path.read_text()
    path.write_text(f"import sys\nsys.modules['minirnn'] = None\n{wrong}")
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # a wrong line is seen
    assert "from PyTorch's autograd at most" in done.stdout


def test_what_stands_past_an_end_is_not_seen(module):
    xs = draw(4, 2, 2)
    y, final = module(xs, lengths=[4, 2])
    xs[2:, 1] = torch.nan
    again, final_again = module(xs.requires_grad_(), lengths=[4, 2])
    assert torch.equal(y, again)
    assert torch.equal(final.h, final_again.h)
    assert not y[2:, 1].any()
    again.sum().backward()
    assert xs.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_second_derivatives_are_right(file, module):
    first = [torch.rand(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    scan = lambda *given: file.Scan.apply(*given, None)[:3]
    assert torch.autograd.gradgradcheck(scan, (draw(3, 2, 2, requires_grad=True), *first, *module.parameters()))


def test_batch_first_is_the_same_the_other_way_round(file, module):
    other = file.leaky_cell(2, 3, batch_first=True, dtype=torch.float64)
    other.load_state_dict(module.state_dict())
    xs = draw(4, 2, 2)
    assert torch.equal(other(xs.transpose(0, 1), lengths=[4, 2])[0].transpose(0, 1), module(xs, lengths=[4, 2])[0])


def test_transforms_of_torch_func_go_through(module):
    parameters = dict(module.named_parameters())
    of = lambda parameters, xs: loss(lambda xs: torch.func.functional_call(module, parameters, (xs,)), xs)
    sequences = draw(3, 4, 2, 2)
    together = torch.func.vmap(torch.func.grad(of), in_dims=(None, 0))(parameters, sequences)
    for k, xs in enumerate(sequences):
        alone = torch.autograd.grad(loss(module, xs), list(parameters.values()))
        for a, b in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(a[k], b)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # of PyTorch's own tracer
def test_compile_traces_it_whole(module):
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    xs = draw(4, 2, 2, requires_grad=True)
    for run in (compiled, module):
        found = torch.autograd.grad(loss(run, xs), [xs, *module.parameters()])
        torch.testing.assert_close(found, torch.autograd.grad(loss(module, xs), [xs, *module.parameters()]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_dtype_stays(file, dtype):
    module = file.leaky_cell(2, 3, dtype=dtype)
    y, final = module(draw(4, 2, 2).to(dtype), lengths=[4, 1])
    assert y.dtype == final.h.dtype == dtype
    y.float().sum().backward()
    assert all(parameter.grad.dtype == dtype for parameter in module.parameters())


def test_a_frozen_model_gives_gradients_of_its_input(file):
    module = file.leaky_cell(2, 3, dtype=torch.float64).requires_grad_(False)
    xs = draw(4, 2, 2, requires_grad=True)
    loss(module, xs).backward()
    assert xs.grad.any()


def test_gradients_share_no_memory():
    file, _ = written("LSTM", "torch")
    module = file.LSTM(2, 3)
    module(torch.randn(4, 2, 2))[0].sum().backward()
    module.bias_ih.grad.zero_()
    assert module.bias_hh.grad.any()


def test_no_steps_are_refused(module):
    with pytest.raises(ValueError, match="at least one step"):
        module(draw(0, 2, 2))
