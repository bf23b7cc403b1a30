# Two commands: `make run` sees a real robot task learnt and scored, `make test` runs every test.
# Each sets up what it needs in .venv. Useful variables:
#   PYTHON=python3.12      the interpreter to make .venv with (3.11 or 3.12)
#   TORCH_INDEX=URL        where pip finds torch, e.g. PyTorch's CPU wheels (saves 3 GB on a machine without a GPU)
#   ARGS="-k dp3"          passed to pytest
#   PARALLEL=2             processes that share the tests, each with a core of its own; 0: all tests in one process

VENV ?= .venv
BENCH = $(VENV)/bin/bench
PARALLEL ?= 2
PYTEST = $(VENV)/bin/python -m pytest -n $(PARALLEL) --dist loadfile --no-loadscope-reorder
CODE = envs methods baselines benchmark repbench tests scripts
QUICK = --suite metaworld-15 --tasks reach --protocol quick

.PHONY: setup run test test-committed test-slurm fast report docs lint clean

setup:
	@VENV=$(VENV) scripts/setup.sh

run: setup
	@echo "== a control first: the same head on an untrained network's features"
	$(BENCH) run $(QUICK) --method random-features
	@echo "== the method"
	$(BENCH) run --suite metaworld-15 --tasks reach --method dp3 --protocol quick

# compiled beforehand, for the hundreds of processes that import it where PYTHONDONTWRITEBYTECODE is set
test: setup
	$(VENV)/bin/python -m compileall -q $(CODE)
	$(PYTEST) -m "not slurm and not committed" $(ARGS)

# that committed records are still what their actions do, and large methods what their version says
test-committed: setup
	$(PYTEST) -m committed $(ARGS)

# a real Slurm on this machine: needs root on Linux, and installs Slurm's packages where they are missing
test-slurm: setup
	$(VENV)/bin/python -m pytest -m slurm -s tests/slurm $(ARGS)

fast: setup
	$(PYTEST) -m "not gl and not sim and not slow" $(ARGS)

# the committed records as pages, with films of a few cells: report/index.html
report: setup
	$(VENV)/bin/python -m pip --disable-pip-version-check install -q -e '.[report]' -c constraints.txt
	$(BENCH) report --with-reference --videos hammer/dp3 --videos reach/dp3 --videos box-close/state

# the documentation as a site, site/index.html; a link that leads nowhere is an error
docs: setup
	$(VENV)/bin/python -m pip --disable-pip-version-check install -q -e '.[docs]' -c constraints.txt
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
