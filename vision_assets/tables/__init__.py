"""What every stored table is: columns, counts, invariants, reuse of rows."""
