# `make test` and `make demo` need Python 3.11 or newer, pip and a package registry; nothing else.
PYTHON ?= python3
RUN = .venv/bin/
# Tests that also run with bounds checks and as plain Python: all that reaches every kernel, and is quick enough.
IN_EVERY_MODE = 'kernels or scenarios or engine_properties or test_room'

.PHONY: all venv lint types proto baseline test soak demo bench warm clean

all: test

venv: .venv/.made

.venv/.made: pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN)pip install -q --disable-pip-version-check -e '.[dev,bench]'
	touch .venv/.made

lint: venv
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)buf lint proto
	$(RUN)buf format proto --diff --exit-code
	$(RUN)buf breaking proto --against proto/baseline.binpb

types: venv
	$(RUN)mypy

proto: venv
	$(RUN)python -m grpc_tools.protoc -Iproto --python_out=proto --pyi_out=proto --grpc_python_out=proto proto/allot/v1/*.proto

# At a release: from then on, nothing may break clients of the contract as it is now.
baseline: venv
	$(RUN)buf build proto --exclude-source-info -o proto/baseline.binpb

warm: venv
	$(RUN)allot warm --json > /dev/null

test: lint types warm
	$(RUN)pytest -n 2 -m 'not soak'
	NUMBA_BOUNDSCHECK=1 $(RUN)allot warm --json > /dev/null
	NUMBA_BOUNDSCHECK=1 $(RUN)pytest -n 2 -m 'not soak' -k $(IN_EVERY_MODE)
	NUMBA_DISABLE_JIT=1 $(RUN)pytest -n 2 -m 'not soak' -k $(IN_EVERY_MODE)

soak: venv
	$(RUN)pytest -m soak

demo: venv
	$(RUN)python -m server.demo

bench: venv
	$(RUN)python -m benchmarks

clean:
	rm -rf .venv demo-data .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
