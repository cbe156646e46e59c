"""A class in which some copied: made of the topics' solutions, variants and mistakes, and of copies rewritten to look different.

Everybody's exercises are drawn one by one from the correct implementations of the topic, or are the solution with one of its mistakes.
So two who never met share, word for word, every exercise for which they drew the same. Who copies takes another's file and rewrites it.
"""

import ast
import builtins
import copy
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

from grader.contract.registry import folder, load
from grader.contract.spec import Mistake

__all__ = ["Handed", "Parts", "drawn", "parts_of", "rewritten"]

Function = ast.FunctionDef


@dataclass(frozen=True)
class Parts:
    """What the submissions for a topic are put together from."""

    topic: str
    solution: str
    exercises: tuple[str, ...]
    implementations: dict[str, tuple[tuple[Function, tuple[ast.stmt, ...]], ...]]  # by exercise: (function, what it needs besides)
    mistakes: dict[str, tuple[Mistake, ...]]  # by exercise


@dataclass(frozen=True)
class Handed:
    """What somebody handed in, and which mistakes are in it."""

    text: str
    mistakes: tuple[tuple[str, str], ...]  # (exercise, the mistake's name)


def parts_of(topic: str) -> Parts:
    """Return what there is of a topic."""
    declared = load(topic)
    text, exercises, mistakes = declared.solution.read_text(), declared.exercises, declared.mistakes
    found: dict[str, list[tuple[Function, tuple[ast.stmt, ...]]]] = {name: [(_function(ast.parse(text), name), ())] for name in exercises}
    for path in sorted((folder(topic) / "variants").glob("*.py")):
        for name, implementation in _variant(path, exercises).items():
            found[name].append(implementation)
    by_exercise = {name: tuple(one for one in mistakes if one.exercise == name) for name in exercises}
    return Parts(topic, text, exercises, {name: tuple(own) for name, own in found.items()}, by_exercise)


def drawn(parts: Parts, rng: random.Random, wrong: float = 0.2) -> Handed:
    """Return what somebody hands in who never met the others; every exercise holds a mistake with probability `wrong`."""
    tree = ast.parse(parts.solution)
    made, extra = list[tuple[str, str]](), list[ast.stmt]()
    for name in parts.exercises:
        if parts.mistakes[name] and rng.random() < wrong:
            mistake = rng.choice(parts.mistakes[name])
            function = _function(ast.parse(parts.solution), name)
            body = ast.unparse(function)
            old, new = (ast.unparse(ast.parse(text)) if _parses(text) else text for text in (mistake.old, mistake.new))
            if old not in body:
                continue  # it spans what unparsing writes otherwise
            try:
                function = ast.parse(body.replace(old, new, 1)).body[0]
            except SyntaxError:
                continue
            made.append((name, mistake.name))
        else:
            function, needs = rng.choice(parts.implementations[name])
            extra += [node for node in needs if ast.dump(node) not in {ast.dump(one) for one in extra}]
        _put(tree, name, copy.deepcopy(function))
    _before_definitions(tree, extra)
    return Handed(ast.unparse(ast.fix_missing_locations(tree)), tuple(made))


def rewritten(text: str, exercises: tuple[str, ...], rng: random.Random) -> str:
    """Return a program that does the same and is made to look different: other names, another order, other loops, other comments."""
    tree = ast.parse(text)
    methods = {id(_function(tree, name)) for name in exercises}
    top = {node.name for node in tree.body if isinstance(node, Function)} - set(exercises)
    own = {node.name for node in tree.body if isinstance(node, Function) and node.name in top and _is_helper(node, tree, exercises)}
    renamed = {name: f"do_{_word(rng)}" for name in sorted(own)}
    for node in ast.walk(tree):
        if isinstance(node, Function) and (id(node) in methods or node.name in own):
            Loops(rng).visit(node)
            _reordered(node, rng)
            _renamed(node, rng)
    Rename(renamed).visit(tree)
    _shuffled_definitions(tree, rng)
    return _commented(ast.unparse(ast.fix_missing_locations(tree)), rng)


