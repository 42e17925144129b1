"""The house rules that a machine can hold. Each failure names the line and what to do instead."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.schema import DTYPES
from tests.command_line import run

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("kernels", "engine", "server")  # each may import itself and those before it
OUTSIDE = ("benchmarks", "tests")  # look at the layers, and no layer looks at them
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
LONG_FILES = {"kernels/stages.py": 700}  # one stage after another, each with its leaf; a file that grows is split

INSTEAD = {
    "time": "take the stamp of the commit as an argument",
    "datetime.now": "take the stamp of the commit as an argument",
    "datetime.utcnow": "take the stamp of the commit as an argument",
    "datetime.datetime.now": "take the stamp of the commit as an argument",
    "date.today": "take the stamp of the commit as an argument",
    "random": "take what was drawn at the edge as an argument",
    "secrets": "take what was drawn at the edge as an argument",
    "uuid": "take an id that was made at the edge",
    "decimal": "count money in integer minor units",
    "socket": "sockets are the server's",
    "numpy.random": "take what was drawn at the edge as an argument",
    "os.environ": "take the value as an argument; the server reads the environment",
    "os.getenv": "take the value as an argument; the server reads the environment",
    "os.urandom": "take what was drawn at the edge as an argument",
}
# file -> what it may, and why
ALLOWED = {
    "kernels/options.py": {"os.environ", "time"},  # where compiled kernels are kept, and how long compiling took
}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names such as os.environ where they are used, under the modules' own names."""
    bound = {"np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            if root in bound:
                yield node.lineno, f"{bound[root]}.{rest}"


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str):
    beyond = {*LAYERS[LAYERS.index(layer) + 1 :], *OUTSIDE}
    wrong = [
        f"{name(path)}:{line} imports {module}: {layer} may import only {LAYERS[: LAYERS.index(layer) + 1]}"
        for path in sources(layer)
        for line, module in imported(ast.parse(path.read_text()))
        if module.split(".")[0] in beyond
    ]
    assert wrong == []


def forbidden(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    found = []
    for line, used in sorted({*imported(tree), *dotted(tree)}):
        for word, instead in INSTEAD.items():
            inside = used == word or used.startswith(word + ".")
            if inside and word not in ALLOWED.get(name(path), set()):
                found.append(f"{name(path)}:{line} uses {used}: {instead}")
    return found


def test_engine_and_kernels_know_no_clock_no_randomness_and_no_environment():
    assert [line for path in sources("engine", "kernels") for line in forbidden(path)] == []


def test_what_is_allowed_is_still_used():
    unused = {
        (file, word)
        for file, words in ALLOWED.items()
        for word in words
        if not any(
            used == word or used.startswith(word + ".")
            for tree in [ast.parse((ROOT / file).read_text())]
            for _, used in [*imported(tree), *dotted(tree)]
        )
    }
    assert unused == set()


def test_kernels_never_raise():
    wrong = [
        f"{name(path)}:{node.lineno} raises in {function.name}: return an outcome"
        for path in sources("kernels")
        if name(path) != "kernels/options.py"  # plain Python around the compiler
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Raise)
    ]
    assert wrong == []


SCALARS = {"None", "bool", "int", "float", "Word", "np.int64", "np.uint64", "State"}  # State: a tuple of words
WAYS_TO_COMPILE = {"leaf", "kernel", "brief", "allocating_leaf", "allocating_kernel"}


def compiled_functions(path: Path) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Each function of a file that is compiled, by a decorator or by a call, and whether it counts references."""
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for function in functions.values():
        for way in {ast.unparse(decorator) for decorator in function.decorator_list} & WAYS_TO_COMPILE:
            yield function, way.startswith("allocating")
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and (way := ast.unparse(call.func)) in WAYS_TO_COMPILE and call.args:
            function = functions.get(ast.unparse(call.args[0]))
            allocates = any(word.arg == "allocates" and ast.unparse(word.value) == "True" for word in call.keywords)
            if function is not None:
                yield function, allocates or way.startswith("allocating")


def gives_arrays(function: ast.FunctionDef) -> bool:
    assert function.returns is not None, function.name
    told = ast.unparse(function.returns)
    return not set(told.removeprefix("tuple[").removesuffix("]").split(", ")) <= SCALARS


def test_no_array_passes_between_who_counts_references_and_who_does_not():
    """Given back by one that counts none, it would be let go of though nobody holds it: memory freed while it is in
    use. Given to one that counts none, nobody lets go of it. To make an array there is refused by the compiler."""
    compiled = [(path, *found) for path in sources("kernels", "benchmarks") for found in compiled_functions(path)]
    assert {"_publish", "_place", "_claim_keys"} <= {function.name for _, function, _ in compiled}
    makers = {function.name for _, function, _ in compiled if gives_arrays(function)}
    wrong = []
    for path, function, counts in compiled:
        if counts:
            continue
        if gives_arrays(function):
            wrong.append(f"{name(path)}:{function.lineno} {function.name} gives an array back")
        called = {ast.unparse(call.func) for call in ast.walk(function) if isinstance(call, ast.Call)}
        wrong += [f"{name(path)}:{function.lineno} {function.name} calls {maker}" for maker in sorted(called & makers)]
    assert not wrong, f"make the arrays outside, or say that it allocates: {wrong}"


def test_no_column_of_a_record_is_a_float():
    assert {np.dtype(type_).kind for type_ in DTYPES.values()} <= {"i", "u"}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without the docstring, which says shapes and units."""
    assert function.end_lineno is not None
    first = function.body[0]
    said = ast.get_docstring(function) is not None and first.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if said else 0)


def test_a_function_fits_a_screen():
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {lines_of(node)} lines: at most {FUNCTION_LINES_MAX}; give a part "
        "of it a name of its own"
        for path in sources(*LAYERS, *OUTSIDE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_a_file_has_one_subject_and_says_which():
    wrong = []
    for path in sources(*LAYERS):
        text = path.read_text()
        lines, lines_max = text.count("\n"), LONG_FILES.get(name(path), FILE_LINES_MAX)
        if lines > lines_max:
            wrong.append(f"{name(path)} has {lines} lines: at most {lines_max}; it has a second subject, split it off")
        if text.strip() and not ast.get_docstring(ast.parse(text)):
            wrong.append(f"{name(path)} does not say what it is: begin with its place in the flow")
    assert wrong == []


def test_the_readme_names_every_command():
    readme = (ROOT / "README.md").read_text()
    listed = run("--help").out.split("Commands:")[1]
    commands = {line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "}
    nested = run("import", "--help").out.split("Commands:")[1]
    commands |= {
        f"import {line.split()[0]}" for line in nested.splitlines() if line.startswith("  ") and line[2] != " "
    }
    assert len(commands) >= 7
    assert [command for command in sorted(commands) if f"allot {command}" not in readme] == []
