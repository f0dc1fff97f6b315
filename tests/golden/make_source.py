"""The files of PyTorch and JAX that tests compare with, written anew where the printers were changed on purpose.

python tests/golden/make_source.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "interop"))

from source_cases import GOLDEN, TO  # noqa: E402

from minirnn.interop.source import write  # noqa: E402

for name, what in GOLDEN.items():
    for to in TO:
        write(what, HERE / "source" / f"{name}_{to}.py", to=to)
