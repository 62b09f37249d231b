# make demo · make test · make check · make bench · make images · make push-cpu · make push-gpu; what is missing is
# installed into .venv first.
#
# TORCH_INDEX: where torch and torchaudio come from, if not from the default package index. PyTorch's own CPU-only
# wheels are a tenth of the size:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BENCH ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input

.PHONY: demo test check fix bench images push-cpu push-gpu constraints clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(PY) demo/run.py

test: $(VENV)/.dev
	$(PY) -m pytest

check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

fix: $(VENV)/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# This block beside transformers, ONNX Runtime and OpenVINO on this machine: a table, JSON and a plot in build/bench.
# It takes about twenty minutes on two cores; BENCH=--quick takes three.
bench: $(VENV)/.bench
	$(PY) -m block bench --out build/bench $(BENCH)

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

# Pins what the pinned packages bring along, for every Python from 3.10 to 3.13. Run it after changing a pin.
constraints:
	uv pip compile --universal --python-version 3.10 --no-header --no-annotate --quiet \
		--output-file constraints.txt requirements-dev.txt requirements-bench.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(PY):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit("Python 3.10 to 3.13 is needed, %s is %d.%d; name another: make PYTHON=python3.12" % ((sys.executable,) + v))'
	$(PYTHON) -m venv $(VENV)

# Stamps: what has been installed, renewed when a list of requirements changes.
$(VENV)/.torch: requirements.txt constraints.txt | $(PY)
	@echo "Installing PyTorch into $(VENV); with the CUDA libraries it brings along this takes some minutes."
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),-c constraints.txt) $$(grep '^torch' requirements.txt)
	touch $@

$(VENV)/.demo: requirements-studio.txt $(VENV)/.torch
	@echo "Installing what the block and the local Studio need."
	$(PIP) install --quiet -r requirements.txt -r requirements-studio.txt -c constraints.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-offline.txt $(VENV)/.demo
	@echo "Installing what the tests and checks need."
	$(PIP) install --quiet -r requirements-dev.txt -c constraints.txt
	touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.demo
	@echo "Installing what the benchmark's other contenders and its plot need."
	$(PIP) install --quiet -r requirements-bench.txt -c constraints.txt
	touch $@
