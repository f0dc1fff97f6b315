"""Writes optimizers.npz beside this file: torch.optim's float64 numbers after every step of tests/optimizer_cases.py.

pip install 'minirnn[peers]'; python tests/golden/make_optimizers.py
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from optimizer_cases import CASES, torch_run

if __name__ == "__main__":
    numbers = {f"{case}/{name}": value for case in CASES for name, value in torch_run(torch, case).items()}
    np.savez_compressed(Path(__file__).with_name("optimizers.npz"), **numbers)
    print(f"{len(CASES)} cases, {sum(value.size for value in numbers.values())} numbers, PyTorch {torch.__version__}")
