"""A PackedSequence through what takes padded sequences and their lengths."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

__all__ = ["through_padded"]


def through_padded(call: Callable[..., Any], xs: PackedSequence, batch_first: bool, state: Any, **named: Any) -> Any:
    """call(padded, state, lengths, **named), with outputs that have steps packed as xs is.

    States go in and come out in the order in which the sequences were packed, as those of torch.nn.LSTM.
    """
    padded, lengths = pad_packed_sequence(xs, batch_first=batch_first)
    result = call(padded, state, lengths, **named)
    if not isinstance(result, tuple):
        return _packed(result, xs, padded, lengths, batch_first)
    return _packed(result[0], xs, padded, lengths, batch_first), *result[1:]


def _packed(outputs: Any, xs: PackedSequence, padded: torch.Tensor, lengths: torch.Tensor, batch_first: bool) -> Any:
    """Outputs (T, B, ...) packed; others, as of a model that pools the steps, as they are."""
    if not isinstance(outputs, torch.Tensor) or outputs.shape[:2] != padded.shape[:2]:
        return outputs
    if xs.sorted_indices is not None:
        outputs, lengths = outputs.index_select(1 - batch_first, xs.sorted_indices), lengths[xs.sorted_indices]
    return PackedSequence(
        pack_padded_sequence(outputs, lengths, batch_first).data,
        xs.batch_sizes,
        xs.sorted_indices,
        xs.unsorted_indices,
    )
