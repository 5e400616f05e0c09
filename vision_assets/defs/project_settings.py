"""The check that a table was made with the settings of the project file."""

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.step_asset import asset_key
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.steps.spec import StepSpec


def settings_check(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    """Make the check that compares the settings of an asset's table with those of the project file."""
    assert collection.file  # noqa: S101 - only then is there something to compare with
    key = asset_key(collection, spec.asset)
    named = f" --collection {collection.name}" if collection.name else ""
    config_type = config_of(spec, collection.settings)

    @dg.asset_check(
        name="project_settings",
        asset=key,
        description=f"The table was made with the settings of {collection.file.name}.",
        retry_policy=RETRY_POLICY,
    )
    def project_settings(data_folder: TableStoreResource) -> dg.AssetCheckResult:
        """Warn when a run was given other settings."""
        with failures():
            snapshot = data_folder.store.require_current((spec.asset,))
        made_with = snapshot.config
        wanted = spec.table_settings(config_type().model_dump())
        wanted.pop("source", None)  # the project file has it apart, and the environment may name another
        # A manifest of an earlier release lacks options that were added since.
        differing = sorted(
            name for name in made_with.keys() & wanted.keys() if made_with[name] != wanted[name]
        )
        rows = [
            dg.TableRecord(
                {"setting": name, "made with": str(made_with[name]), "project file": str(wanted[name])}
            )
            for name in differing
        ]
        return dg.AssetCheckResult(
            passed=not differing,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"differing_settings": dg.MetadataValue.table(rows)} if rows else {},
            description=f"Other settings than in {collection.file}: {', '.join(differing)}. Materialize "
            f"{spec.asset} again, or keep them: `vision-assets config --save {snapshot.run_id[:8]}{named}`."
            if differing
            else None,
        )

    return project_settings
