"""Runs the statements of a Go snippet over Python values.

Slices are lists, `[]byte` is bytes, maps are dicts, strings are texts (a byte that is not UTF-8 as a lone surrogate),
several results are a tuple. Pointers are what they point to: the cases only read through them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from tests.wire.golang import syntax as go
from tests.wire.golang.lexer import Unsupported

_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "|": operator.or_, "^": operator.xor,
    "&": operator.and_, "<<": operator.lshift, ">>": operator.rshift, "&^": lambda a, b: a & ~b,
    "/": lambda a, b: _quotient(a, b), "%": lambda a, b: a - b * _quotient(a, b),
}  # fmt: skip


class GoPanic(Exception):
    """The snippet panicked."""


NIL_POINTER = "runtime error: invalid memory address or nil pointer dereference"


class GoMap(dict[Any, Any]):
    """A map: what is not in it has the zero value of its type."""

    def __init__(self, values: Mapping[Any, Any], zero: Any) -> None:
        super().__init__(values)
        self.zero = zero


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Broken(Exception):
    pass


class _Continued(Exception):
    pass


class Scope:
    """Variables of a block, and of those around it."""

    def __init__(self, around: Scope | None = None, names: Mapping[str, Any] | None = None) -> None:
        self._around = around
        self._names: dict[str, Any] = dict(names or {})

    def find(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names:
                return scope._names[name]
            scope = scope._around
        raise Unsupported(f"the name {name}")

    def declare(self, name: str, value: Any) -> None:
        if name != "_":
            self._names[name] = value

    def assign(self, name: str, value: Any, *, declare: bool) -> None:
        if name == "_":
            return
        scope: Scope | None = self
        while scope is not None and not declare:
            if name in scope._names:
                scope._names[name] = value
                return
            scope = scope._around
        self._names[name] = value


def run(source: str, names: Mapping[str, Any]) -> Any:
    """What a function body returns.

    Args:
        source: the body.
        names: what stands around it: packages, helpers.

    Raises:
        Unsupported: it is not in the subset, or uses a name that is not there.
        GoPanic: it panicked.
    """
    try:
        _Interpreter().block(go.parse(source), Scope(Scope(names=_BUILTINS), names))
    except _Returned as returned:
        return returned.value
    return None


class _Interpreter:
    def block(self, statements: Sequence[Any], scope: Scope) -> None:
        for statement in statements:
            self.statement(statement, scope)

    def statement(self, node: Any, scope: Scope) -> None:
        match node:
            case go.Expression():
                self.value(node.value, scope)
            case go.Assign():
                self.assign(node, scope)
            case go.Declare() | go.Several() | go.Iota() | go.StructType() | go.Alias():
                self.declaration(node, scope)
            case go.Return():
                values = [self.value(item, scope) for item in node.values]
                raise _Returned(values[0] if len(values) == 1 else tuple(values) or None)
            case go.If():
                inner = Scope(scope)
                if node.before is not None:
                    self.statement(node.before, inner)
                self.block(node.then if self.value(node.condition, inner) else node.otherwise, Scope(inner))
            case go.For():
                self.loop(node, Scope(scope))
            case go.Range():
                self.range(node, scope)
            case go.Switch():
                self.switch(node, Scope(scope))
            case go.Block():
                self.block(node.body, Scope(scope))
            case go.Jump():
                raise _Broken if node.word == "break" else _Continued
            case _:
                raise Unsupported(f"the statement {type(node).__name__}")

    def declaration(self, node: Any, scope: Scope) -> None:
        match node:
            case go.Declare():
                self.declare(node, scope)
            case go.Several():
                for declaration in node.declarations:
                    self.declare(declaration, scope)
            case go.Iota():
                for number, declaration in enumerate(node.declarations):
                    self.declare(declaration, Scope(scope, {"iota": number}), scope)
            case go.StructType():
                scope.declare(
                    node.name, _struct(node.name, [(field, self.zero(kind, scope)) for field, kind in node.fields])
                )
            case go.Alias():
                scope.declare(node.name, self.value(node.type, scope))
            case _:
                raise Unsupported(f"the declaration {type(node).__name__}")

    def assign(self, node: go.Assign, scope: Scope) -> None:
        if node.op not in ("=", ":="):
            current = self.value(node.targets[0], scope)
            self.store(node.targets[0], _operate(node.op[:-1], current, self.value(node.values[0], scope)), scope)
            return
        values = self.values(node.values, len(node.targets), scope)
        for target, value in zip(node.targets, values, strict=True):
            self.store(target, value, scope, declare=node.op == ":=")

    def values(self, nodes: Sequence[Any], wanted: int, scope: Scope) -> list[Any]:
        """What several variables get: a value each, the results of a call, or a value and whether it is there."""
        if wanted == 1 or len(nodes) != 1:
            return [self.value(item, scope) for item in nodes]
        if isinstance(nodes[0], go.Index):
            found, key = self.value(nodes[0].target, scope), self.value(nodes[0].index, scope)
            return [self.index(found, key), key in (found or ())]
        value = self.value(nodes[0], scope)
        return [value, value is not None] if isinstance(nodes[0], go.Assertion) else list(value)

    def store(self, target: Any, value: Any, scope: Scope, *, declare: bool = False) -> None:
        match target:
            case go.Name():
                scope.assign(target.name, value, declare=declare)
            case go.Selector():
                setattr(self.value(target.target, scope), target.name, value)
            case go.Index():
                self.value(target.target, scope)[self.value(target.index, scope)] = value
            case go.Unary(op="*"):
                raise Unsupported("a store through a pointer")
            case _:
                raise Unsupported("this assignment")

    def declare(self, node: go.Declare, scope: Scope, into: Scope | None = None) -> None:
        values = self.values(node.values, len(node.names), scope)
        values = values or [self.zero(node.type, scope) for _ in node.names]
        for name, value in zip(node.names, values, strict=True):
            (into or scope).declare(name, value)

    def zero(self, kind: Any, scope: Scope) -> Any:
        if isinstance(kind, go.ListType):
            return []
        if isinstance(kind, go.MapType):
            return GoMap({}, self.zero(kind.element, scope))
        if isinstance(kind, go.Pointer | go.OtherType):
            return None
        found = self.value(kind, scope)
        return found() if isinstance(found, type) else found.zero if isinstance(found, Conversion) else None

    def loop(self, node: go.For, scope: Scope) -> None:
        if node.before is not None:
            self.statement(node.before, scope)
        while node.condition is None or self.value(node.condition, scope):
            turn = Scope(scope, scope._names)  # each turn has variables of its own, which closures keep
            try:
                self.block(node.body, Scope(turn))
            except _Continued:
                pass
            except _Broken:
                return
            scope._names.update(turn._names)
            if node.after is not None:
                self.statement(node.after, scope)

    def range(self, node: go.Range, scope: Scope) -> None:
        values = self.value(node.values, scope)
        pairs: Any = (
            values.items()
            if isinstance(values, dict)
            else enumerate(values if not isinstance(values, int) else range(values))
        )
        for pair in pairs:
            inner = Scope(scope)
            for name, value in zip(node.names, pair, strict=False):
                inner.declare(name, value)
            try:
                self.block(node.body, inner)
            except _Continued:
                continue
            except _Broken:
                return

    def switch(self, node: go.Switch, scope: Scope) -> None:
        if node.before is not None:
            self.statement(node.before, scope)
        wanted = True if node.value is None else self.value(node.value, scope)
        chosen: Sequence[Any] = ()
        for values, body in node.cases:
            if values is None:
                chosen = body
            elif any(self.value(item, scope) == wanted for item in values):
                chosen = body
                break
        try:
            self.block(chosen, Scope(scope))
        except _Broken:
            return

    # Expressions

    def value(self, node: Any, scope: Scope) -> Any:
        match node:
            case go.Literal():
                return node.value
            case go.Name():
                return scope.find(node.name)
            case go.Selector():
                return _member(self.value(node.target, scope), node.name)
            case go.Call():
                return self.call(node, scope)
            case go.Index():
                return self.index(self.value(node.target, scope), self.value(node.index, scope))
            case go.Slice():
                low = None if node.low is None else self.value(node.low, scope)
                high = None if node.high is None else self.value(node.high, scope)
                return self.value(node.target, scope)[low:high]
            case go.Unary():
                return self.unary(node, scope)
            case go.Binary():
                return self.binary(node, scope)
            case go.Composite():
                return self.composite(node.type, node, scope)
            case go.Function():
                return self.function(node, scope)
            case go.Assertion():
                return self.value(node.target, scope)
            case go.ListType(element=go.Name(name="byte")):
                return _to_bytes
            case go.ListType() | go.MapType() | go.Pointer():
                return lambda value: value
            case _:
                raise Unsupported(f"the expression {type(node).__name__}")

    def binary(self, node: go.Binary, scope: Scope) -> Any:
        left = self.value(node.left, scope)
        if node.op == "&&":
            return left and self.value(node.right, scope)
        if node.op == "||":
            return left or self.value(node.right, scope)
        return _operate(node.op, left, self.value(node.right, scope))

    def unary(self, node: go.Unary, scope: Scope) -> Any:
        found = self.value(node.operand, scope)
        match node.op:
            case "-":
                return -found
            case "!":
                return not found
            case "^":
                return ~found
            case _:
                return found

    def index(self, target: Any, index: Any) -> Any:
        if isinstance(target, dict):
            return target.get(index, getattr(target, "zero", None))
        if isinstance(target, str):
            return target.encode(errors="surrogateescape")[index]
        return target[index]

    def call(self, node: go.Call, scope: Scope) -> Any:
        if isinstance(node.function, go.Name) and node.function.name in ("make", "new"):
            return self.made(node.arguments, scope)
        function = self.value(node.function, scope)
        arguments = [self.value(item, scope) for item in node.arguments]
        if node.spread:
            *arguments, last = arguments
            arguments += list(last or ())
        elif len(arguments) == 1 and isinstance(arguments[0], tuple):
            arguments = list(arguments[0])
        if not callable(function):
            raise Unsupported(f"a call of {function!r}")
        return function(*arguments)

    def made(self, arguments: Sequence[Any], scope: Scope) -> Any:
        kind = arguments[0]
        if not isinstance(kind, go.ListType) or len(arguments) < 2:
            return self.zero(kind, scope)
        count = self.value(arguments[1], scope)
        zeros = [self.zero(kind.element, scope) for _ in range(count)]
        return bytes(zeros) if kind.element == go.Name("byte") else zeros

    def composite(self, kind: Any, node: go.Composite, scope: Scope) -> Any:
        if isinstance(kind, go.Pointer):
            return self.composite(kind.element, node, scope)
        if isinstance(kind, go.ListType):
            values = [self.element(kind.element, value, scope) for _, value in node.entries]
            return bytes(values) if kind.element == go.Name("byte") else values
        if isinstance(kind, go.MapType):
            pairs = {
                self.element(kind.key, key, scope): self.element(kind.element, value, scope)
                for key, value in node.entries
            }
            return GoMap(pairs, self.zero(kind.element, scope))
        made = self.value(kind, scope)
        if not isinstance(made, type):
            raise Unsupported("a literal of this type")
        names = list(getattr(made, "__annotations__", ()))
        fields: dict[str, Any] = {}
        for position, (key, value) in enumerate(node.entries):
            name = names[position] if key is None else key.name
            if name not in names:
                raise Unsupported(f"the field {made.__name__}.{name}")
            fields[name] = self.element(None, value, scope)
        return made(**fields)

    def element(self, kind: Any, node: Any, scope: Scope) -> Any:
        if isinstance(node, go.Composite) and node.type is None:
            return self.composite(kind, node, scope)
        return self.value(node, scope)

    def function(self, node: go.Function, scope: Scope) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            inner = Scope(scope)
            for position, (name, variadic) in enumerate(node.parameters):
                inner.declare(name, list(arguments[position:]) if variadic else arguments[position])
            try:
                self.block(node.body, Scope(inner))
            except _Returned as returned:
                return returned.value
            return None

        return call


def _member(target: Any, name: str) -> Any:
    if target is None:
        raise GoPanic(NIL_POINTER)
    if isinstance(target, Namespace):
        return target.member(name)
    found = getattr(target, name, _MISSING)
    if found is _MISSING or name.startswith("_"):
        raise Unsupported(f"{type(target).__name__}.{name}")
    return found


_MISSING = object()


class Namespace:
    """A package: what a selector finds in it.

    Args:
        name: as the snippet calls it.
        members: functions, types and values.
    """

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self._name, self._members = name, members

    def member(self, name: str) -> Any:
        """What `name` is.

        Raises:
            Unsupported: it is not there.
        """
        if name not in self._members:
            raise Unsupported(f"{self._name}.{name}")
        return self._members[name]


class Conversion:
    """A type as a function: converts a value; `zero` is its zero value."""

    def __init__(self, convert: Callable[[Any], Any], zero: Any) -> None:
        self._convert, self.zero = convert, zero

    def __call__(self, value: Any) -> Any:
        return self._convert(value)


def _struct(name: str, fields: Sequence[tuple[str, Any]]) -> type[Any]:
    """A struct type that the snippet declares."""
    made = attrs.make_class(name, {field: attrs.field(default=zero) for field, zero in fields})
    made.__annotations__ = {field: Any for field, _ in fields}
    return made


def _delete(values: dict[Any, Any], key: Any) -> None:
    values.pop(key, None)


def _operate(op: str, left: Any, right: Any) -> Any:
    if op in ("==", "!=") and (left is None or right is None):
        return (left is right) is (op == "==")
    return _OPERATIONS[op](left, right)


def _quotient(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    if right == 0:
        raise GoPanic("integer divide by zero")
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _to_bytes(value: Any) -> bytes:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else bytes(value or b"")


def _to_string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return chr(value) if isinstance(value, int) else str(value)


def _append(values: Any, *more: Any) -> Any:
    if isinstance(values, bytes):
        return values + bytes(more)
    return [*(values or ()), *more]


def _panic(error: Any) -> None:
    raise error if isinstance(error, Exception) else GoPanic(str(error))


def _length(value: Any) -> int:
    return 0 if value is None else len(value.encode(errors="surrogateescape") if isinstance(value, str) else value)


_NUMBERS = ("int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "byte", "rune")
_BUILTINS: Mapping[str, Any] = {
    "true": True,
    "false": False,
    "nil": None,
    "append": _append,
    "delete": _delete,
    "len": _length,
    "panic": _panic,
    "min": min,
    "max": max,
    "string": Conversion(_to_string, ""),
    "float64": Conversion(float, 0.0),
    "bool": Conversion(bool, False),
    "error": Conversion(lambda value: value, None),
    "any": Conversion(lambda value: value, None),
    **{name: Conversion(int, 0) for name in _NUMBERS},
}
__all__ = ["Conversion", "GoPanic", "Namespace", "Scope", "Unsupported", "run"]
