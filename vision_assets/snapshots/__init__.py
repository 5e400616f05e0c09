"""Where data lies: snapshots of tables and the IO managers on them."""
