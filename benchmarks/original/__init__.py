"""The 2016 scripts, written anew for today's PySpark with the data types that they had."""
