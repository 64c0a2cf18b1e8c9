"""How answers of benchmarks are made into programs, and values compared."""
