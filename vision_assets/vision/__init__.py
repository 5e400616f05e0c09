"""Images and matrices: pure functions on one image or one matrix, without Spark or Dagster."""
