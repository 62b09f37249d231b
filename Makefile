# make demo · make test · make test-all · make check · make bench · make soak · make images · make push-cpu · make push-gpu · make audit;
# what is missing is installed into .venv first, and every file of it held to its SHA-256 in locked/.
#
# TORCH_INDEX: where torch and torchaudio come from, if not from the default package index. PyTorch's own CPU-only
# wheels are a tenth of the size:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# These two, and what CUDA brings along there, are then held to a version but to no SHA-256; all the rest is.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BENCH ?=
SOAK ?=
JOBS ?= 2

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
AUDIT := build/audit
# A file's tests stay in one process, so what they share is made once.
SIDE_BY_SIDE := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all check fix bench soak images push-cpu push-gpu lock audit clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(PY) demo/run.py

# At most 4 minutes on two cores.
test: $(VENV)/.dev
	$(PY) -m pytest $(SIDE_BY_SIDE)

# Those tests too that are slow, such as clusters, browser journeys and kills, and more examples for the fuzz tests: at
# most half an hour on two cores.
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

# This block beside transformers, ONNX Runtime and OpenVINO on this machine: a table, JSON and a plot in build/bench.
# It takes about twenty minutes on two cores; BENCH=--quick takes three.
bench: $(VENV)/.bench
	$(PY) -m bench --out build/bench $(BENCH)

# What takes too long for tests: ten thousand recordings, two hundred kills, and every fault with the times that ship.
# About twenty minutes on two cores; SOAK=--docs puts the figures into docs/faults.md.
soak: $(VENV)/.dev
	$(PY) -m tests.soak $(SOAK)

# Build both images with buildah, without a daemon, then run the block inside each without a network and hold its labels
# to those of a run outside. Root, on Debian: apt-get install buildah debootstrap. images/build.sh says what can be set.
images: $(VENV)/.demo
	images/build.sh cpu
	images/build.sh gpu
	$(PY) -m images.trial cpu
	$(PY) -m images.trial gpu

# What `edge-impulse-blocks push` sends, in build/push-cpu and build/push-gpu.
push-cpu push-gpu: push-%:
	$(PYTHON) -m images.push $*

# Pin what the packages that pyproject.toml names bring along, for every Python from 3.11 to 3.14, with the SHA-256 of every
# file, in locked/. Run it after changing a pin; it needs uv.
lock:
	$(PYTHON) locked/lock.py

# Which pinned packages have known vulnerabilities, by the database of the Python Packaging Authority, which is asked.
audit: $(AUDIT)/.installed
	$(PYTHON) locked/audit.py $(AUDIT)/bin/python

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(PY):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("Python 3.11 to 3.14 is needed, %s is %d.%d; name another: make PYTHON=python3.12" % ((sys.executable,) + v))'
	$(PYTHON) -m venv $(VENV)

# Stamps: what has been installed, renewed when a part of locked/ changes.
$(VENV)/.run: locked/run.txt | $(PY)
	@echo "Installing what the block needs into $(VENV)."
	$(PIP) install --quiet -r locked/run.txt
	touch $@

# After the rest, so that nothing of it comes from PyTorch's own index.
$(VENV)/.torch: locked/torch.txt $(VENV)/.run
	@echo "Installing PyTorch into $(VENV); with the CUDA libraries it brings along this takes some minutes."
ifeq ($(TORCH_INDEX),)
	$(PIP) install --quiet -r locked/run.txt -r locked/torch.txt
else
	$(PIP) install --quiet --only-binary :all: --index-url $(TORCH_INDEX) $$(grep -o "^torch[a-z]*==[^ ]*" locked/torch.txt)
endif
	touch $@

$(VENV)/.demo: locked/studio.txt $(VENV)/.torch
	@echo "Installing what the local Studio needs."
	$(PIP) install --quiet -r locked/studio.txt
	touch $@

$(VENV)/.dev: locked/dev.txt locked/folder.txt locked/ray.txt $(VENV)/.demo
	@echo "Installing what the tests and checks need."
	$(PIP) install --quiet -r locked/folder.txt -r locked/ray.txt -r locked/dev.txt
	touch $@

$(VENV)/.bench: locked/bench.txt $(VENV)/.demo
	@echo "Installing what the benchmark's other contenders and its plot need."
	$(PIP) install --quiet -r locked/bench.txt
	touch $@

$(AUDIT)/.installed: locked/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input install --quiet -r locked/audit.txt
	touch $@
