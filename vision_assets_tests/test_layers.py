"""The layers import only downward, and what runs in Spark's workers needs no Dagster."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vision_assets

PACKAGE = Path(vision_assets.__file__).parent
# A room may import those before it, and itself. The modules beside the rooms may use all of them.
FLOORS = (
    "errors",
    "redaction",
    "uris",
    "settings",
    "vision",
    "pipelines",
    "spark",
    "snapshots",
    "tables",
    "steps",
    "defs",
)
EXTERNAL = {
    "vision": {"cv2", "mahotas", "matplotlib", "numpy", "scipy", "PIL"},
    "spark": {"numpy", "pyarrow", "pyspark", "py4j"},
    "snapshots": {"pyspark"},
    "tables": {"pyspark"},
    "steps": {"numpy", "pandas", "pyarrow", "pyspark", "py4j"},
    "defs": {"dagster", "dagster_pyspark", "dagster_spark", "numpy", "pydantic", "pyspark"},
}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", EXTERNAL)
def test_a_room_imports_only_what_is_below(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
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
os.environ["VISION_ASSETS_DATA"] = {str(tmp_path)!r}
from vision_assets.cli import main
assert main(["path", "bow_encodings"]) == 1
print({{"dagster", "pyspark", "cv2", "numpy"}} & set(sys.modules))
"""
    assert python(code) == "set()\n"


def test_the_workers_code_runs_without_dagster() -> None:
    code = """
import sys
sys.modules["dagster"] = sys.modules["dagster_pyspark"] = None
from vision_assets.spark import sequence_file
from vision_assets.steps import dictionary, encodings, features, sources, stored_tables
from vision_assets.tables import table
"""
    python(code)


def test_loading_the_definitions_starts_no_jvm() -> None:
    code = """
import vision_assets.definitions
from pyspark import SparkContext
print(SparkContext._gateway, SparkContext._active_spark_context)
"""
    assert python(code) == "None None\n"
