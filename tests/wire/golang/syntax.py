"""The syntax tree of a Go snippet, and the parser that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from tests.wire.golang.lexer import KEYWORDS, Token, Unsupported, tokens

_PRECEDENCE = {
    "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "|": 4, "^": 4,
    "*": 5, "/": 5, "%": 5, "<<": 5, ">>": 5, "&": 5, "&^": 5,
}  # fmt: skip
_ASSIGNMENTS = ("=", ":=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "&^=")


@attrs.frozen
class Literal:
    value: Any


@attrs.frozen
class Name:
    name: str


@attrs.frozen
class Selector:
    target: Any
    name: str


@attrs.frozen
class Call:
    function: Any
    arguments: Sequence[Any]
    spread: bool


@attrs.frozen
class Index:
    target: Any
    index: Any


@attrs.frozen
class Slice:
    target: Any
    low: Any
    high: Any


@attrs.frozen
class Unary:
    op: str
    operand: Any


@attrs.frozen
class Binary:
    op: str
    left: Any
    right: Any


@attrs.frozen
class Assertion:
    target: Any
    type: Any


@attrs.frozen
class ListType:
    element: Any


@attrs.frozen
class MapType:
    key: Any
    element: Any


@attrs.frozen
class Pointer:
    element: Any


@attrs.frozen
class OtherType:
    text: str


@attrs.frozen
class Composite:
    """`type` is None where the literal stands in another one that says it. Entries are (key or None, value)."""

    type: Any
    entries: Sequence[tuple[Any, Any]]


@attrs.frozen
class Function:
    parameters: Sequence[tuple[str, bool]]
    body: Sequence[Any]


@attrs.frozen
class Expression:
    value: Any


@attrs.frozen
class Assign:
    targets: Sequence[Any]
    op: str
    values: Sequence[Any]


@attrs.frozen
class Declare:
    names: Sequence[str]
    type: Any
    values: Sequence[Any]


@attrs.frozen
class Return:
    values: Sequence[Any]


@attrs.frozen
class If:
    before: Any
    condition: Any
    then: Sequence[Any]
    otherwise: Sequence[Any]


@attrs.frozen
class For:
    before: Any
    condition: Any
    after: Any
    body: Sequence[Any]


@attrs.frozen
class Range:
    names: Sequence[str]
    values: Any
    body: Sequence[Any]


@attrs.frozen
class Switch:
    before: Any
    value: Any
    cases: Sequence[tuple[Sequence[Any] | None, Sequence[Any]]]


@attrs.frozen
class Block:
    body: Sequence[Any]


@attrs.frozen
class Jump:
    word: str


def parse(source: str) -> Sequence[Any]:
    """The statements of a function body.

    Raises:
        Unsupported: it is not in the subset.
    """
    parser = _Parser(tokens(source))
    return parser.statements(until="end")


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._at = found, 0
        self._literals = True
        """Whether `{` may begin a composite literal: not in the head of if, for and switch."""

    # Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        token = self._next
        return token.kind in ("op", "name") and token.value in texts

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise Unsupported(f"{self._next.value!r} where {text!r} is expected")

    def _name(self) -> str:
        token = self._take()
        if token.kind != "name" or token.value in KEYWORDS:
            raise Unsupported(f"{token.value!r} as a name")
        return str(token.value)

    # Statements

    def statements(self, until: str) -> list[Any]:
        found: list[Any] = []
        while not (self._next.kind == "end" if until == "end" else self._is(until, "case", "default")):
            if self._accept(";"):
                continue
            found.append(self._statement())
            if not self._is(";", "}", "case", "default") and self._next.kind != "end":
                raise Unsupported(f"{self._next.value!r} after a statement")
        return found

    def _block(self) -> list[Any]:
        self._expect("{")
        literals, self._literals = self._literals, True
        found = self.statements(until="}")
        self._literals = literals
        self._expect("}")
        return found

    def _statement(self) -> Any:
        token = self._next
        if token.kind == "name":
            match token.value:
                case "return":
                    self._take()
                    return Return(() if self._is(";", "}") or self._next.kind == "end" else self._expressions())
                case "if":
                    return self._if()
                case "for":
                    return self._for()
                case "switch":
                    return self._switch()
                case "var" | "const":
                    return self._declaration()
                case "break" | "continue":
                    return Jump(str(self._take().value))
                case "type":
                    return self._type_declaration()
                case "defer" | "go" | "select" | "goto" | "fallthrough":
                    raise Unsupported(f"the statement {token.value}")
        if self._is("{"):
            return Block(self._block())
        return self._simple()

    def _simple(self) -> Any:
        left = self._expressions()
        if self._is(*_ASSIGNMENTS):
            op = str(self._take().value)
            if self._is("range"):
                return self._range_head([_name_of(item) for item in left])
            return Assign(left, op, self._expressions())
        if self._is("++", "--"):
            op = "+=" if self._take().value == "++" else "-="
            return Assign(left, op, [Literal(1)])
        return Expression(left[0])

    def _range_head(self, names: Sequence[str]) -> Range:
        self._expect("range")
        return Range(names, self._expression(), ())

    def _head(self) -> tuple[bool, Any]:
        literals, self._literals = self._literals, False
        return literals, None

    def _if(self) -> If:
        self._expect("if")
        literals, self._literals = self._literals, False
        before, condition = None, self._simple()
        if self._accept(";"):
            before, condition = condition, self._simple()
        self._literals = literals
        then = self._block()
        otherwise: Sequence[Any] = ()
        if self._accept("else"):
            otherwise = [self._if()] if self._is("if") else self._block()
        return If(before, condition.value, then, otherwise)

    def _for(self) -> Any:
        self._expect("for")
        literals, self._literals = self._literals, False
        parts: list[Any] = [None, None, None]
        if self._is("range"):
            head: Any = self._range_head([])
        else:
            head = None if self._is(";", "{") else self._simple()
        if isinstance(head, Range):
            self._literals = literals
            return attrs.evolve(head, body=self._block())
        if self._is(";"):
            self._take()
            parts[0] = head
            parts[1] = None if self._is(";") else self._simple()
            self._expect(";")
            parts[2] = None if self._is("{") else self._simple()
        else:
            parts[1] = head
        self._literals = literals
        condition = None if parts[1] is None else parts[1].value
        return For(parts[0], condition, parts[2], self._block())

    def _switch(self) -> Switch:
        self._expect("switch")
        literals, self._literals = self._literals, False
        before = value = None
        if not self._is("{"):
            value = self._simple()
            if self._accept(";"):
                before, value = value, None if self._is("{") else self._simple()
        self._literals = literals
        self._expect("{")
        cases: list[tuple[Sequence[Any] | None, Sequence[Any]]] = []
        while not self._accept("}"):
            values = None if self._accept("default") else self._case_values()
            self._expect(":")
            cases.append((values, self.statements(until="}")))
        return Switch(before, None if value is None else value.value, cases)

    def _case_values(self) -> list[Any]:
        self._expect("case")
        return self._expressions()

    def _declaration(self) -> Any:
        constant = self._take().value == "const"
        if not self._accept("("):
            return self._specification()
        found: list[Declare] = []
        while not self._accept(")"):
            made = self._specification()
            if constant and not made.values and found:  # a constant without a value has the one before, with its iota
                made = attrs.evolve(found[-1], names=made.names)
            found.append(made)
            self._accept(";")
        return Iota(found) if constant else Several(found)

    def _type_declaration(self) -> Any:
        self._expect("type")
        name = self._name()
        self._accept("=")
        if not (self._is("struct") and self._tokens[self._at + 1].value == "{"):
            return Alias(name, self._type())
        self._take()
        self._expect("{")
        fields: list[tuple[str, Any]] = []
        while not self._accept("}"):
            if self._accept(";"):
                continue
            names = [self._name()]
            while self._accept(","):
                names.append(self._name())
            kind = self._type()
            fields += [(field, kind) for field in names]
        return StructType(name, fields)

    def _specification(self) -> Declare:
        names = [self._name()]
        while self._accept(","):
            names.append(self._name())
        declared = None if self._is("=", ";", ")") else self._type()
        return Declare(names, declared, self._expressions() if self._accept("=") else ())

    # Expressions

    def _expressions(self) -> list[Any]:
        found = [self._expression()]
        while self._accept(","):
            found.append(self._expression())
        return found

    def _expression(self, least: int = 1) -> Any:
        left = self._unary()
        while True:
            token = self._next
            rank = _PRECEDENCE.get(str(token.value), 0) if token.kind == "op" else 0
            if rank < least:
                return left
            self._take()
            left = Binary(str(token.value), left, self._expression(rank + 1))

    def _unary(self) -> Any:
        if self._is("-", "+", "!", "^", "&", "*"):
            op = str(self._take().value)
            return Unary(op, self._unary())
        return self._primary()

    def _primary(self) -> Any:
        found = self._operand()
        while True:
            if self._accept("."):
                found = self._selected(found)
            elif self._is("("):
                found = self._call(found)
            elif self._is("["):
                found = self._indexed(found)
            elif self._is("{") and self._literals and isinstance(found, Name | Selector):
                found = self._composite(found)
            else:
                return found

    def _selected(self, target: Any) -> Any:
        if self._accept("("):
            asserted = self._type()
            self._expect(")")
            return Assertion(target, asserted)
        return Selector(target, self._name())

    def _operand(self) -> Any:
        token = self._next
        if token.kind in ("int", "float", "string", "rune"):
            return Literal(self._take().value)
        if self._accept("("):
            literals, self._literals = self._literals, True
            found = self._expression()
            self._literals = literals
            self._expect(")")
            return found
        if self._is("func"):
            return self._function()
        if self._is("[", "map"):
            found = self._type()
            return self._composite(found) if self._is("{") else found
        return Name(self._name())

    def _function(self) -> Function:
        self._expect("func")
        parameters = self._parameters()
        if self._is("("):
            self._parameters()
        elif not self._is("{"):
            self._type()
        return Function(parameters, self._block())

    def _parameters(self) -> list[tuple[str, bool]]:
        """Names of parameters, and whether each is variadic; groups such as `a, b int` share a type."""
        self._expect("(")
        found: list[tuple[str, bool]] = []
        while not self._accept(")"):
            first = self._accept("...")
            kind = self._type()
            name = kind.name if isinstance(kind, Name) else ""
            if not self._is(",", ")"):
                variadic = self._accept("...")
                self._type()
                found.append((name, variadic))
            else:
                found.append((name, first))
            self._accept(",")
        return found

    def _call(self, function: Any) -> Call:
        self._expect("(")
        literals, self._literals = self._literals, True
        arguments: list[Any] = []
        spread = False
        while not self._accept(")"):
            arguments.append(self._expression())
            spread = self._accept("...") or spread
            self._accept(",")
        self._literals = literals
        return Call(function, arguments, spread)

    def _indexed(self, target: Any) -> Any:
        self._expect("[")
        literals, self._literals = self._literals, True
        low = None if self._is(":") else self._expression()
        if self._accept(":"):
            high = None if self._is("]") else self._expression()
            found: Any = Slice(target, low, high)
        else:
            found = Index(target, low)
        self._literals = literals
        self._expect("]")
        return found

    def _composite(self, kind: Any) -> Composite:
        self._expect("{")
        literals, self._literals = self._literals, True
        entries: list[tuple[Any, Any]] = []
        while not self._accept("}"):
            key, value = None, self._entry()
            if self._accept(":"):
                key, value = value, self._entry()
            entries.append((key, value))
            self._accept(",")
            self._accept(";")
        self._literals = literals
        return Composite(kind, entries)

    def _entry(self) -> Any:
        return self._composite(None) if self._is("{") else self._expression()

    # Types

    def _type(self) -> Any:
        if self._accept("*"):
            return Pointer(self._type())
        if self._accept("["):
            if not self._is("]") and not self._accept("..."):
                self._expression()
            self._expect("]")
            return ListType(self._type())
        if self._accept("map"):
            self._expect("[")
            key = self._type()
            self._expect("]")
            return MapType(key, self._type())
        if self._is("func"):
            self._take()
            self._parameters()
            if self._is("("):
                self._parameters()
            elif self._next.kind == "name" or self._is("*", "["):
                self._type()
            return OtherType("func")
        if self._is("interface", "struct"):
            word = str(self._take().value)
            self._expect("{")
            self._expect("}")
            return OtherType(word)
        found: Any = Name(self._name())
        while self._accept("."):
            found = Selector(found, self._name())
        return found


@attrs.frozen
class Several:
    """Declarations in parentheses."""

    declarations: Sequence[Declare]


@attrs.frozen
class Iota:
    """Constants in parentheses, which `iota` numbers."""

    declarations: Sequence[Declare]


@attrs.frozen
class StructType:
    """The declaration of a struct."""

    name: str
    fields: Sequence[tuple[str, Any]]


@attrs.frozen
class Alias:
    """The declaration of a type that is another one."""

    name: str
    type: Any


def _name_of(item: Any) -> str:
    if not isinstance(item, Name):
        raise Unsupported("range into something that is no variable")
    return item.name
