"""docs/configuration.md lists every setting, as declared in the code."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from vision_assets.defs.config import config_of
from vision_assets.pipelines import PIPELINES
from vision_assets.steps.catalog import SPECS
from vision_assets_tests.pipeline import defs

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
_SIFT = PIPELINES["sift"]
_SHOWN = (
    *("image_seqfile", "image_labels", _SIFT.asset("features"), _SIFT.asset("dictionary")),
    *(_SIFT.asset("encodings"), _SIFT.asset("classifier"), _SIFT.asset("predictions"), _SIFT.asset("report")),
    *(pipeline.asset("features") for pipeline in PIPELINES.values() if pipeline is not _SIFT),
)
CONFIGS: dict[str, type[dg.Config]] = {asset: config_of(SPECS[asset]) for asset in _SHOWN}
EXAMPLE = """\
ops:
  image_seqfile:
    config:
      source: ~/pictures
  sift_features:
    config:
      max_side: 1600
  image_classifier:
    config:
      exclude_labels: [unsorted]
resources:
  pyspark:
    config:
      spark_config:
        spark.driver.memory: 4g
  data_folder:
    config:
      uri: /data/bovw
      keep_snapshots: 5
      pictures: false
"""
HEAD = f"""\
# Configuration

This page lists every setting of a run. Each has a default, so a file contains only what differs. Pass the
file to `dagster job execute … -c file.yaml` or `make run CONFIG=file.yaml`. Dagster's Launchpad describes
and completes the same fields.

The assets of [extractors](extractors.md) other than SIFT have the settings of SIFT's assets, under their own
names: `surf_kmeans_dictionary`. Only their features, such as `surf_features`, have settings of their own.

```yaml
{EXAMPLE}```

Use `resources` for a run that needs a different Spark or data folder than the
[environment](../README.md#settings) sets. A local session has the memory of its driver,
`spark.driver.memory`.
"""


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD]
    for asset, config in CONFIGS.items():
        parts.append(f"\n## {asset}\n\n| field | default | values | meaning |\n|---|---|---|---|\n")
        for name, field in config.model_json_schema()["properties"].items():
            default = json.dumps(field.get("default"))
            meaning = field["description"].partition(" [default ")[0]
            parts.append(f"| `{name}` | `{default}` | {values(field)} | {meaning} |\n")
    return "".join(parts)


def values(field: dict[str, Any]) -> str:
    options = field.get("anyOf", [field])
    return ", or ".join(one_kind(option) for option in options)


def one_kind(option: dict[str, Any]) -> str:
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if option["type"] == "array":
        return "list of strings"
    least, most, above = (option.get(key) for key in ("minimum", "maximum", "exclusiveMinimum"))
    if least is not None:
        bounds = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
    else:
        limits = [(above, "more than {:,}"), (most, "at most {:,}")]
        bounds = ", ".join(text.format(limit) for limit, text in limits if limit is not None)
    kind = {"boolean": "true, false"}.get(option["type"], option["type"])
    return f"{kind}, {bounds}" if bounds else kind


def test_the_page_is_up_to_date() -> None:
    """After a change, rewrite the page: `python -m vision_assets_tests.defs.test_configuration`."""
    assert PAGE.read_text() == page()


def test_the_page_has_every_asset_with_settings() -> None:
    job = defs.resolve_job_def(_SIFT.job)
    for key in job.asset_layer.executable_asset_keys:
        schema: Any = job.get_node_named(key.to_user_string()).definition.config_schema
        fields = getattr(schema.config_type, "fields", {})
        assert bool(fields) == (key.to_user_string() in CONFIGS)


def test_the_example_fits_the_job() -> None:
    assert dg.validate_run_config(defs.resolve_job_def(_SIFT.job), yaml.safe_load(EXAMPLE))


if __name__ == "__main__":
    PAGE.write_text(page())
