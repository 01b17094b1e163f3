# make demo    the whole road: export a real model, verify it, encode without torch, print what was measured
# make test    the test suite
# make check   lint, types, import rules, then the tests: what CI runs
# make bench   a short run beside sentence-transformers
# make bench-all   every engine in every scenario: writes bench/results/cpu.json and a report; hours
# make bench-jobs   whole commands from a cold process, and memory over 50 000 texts: writes bench/results/jobs.json
# make bench-serving   embedrt serve under load: writes bench/results/serving.json and docs/serving.md's tables; needs wrk
# make test-free-threaded   the runtime's tests where threads hold no common lock: FREE_THREADED=python3.14t, in .venv-free-threaded
# make test-oldest   the runtime's tests with the oldest releases that pyproject.toml allows, WITH=onnxruntime==1.31.1 for others, in .venv-oldest
# make arm   MiniLM's vectors on emulated Arm processors beside this one's: writes bench/results/arm.json and docs/arm.md's table
# make test-arm   the runtime's tests on such a processor; both want QEMU=qemu-aarch64 ARM_ROOT=FOLDER, see docs/arm.md
# make test-gpu, make bench-gpu   on a machine with a CUDA device; elsewhere they say so and end well
# make lineage   poolings, whitening, distillation and word averages of one checkpoint: writes bench/results/lineage.json and docs/lineage.md
# make compatibility   export every architecture and compare: writes bench/results/compatibility.json and docs/compatibility.md
# make bench-rerank   a cross-encoder beside sentence-transformers: writes bench/results/rerank.json and docs/reranking.md's tables
# make bench-peers   the environments of engines whose dependencies conflict, under .cache/peers

PYTHON ?= python3
FREE_THREADED ?= python3.14t
QEMU ?= qemu-aarch64
ARM_ROOT ?=
ARM_PROCESSOR ?= cortex-a76
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# No model hub is needed for anything here, and none is asked.
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= true

.PHONY: demo test test-slow check lint types imports bench bench-all bench-jobs bench-peers bench-serving compatibility lineage arm test-arm test-free-threaded test-oldest test-gpu bench-gpu clean

demo: $(VENV)/.demo
	$(BIN)/python -m embedrt_bench.demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

check: lint types imports test

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@mkdir -p build/mypy
	@ln -sfn ../../src/embedrt build/mypy/embedrt
	@ln -sfn ../../export build/mypy/embedrt_export
	@ln -sfn ../../bench build/mypy/embedrt_bench
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/embedrt bench --against sentence-transformers --scenario quality --scenario offline --scenario single-stream --texts 1000

bench-all: bench-peers
	$(BIN)/embedrt bench --against all --output bench/results/cpu.json --report build/bench.html

bench-jobs: $(VENV)/.dev
	$(BIN)/embedrt bench --scenario jobs --scenario soak --scenario cold-start --scenario sizes --soak-texts 50000 --output bench/results/jobs.json

bench-serving: $(VENV)/.dev
	-$(BIN)/python -m embedrt_bench.serving.infinity
	$(BIN)/python -m embedrt_bench.serving.run

bench-rerank: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.kinds.rerank

bench-peers: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.engines.peers

lineage: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.lineage.run

# rooms whose tests, but for files that name one of $(1), need no more than the runtime, onnx and pyarrow
ROOMS := $(addprefix tests/,artifact corpus inference machine quantization text vectors whitening)
runtime-tests = $$(grep -rLE 'torch|sentence_transformers|scipy|embedrt_bench|$(1)' --include='test_*.py' tests/test_*.py $(ROOMS))

# what is built without PyTorch: there are no wheels of it for such a Python
test-free-threaded:
	$(FREE_THREADED) -m venv .venv-free-threaded
	.venv-free-threaded/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu]' pytest hypothesis onnx onnx-ir pyarrow
	.venv-free-threaded/bin/python -c 'import sys, embedrt.text.tokenizer, embedrt.inference.session; sys.exit(getattr(sys, "_is_gil_enabled", lambda: True)() and "threads of this Python hold a lock")'
	.venv-free-threaded/bin/python -m pytest $(call runtime-tests,embedrt.server)

# other releases of typer and of the Hub's client say other things there; English stop words are sentence-transformers'
test-oldest: ROOMS += tests/cli tests/server
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python tests/oldest.py > .venv-oldest/oldest.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-oldest/oldest.txt --editable '.[quantize,serve,parquet,otel]' pytest hypothesis
	$(if $(WITH),.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check $(WITH))
	.venv-oldest/bin/python -W ignore::DeprecationWarning -m pytest -W ignore::DeprecationWarning --deselect tests/cli/test_pairs.py::test_out_of_range $(call runtime-tests,InferenceClient|stop-words)

arm: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.arm.run --qemu "$(QEMU)" --root "$(ARM_ROOT)"

# server/ would need more wheels; what starts Python again does so a hundred times, ten seconds each
test-arm: $(VENV)/.dev
	python=$$($(BIN)/python -m embedrt_bench.arm.run --qemu "$(QEMU)" --root "$(ARM_ROOT)" --only-python $(ARM_PROCESSOR)) && \
	$$python -m pytest -p no:cacheprovider $(call runtime-tests,server|subprocess)

test-gpu: $(VENV)/.dev
	$(BIN)/python -m pytest -m gpu -rs

bench-gpu: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.gpu.run

compatibility: $(VENV)/.dev
	$(BIN)/python -m embedrt_bench.compatibility.page

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing embedrt with the exporter (CPU build of PyTorch) into $(VENV) …"
	$(PIP) --editable '.[export,bench,demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing embedrt with all development tools (CPU build of PyTorch) into $(VENV) …"
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) .venv-free-threaded .venv-oldest build demo *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
