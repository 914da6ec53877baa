"""The picture of the layers, held: imports point downward, at the top of the file, from the defining module.

                        api.py                      the roof: every other module at the package's root
        ┌─────────────────┼──────────────────┐
     trace/              opt/             kernels/   siblings that never import each other
        └─────────────────┼──────────────────┘ └── device.py
                     symbolic/
             errors.py  config.py  tree.py           the cellar
"""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "tracejit"
CELLAR = {"errors", "config", "tree", "_version"}

# whom a layer may import, itself included
BELOW = {
    "errors": set(),
    "_version": set(),
    "config": {"errors"},
    "tree": {"errors"},
    "symbolic": CELLAR | {"symbolic"},
    "device": CELLAR | {"symbolic"},
    "trace": CELLAR | {"symbolic", "trace"},
    "opt": CELLAR | {"symbolic", "opt"},
    "kernels": CELLAR | {"symbolic", "device", "kernels"},
    "roof": CELLAR | {"symbolic", "device", "trace", "opt", "kernels", "roof"},
}
# Modules that the package shows to its users, and that gather names for it.
FACES = {"tracejit", "tracejit.api"}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(p): p for p in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def layer(module):
    """Return the layer a module of ours belongs to."""
    parts = module.split(".")
    first = parts[1] if len(parts) > 1 else ""
    return first if first in BELOW else "roof"


def imports(module):
    """Yield (line, imported module, names taken from it, whether inside a function) of our own modules."""
    inside = {
        id(node)
        for function in ast.walk(TREES[module])
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tracejit":
                    yield node.lineno, alias.name, [], id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            if (node.module or "").split(".")[0] != "tracejit":
                continue
            names = [a.name for a in node.names]
            submodules = [n for n in names if f"{node.module}.{n}" in FILES]
            for name in submodules:
                yield node.lineno, f"{node.module}.{name}", [], id(node) in inside
            rest = [n for n in names if n not in submodules]
            if rest:
                yield node.lineno, node.module, rest, id(node) in inside


EVERY_MODULE = pytest.mark.parametrize("module", FILES)


@EVERY_MODULE
def test_imports_point_downward(module):
    allowed = BELOW[layer(module)]
    wrong = [
        f"{FILES[module].relative_to(ROOT.parent)}:{line} imports {target}"
        for line, target, _, _ in imports(module)
        if layer(target) not in allowed or (target == "tracejit" and module != "tracejit.__main__")
    ]
    assert not wrong


@EVERY_MODULE
def test_imports_come_from_the_defining_module(module):
    wrong = []
    for line, target, names, _ in imports(module):
        assert target in FILES, f"{module}:{line} imports {target}, which does not exist"
        if target in FACES:
            continue
        borrowed = {
            a.asname or a.name
            for node in TREES[target].body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for a in node.names
        }
        wrong += [f"{module}:{line} takes {n} from {target}" for n in names if n in borrowed]
    assert not wrong, "these have the name from elsewhere"


@EVERY_MODULE
def test_an_import_inside_a_function_says_why(module):
    lines = FILES[module].read_text(encoding="utf-8").splitlines()
    wrong = []
    for function in ast.walk(TREES[module]):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        said = False
        for node in ast.walk(function):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                around = lines[node.lineno - 2 : node.end_lineno]
                said = said or any("#" in text for text in around)
                if not said:  # one comment serves the imports of one function
                    wrong.append(f"{FILES[module].relative_to(ROOT.parent)}:{node.lineno}")
    assert not wrong, "move these to the top of the file, or say in a comment why they cannot be there"


def test_no_import_cycles():
    edges = {m: {target for _, target, _, lazy in imports(m) if not lazy and target != m} for m in FILES}
    done, path = set(), []

    def visit(module):
        if module in path:
            pytest.fail("import cycle: " + " → ".join([*path[path.index(module) :], module]))
        if module in done:
            return
        path.append(module)
        for target in sorted(edges.get(module, ())):
            visit(target)
        path.pop()
        done.add(module)

    for module in FILES:
        visit(module)


def test_inner_init_files_are_empty():
    full = [str(p) for p in ROOT.rglob("__init__.py") if p.parent != ROOT and p.read_text(encoding="utf-8").strip()]
    assert not full


def test_every_folder_with_modules_is_a_package():
    folders = {p.parent for p in FILES.values()}
    assert not [f for f in folders if not (f / "__init__.py").exists()]


def test_import_is_light():
    heavy = "numba llvmlite scipy cffi matplotlib cupy optree tqdm platformdirs pytest setuptools distutils"
    code = "import sys, tracejit; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(heavy.split()) & set(out.stdout.split())


def test_imports_have_no_cycles():
    """Each module could be imported first; the package itself, which gathers names, is above all others."""
    above = {m: {imported for _, imported, _, inside in imports(m) if not inside} for m in FILES if m not in FACES}
    order = graphlib.TopologicalSorter({m: found - FACES for m, found in above.items()})
    assert len(list(order.static_order())) >= len(above)  # raises CycleError, which names the modules
