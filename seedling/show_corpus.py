"""Prints documents of the pretraining corpus.

python -m seedling.show_corpus --count 5
"""

from __future__ import annotations

import argparse

from seedling.bench import held_out
from seedling.corpus import documents


def main() -> None:
    parser = argparse.ArgumentParser(description="Print documents of the pretraining corpus.")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    stream = documents(arguments.seed, held_out())
    for _ in range(arguments.count):
        document = next(stream)
        print(f"===== {document.skill}\n{document.prompt}\n-----\n{document.answer}\n")


if __name__ == "__main__":
    main()
