"""What may be changed in a solution, one place at a time: from a node of its syntax tree to the nodes that could stand there.

The kinds are those of cosmic-ray and mutmut (operators, comparisons, constants, names, keywords, statements), and those that numerical
code adds: axes, slices, reductions, gradients, dtypes.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Scope", "of_expression", "of_statement"]

ARITHMETIC = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
PAIRS = (
    ("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum"), ("sum", "mean"), ("floor", "ceil"), ("any", "all"),
    ("std", "var"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("cumsum", "cumprod"), ("fmin", "fmax"), ("float32", "float64"),
    ("float", "double"), ("repeat", "repeat_interleave"), ("jacrev", "jacfwd"),
)  # fmt: skip
IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
ELEMENTWISE = frozenset((
    "abs", "sqrt", "exp", "log", "square", "sign", "clamp", "tanh", "relu", "sigmoid", "floor", "ceil", "round", "neg", "log1p", "expm1",
    "softplus",
))  # fmt: skip
TWINS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
# A call that can be left out: what it is applied to is of the same kind as its result.
REMOVABLE = frozenset((
    "abs", "sqrt", "exp", "log", "square", "sign", "clamp", "clip", "tanh", "softplus", "relu", "sigmoid", "floor", "ceil", "round",
    "flip", "cumsum", "cumprod", "reversed", "sorted", "detach", "clone", "copy", "contiguous", "double", "float", "to", "long", "int",
    "squeeze", "unsqueeze", "flatten", "reshape", "view", "expand", "expand_as", "gather", "T", "mT", "repeat", "repeat_interleave",
    "log_softmax", "softmax", "log1p", "expm1", "tril", "triu", "t", "transpose", "item", "tolist", "requires_grad_", "zero_",
    "reciprocal", "neg", "logical_not",
))  # fmt: skip
MODULES = frozenset(("torch", "np", "numpy", "math", "functional", "nn", "F", "linalg", "func", "random"))
AXES = frozenset(("dim", "axis", "dims"))
SHAPES = frozenset(("shape", "numel", "size", "ndim", "dim", "new_zeros"))
NUMBERS = frozenset(("item", "len", "numel", "size", "dim", "int", "float", "tolist"))  # what these return has no gradient
CONDITIONS = (ast.If, ast.While, ast.IfExp)


@dataclass(frozen=True)
class Scope:
    """Where a node stands: the parameters around it, which of them are tensors, and what it is to its parent."""

    parameters: tuple[str, ...]
    tensors: frozenset[str]
    parent: ast.AST
    field: str


def of_expression(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    """Yield (kind of the change, what stands there instead) for an expression that is evaluated."""
    number = _number(node)
    if number is not None:
        yield from _of_number(number, scope)
        return
    for kind in (_of_tensor, _of_operation, _of_logic, _of_name, _of_call, _of_attribute, _of_sequence, _of_comprehension, _of_place):
        yield from kind(node, scope)


def of_statement(node: ast.stmt, scope: Scope) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Yield (kind of the change, the statements that stand there instead)."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Pass | ast.Import | ast.ImportFrom):
        yield "drop", [ast.Pass()]
    match node:
        case ast.Return(value=ast.expr() as value):
            yield "list", [ast.Return(_method(value, "tolist"))]
            for name in scope.parameters:
                yield "return an argument", [ast.Return(_name(name))]
        case ast.AugAssign():
            for operator in ARITHMETIC.get(type(node.op), ()):
                yield "arithmetic", [ast.AugAssign(node.target, operator(), node.value)]
            yield "assign", [ast.Assign([node.target], node.value, lineno=node.lineno)]
        case ast.If():
            yield "always", node.body
            if node.orelse:
                yield "never", node.orelse
        case ast.With():
            yield "without", node.body
        case ast.For() | ast.While() | ast.Break() | ast.Continue():
            yield from _of_loop(node)
        case ast.Raise(exc=ast.Call(func=ast.Name(id=raised)) as made):
            other = "RuntimeError" if raised == "ValueError" else "ValueError"
            yield "exception", [ast.Raise(_like(made, func=_name(other)), node.cause)]


def _of_loop(node: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    match node:
        case ast.For() | ast.While():
            yield "once", [_like(node, body=[*node.body, ast.Break()])]
            if isinstance(node, ast.For):
                yield "last only", [_like(node, iter=_last(node.iter))]
        case ast.Break():
            yield "keyword", [ast.Continue()]
        case ast.Continue():
            yield "keyword", [ast.Break()]


def _of_number(number: int | float, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(scope.parent, ast.keyword) and scope.parent.arg in AXES:
        yield from (("axis", _literal(axis)) for axis in (0, 1, -1, -2))
        return
    for other in (0, 1, number + 1, number - 1, 2 * number, -number):
        yield "constant", _literal(type(number)(other))


def _of_tensor(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    """Yield the same computation with its result written over an argument."""
    match node:
        case ast.BinOp(left=ast.Name(id=name), op=operator) if name in scope.tensors and type(operator) in IN_PLACE:
            yield "in place", _like(_method(node.left, IN_PLACE[type(operator)]), args=[node.right])
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name) as owner, attr=called)) if name in scope.tensors and called in ELEMENTWISE:
            yield "in place", _like(node, func=ast.Attribute(owner, f"{called}_", ast.Load()))


def _of_operation(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.BinOp():
            for operator in ARITHMETIC.get(type(node.op), ()):
                yield "arithmetic", ast.BinOp(node.left, operator(), node.right)
            yield "drop term", node.left
            yield "drop term", node.right
            if isinstance(node.op, ast.Sub | ast.Div | ast.Pow | ast.MatMult):
                yield "swap operands", ast.BinOp(node.right, node.op, node.left)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield "drop sign" if isinstance(node.op, ast.USub) else "logic", node.operand
        case ast.Compare(ops=[operator], comparators=[right]):
            for other in COMPARISONS[type(operator)]:
                yield "comparison", ast.Compare(node.left, [other()], [right])


def _of_logic(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "logic", ast.BoolOp(other, node.values)
        yield from (("drop term", value) for value in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    if isinstance(node, ast.IfExp):
        yield "always", node.body
        yield "never", node.orelse
    if isinstance(scope.parent, CONDITIONS) and scope.field == "test":
        yield "logic", ast.UnaryOp(ast.Not(), node)
        yield "never", ast.Constant(False)


def _of_name(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Name) and node.id in scope.parameters:
        yield from (("another argument", _name(name)) for name in scope.parameters if name != node.id)
        if node.id in scope.tensors and not _is_measured(scope.parent):
            yield "add detach", _method(node, "detach")
    if isinstance(node, ast.Name) and node.id in TWINS:
        yield "twin", _name(TWINS[node.id])


def _of_attribute(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Attribute):
        return
    if node.attr in TWINS:
        yield "dtype" if "float" in node.attr or node.attr == "double" else "twin", ast.Attribute(node.value, TWINS[node.attr])
    if node.attr in REMOVABLE and not _is_module(node.value) and not (isinstance(scope.parent, ast.Call) and scope.field == "func"):
        yield "drop call", node.value


def _of_call(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Call):
        return
    called = _called(node)
    for index, (first, second) in enumerate(zip(node.args, node.args[1:], strict=False)):
        if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
            yield "swap arguments", _like(node, args=[*node.args[:index], second, first, *node.args[index + 2 :]])
    for index, keyword in enumerate(node.keywords):
        rest = [*node.keywords[:index], *node.keywords[index + 1 :]]
        if keyword.arg != "device":  # an audit knows one device only
            yield "drop keyword", _like(node, keywords=rest)
        if keyword.arg in TWINS:
            yield "twin", _like(node, keywords=[*rest, ast.keyword(TWINS[keyword.arg], keyword.value)])
    if called in REMOVABLE:
        owner = node.func.value if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value) else None
        if node.args or owner is not None:
            kind = {"detach": "drop detach", "double": "dtype", "float": "dtype", "to": "dtype"}.get(called, "drop call")
            yield kind, node.args[0] if owner is None else owner
    if called == "range" and not node.keywords:
        yield from (("range", changed) for changed in _ranges(node))
    if called in scope.parameters or (
        isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and called == "forward"
    ):
        yield "add detach", _method(node, "detach")


def _of_sequence(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Tuple() | ast.List():
            for index in range(len(node.elts) - 1):
                swapped = [*node.elts[:index], node.elts[index + 1], node.elts[index], *node.elts[index + 2 :]]
                yield "swap elements", _like(node, elts=swapped)
        case ast.Slice():
            for side in ("lower", "upper"):
                yield from (("slice", _like(node, **{side: bound})) for bound in _bounds(getattr(node, side), side))
            if node.step is not None:
                yield "slice", _like(node, step=None)
        case ast.Subscript(slice=ast.Name() | ast.BinOp()):
            yield from (("index", _like(node, slice=shifted)) for shifted in _shifted(node.slice))


def _of_comprehension(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
        return
    for index, generator in enumerate(node.generators):
        if generator.ifs:
            every = _like(generator, ifs=[])
            yield "drop condition", _like(node, generators=[*node.generators[:index], every, *node.generators[index + 1 :]])


def _of_place(node: ast.expr, scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    """Yield what may happen to any value that is returned or kept."""
    is_value = isinstance(scope.parent, ast.Return | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Lambda)
    if is_value and scope.field in ("value", "body") and isinstance(node, ast.BinOp | ast.Call | ast.Name | ast.Subscript | ast.Attribute):
        yield "add minus", ast.UnaryOp(ast.USub(), node)
        if not _is_number(node):
            yield "add detach", _method(node, "detach")


def _ranges(node: ast.Call) -> Iterator[ast.Call]:
    start, *stop = node.args if len(node.args) > 1 else (ast.Constant(0), node.args[0])
    for changed in _shifted(start):
        yield _like(node, args=[changed, *stop])
    for changed in _shifted(stop[0]):
        yield _like(node, args=[*([] if len(node.args) == 1 else [start]), changed, *stop[1:]])


def _bounds(bound: ast.expr | None, side: str) -> Iterator[ast.expr | None]:
    if bound is None:
        yield _literal(1 if side == "lower" else -1)
    else:
        yield None
        if _number(bound) is None:
            yield from _shifted(bound)


def _shifted(node: ast.expr) -> Iterator[ast.expr]:
    number = _number(node)
    if number is None:
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield ast.BinOp(node, ast.Sub(), ast.Constant(1))
    else:
        yield _literal(number + 1)
        yield _literal(number - 1)


def _last(iterable: ast.expr) -> ast.expr:
    return ast.Subscript(ast.Call(_name("list"), [iterable], []), ast.Slice(_literal(-1)), ast.Load())


def _number(node: ast.AST) -> int | float | None:
    """Return the number that the node spells, a sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    return None


def _literal(number: int | float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-number)) if number < 0 else ast.Constant(abs(number))


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _method(node: ast.expr, name: str) -> ast.Call:
    return ast.Call(ast.Attribute(node, name, ast.Load()), [], [])


def _called(node: ast.Call) -> str | None:
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else None


def _is_number(node: ast.expr) -> bool:
    """Return whether the value is certainly a plain number or a shape."""
    if isinstance(node, ast.Subscript):
        return _is_number(node.value)
    return (isinstance(node, ast.Call) and _called(node) in NUMBERS) or (isinstance(node, ast.Attribute) and node.attr in SHAPES)


def _is_measured(parent: ast.AST) -> bool:
    """Return whether only the shape of what the parent is made of matters, through which no gradient flows."""
    is_read = isinstance(parent, ast.Attribute) and parent.attr in SHAPES
    return is_read or (isinstance(parent, ast.Call) and _called(parent) in ("len", "expect_shape"))


def _is_module(node: ast.expr) -> bool:
    return (node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None) in MODULES


def _like(node: ast.AST, **changes: object) -> Any:
    """Return a copy of the node with some fields changed."""
    fields = {**dict(ast.iter_fields(node)), **changes}
    return ast.copy_location(type(node)(**fields), node)
