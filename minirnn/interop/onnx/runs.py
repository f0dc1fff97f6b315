"""run_to_onnx: a run in its folder as an ONNX file that needs nothing of minirnn."""

import json
import os
from typing import Any

import numpy as np

from minirnn.interop.onnx.export import to_onnx
from minirnn.layers.sequential import Sequential
from minirnn.train.language_model import LanguageModel
from minirnn.train.run import load_run

__all__ = ["run_to_onnx"]


def run_to_onnx(run: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write the model that `minirnn train` left in a folder, with its state as inputs.

    A language model takes tokens (T, B) and gives logits (T, B, V); the file's metadata holds what each token is, a
    JSON list of texts under "tokens". FileNotFoundError, ValueError: no run, or a damaged one. CannotExport: a cell
    that has no form in ONNX. ModuleNotFoundError: onnx is not installed.
    """
    trained = load_run(run)
    model: Any = trained.model
    metadata = {
        "minirnn.config": json.dumps({name: getattr(trained.config, name) for name in ("cell", "hidden", "layers")})
    }
    if isinstance(model, LanguageModel):
        if trained.tokenizer is not None:
            texts = [trained.tokenizer.decode([token]) for token in range(len(trained.tokenizer))]
            metadata["tokens"] = json.dumps(texts, ensure_ascii=False)
        example: Any = np.zeros((2, 1), np.int64)
        model = Sequential(model.embedding, model.recurrent, model.head)
    else:
        first = model.layers[0]
        example = np.zeros((2, 1, first.input_size), np.float32)
    to_onnx(model, example, path, state=True, metadata=metadata)
