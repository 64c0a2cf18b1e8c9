"""How fast a real model is sampled on this machine: transformers' plain `generate`, our sampler with full and with 8-bit weights, vLLM.

    python -m bench.real.sampling --model Qwen/Qwen2.5-Coder-0.5B-Instruct                    # about ten minutes on two cores
    python -m bench.real.sampling --model MODEL --engines .venv-engines/bin/python            # with vLLM, from where it is installed

Solutions to problems of seedling-bench, asked as a round asks, drawn at temperature 1, with the prompt set's stop strings for everyone.
`generate` gets as many samples as it has rows, since its batches have nothing to do with one another; a sampler that lets waiting samples
in when others end gets twice as many. The samplers take turns, so that a machine that slows down slows all of them. A row's
`ratio_generate` is its rate over that of `generate` at its best number of rows. Writes `bench/results/real_sampling.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.command import module_command
from probing.memory import keep_freed_memory
from probing.models.loading import end_token_ids, load_model, load_tokenizer
from probing.prompts.asking import Asker
from probing.samplers.base import Sampler, SamplingParams
from probing.samplers.config import SamplingConfig, VllmConfig
from probing.samplers.engines.int8 import int8_copy
from probing.samplers.engines.transformers import TransformersSampler
from rl.config.run_folder import git_commit
from rl.console import make_console
from rl.models.source import resolve_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 16  # of each problem
DEFAULT = ("generate:64", "int8:128", "generate:128", "int8:256", "float32:128", "generate:256", "int8:512")
VLLM_ROWS = 256
TITLES = {"generate": "transformers generate", "float32": "ours, float32", "int8": "ours, 8-bit weights", "vllm": "vLLM"}

Draw = Callable[[Sequence[str], int], list[list[int]]]  # prompts, samples of each -> token ids of every sample


@dataclass
class Entry:
    """A sampler with a number of rows, and what its turns took."""

    sampler: str
    rows: int
    tokens: int = 0
    samples: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Tokens a second, end tokens and those of stop strings included."""
        return self.tokens / self.seconds

    def as_row(self, baseline: float | None) -> dict[str, Any]:
        return {
            "sampler": self.sampler,
            "rows": self.rows,
            "tokens_per_s": round(self.rate, 1),
            "ratio_generate": None if baseline is None else round(self.rate / baseline, 2),
            "tokens_per_cpu_s": round(self.tokens / self.cpu_seconds, 1) if self.cpu_seconds else None,
            "samples": self.samples,
            "mean_tokens": round(self.tokens / self.samples, 1),
            "seconds": round(self.seconds, 1),
            **self.notes,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder, .gguf file or Hub id")
    parser.add_argument("--entries", nargs="+", default=list(DEFAULT), metavar="SAMPLER:ROWS", help=f"of {', '.join(TITLES)}")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engines", help="interpreter of an environment with vLLM, which then gets a row too")
    parser.add_argument("--vllm-dtype", default="bfloat16", choices=("float32", "bfloat16"), help="vLLM's own default on a CPU is bfloat16")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "real_sampling.json")
    args = parser.parse_args()
    keep_freed_memory()
    entries = [Entry(name, int(rows)) for name, rows in (word.split(":") for word in args.entries)]
    path = resolve_model(args.model)
    measure(entries, path, args.max_new_tokens, args.turns, args.device, args.vllm_dtype)
    if args.engines:
        entries.append(in_other_environment(args))
    baseline = max((e.rate for e in entries if e.sampler == "generate"), default=None)
    shared = {"model": args.model, "commit": git_commit(), "command": module_command("bench.real.sampling", sys.argv[1:])}
    machine = {
        "device": args.device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    result = {"rows": [shared | entry.as_row(baseline) for entry in entries], **machine, "torch": torch.__version__}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result["rows"])


