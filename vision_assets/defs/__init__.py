"""All of Dagster: assets, IO managers, resources, checks, jobs, sensors."""
