"""The assets: configuration in, one call into `spark`, metadata out."""
