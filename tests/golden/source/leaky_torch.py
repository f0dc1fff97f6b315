"""leaky_cell in PyTorch, forward and backward over whole sequences.

A leaky unit beside a fast trace.

z, n = W x + U h + b
fast' = decay * fast + (1 - decay) * tanh(n)
h' = (1 - sigmoid(z)) * h + sigmoid(z) * fast'

Written by minirnn 0.1.0 from the cell's step, with decay=0.5. The backward pass is derived from it, and written out
below.
In loops f_t is the value of a step; f is that of all steps, (T, B, ...); d_f is the loss's gradient by f. Run as a
program, this file compares itself with PyTorch's own autograd.
"""

import sys
from itertools import repeat
from typing import NamedTuple

import torch


class State(NamedTuple):
    """Each (B, ...)."""

    h: torch.Tensor
    fast: torch.Tensor


class leaky_cell(torch.nn.Module):
    """leaky_cell over sequences: xs (T, B, I), or (B, T, I) with batch_first -> outputs, final state.

    lengths (B,): past its end a sequence's state is held, and its outputs are 0.
    """

    def __init__(self, input_size, hidden_size, batch_first=False, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        I = self.input_size
        H = self.hidden_size
        self.batch_first = batch_first
        made = {"device": device, "dtype": dtype}
        self.w = torch.nn.Parameter(torch.empty((2 * H, I), **made))
        self.u = torch.nn.Parameter(torch.empty((2 * H, H), **made))
        self.b = torch.nn.Parameter(torch.empty((2 * H,), **made))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        H = self.hidden_size
        for parameter in self.parameters():
            parameter.uniform_(-(H ** -0.5), H ** -0.5)

    def initial_state(self, batch_size):
        H = self.hidden_size
        like = self.w
        return State(like.new_zeros((batch_size, H)), like.new_zeros((batch_size, H)))

    def forward(self, xs, state=None, lengths=None):
        return self.run(Scan.apply, xs, state, lengths)

    def run(self, scan, xs, state=None, lengths=None):
        """scan: Scan.apply, or by_steps, which autograd differentiates step by step."""
        if self.batch_first:
            xs = xs.transpose(0, 1)
        T, B = xs.shape[:2]
        if T == 0:
            raise ValueError(f"xs has shape {tuple(xs.shape)}; at least one step was expected")
        inside = None
        if lengths is not None:
            lengths = torch.as_tensor(lengths, device=xs.device)
            inside = torch.arange(T, device=xs.device)[:, None] < lengths
            xs = torch.where(inside[:, :, None], xs, xs[0].detach())  # also where nan stands
        if state is None:
            state = self.initial_state(B)
        h_0, fast_0 = state
        x = xs
        y, *final = scan(x, h_0, fast_0, self.w, self.u, self.b, inside)[:3]
        if inside is not None:
            y = torch.where(inside[:, :, None], y, 0)
        if self.batch_first:
            y = y.transpose(0, 1)
        return y, State(*final)


def step(x, h_prev, fast_prev, w, u, b):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ w.T + h_prev @ u.T + b
    z = 1 / (1 + torch.exp(-a[:, :H]))
    fast = 0.5 * fast_prev + 0.5 * torch.tanh(a[:, H:])
    h = (1 - z) * h_prev + z * fast
    y = h * fast
    return y, (h, fast)


def steps(*sequences, backwards=False):
    """The values of each step, one step after another; None of None."""
    every = [repeat(None) if a is None else a.unbind(0)[:: -1 if backwards else 1] for a in sequences]
    return zip(*every)


def ahead(x, h_0, fast_0, w, u, b, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    x_a = b + x @ w.T
    h_prev, fast_prev = h_0, fast_0
    made = []
    for x_a_t, inside_t in steps(x_a, inside):
        a_t = torch.addmm(x_a_t, h_prev, u.T)
        a_z_t = torch.exp(-a_t[:, :H])
        z_t = 1 / (1 + a_z_t)
        a_fast_t = torch.tanh(a_t[:, H:])
        fast_t = 0.5 * fast_prev + 0.5 * a_fast_t
        h_t = (1 - z_t) * h_prev + z_t * fast_t
        if inside_t is not None:
            h_t = torch.where(inside_t[:, None], h_t, h_prev)
            fast_t = torch.where(inside_t[:, None], fast_t, fast_prev)
        made.append((a_z_t, z_t, a_fast_t, fast_t, h_t))
        h_prev, fast_prev = h_t, fast_t
    a_z, z, a_fast, fast, h = map(torch.stack, zip(*made))
    y = h * fast
    return y, h_prev, fast_prev, a_z, z, a_fast, fast, h


def back(d_y, d_h_next, d_fast_next, x, h_0, fast_0, w, u, b, inside, a_z, z, a_fast, fast, h, wants_x):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    h_prev = torch.cat((h_0[None], h[:-1]))
    d = fast * d_y
    k = 1 + a_z
    k2 = k * k
    k3 = 1 - z
    d2 = h * d_y
    k4 = 1 - a_fast * a_fast
    made = []
    for d_t, a_z_t, fast_t, h_prev_t, k2_t, d2_t, z_t, k4_t, k3_t, inside_t in steps(
        d, a_z, fast, h_prev, k2, d2, z, k4, k3, inside, backwards=True
    ):
        if inside_t is not None:  # past its end a sequence hands on what comes
            past_d_h_next = torch.where(inside_t[:, None], 0, d_h_next)
            past_d_fast_next = torch.where(inside_t[:, None], 0, d_fast_next)
            d_h_next = d_h_next - past_d_h_next
            d_fast_next = d_fast_next - past_d_fast_next
        d_h_t = d_h_next + d_t
        d3_t = a_z_t * (-(fast_t * d_h_t - h_prev_t * d_h_t) / k2_t)
        d_fast_prev_t = 0.5 * (d2_t + d_fast_next + z_t * d_h_t)
        d_a_t = torch.cat((-d3_t, d_fast_prev_t * k4_t), -1)
        d_h_prev_t = torch.addmm(k3_t * d_h_t, d_a_t, u)
        made.append((d_a_t,))
        d_h_next, d_fast_next = d_h_prev_t, d_fast_prev_t
        if inside_t is not None:
            d_h_next = d_h_next + past_d_h_next
            d_fast_next = d_fast_next + past_d_fast_next
    d_a, = map(torch.stack, zip(*reversed(made)))
    d_w = d_a.flatten(0, 1).T @ x.flatten(0, 1)
    d_u = d_a.flatten(0, 1).T @ h_prev.flatten(0, 1)
    d_b = d_a.sum((0, 1))
    d_x = None
    if wants_x:
        d_x = d_a @ w
    return d_x, d_h_next, d_fast_next, d_w, d_u, d_b


class Scan(torch.autograd.Function):
    """`ahead`, whose backward pass is `back`; second derivatives come from autograd of the steps."""

    generate_vmap_rule = True
    forward = staticmethod(ahead)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(*output[3:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx, d_y, d_h_last, d_fast_last, *_):
        inputs, outputs = ctx.saved_tensors[:7], ctx.saved_tensors[7:]
        given = d_y, d_h_last, d_fast_last
        cotangents = [torch.zeros_like(a) if d is None else d for a, d in zip(outputs, given)]
        if torch.is_grad_enabled():
            inputs = [a if a is None else a.view_as(a) for a in inputs]
            pairs = [pair for pair in zip(by_steps(*inputs), cotangents) if pair[0].requires_grad]
            wanted = [a for a, needed in zip(inputs, ctx.needs_input_grad) if needed]
            results, weights = zip(*pairs)
            made = iter(torch.autograd.grad(results, wanted, weights, create_graph=True, allow_unused=True))
            return tuple(next(made) if needed else None for needed in ctx.needs_input_grad)
        y, _, _, a_z, z, a_fast, fast, h = outputs
        return (*back(*cotangents, *inputs, a_z, z, a_fast, fast, h, ctx.needs_input_grad[0]), None)


def by_steps(x, h_0, fast_0, w, u, b, inside):
    """Outputs and final state, one `step` after another."""
    state, ys = (h_0, fast_0), []
    for t in range(len(x)):
        y, new = step(x[t], *state, w, u, b)
        if inside is not None:
            mask = [inside[t].reshape(-1, *[1] * (a.dim() - 1)) for a in new]
            new = [torch.where(*three) for three in zip(mask, new, state)]
        state = new
        ys.append(y)
    return torch.stack(ys), *state


def main():
    """Compare the derived backward pass with autograd of the steps."""
    torch.manual_seed(0)
    module = leaky_cell(3, 8, dtype=torch.float64)
    parameters = dict(module.named_parameters())
    names = ["outputs", "final h", "final fast", "d_xs", "d_h", "d_fast", *parameters]
    worst = 0.0
    for lengths in None, torch.tensor([7, 4, 1]):
        xs = torch.randn(7, 3, 3, dtype=torch.float64, requires_grad=True)
        state = module.initial_state(3)
        first = [torch.rand_like(a).requires_grad_() for a in state]
        found = []
        for scan in Scan.apply, by_steps:
            y, final = module.run(scan, xs, State(*first), lengths)
            results = [y, *final]
            loss = sum((a * a.detach().cos()).sum() for a in results)
            wanted = [xs, *first, *parameters.values()]
            found.append([*results, *torch.autograd.grad(loss, wanted, materialize_grads=True)])
        for name, ours, autograds in zip(names, *found):
            error = ((ours - autograds).abs().max() / autograds.abs().max().clamp(min=1)).item()
            worst = max(worst, error)
            print(f"{'all steps' if lengths is None else 'lengths':10} {name:20} {error:.1e}")
    print(f"leaky_cell: {worst:.1e} from PyTorch's autograd at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
