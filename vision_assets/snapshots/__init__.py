"""The store: every materialization of an asset is a snapshot, which one atomic step makes the current one."""
