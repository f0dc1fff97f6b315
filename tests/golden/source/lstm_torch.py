"""LSTM in PyTorch, forward and backward over whole sequences.

One step of an LSTM. h, c: (B, H), x: (B, I), weights (4H, I) and (4H, H) in the order i, f, g, o -> h', c'.

i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      write (input gate)
f = sigmoid(W_if x + b_if + W_hf h + b_hf)      keep (forget gate)
g = tanh(W_ig x + b_ig + W_hg h + b_hg)         what to write
o = sigmoid(W_io x + b_io + W_ho h + b_ho)      show (output gate)
c' = f * c + i * g
h' = o * tanh(c')                               and with weight_hr (P, H), h' = W_hr (o * tanh(c'))

Written by minirnn 0.1.0 from the cell's step, with proj_size=0, bias=True. The backward pass is derived from it,
and written out below.
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
    c: torch.Tensor


class LSTM(torch.nn.Module):
    """LSTM over sequences: xs (T, B, I), or (B, T, I) with batch_first -> outputs, final state.

    lengths (B,): past its end a sequence's state is held, and its outputs are 0.
    """

    def __init__(self, input_size, hidden_size, batch_first=False, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        I = self.input_size
        H = self.hidden_size
        self.batch_first = batch_first
        made = {"device": device, "dtype": dtype}
        self.weight_ih = torch.nn.Parameter(torch.empty((4 * H, I), **made))
        self.weight_hh = torch.nn.Parameter(torch.empty((4 * H, H), **made))
        self.bias_ih = torch.nn.Parameter(torch.empty((4 * H,), **made))
        self.bias_hh = torch.nn.Parameter(torch.empty((4 * H,), **made))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        H = self.hidden_size
        for parameter in self.parameters():
            parameter.uniform_(-(H ** -0.5), H ** -0.5)

    def initial_state(self, batch_size):
        H = self.hidden_size
        like = self.weight_ih
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
        h_0, c_0 = state
        x = xs
        y, *final = scan(x, h_0, c_0, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, inside)[:3]
        if inside is not None:
            y = torch.where(inside[:, :, None], y, 0)
        if self.batch_first:
            y = y.transpose(0, 1)
        return y, State(*final)


def step(x, h_prev, c_prev, weight_ih, weight_hh, bias_ih, bias_hh):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ weight_ih.T + bias_ih + (h_prev @ weight_hh.T + bias_hh)
    i = torch.sigmoid(a[:, :H])
    f = torch.sigmoid(a[:, H:2 * H])
    g = torch.tanh(a[:, 2 * H:3 * H])
    o = torch.sigmoid(a[:, 3 * H:])
    c = f * c_prev + i * g
    h = o * torch.tanh(c)
    return h, (h, c)


def steps(*sequences, backwards=False):
    """The values of each step, one step after another; None of None."""
    every = [repeat(None) if a is None else a.unbind(0)[:: -1 if backwards else 1] for a in sequences]
    return zip(*every)


def ahead(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    b = bias_ih + bias_hh
    x_a = b + x @ weight_ih.T
    h_prev, c_prev = h_0, c_0
    made = []
    for x_a_t, inside_t in steps(x_a, inside):
        a_t = torch.addmm(x_a_t, h_prev, weight_hh.T)
        i_t = torch.sigmoid(a_t[:, :H])
        f_t = torch.sigmoid(a_t[:, H:2 * H])
        g_t = torch.tanh(a_t[:, 2 * H:3 * H])
        o_t = torch.sigmoid(a_t[:, 3 * H:])
        c_t = f_t * c_prev + i_t * g_t
        tanh_c_t = torch.tanh(c_t)
        h_t = o_t * tanh_c_t
        if inside_t is not None:
            h_t = torch.where(inside_t[:, None], h_t, h_prev)
            c_t = torch.where(inside_t[:, None], c_t, c_prev)
        made.append((i_t, f_t, g_t, o_t, tanh_c_t, h_t, c_t))
        h_prev, c_prev = h_t, c_t
    i, f, g, o, tanh_c, h, c = map(torch.stack, zip(*made))
    return h, h_prev, c_prev, i, f, g, o, tanh_c, c


def back(
    d_y, d_h_next, d_c_next, x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside, i, f, g, o, tanh_c, h, c,
    wants_x
):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    c_prev = torch.cat((c_0[None], c[:-1]))
    h_prev = torch.cat((h_0[None], h[:-1]))
    k = i * g * (1 - i)
    k2 = o * (1 - tanh_c * tanh_c)
    k3 = f * c_prev * (1 - f)
    k4 = i * (1 - g * g)
    k5 = h * (1 - o)
    made = []
    for d_y_t, k2_t, k_t, k3_t, k4_t, k5_t, f_t, inside_t in steps(
        d_y, k2, k, k3, k4, k5, f, inside, backwards=True
    ):
        if inside_t is not None:  # past its end a sequence hands on what comes
            past_d_h_next = torch.where(inside_t[:, None], 0, d_h_next)
            past_d_c_next = torch.where(inside_t[:, None], 0, d_c_next)
            d_h_next = d_h_next - past_d_h_next
            d_c_next = d_c_next - past_d_c_next
        d_h_t = d_h_next + d_y_t
        d_c_t = d_c_next + k2_t * d_h_t
        d_a_t = torch.cat((k_t * d_c_t, k3_t * d_c_t, k4_t * d_c_t, k5_t * d_h_t), -1)
        d_h_prev_t = d_a_t @ weight_hh
        d_c_prev_t = f_t * d_c_t
        made.append((d_a_t,))
        d_h_next, d_c_next = d_h_prev_t, d_c_prev_t
        if inside_t is not None:
            d_h_next = d_h_next + past_d_h_next
            d_c_next = d_c_next + past_d_c_next
    d_a, = map(torch.stack, zip(*reversed(made)))
    d_weight_ih = d_a.flatten(0, 1).T @ x.flatten(0, 1)
    d_weight_hh = d_a.flatten(0, 1).T @ h_prev.flatten(0, 1)
    d_bias_ih = d_a.sum((0, 1))
    d_x = None
    if wants_x:
        d_x = d_a @ weight_ih
    return d_x, d_h_next, d_c_next, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_ih


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
    def backward(ctx, d_y, d_h_last, d_c_last, *_):
        inputs, outputs = ctx.saved_tensors[:8], ctx.saved_tensors[8:]
        given = d_y, d_h_last, d_c_last
        cotangents = [torch.zeros_like(a) if d is None else d for a, d in zip(outputs, given)]
        if torch.is_grad_enabled():
            inputs = [a if a is None else a.view_as(a) for a in inputs]
            pairs = [pair for pair in zip(by_steps(*inputs), cotangents) if pair[0].requires_grad]
            wanted = [a for a, needed in zip(inputs, ctx.needs_input_grad) if needed]
            results, weights = zip(*pairs)
            made = iter(torch.autograd.grad(results, wanted, weights, create_graph=True, allow_unused=True))
            return tuple(next(made) if needed else None for needed in ctx.needs_input_grad)
        h, _, _, i, f, g, o, tanh_c, c = outputs
        return (*back(*cotangents, *inputs, i, f, g, o, tanh_c, h, c, ctx.needs_input_grad[0]), None)


def by_steps(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside):
    """Outputs and final state, one `step` after another."""
    state, ys = (h_0, c_0), []
    for t in range(len(x)):
        y, new = step(x[t], *state, weight_ih, weight_hh, bias_ih, bias_hh)
        if inside is not None:
            mask = [inside[t].reshape(-1, *[1] * (a.dim() - 1)) for a in new]
            new = [torch.where(*three) for three in zip(mask, new, state)]
        state = new
        ys.append(y)
    return torch.stack(ys), *state


def main():
    """Compare the derived backward pass with autograd of the steps."""
    torch.manual_seed(0)
    module = LSTM(3, 8, dtype=torch.float64)
    parameters = dict(module.named_parameters())
    names = ["outputs", "final h", "final c", "d_xs", "d_h", "d_c", *parameters]
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
    print(f"LSTM: {worst:.1e} from PyTorch's autograd at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
