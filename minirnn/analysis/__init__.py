"""See inside a recurrent network: why gradients vanish, what the gates do, and which unit tracks what.

    flow = analysis.gradient_flow(LSTM(8, 32), xs)       # exact |dh_t / dx_{t-k}| for all k, in one walk back
    flow.predicted["h"], flow.memory.along               # |W_rec^k W_in|, and the path along the cell state
    analysis.record(lstm, xs, ["keep", "write", "c"])    # any named intermediate of any cell, (T, B, H)
    analysis.gate_statistics(model, tokens)              # saturated, long-lived and dead units
    analysis.probe(h, analysis.inside_quotes(text))      # which unit knows that it stands inside quotes

Nothing else of minirnn needs this folder, and nothing runs slower for it.
"""

from minirnn.analysis import figures
from minirnn.analysis.gates import CellGates, GateStatistics, gate_statistics
from minirnn.analysis.gradient_flow import GradientFlow, MemoryPath, gradient_flow
from minirnn.analysis.lyapunov import lyapunov
from minirnn.analysis.memory_capacity import MemoryCapacity, memory_capacity
from minirnn.analysis.probe import Probe, probe
from minirnn.analysis.properties import (
    PROPERTIES,
    indentation,
    inside_quotes,
    line_position,
    occurrences,
    open_brackets,
)
from minirnn.analysis.recording import record, record_cells
from minirnn.analysis.recurrent_map import Norms, RecurrentMap, recurrent_map
from minirnn.analysis.report import report_html, write_report
from minirnn.analysis.truncation import TruncationBias, truncation_bias
from minirnn.analysis.vanishing import Curve, Panel, vanishing

__all__ = [
    # gradients
    "gradient_flow",
    "GradientFlow",
    "MemoryPath",
    "Norms",
    "recurrent_map",
    "RecurrentMap",
    "lyapunov",
    "truncation_bias",
    "TruncationBias",
    "memory_capacity",
    "MemoryCapacity",
    # what happens in a step
    "record",
    "record_cells",
    "gate_statistics",
    "GateStatistics",
    "CellGates",
    # which unit tracks what
    "probe",
    "Probe",
    "PROPERTIES",
    "inside_quotes",
    "line_position",
    "indentation",
    "open_brackets",
    "occurrences",
    # pictures
    "figures",
    "report_html",
    "write_report",
    "vanishing",
    "Curve",
    "Panel",
]