class Loops(ast.NodeTransformer):
    """Writes every other loop in another way: over a range as `while`, a comprehension as a loop; and `x += y` as `x = x + y`.

    Not the other way round, which would change a tensor in place.
    """

    def __init__(self, rng: random.Random):
        self.rng = rng

    def visit_For(self, node):
        self.generic_visit(node)
        counted = isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and node.iter.func.id == "range"
        jumps = any(isinstance(one, ast.Continue) for one in ast.walk(node))
        if (
            not counted
            or len(node.iter.args) > 2
            or jumps
            or node.orelse
            or not isinstance(node.target, ast.Name)
            or self.rng.random() < 0.5
        ):
            return node
        start, stop = node.iter.args if len(node.iter.args) == 2 else (ast.Constant(0), node.iter.args[0])
        index = node.target.id
        before = ast.Assign([ast.Name(index, ast.Store())], start)
        test = ast.Compare(ast.Name(index, ast.Load()), [ast.Lt()], [stop])
        step = ast.AugAssign(ast.Name(index, ast.Store()), ast.Add(), ast.Constant(1))
        return [before, ast.While(test, [*node.body, step], [])]

    def visit_Assign(self, node):
        value = node.value
        simple = len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        fresh = simple and all(one.id != node.targets[0].id for one in ast.walk(value) if isinstance(one, ast.Name))
        if fresh and isinstance(value, ast.ListComp) and len(value.generators) == 1 and self.rng.random() < 0.5:
            made, (generator,) = node.targets[0].id, value.generators
            append = ast.Attribute(ast.Name(made, ast.Load()), "append", ast.Load())
            body: list[ast.stmt] = [ast.Expr(ast.Call(append, [value.elt], []))]
            for condition in reversed(generator.ifs):
                body = [ast.If(condition, body, [])]
            return [
                ast.Assign([ast.Name(made, ast.Store())], ast.List([], ast.Load())),
                ast.For(generator.target, generator.iter, body, []),
            ]
        return node

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name) and self.rng.random() < 0.5:
            return ast.Assign([node.target], ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))
        return node

    def visit_Return(self, node):
        if node.value is not None and not isinstance(node.value, ast.Name) and self.rng.random() < 0.5:
            return [ast.Assign([ast.Name("answer", ast.Store())], node.value), ast.Return(ast.Name("answer", ast.Load()))]
        return node


class Rename(ast.NodeTransformer):
    """Gives names others."""

    def __init__(self, names: dict[str, str]):
        self.names = names

    def visit_Name(self, node):
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node):
        self.generic_visit(node)
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node


def _renamed(function: Function, rng: random.Random) -> None:
    """Rename what a function binds, but not its parameters: it may be called by their names."""
    stored = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    inner = {node.name for node in ast.walk(function) if isinstance(node, Function) and node is not function}
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    arguments = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    names = sorted((stored | inner | arguments) - own)
    Rename({name: f"{_word(rng)}_{index}" for index, name in enumerate(names)}).generic_visit(function)
    if function.body and isinstance(function.body[0], ast.Expr) and isinstance(function.body[0].value, ast.Constant):
        function.body[0].value.value = f"{_word(rng)} {_word(rng)}."


def _reordered(node: ast.AST, rng: random.Random) -> None:
    """Exchange neighbouring assignments of which neither uses, or calls, what the other changes."""
    for part in ast.walk(node):
        for field in ("body", "orelse"):
            block = getattr(part, field, None)
            if not isinstance(block, list):
                continue
            for place in range(len(block) - 1):
                if rng.random() < 0.7 and _independent(block[place], block[place + 1]):
                    block[place], block[place + 1] = block[place + 1], block[place]


def _independent(first: ast.stmt, second: ast.stmt) -> bool:
    if not all(isinstance(one, ast.Assign) and all(isinstance(target, ast.Name) for target in one.targets) for one in (first, second)):
        return False
    bound = [{target.id for target in one.targets} for one in (first, second)]
    used = [{node.id for node in ast.walk(one.value) if isinstance(node, ast.Name)} for one in (first, second)]
    draws = all(any(isinstance(node, ast.Attribute) and "rand" in node.attr for node in ast.walk(one)) for one in (first, second))
    return not (bound[0] & (used[1] | bound[1]) or bound[1] & used[0] or draws)


