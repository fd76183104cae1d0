# Two commands do everything: `make demo` and `make test`. Both install what is missing through scripts/setup.
VENV ?= .venv
PYTHON := $(VENV)/bin/python

.PHONY: demo test check test-fast soak bench clean help

help:            ## show this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo:            ## set up, build the repository's own Buildfile.py twice, and say what came out
	scripts/setup demo
	scripts/demo

test:            ## set up, run the checks and the whole test suite, real containers included
	scripts/setup test
	scripts/check
	scripts/test

check:           ## ruff, mypy, pyright, layering
	scripts/setup check
	scripts/check

test-fast:       ## only the tests that need neither root nor containers
	scripts/setup check
	scripts/test -m "not engine and not docker" -q

soak:            ## long runs: kill -9, full disks, lost power, builds beside prune, passes on many random graphs
	scripts/setup test
	scripts/soak

bench:           ## measure side by side with other builders (takes a while)
	scripts/setup bench
	$(PYTHON) -m bench

clean:           ## remove what the commands above made here
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis
