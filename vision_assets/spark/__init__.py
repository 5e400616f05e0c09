"""Tables: applies the functions of `vision` to Spark data, batches in and batches out, without Dagster."""
