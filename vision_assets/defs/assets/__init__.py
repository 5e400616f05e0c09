"""The assets, one module for each kind of step: configuration in, one call into `steps`, metadata out."""
