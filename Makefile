# make demo · make install · make test · make test-all · make check · make bench · make gpu-proof · make soak · make docs ·
# make pictures · make wheel · make images · make push-cpu · make push-gpu · make audit
#
# Each command first installs what it needs into .venv and checks every file against its SHA-256 in locked/.
#
# TORCH_INDEX: another source for torch and torchaudio than the default package index. PyTorch's own CPU-only wheels are
# ten times smaller:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# These two and their CUDA libraries are then pinned to a version, but not to a SHA-256.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BENCH ?=
SOAK ?=
JOBS ?= 2

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
AUDIT := build/audit
# Keep the tests of a file in one process, so that they share their fixtures.
SIDE_BY_SIDE := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: demo install test test-all check fix bench gpu-proof gpu-proof-dry soak docs pictures wheel images push-cpu \
  push-gpu lock audit clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(PY) demo/run.py

# Put the command ast-label into .venv/bin, for folders, the local Studio, relabel and evaluate.
install: $(VENV)/.installed
	@echo "Ready: $(VENV)/bin/ast-label --help"

# Takes about nine minutes on two cores.
test: $(VENV)/.dev
	$(PY) -m pytest $(SIDE_BY_SIDE)

# Includes the slow tests (clusters, browser, killed runs) and more examples in the fuzz tests. Takes at most half an hour
# on two cores.
test-all: $(VENV)/.dev
	FUZZ=1 $(PY) -m pytest $(SIDE_BY_SIDE) -m ""

check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

fix: $(VENV)/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Compare this block with transformers, ONNX Runtime and OpenVINO on this machine; writes a table, JSON and a plot to
# build/bench. Takes about twenty minutes on two cores, or four with BENCH=--quick.
bench: $(VENV)/.bench
	$(PY) -m bench --out build/bench $(BENCH)
	$(PY) -m bench.decoding
	$(PY) -m bench.write_cost
	$(PY) -m bench.pages

# Prove on one GPU what the block does there; writes a table, JSON and a plot to build/gpu. Takes at most eight minutes,
# installs nothing, and uses PYTHON as it is. AUDIO is a folder of WAV recordings; MODEL and CLIP are the published
# checkpoint and the clip of its published logits. See docs/gpu.md.
gpu-proof:
	$(PYTHON) -m bench gpu $(if $(AUDIO),--audio "$(AUDIO)") $(if $(MODEL),--model "$(MODEL)") $(if $(CLIP),--clip "$(CLIP)")

# Run every step of the proof on a CPU, at a small size.
gpu-proof-dry: $(VENV)/.demo
	$(PY) -m bench gpu --dry --out build/gpu-dry

# Run what takes too long for tests: ten thousand recordings, two hundred killed runs, and every fault with its real time
# limits. Takes about twenty minutes on two cores; SOAK=--docs writes the figures into docs/faults.md.
soak: $(VENV)/.dev
	$(PY) -m tests.soak $(SOAK)

# Write docs/options.md again, from the parsers.
docs: $(VENV)/.dev
	$(PY) -m tests.docs.options

# Take the pictures of the local Studio in docs/ again, from the demo. Needs Chromium.
pictures: $(VENV)/.dev
	$(PY) -m tests.docs.pictures

# Build the sdist and the wheel into dist/.
wheel: $(VENV)/.torch
	rm -rf build/lib
	$(PY) -c "from setuptools import build_meta as build; build.build_sdist('dist'); build.build_wheel('dist')"

# Build both images with buildah (no daemon), then run the block inside each without a network and compare its labels with
# those of a run outside. Needs root and, on Debian, apt-get install buildah debootstrap. See images/build.sh for options.
images: $(VENV)/.demo
	images/build.sh cpu
	images/build.sh gpu
	$(PY) -m images.trial cpu
	$(PY) -m images.trial gpu

# Prepare what `edge-impulse-blocks push` sends, in build/push-cpu and build/push-gpu.
push-cpu push-gpu: push-%:
	$(PYTHON) -m images.push $*

# Pin all packages, with their dependencies and the SHA-256 of every file, for Python 3.11 to 3.14, in locked/. Run this
# after changing a version in pyproject.toml; it needs uv.
lock:
	$(PYTHON) locked/lock.py

# List known vulnerabilities in the pinned packages. Queries the database of the Python Packaging Authority.
audit: $(AUDIT)/.installed
	$(PYTHON) locked/audit.py $(AUDIT)/bin/python

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(PY):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("Python 3.11 to 3.14 is required, but %s is %d.%d; choose another: make PYTHON=python3.12" % ((sys.executable,) + v))'
	$(PYTHON) -m venv $(VENV)

# Stamp files record what is installed; they are renewed when a file in locked/ changes.
$(VENV)/.run: locked/run.txt | $(PY)
	@echo "Installing the block's dependencies into $(VENV)."
	$(PIP) install --quiet -r locked/run.txt
	touch $@

# Installed last, so that nothing else comes from PyTorch's own index.
$(VENV)/.torch: locked/torch.txt $(VENV)/.run
	@echo "Installing PyTorch into $(VENV); with its CUDA libraries, this takes a few minutes."
ifeq ($(TORCH_INDEX),)
	$(PIP) install --quiet -r locked/run.txt -r locked/torch.txt
else
	$(PIP) install --quiet --only-binary :all: --index-url $(TORCH_INDEX) $$(grep -o "^torch[a-z]*==[^ ]*" locked/torch.txt)
endif
	touch $@

$(VENV)/.demo: locked/studio.txt $(VENV)/.torch
	@echo "Installing the dependencies of the local Studio."
	$(PIP) install --quiet -r locked/studio.txt
	touch $@

$(VENV)/.installed: pyproject.toml setup.py locked/folder.txt $(VENV)/.demo
	@echo "Installing the dependencies of label and evaluate, and the command ast-label."
	$(PIP) install --quiet -r locked/folder.txt
	$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: locked/dev.txt locked/folder.txt locked/ray.txt locked/openvino.txt $(VENV)/.demo
	@echo "Installing the dependencies of the tests and checks."
	$(PIP) install --quiet -r locked/folder.txt -r locked/ray.txt -r locked/openvino.txt -r locked/dev.txt
	touch $@

$(VENV)/.bench: locked/bench.txt locked/openvino.txt $(VENV)/.demo
	@echo "Installing the other runtimes and matplotlib for the benchmark."
	$(PIP) install --quiet -r locked/openvino.txt -r locked/bench.txt
	touch $@

$(AUDIT)/.installed: locked/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input install --quiet -r locked/audit.txt
	touch $@