def _shuffled_definitions(tree: ast.Module, rng: random.Random) -> None:
    """Shuffle functions that stand beside each other; those that are decorated, and what else there is, stay where they are."""
    runs = itertools.groupby(range(len(tree.body)), lambda index: _is_plain(tree.body[index]))
    for places in [list(indices) for plain, indices in runs if plain]:
        nodes = [tree.body[index] for index in places]
        rng.shuffle(nodes)
        for index, node in zip(places, nodes, strict=True):
            tree.body[index] = node


def _is_plain(node: ast.stmt) -> bool:
    return isinstance(node, Function) and not node.decorator_list


def _commented(text: str, rng: random.Random) -> str:
    """Put comments and empty lines between lines; none of the texts in the programs made here goes over several lines by chance."""
    lines, inside = list[str](), False
    for line in text.split("\n"):
        if not inside and line.startswith(" ") and rng.random() < 0.2:
            lines.append(f"{line[: len(line) - len(line.lstrip())]}# {_word(rng)} {_word(rng)} {_word(rng)}")
        inside ^= line.count('"""') % 2 == 1
        lines.append(line)
    return "\n".join(lines)


def _is_helper(node: Function, tree: ast.Module, exercises: tuple[str, ...]) -> bool:
    """Return whether only exercises, and assignments to their names, mention a function."""
    users = {
        outer.name
        for outer in tree.body
        if isinstance(outer, Function | ast.ClassDef) and outer is not node
        for name in ast.walk(outer)
        if isinstance(name, ast.Name) and name.id == node.name
    }
    return bool(users) and users <= {name.split(".")[0] for name in exercises}


def _variant(path: Path, exercises: tuple[str, ...]) -> dict[str, tuple[Function, tuple[ast.stmt, ...]]]:
    """Return the exercises that a variant implements, with the helpers and imports that each needs."""
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    aliases = {
        ast.unparse(node.targets[0]): node.value.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
    }
    others = [node for node in tree.body if not isinstance(node, ast.Expr) and ast.unparse(node).split(" = ")[0] not in aliases]
    found = {}
    for name in exercises:
        function = functions.get(aliases.get(name, name))
        if function is not None:
            own = copy.deepcopy(function)
            own.name = name.split(".")[-1]
            found[name] = own, tuple(_needed(function, others, exercises))
    return found


def _needed(function: Function, others: list[ast.stmt], exercises: tuple[str, ...]) -> list[ast.stmt]:
    needed, waiting = list[ast.stmt](), [function]
    while waiting:
        used = {node.id for node in ast.walk(waiting.pop()) if isinstance(node, ast.Name)}
        for node in others:
            if node not in needed and _binds(node) & used - set(exercises) and node is not function:
                needed.append(node)
                waiting.append(node)
    return [node for node in others if node in needed]


def _binds(node: ast.stmt) -> set[str]:
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _function(tree: ast.Module, name: str) -> Function:
    scope = tree.body
    for step in name.split("."):
        node = next(node for node in scope if isinstance(node, Function | ast.ClassDef) and node.name == step)
        scope = node.body
    return node


def _put(tree: ast.Module, name: str, function: Function) -> None:
    scope, path = tree, name.split(".")
    for step in path[:-1]:
        scope = next(node for node in scope.body if isinstance(node, ast.ClassDef) and node.name == step)
    index = next(index for index, node in enumerate(scope.body) if isinstance(node, Function) and node.name == path[-1])
    scope.body[index] = function


def _before_definitions(tree: ast.Module, extra: list[ast.stmt]) -> None:
    place = next(index for index, node in enumerate(tree.body) if isinstance(node, Function | ast.ClassDef))
    tree.body[place:place] = copy.deepcopy(extra)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _word(rng: random.Random) -> str:
    word = "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))
    return word if word not in dir(builtins) else f"{word}x"
