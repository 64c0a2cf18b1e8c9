"""Problems, and samples of solutions, that the user brings (docs/own-problems.md)."""
