"""How values of benchmarks are made and compared."""