def questions(tokenizer: PreTrainedTokenizerBase, count: int) -> tuple[list[str], tuple[str, ...]]:
    """Prompts for solutions to seedling-bench, over again where more are wanted than there are, and the stop strings of the answers."""
    ask = Asker.of(tokenizer)
    rows = [json.loads(line) for line in (ROOT / "seedling" / "bench.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = [rows[place % len(rows)] for place in range(count)]
    asked = [ask("solve", description=row["description"], interface=row["interface"], entry=row["entry"]) for row in chosen]
    return [question.text for question in asked], asked[0].stop


def measure(entries: Sequence[Entry], path: str, most: int, turns: int, device: str, vllm_dtype: str) -> None:
    """Lets the entries draw in turns, and adds up what they took. Models are loaded as they are needed, vLLM's for one entry at a time."""
    tokenizer = load_tokenizer(path)
    full = small = None
    if any(entry.sampler != "vllm" for entry in entries):
        full, _ = load_model(path, device, "float32")
    if any(entry.sampler == "int8" for entry in entries):
        assert full is not None
        started = time.perf_counter()
        small = int8_copy(full)
        for entry in entries:
            if entry.sampler == "int8":
                entry.notes["copy_seconds"] = round(time.perf_counter() - started, 1)
    params = SamplingParams(max_new_tokens=most, stop=questions(tokenizer, 1)[1])
    for turn in range(turns):
        for entry in entries:
            model = small if entry.sampler == "int8" else full
            if entry.sampler == "generate":
                assert model is not None
                plain = partial(generate, model, tokenizer, params=params, rows=entry.rows)
                take_turn(entry, plain, tokenizer, 1, turn)
            elif entry.sampler == "vllm":
                entry.notes["dtype"] = vllm_dtype
                with closing(open_vllm(path, entry.rows, device, vllm_dtype)) as sampler:
                    take_turn(entry, drawn_by(sampler, params, turn), tokenizer, 1, turn)
            else:
                assert model is not None
                take_turn(entry, drawn_by(TransformersSampler(model, tokenizer, entry.rows), params, turn), tokenizer, 2, turn)


def take_turn(entry: Entry, draw: Draw, tokenizer: PreTrainedTokenizerBase, batches: int, turn: int) -> None:
    """One job of `batches` times the entry's rows."""
    each = min(SAMPLES, entry.rows)
    texts, _ = questions(tokenizer, batches * entry.rows // each)
    torch.manual_seed(turn)
    wall, cpu = time.perf_counter(), time.process_time()
    samples = draw(texts, each)
    entry.seconds += time.perf_counter() - wall
    entry.cpu_seconds += time.process_time() - cpu if entry.sampler != "vllm" else 0.0  # its work is another process's
    entry.tokens += sum(map(len, samples))
    entry.samples += len(samples)
    print(f"{TITLES[entry.sampler]}, {entry.rows} rows: {entry.rate:.1f} tokens/s", flush=True)


def drawn_by(sampler: Sampler, params: SamplingParams, seed: int) -> Draw:
    def draw(texts: Sequence[str], n: int) -> list[list[int]]:
        return [list(completion.token_ids) for group in sampler.sample(texts, n, params, seed) for completion in group]

    return draw


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], n: int, params: SamplingParams, rows: int
) -> list[list[int]]:
    """Plain `generate` with its own stop strings, left-padded batches of neighbouring rows; each sample cut after its end."""
    generator: Any = model  # transformers types `generate` by protocols that its own models do not meet
    ends = end_token_ids(model, tokenizer)
    pad = min(ends) if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
    prompts = [ids for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for _ in range(n)]
    stopping = {"stop_strings": list(params.stop), "tokenizer": tokenizer} if params.stop else {}
    drawn: list[list[int]] = []
    for start in range(0, len(prompts), rows):
        chunk = prompts[start : start + rows]
        width = max(map(len, chunk))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in chunk], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in chunk], device=model.device)
        found = generator.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            repetition_penalty=1.0,
            max_new_tokens=params.max_new_tokens,
            pad_token_id=pad,
            **stopping,
        )
        for row in found[:, width:].tolist():
            end = next((place for place, token in enumerate(row) if token in ends or token == pad), len(row))
            drawn.append(row[: end + (end < len(row) and row[end] in ends)])  # what ended by a stop string has padding there
    return drawn


def open_vllm(path: str, rows: int, device: str, dtype: str) -> Sampler:
    from probing.samplers.engines.factory import open_sampler

    vllm = VllmConfig(max_length=2048, cpu_cache_gb=4, parity_prompts=1)
    return open_sampler(SamplingConfig(backend="vllm", batch_size=rows, device=device, dtype=dtype, vllm=vllm), path)


def in_other_environment(args: argparse.Namespace) -> Entry:
    """vLLM's entry, measured by this script under the interpreter that has vLLM."""
    out = args.out.with_suffix(".vllm.json")
    words = ["-m", "bench.real.sampling", "--model", args.model, "--entries", f"vllm:{VLLM_ROWS}", "--out", str(out)]
    words += ["--max-new-tokens", str(args.max_new_tokens), "--device", args.device, "--vllm-dtype", args.vllm_dtype]
    subprocess.run([args.engines, *words], cwd=ROOT, check=True)
    (row,) = json.loads(out.read_text())["rows"]
    out.unlink()
    return Entry(
        "vllm", row["rows"], round(row["mean_tokens"] * row["samples"]), row["samples"], row["seconds"], notes={"dtype": row["dtype"]}
    )


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("sampler", "rows", "tokens/s", "× generate", "tokens / CPU s", "mean tokens")
    for row in rows:
        ratio, cpu = row["ratio_generate"], row["tokens_per_cpu_s"]
        dtype = f", {row['dtype']}" if "dtype" in row else ""
        cells = f"{row['tokens_per_s']:,.1f}", f"{ratio:.2f}" if ratio else "–", f"{cpu:,.1f}" if cpu else "–", f"{row['mean_tokens']:.0f}"
        table.add_row(TITLES[row["sampler"]] + dtype, str(row["rows"]), *cells)
    make_console().print(table)


if __name__ == "__main__":
    main()
