"""The optimisers with the options that tests hold against torch.optim, and the run that both sides make."""

from typing import Any, NamedTuple

import numpy as np

STEPS = 8


class OptimizerCase(NamedTuple):
    rule: str  # the name in minirnn.optim and in torch.optim
    options: dict[str, Any]

    def __str__(self):
        return "-".join([self.rule, *(f"{option}={value}" for option, value in self.options.items())])


CASES = [
    OptimizerCase("SGD", {"lr": 0.1}),
    OptimizerCase("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    OptimizerCase("SGD", {"lr": 0.1, "momentum": 0.9}),
    OptimizerCase("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    OptimizerCase("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    OptimizerCase("Adagrad", {}),
    OptimizerCase("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.05, "initial_accumulator_value": 0.3}),
    OptimizerCase("RMSprop", {}),
    OptimizerCase("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.05}),
    OptimizerCase("RMSprop", {"lr": 0.02, "momentum": 0.7}),
    OptimizerCase("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.7}),
    OptimizerCase("Adam", {}),
    OptimizerCase("Adam", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.05}),
    OptimizerCase("AdamW", {}),
    OptimizerCase("AdamW", {"lr": 0.05, "betas": (0.7, 0.95), "weight_decay": 0.3}),
]


def start(dtype=np.float64):
    """Two parameters, one of them large beside its gradients."""
    rng = np.random.default_rng(1)
    return {
        "weight": rng.standard_normal((3, 4)).astype(dtype),
        "bias": (100 * rng.standard_normal(5)).astype(dtype),
    }


def gradients(dtype=np.float64):
    """One dict of gradients a step, of sizes from 1e-3 to 1e3."""
    rng = np.random.default_rng(2)
    sizes = np.logspace(-3, 3, STEPS)
    return [
        {name: (size * rng.standard_normal(p.shape)).astype(dtype) for name, p in start().items()} for size in sizes
    ]


def record(parameters, update):
    """name -> (STEPS, ...) values of each parameter after each update(grads)."""
    seen = {name: [] for name in parameters}
    for grads in gradients(next(iter(parameters.values())).dtype):
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
