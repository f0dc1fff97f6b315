"""A model as a tree of lines: names, shapes, dtypes, counts."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minirnn.module import Module

__all__ = ["printed"]


def printed(model: "Module") -> str:
    """The tree of a model: each module with its sizes, each array with its shape, dtype and count."""
    plan = model._plan()
    lines, above = [], [""]
    for path, module in plan.modules:
        while above[-1] and not path.startswith(above[-1] + "."):
            above.pop()
        label = path.removeprefix(above[-1] + ".") + ": " if path else ""
        count = "" if path else f": {model.num_parameters():,} parameters"
        indent = "  " * (len(above) if path else 0)
        lines.append(f"{indent}{label}{type(module).__name__}({module.extra_repr()}){count}")
        for name, leaf in module._leaves.items():
            entry = plan.entries[plan.names[f"{path}.{name}" if path else name]]
            value = module.__dict__[name]
            home = plan.modules[entry.sites[0][0]][1] is module and entry.sites[0][1] == name
            size = f"{int(np.prod(np.shape(value))):,}" if home else f"tied to {entry.path}"
            notes = ["buffer"] * (leaf.kind == "buffer") + ["frozen"] * leaf.frozen
            lines.append(f"{indent}  {name}: " + ", ".join([f"{np.shape(value)} {value.dtype}", size, *notes]))
        if path:
            above.append(path)
    return "\n".join(lines)
