"""Python source: imports in any form, clients of Bedrock, addresses in string literals.

Rules of this file: pure, by the syntax tree; nothing is imported or run. An import for types only
(under TYPE_CHECKING) is reported too, and says so: it ties the app to the vendor's package all the
same. A relative import is the app's own. Docstrings are no addresses.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final

from routerd.lint.findings import Finding, Kind, keep_unallowed, unreadable
from routerd.lint.names import find_host, find_module
from routerd.lint.saying import IN_PYTHON, found
from routerd.lint.vendors import BEDROCK, BEDROCK_SERVICES, Vendor

__all__ = ["check_python"]

# Functions that import what their first argument names, whatever they are a method of.
IMPORTING: Final = frozenset(
    {"__import__", "import_module", "importorskip", "resolve_name", "run_module"}
)
# Of boto3 and its like.
MAKING_CLIENTS: Final = frozenset({"client", "create_client"})
# Nodes that may be a finding or say something of one, and those that never lead to any.
TELLING: Final = frozenset({ast.Call, ast.Constant, ast.If, ast.Import, ast.ImportFrom})
SILENT: Final = frozenset({ast.Name, ast.Load, ast.Store, ast.Del})
FIRST_ARGUMENTS: Final = frozenset({"name", "modname", "mod_name", "service_name"})


def check_python(source: bytes | str) -> list[Finding]:
    """Return what a module does without routerd; one finding if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes and the like are somebody else's to tell
            tree = ast.parse(source)
    except SyntaxError as error:
        return [unreadable(f"is no Python: {error.msg}", error.lineno or 1, error.offset or 1)]
    except ValueError as error:
        return [unreadable(f"is no Python: {error}")]
    except (RecursionError, MemoryError):
        return [unreadable("is no Python that can be read: it is nested too deeply")]
    text = source if isinstance(source, str) else source.decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    findings = sorted(_Reader(lines).read(tree), key=lambda item: (item.line, item.column))
    return keep_unallowed(findings, lines)


class _Reader:
    """Walks one tree, without recursion: generated source may be deep."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._for_types: set[ast.AST] = set()

    def read(self, tree: ast.Module) -> Iterator[Finding]:
        # Nearly all time goes into looking at nodes that are nothing: no calls in here.
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if node.__class__ in TELLING:
                yield from self._of_node(node)
            if node.__class__ is ast.Expr and isinstance(node.value, ast.Constant):
                continue  # a docstring
            for value in node.__dict__.values():
                if value.__class__ is list:
                    waiting += [child for child in value if isinstance(child, ast.AST)]
                elif isinstance(value, ast.AST) and value.__class__ not in SILENT:
                    waiting.append(value)

    def _of_node(self, node: ast.AST) -> Iterator[Finding]:
        match node:
            case ast.Import(names=names):
                yield from self._imports(node, [alias.name for alias in names])
            case ast.ImportFrom(module=str() as module, level=0, names=names):
                yield from self._imports(node, [f"{module}.{alias.name}" for alias in names])
            case ast.Call():
                yield from self._of_call(node)
            case ast.Constant(value=str() as text):
                yield from self._of_text(node, text)
            case ast.If(test=test, body=body) if _is_for_types(test):
                self._for_types |= {inner for child in body for inner in ast.walk(child)}

    def _imports(self, node: ast.stmt, modules: list[str]) -> Iterator[Finding]:
        """One finding a vendor, however many names of it a statement has."""
        vendors = {vendor.name: vendor for name in modules if (vendor := find_module(name))}
        for vendor in vendors.values():
            yield self._found(node, vendor, "types" if node in self._for_types else "import")

    def _of_call(self, node: ast.Call) -> Iterator[Finding]:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name not in IMPORTING and name not in MAKING_CLIENTS:
            return
        argument = _first_argument(node)
        if name in MAKING_CLIENTS:
            if argument in BEDROCK_SERVICES:
                yield self._found(node, BEDROCK, "client")
        elif vendor := find_module(argument.partition(":")[0]):
            yield self._found(node, vendor, "import")

    def _of_text(self, node: ast.Constant, text: str) -> Iterator[Finding]:
        if (host := find_host(text)) is not None:
            yield self._found(node, host[0], "host", host[1])

    def _found(
        self, node: ast.stmt | ast.expr, vendor: Vendor, kind: Kind, name: str = ""
    ) -> Finding:
        before = self._lines[node.lineno - 1 : node.lineno]
        # The tree counts bytes, a person characters.
        column = len("".join(before).encode()[: node.col_offset].decode("utf-8", "replace"))
        return found(
            vendor,
            kind,
            node.lineno,
            column + 1,
            name=name,
            instead=IN_PYTHON,
            last_line=node.end_lineno or node.lineno,
        )


def _first_argument(call: ast.Call) -> str:
    """Return what a call is given first, if that is a plain string."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in FIRST_ARGUMENTS]
    first = next(iter([*call.args[:1], *named]), None)
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return ""


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
