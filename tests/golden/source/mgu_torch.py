"""MGU in PyTorch, forward and backward over whole sequences.

The minimal gated unit. State and output: h (B, H).

MGU, the minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420).

    f = sigmoid(W_f x + U_f h + b_f)
    h~ = tanh(W_h x + U_h (f * h) + b_h)
    h' = (1 - f) * h + f * h~

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order f, h. One gate does the work of a GRU's two, it
chooses what the candidate sees of the past and how much of the past is kept: a GRU's accuracy at two thirds of its
parameters.

Written by minirnn 0.1.0 from the cell's step. The backward pass is derived from it, and written out below.
In loops f_t is the value of a step; f is that of all steps, (T, B, ...); d_f is the loss's gradient by f. Run as a
program, this file compares itself with PyTorch's own autograd.
"""

import sys
from itertools import repeat

import torch


class MGU(torch.nn.Module):
    """MGU over sequences: xs (T, B, I), or (B, T, I) with batch_first -> outputs, final state.

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
        return like.new_zeros((batch_size, H))

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
        h_0, = (state,)
        x = xs
        y, *final = scan(x, h_0, self.w, self.u, self.b, inside)[:2]
        if inside is not None:
            y = torch.where(inside[:, :, None], y, 0)
        if self.batch_first:
            y = y.transpose(0, 1)
        return y, final[0]


def step(x, h_prev, w, u, b):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ w.T + b
    f = torch.sigmoid(a[:, :H] + h_prev @ u[:H].T)
    candidate = torch.tanh(a[:, H:] + f * h_prev @ u[H:].T)
    h = (1 - f) * h_prev + f * candidate
    return h, (h,)


def steps(*sequences, backwards=False):
    """The values of each step, one step after another; None of None."""
    every = [repeat(None) if a is None else a.unbind(0)[:: -1 if backwards else 1] for a in sequences]
    return zip(*every)


def ahead(x, h_0, w, u, b, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    u_f = u[:H]
    u_h = u[H:]
    a_x = x @ w.T + b
    x_f = a_x[..., :H]
    x_h = a_x[..., H:]
    h_prev = h_0
    made = []
    for x_f_t, x_h_t, inside_t in steps(x_f, x_h, inside):
        f_t = torch.sigmoid(torch.addmm(x_f_t, h_prev, u_f.T))
        candidate_t = torch.tanh(torch.addmm(x_h_t, f_t * h_prev, u_h.T))
        h_t = (1 - f_t) * h_prev + f_t * candidate_t
        if inside_t is not None:
            h_t = torch.where(inside_t[:, None], h_t, h_prev)
        made.append((f_t, candidate_t, h_t))
        h_prev = h_t
    f, candidate, h = map(torch.stack, zip(*made))
    return h, h_prev, f, candidate


def back(d_y, d_h_next, x, h_0, w, u, b, inside, f, candidate, h, wants_x):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    H = h_0.shape[1]
    h_prev = torch.cat((h_0[None], h[:-1]))
    u_f = u[:H]
    u_h = u[H:]
    k = 1 - f
    k2 = f * k
    k3 = f * (1 - candidate * candidate)
    made = []
    for d_y_t, k3_t, candidate_t, h_prev_t, k2_t, f_t, k_t, inside_t in steps(
        d_y, k3, candidate, h_prev, k2, f, k, inside, backwards=True
    ):
        if inside_t is not None:  # past its end a sequence hands on what comes
            past_d_h_next = torch.where(inside_t[:, None], 0, d_h_next)
            d_h_next = d_h_next - past_d_h_next
        d_h_t = d_h_next + d_y_t
        d_x_h_t = k3_t * d_h_t
        d_t = d_x_h_t @ u_h
        d_f_t = candidate_t * d_h_t + h_prev_t * d_t - h_prev_t * d_h_t
        d_x_f_t = k2_t * d_f_t
        d_h_prev_t = torch.addmm(f_t * d_t + k_t * d_h_t, d_x_f_t, u_f)
        made.append((d_x_h_t, d_x_f_t))
        d_h_next = d_h_prev_t
        if inside_t is not None:
            d_h_next = d_h_next + past_d_h_next
    d_x_h, d_x_f = map(torch.stack, zip(*reversed(made)))
    d_a_x = torch.cat((d_x_f, d_x_h), -1)
    d_w = d_a_x.flatten(0, 1).T @ x.flatten(0, 1)
    d2 = d_x_f.flatten(0, 1).T @ h_prev.flatten(0, 1)
    d3 = d_x_h.flatten(0, 1).T @ (f * h_prev).flatten(0, 1)
    d_b = d_a_x.sum((0, 1))
    d_u = torch.cat((d2, d3), -2)
    d_x = None
    if wants_x:
        d_x = d_a_x @ w
    return d_x, d_h_next, d_w, d_u, d_b


class Scan(torch.autograd.Function):
    """`ahead`, whose backward pass is `back`; second derivatives come from autograd of the steps."""

    generate_vmap_rule = True
    forward = staticmethod(ahead)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx, d_y, d_h_last, *_):
        inputs, outputs = ctx.saved_tensors[:6], ctx.saved_tensors[6:]
        given = d_y, d_h_last
        cotangents = [torch.zeros_like(a) if d is None else d for a, d in zip(outputs, given)]
        if torch.is_grad_enabled():
            inputs = [a if a is None else a.view_as(a) for a in inputs]
            pairs = [pair for pair in zip(by_steps(*inputs), cotangents) if pair[0].requires_grad]
            wanted = [a for a, needed in zip(inputs, ctx.needs_input_grad) if needed]
            results, weights = zip(*pairs)
            made = iter(torch.autograd.grad(results, wanted, weights, create_graph=True, allow_unused=True))
            return tuple(next(made) if needed else None for needed in ctx.needs_input_grad)
        h, _, f, candidate = outputs
        return (*back(*cotangents, *inputs, f, candidate, h, ctx.needs_input_grad[0]), None)


def by_steps(x, h_0, w, u, b, inside):
    """Outputs and final state, one `step` after another."""
    state, ys = (h_0,), []
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
    module = MGU(3, 8, dtype=torch.float64)
    parameters = dict(module.named_parameters())
    names = ["outputs", "final h", "d_xs", "d_h", *parameters]
    worst = 0.0
    for lengths in None, torch.tensor([7, 4, 1]):
        xs = torch.randn(7, 3, 3, dtype=torch.float64, requires_grad=True)
        state = [module.initial_state(3)]
        first = [torch.rand_like(a).requires_grad_() for a in state]
        found = []
        for scan in Scan.apply, by_steps:
            y, final = module.run(scan, xs, first[0], lengths)
            results = [y, final]
            loss = sum((a * a.detach().cos()).sum() for a in results)
            wanted = [xs, *first, *parameters.values()]
            found.append([*results, *torch.autograd.grad(loss, wanted, materialize_grads=True)])
        for name, ours, autograds in zip(names, *found):
            error = ((ours - autograds).abs().max() / autograds.abs().max().clamp(min=1)).item()
            worst = max(worst, error)
            print(f"{'all steps' if lengths is None else 'lengths':10} {name:20} {error:.1e}")
    print(f"MGU: {worst:.1e} from PyTorch's autograd at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
