"""The 2016 scripts, rewritten for today's PySpark with the data types that they had."""
