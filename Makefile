# Needs Python 3.11 or newer and make. `make grade` grades the sample class; `make test` runs the checks of the code and the tests;
# `make site` builds the lectures as a book.

# Of the Pythons that are new enough and can make environments the one that everything was measured with comes first.
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c '$(FITS)' 2> /dev/null && command -v $$name && break; done)
endif
VENV := .venv
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --progress-bar on -c constraints.txt

.PHONY: grade test lint audit site install bubblewrap clean

grade: $(INSTALLED) bubblewrap
	$(VENV)/bin/npfl139 grade examples/class --out results

test: $(DEVELOPING) bubblewrap lint
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

lint: $(DEVELOPING)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/deptry .
	$(VENV)/bin/lint-imports

# Of every small change of the solutions some hidden check must notice. SINCE=HEAD~1 audits only the topics that differ from there.
audit: $(DEVELOPING)
	OMP_NUM_THREADS=1 $(VENV)/bin/npfl139 audit --jobs 2 $(if $(SINCE),--since $(SINCE))

# The lectures as a book in build/site/index.html. What their cells show is kept in build/lectures until something they rest on changes.
site: $(DEVELOPING)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m sphinx -q -n -W --keep-going -d build/doctrees docs build/site
	@echo "written: build/site/index.html"

install: $(DEVELOPING)

# torch first and by itself: a resolver that is free to weigh it against the rest may settle on another build.
$(INSTALLED): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c '$(FITS)' 2> /dev/null || { \
		echo "There is no Python 3.11 or newer with venv here: install one, or say where it is, make PYTHON=/path/to/python3."; exit 1; }
	@echo "[1/3] $(VENV), with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] PyTorch, which is large: minutes"
	@$(PIP) torch
	@echo "[3/3] everything else"
	@$(PIP) -e ".[mujoco,box2d,atari,grader]"
	@touch $@

$(DEVELOPING): $(INSTALLED)
	@echo "what developers need besides: the site, notebooks, clusters, linters, tests"
	@$(PIP) -e ".[mujoco,box2d,atari,grader,film,notebook,ray,postgres,dask,site,dev]"
	@touch $@

# Untrusted code runs in bubblewrap. Where it cannot be installed, `npfl139 grade` says what to do, and the tests of it are skipped.
bubblewrap:
	@command -v bwrap > /dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
			echo "bubblewrap, the sandbox for untrusted code"; apt-get update -qq && apt-get install -qq -y bubblewrap; \
		else echo "bubblewrap, the sandbox for untrusted code, is missing: install the package bubblewrap (apt, dnf, pacman)."; fi; }

clean:
	rm -rf $(VENV) results runs bundle build dist docs/api docs/indexes docs/lectures *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
