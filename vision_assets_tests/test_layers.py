"""The layers import only downward, and what runs in Spark's workers needs no Dagster."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vision_assets

PACKAGE = Path(vision_assets.__file__).parent
BELOW = {
    "vision": set(),
    "spark": {"vision"},
    "storage": {"spark", "vision"},
}
EXTERNAL = {
    "vision": {"cv2", "mahotas", "matplotlib", "numpy", "scipy", "PIL"},
    "spark": {"numpy", "pandas", "pyarrow", "pyspark", "py4j"},
    "storage": {"pyspark"},
}
SHARED = {"chains", "errors", "settings"}
DAGSTER_ONLY_IN = {"storage/io_managers.py"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("layer", BELOW)
def test_a_layer_imports_only_what_lies_below(layer: str) -> None:
    files = sorted((PACKAGE / layer).rglob("*.py"))
    assert files
    for file in files:
        where = file.relative_to(PACKAGE).as_posix()
        for name in imported(file):
            root, *rest = name.split(".")
            if root == "vision_assets":
                allowed = (
                    BELOW[layer] | SHARED | {layer} | ({"failures"} if where in DAGSTER_ONLY_IN else set())
                )
                assert rest[0] in allowed, f"{where} imports {name}"
            elif root in {"dagster", "dagster_pyspark", "pydantic"}:
                assert where in DAGSTER_ONLY_IN, f"{where} imports {name}"
            elif root not in sys.stdlib_module_names:
                assert root in EXTERNAL[layer], f"{where} imports {name}"


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
from vision_assets.spark import dictionary, encodings, features, sequence_file, sources, stored_tables, tables
"""
    python(code)


def test_loading_the_definitions_starts_no_jvm() -> None:
    code = """
import vision_assets.definitions
from pyspark import SparkContext
print(SparkContext._gateway, SparkContext._active_spark_context)
"""
    assert python(code) == "None None\n"
