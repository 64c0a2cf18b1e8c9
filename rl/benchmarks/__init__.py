"""The benchmarks: each one's problems, prompts and grading."""
