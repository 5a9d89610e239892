"""`daco-bench all`: every benchmark, one after the other, into one report."""
