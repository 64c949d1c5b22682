"""What the modules of the Python package define."""

import ast
from pathlib import Path

from definition import Definition


def parse(files: dict[Path, str]) -> list[Definition]:
    """Functions, classes, methods, and attributes that a method declares; public is what __init__.py imports."""
    classes, functions, exported = {}, [], {"__version__"}
    for path, text in files.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = (path, node)
            elif isinstance(node, ast.FunctionDef) and not _is_overload(node):
                functions.append((path, node))
            elif path.name == "__init__.py" and isinstance(node, ast.ImportFrom):
                exported |= {alias.name for alias in node.names}
    result = [_function(node.name, path, node, node.name in exported) for path, node in functions]
    for name, (path, node) in classes.items():
        made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        result += [_function(name, path, item, name in exported) for item in made]
        result += [] if made else [Definition(name, path, "", name in exported)]
        result += _members(name, name, classes, name in exported)
    return result


def _is_overload(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def _function(name: str, path: Path, node: ast.FunctionDef, public: bool) -> Definition:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    text = "\n".join(map(ast.unparse, body))
    return Definition(name, path, text, public, frozenset(argument.arg for argument in arguments))


def _members(owner: str, name: str, classes: dict[str, tuple[Path, ast.ClassDef]], public: bool) -> list[Definition]:
    """Methods and declared attributes of a class and its bases."""
    if name not in classes:
        return []
    path, node = classes[name]
    result = []
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not _is_overload(method):
            result.append(_function(f"{owner}.{method.name}", path, method, public))
            for item in ast.walk(method):
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Attribute):
                    result.append(_function(f"{owner}.{item.target.attr}", path, method, public))
    for base in node.bases:
        result += _members(owner, ast.unparse(base).split("[")[0], classes, public)
    return result
