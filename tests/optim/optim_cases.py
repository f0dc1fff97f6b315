"""The optimisers with the options that tests hold against torch.optim, and the run that both sides make."""

from typing import Any, NamedTuple

import numpy as np

STEPS = 24


class OptimCase(NamedTuple):
    rule: str  # the name in minirnn.optim and in torch.optim
    options: dict[str, Any]

    def __str__(self):
        return "-".join([self.rule, *(f"{option}={value}" for option, value in self.options.items())])


MANY = {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.3}
CASES = [
    OptimCase("SGD", {}),
    OptimCase("SGD", {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    OptimCase("SGD", {"lr": 0.1, "momentum": 0.9}),
    OptimCase("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    OptimCase("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    OptimCase("Adagrad", {}),
    OptimCase("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.05, "initial_accumulator_value": 0.3}),
    OptimCase("Adagrad", {"lr": 0.1, "eps": 1e-2, "maximize": True}),
    OptimCase("RMSprop", {}),
    OptimCase("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.05}),
    OptimCase("RMSprop", {"lr": 0.02, "momentum": 0.7, "maximize": True}),
    OptimCase("RMSprop", {"lr": 0.02, "centered": True}),
    OptimCase("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.7, "weight_decay": 0.05}),
    OptimCase("Adam", {}),
    OptimCase("Adam", MANY),
    OptimCase("Adam", {"amsgrad": True, "maximize": True}),
    OptimCase("AdamW", {}),
    OptimCase("AdamW", MANY),
    OptimCase("AdamW", {**MANY, "amsgrad": True, "maximize": True}),
]


def start(dtype=np.float64):
    """Three parameters, one of shape () and one large beside its gradients."""
    rng = np.random.default_rng(1)
    shapes = {"weight": (2, 3), "bias": (2,), "scale": ()}
    sizes = {"weight": 1.0, "bias": 100.0, "scale": 1.0}
    return {name: np.asarray(sizes[name] * rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def gradients(dtype=np.float64):
    """One dict of gradients a step, of sizes that rise from 1e-3 to 1e3 and fall again."""
    rng = np.random.default_rng(2)
    sizes = 10.0 ** (3 - 6 * np.abs(np.linspace(-1, 1, STEPS)))
    return [
        {name: np.asarray(size * rng.standard_normal(p.shape), dtype) for name, p in start().items()} for size in sizes
    ]


def record(parameters, update):
    """name -> (STEPS, ...) values of each parameter after each update(grads)."""
    seen = {name: [] for name in parameters}
    for grads in gradients(parameters["weight"].dtype):
        update(grads)
        for name, p in parameters.items():
            seen[name].append(p.copy())
    return {name: np.stack(values) for name, values in seen.items()}


def torch_run(torch, case, dtype=np.float64):
    tensors = {name: torch.nn.Parameter(torch.from_numpy(p)) for name, p in start(dtype).items()}
    optimizer = getattr(torch.optim, case.rule)(tensors.values(), **case.options)

    def update(grads):
        for name, p in tensors.items():
            p.grad = torch.from_numpy(grads[name])
        optimizer.step()

    return record({name: p.detach().numpy() for name, p in tensors.items()}, update)


def flat(numbers):
    """(STEPS, entries): what the golden file keeps of a run."""
    return np.concatenate([value.reshape(STEPS, -1) for value in numbers.values()], axis=1)
