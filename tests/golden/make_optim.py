"""Writes optim.npz beside this file: torch.optim's float64 numbers after every step of tests/optim/optim_cases.py.

pip install 'minirnn[peers]'; python tests/golden/make_optim.py
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "optim"))
from optim_cases import CASES, flat, torch_run

if __name__ == "__main__":
    numbers = {str(case): flat(torch_run(torch, case)) for case in CASES}
    np.savez_compressed(Path(__file__).with_name("optim.npz"), **numbers)
    print(f"{len(CASES)} cases, {sum(value.size for value in numbers.values())} numbers, PyTorch {torch.__version__}")
