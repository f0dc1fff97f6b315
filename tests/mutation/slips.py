"""Slips that a person may make, as changes of a source text: each one place, each still Python."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
OPERATORS = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "//"), ast.Pow: ("**", "*"),
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
         "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like", "ones_like": "zeros_like"}  # fmt: skip
SAME_EITHER_WAY = {"max", "min", "maximum", "minimum", "fmax", "fmin", "array_equal", "add", "multiply", "hypot"}
WRAPPERS = {"copy", "deepcopy", "sorted", "reversed", "abs", "tuple", "ascontiguousarray", "array", "asarray", "fsync"}

NEW = (ast.GeneratorExp, ast.List, ast.ListComp)  # of these, a wrapper is no copy that could be forgotten


class Slip(NamedTuple):
    """A change: the text between two offsets becomes another. line: from 1. kind: in words."""

    line: int
    start: int
    end: int
    text: str
    kind: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


def slips(source: str) -> list[Slip]:
    """Every slip of a source text, in order of place."""
    found = _Finder(source)
    found.visit(ast.parse(source))
    return sorted(set(found.slips))


def changes(source: str, slip: Slip) -> bool:
    """Whether the slip leaves Python that says something else."""
    try:
        return ast.dump(ast.parse(slip.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


class _Finder(ast.NodeVisitor):
    """Walks over what runs: not over docstrings, annotations, imports, the words of errors."""

    def __init__(self, source: str):
        self.source, self.slips = source, list[Slip]()
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = source.splitlines()

    # ------------------------------------------------------------------ places
    def _at(self, line: int, column: int) -> int:
        """The offset of a place that ast counts in bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end]

    def _add(self, node: ast.AST, span: tuple[int, int], text: str, kind: str) -> None:
        self.slips.append(Slip(node.lineno, *span, text, kind))

    def _between(self, left: ast.AST, right: ast.AST, old: str, new: str, kind: str) -> None:
        """Replace a word between two nodes; brackets and spaces may stand there too."""
        start, end = self._span(left)[1], self._span(right)[0]
        where = self.source.find(old, start, end)
        if where >= 0:
            self._add(right, (where, where + len(old)), new, kind)

    # ------------------------------------------------------------------ what is passed over
    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
            self._default(default)
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._body(node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._body(node.body)

    def visit_Module(self, node: ast.Module) -> None:
        self._body(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return
        if not isinstance(node.targets[0], ast.Name | ast.Tuple):
            self._statement(node, "assignment dropped")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._statement(node, "error not raised")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def _body(self, body: list[ast.stmt]) -> None:
        for k, statement in enumerate(body):
            said = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not (k == 0 and said):
                self.visit(statement)

    # ------------------------------------------------------------------ statements
    def _statement(self, node: ast.stmt, kind: str) -> None:
        self._add(node, self._span(node), "pass", kind)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._statement(node, "call dropped")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._statement(node, "update dropped")
        sign = OPERATORS.get(type(node.op))
        if sign is not None:
            self._between(node.target, node.value, sign[0] + "=", sign[1] + "=", "another operator")
            self._between(node.target, node.value, sign[0] + "=", "=", "set and not updated")
        self.visit(node.value)

    def visit_Break(self, node: ast.Break | ast.Continue) -> None:
        self._statement(node, "jump dropped")

    visit_Continue = visit_Break

    def visit_If(self, node: ast.If | ast.IfExp | ast.While) -> None:
        if "TYPE_CHECKING" in self._text(node.test):
            return
        test = self._text(node.test)
        self._add(node.test, self._span(node.test), f"not ({test})", "condition turned round")
        if not isinstance(node, ast.While):
            self._add(node.test, self._span(node.test), "False", "branch forgotten")
        self.generic_visit(node)

    visit_IfExp = visit_While = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._add(test, self._span(test), "True", "filter forgotten")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if isinstance(value, ast.Tuple) and len(value.elts) == 2:
            self._swap(*value.elts, "results swapped")
        self.generic_visit(node)

    # ------------------------------------------------------------------ expressions
    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            old = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
                   ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}[type(operator)]  # fmt: skip
            self._between(left, right, old, COMPARISONS[type(operator)], "another comparison")
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        words = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        if type(node.op) in OPERATORS and not words:
            self._between(node.left, node.right, *OPERATORS[type(node.op)], "another operator")
        elif isinstance(node.op, ast.MatMult):
            self._swap(node.left, node.right, "factors swapped")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self._between(node.values[0], node.values[1], old, new, "and for or")
        for value in node.values:
            neutral = "True" if old == "and" else "False"
            self._add(value, self._span(value), neutral, "part of a condition forgotten")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub) and not isinstance(node.operand, ast.Constant):
            start, end = self._span(node)
            self._add(node, (start, end), f"({self._text(node.operand)})", "sign or not dropped")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add(node, self._span(node), str(not value), "another constant")
        elif isinstance(value, int):
            self._add(node, self._span(node), str(value + 1), "off by one")
            if value > 0:
                self._add(node, self._span(node), str(value - 1), "off by one")
        elif isinstance(value, float):
            self._add(node, self._span(node), repr(2 * value if value else 0.5), "another constant")

    def _default(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str)):
            return
        before = len(self.slips)
        self.visit(node)
        self.slips[before:] = [slip._replace(kind="another default") for slip in self.slips[before:]]

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None and not isinstance(bound, ast.Constant):
                self._add(bound, self._span(bound), f"{self._text(bound)} + 1", "off by one")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in NAMES:
            end = self._span(function)[1]
            self._add(function, (end - len(name), end), NAMES[name], "another function")
        if name in WRAPPERS and isinstance(function, ast.Attribute) and not node.args:
            self._add(node, self._span(node), self._text(function.value), f"{name} dropped")
        elif name in WRAPPERS and node.args and not isinstance(node.args[0], NEW):
            self._add(node, self._span(node), self._text(node.args[0]), f"{name} dropped")
        if name == "range" and not isinstance(node.args[-1], ast.Constant):
            last = node.args[min(1, len(node.args) - 1)]
            self._add(last, self._span(last), f"{self._text(last)} - 1", "off by one")
        if len(node.args) >= 2 and name not in {"isinstance", "hasattr", "getattr", "issubclass", *SAME_EITHER_WAY}:
            self._swap(*node.args[:2], "arguments swapped")
        if name == "zip":  # its strict=True is a check of our own code
            node.keywords.clear()
        for keyword in node.keywords:
            if keyword.arg is not None:
                self._keyword(node, keyword)
        self.generic_visit(node)

    def _keyword(self, call: ast.Call, keyword: ast.keyword) -> None:
        start, end = self._span(keyword)
        while self.source[end : end + 1] in (",", " "):
            end += 1
        self._add(keyword.value, (start, end), "", "argument left out")

    def _swap(self, one: ast.expr, other: ast.expr, kind: str) -> None:
        if isinstance(one, ast.Starred) or isinstance(other, ast.Starred):
            return
        (start, one_end), (other_start, end) = self._span(one), self._span(other)
        between = self.source[one_end:other_start]
        self._add(one, (start, end), self._text(other) + between + self._text(one), kind)


def changed_lines(source: str, slip: Slip) -> tuple[str, str]:
    """What a slip makes of which lines, without their indentation: what it is known by, wherever it stands."""
    first = source.rfind("\n", 0, slip.start) + 1
    last = source.find("\n", slip.end)
    last = len(source) if last < 0 else last
    after = slip.applied(source)[first : last + len(slip.text) - (slip.end - slip.start)]
    return tuple("\n".join(line.strip() for line in part.splitlines()) for part in (source[first:last], after))


def of_lines(found: list[Slip]) -> Iterator[list[Slip]]:
    """The slips of each line together."""
    lines: dict[int, list[Slip]] = {}
    for slip in found:
        lines.setdefault(slip.line, []).append(slip)
    yield from lines.values()
