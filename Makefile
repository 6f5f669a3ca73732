# The doors of the house. Each target does its own set-up on a bare Debian-like machine with
# Python 3.11 or newer, git and make. What a target runs is what CI runs.

BIN := .venv/bin
DEMO = $(if $(DEFECT),--defect "$(DEFECT)") $(if $(KEEP),--keep)

.PHONY: help venv test slow spark check demo show constraints

help:  ## say what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

venv: .venv/stamp  ## make .venv with exactly what constraints.txt names

.venv/stamp: constraints.txt pyproject.toml scripts/venv scripts/system
	scripts/venv

test: venv  ## run the tests on both cores, in less than ten minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: venv  ## run the tests that take long: packaging, demo, browser
	scripts/system $(BIN)/python browser
	$(BIN)/python -m pytest -m slow --timeout 1200

spark: venv  ## compare the engines: every SQL model on DuckDB and on Spark
	scripts/system $(BIN)/python java
	$(BIN)/python -m pip install --quiet 'pyspark>=4.3,<5'
	$(BIN)/python -m pytest -m spark

check: venv  ## run all that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test
	$(MAKE) slow

demo: venv  ## show the loop on the example shop; DEFECT=file.patch takes any crash, KEEP=1 stays up
	$(BIN)/selfdrive demo $(DEMO)

show: venv  ## run what we promise and keep the output under docs/shown; ONLY="demo test" for some
	scripts/show $(ONLY)

constraints:  ## resolve the dependencies anew and write constraints.txt
	scripts/constraints
