"""Writes recurrent.npz beside this file: PyTorch's numbers in float64 for every case of tests/recurrent_cases.py.

pip install 'minirnn[peers]'; python tests/golden/make_recurrent.py
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from recurrent_cases import CASES, flat, torch_numbers

if __name__ == "__main__":
    numbers = {str(case): flat(torch_numbers(torch, case, np.float64)) for case in CASES}
    np.savez_compressed(Path(__file__).with_name("recurrent.npz"), **numbers)
    print(f"{len(CASES)} cases, {sum(map(len, numbers.values()))} numbers, PyTorch {torch.__version__}")
