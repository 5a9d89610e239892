"""`daco-bench all`: runs every benchmark and writes one report."""
