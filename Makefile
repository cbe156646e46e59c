# Needs Python 3.11 or newer and make. `make grade` grades the sample class; `make test` runs the tests.

PYTHON ?= python3.11
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: grade test audit install bubblewrap clean

grade: $(INSTALLED) bubblewrap
	$(VENV)/bin/npfl139 grade examples/class --out results

test: $(INSTALLED) bubblewrap
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

# Of every small change of the solutions some hidden check must notice. SINCE=HEAD~1 audits only the topics that differ from there.
audit: $(INSTALLED)
	OMP_NUM_THREADS=1 $(VENV)/bin/npfl139 audit --jobs 2 $(if $(SINCE),--since $(SINCE))

install: $(INSTALLED)

# torch first and by itself: a resolver that is free to weigh it against the rest may settle on another build.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e ".[mujoco,box2d,atari,dev]"
	touch $@

# Untrusted code runs in bubblewrap. Where it cannot be installed, `npfl139 grade` says what to do, and the tests of it are skipped.
bubblewrap:
	@command -v bwrap > /dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then apt-get update -qq && apt-get install -qq -y bubblewrap; \
		else echo "bubblewrap, the sandbox for untrusted code, is missing: install the package bubblewrap (apt, dnf, pacman)."; fi; }

clean:
	rm -rf $(VENV) results runs bundle build *.egg-info .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
