"""Tests: a package, so that no other `tests` that some library installs comes before it."""
