"""PyTorch: any cell, layer or model as a torch.nn.Module on the same memory, and weights under PyTorch's names.

    import torch, minirnn
    from minirnn.interop.torch import layer, module

    rnn = module(minirnn.cells.MGU(29, 100))          # a torch.nn.Module: rnn(xs, state=None, lengths=None)
    optimizer = torch.optim.Adam(rnn.parameters())    # what it writes, the cell's own arrays are
    layer(rnn)                                        # the cell again

torch is imported by the first call of `module`.
"""

from minirnn.interop.torch.names import load_torch_state_dict, torch_state_dict
from minirnn.late import late

__all__ = ["layer", "load_torch_state_dict", "module", "torch_state_dict"]

module = late("minirnn.interop.torch.bridge", "module")
layer = late("minirnn.interop.torch.bridge", "layer")
