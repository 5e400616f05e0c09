"""Rooms import only downward, no imports run in a circle, and Spark's workers need no Dagster."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import vision_assets

PACKAGE = Path(vision_assets.__file__).parent
# A room may import those before it, and itself. The modules beside the rooms may use all of them.
FLOORS = (
    "errors",
    "redaction",
    "uris",
    "wording",
    "settings",
    "collection",
    "vision",
    "pipelines",
    "spark",
    "snapshots",
    "tables",
    "steps",
    "defs",
)
EXTERNAL: dict[str, set[str]] = {
    **{name: set() for name in ("errors", "redaction", "uris", "wording", "settings", "pipelines")},
    "collection": {"yaml"},
    "vision": {
        "cv2",
        "imagecodecs",
        "mahotas",
        "matplotlib",
        "netpbmfile",
        "numpy",
        "scipy",
        "tifffile",
        "PIL",
    },
    "spark": {"numpy", "pyarrow", "pyspark", "py4j"},
    "snapshots": set(),
    "tables": {"pyspark"},
    "steps": {"backports", "compression", "inflate64", "numpy", "pandas", "pyarrow", "pyspark", "py4j"},
    "defs": {"click", "dagster", "dagster_pyspark", "dagster_spark", "numpy", "pydantic", "pyspark"},
}


def imported(file: Path) -> set[str]:
    """Return what a module imports, also in functions and for annotations alone."""
    return names_in(ast.walk(ast.parse(file.read_text())))


def needed(file: Path) -> set[str]:
    """Return what a module imports when it runs, also in functions."""
    return names_in(running(ast.parse(file.read_text())))


def running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from running(node)


def names_in(nodes: Iterator[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> dict[str, Path]:
    """Return the names of all modules of the package, and their files."""
    return {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("room", EXTERNAL)
def test_a_room_imports_only_what_is_below(room: str) -> None:
    module = PACKAGE / f"{room}.py"
    files = [module] if module.is_file() else sorted((PACKAGE / room).rglob("*.py"))
    assert files
    below = FLOORS[: FLOORS.index(room) + 1]
    for file in files:
        where = file.relative_to(PACKAGE).as_posix()
        for name in imported(file):
            root, *rest = name.split(".")
            if root == "vision_assets":
                assert rest[0] in below, f"{where} imports {name}"
            elif root not in sys.stdlib_module_names:
                assert root in EXTERNAL[room], f"{where} imports {name}"


def test_no_imports_run_in_a_circle() -> None:
    """A package counts as its `__init__` module alone, so a module may import its siblings."""
    files = modules()
    graph = {
        module: {
            found
            for name in needed(file)
            if (found := name if name in files else name.rpartition(".")[0]) in files
        }
        for module, file in files.items()
    }
    assert sum(map(len, graph.values())) > len(graph), "imports were found"
    TopologicalSorter(graph).prepare()  # names a circle


def test_the_engine_knows_neither_images_nor_tables() -> None:
    """It imports less than its floor would allow, so that it could serve another project."""
    for file in sorted((PACKAGE / "spark").rglob("*.py")):
        ours = {name.split(".")[1] for name in imported(file) if name.startswith("vision_assets.")}
        assert ours <= {"errors", "settings", "uris", "spark"}, file.name


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'dagster', 'pyspark', 'cv2', 'numpy', 'pandas', 'scipy', 'PIL'}"
    assert python(f"import sys, vision_assets; print({heavy} & set(sys.modules))") == "set()\n"


def test_the_console_command_needs_neither_spark_nor_dagster_for_local_data(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
os.environ["VISION_ASSETS_DATA"] = {str(tmp_path)!r}
from vision_assets.cli import main
from vision_assets.snapshots.store import open_store
store = open_store({str(tmp_path)!r})
pending = store.begin(("bow_encodings",), "run", {{}})
Path(pending.uri).mkdir()
unknown = dict(code_version="", config={{}}, counts={{}}, check_results={{}}, keys="", rows=0, seconds=0.0)
store.commit(pending, run_id="run", **unknown)
assert main(["path", "bow_encodings"]) == 0
print({{"dagster", "pyspark", "cv2", "numpy"}} & set(sys.modules))
"""
    assert python(code).endswith("\nset()\n")


def test_the_workers_code_needs_neither_dagster_nor_matplotlib_nor_pydantic() -> None:
    rooms = tuple(f"vision_assets.{room}" for room in ("spark", "snapshots", "tables", "steps"))
    names = [name for name in modules() if name.startswith(rooms)]
    assert "vision_assets.steps.worker_daemon" in names
    code = f"""
import importlib, sys
for name in ("dagster", "dagster_pyspark", "matplotlib", "pydantic"):
    sys.modules[name] = None
for name in {names}:
    importlib.import_module(name)
"""
    python(code)


def test_loading_the_definitions_starts_no_jvm() -> None:
    code = """
import vision_assets.definitions
from pyspark import SparkContext
print(SparkContext._gateway, SparkContext._active_spark_context)
"""
    assert python(code) == "None None\n"


def mutable_state(tree: ast.Module) -> list[str]:
    """Return the names that a module or a class body binds to a container which starts empty."""
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    return [
        ast.unparse(statement.targets[0] if isinstance(statement, ast.Assign) else statement.target)
        for body in bodies
        for statement in body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and statement.value is not None
        and ast.unparse(statement.value) in {"{}", "[]", "set()", "dict()", "list()", "defaultdict(list)"}
    ]


def test_no_state_is_shared_behind_the_scenes() -> None:
    """What a step has read reaches what writes it as a value."""
    found = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in PACKAGE.rglob("*.py")
        for name in mutable_state(ast.parse(file.read_text()))
    }
    caches = {("steps/pictures/previews.py", "_PREVIEWS"), ("steps/pictures/sample.py", "_NAMES")}
    assert found == caches, "a cache needs a reason, in a comment beside it"
