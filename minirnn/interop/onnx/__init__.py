"""Models to and from ONNX, the format that other programs run (extra `onnx`).

    to_onnx(model, xs, "model.onnx")        # xs: an example of what the model takes
    model = from_onnx("model.onnx")         # a Module: called, trained and saved as any other

graph        an ONNX graph while it is being written
operations   the operations of a traced step, as ONNX's
scan         any cell as a Scan, whose body is its traced step
native       RNN, LSTM and GRU as ONNX's own operators
layers       recurrent layers around cells, and Sequential
plain        every other layer
export, runs to_onnx, and a run in its folder
cells        ONNX's RNN, LSTM and GRU as layers of minirnn, with their weights
reading      a file as steps and arrays; external: those that stand in other files beside it; opsets: what an
             operation means in the file's opset
evaluate     ONNX's operations by name, computed with autograd.numpy: elementwise, arrangement, contractions
load         from_onnx
"""

from minirnn.interop.onnx.export import to_onnx
from minirnn.interop.onnx.graph import CannotExport
from minirnn.interop.onnx.load import OnnxModel, from_onnx

__all__ = ["CannotExport", "OnnxModel", "from_onnx", "to_onnx"]
