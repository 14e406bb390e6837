# `make` alone lists what there is. All of it runs in .venv, which is made with exactly the versions of requirements/.

PYTHON ?= python3
VENV ?= .venv
# What `make test` runs, and how: make test TESTS=tests/test_table.py PYTEST=-x. By default three processes share the
# tests, and one without work takes some of another's: with two, a core idles whenever a test waits.
TESTS ?= tests
PYTEST ?= -n 3 --dist worksteal

BIN := $(VENV)/bin
SOURCES := airflow_provider_callreport example_dags tests tools benchmarks
UV := $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help demo test quick soak check format matrix recipes wide browser bench docs pages lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run the example Dags in Airflow against stand-in servers; results in demo-output/
	@echo "Starting the stand-in servers ..."
	@$(BIN)/python tools/demo.py $(DEMO)

test: $(VENV)/.dev ## run the tests (TESTS=path, PYTEST=options)
	@$(BIN)/python -m pytest $(PYTEST) $(TESTS)

quick: $(VENV)/.dev ## a few cases of each test that neither runs Airflow nor takes long: while you write
	@$(BIN)/python -m pytest -q $(PYTEST) --quick $(TESTS)

soak: $(VENV)/.dev ## the long versions of the tests that draw lots: histories, kill points, faults, large days
	@CALLREPORT_SOAK=1 $(BIN)/python -m pytest $(PYTEST) --timeout 3000 tests/test_paging_machine.py tests/test_crash.py \
	    tests/test_soak.py tests/test_fuzz_answers.py tests/test_completeness.py

check: $(VENV)/.dev ## lint, formatting and types
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy --strict $(SOURCES)

format: $(VENV)/.dev ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

matrix: $(VENV)/.dev ## the built wheel on every Airflow and Python (MATRIX="3.3/3.13 2.11/3.11")
	@$(BIN)/python tools/matrix.py $(MATRIX)

wide: ## a day in slices on a cluster: Celery, Redis, PostgreSQL, a killed worker (WIDE="--calls 200000 --slices 8")
	@$(MAKE) --no-print-directory VENV=.venv-wide .venv-wide/.wide
	@.venv-wide/bin/python -m tools.wide $(WIDE)

recipes: $(VENV)/.dev ## the recipes with every provider that they name, in an environment of their own (1.6 GB)
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python build/recipes
	@$(UV) pip install --quiet --system-certs --python build/recipes/bin/python --group airflow --group test \
	    --group recipes --editable ".[parquet,sandbox]"
	@build/recipes/bin/python -m pytest -q -p no:cacheprovider tests/test_recipes.py

browser: $(VENV)/.dev ## the connection form and a run in headless Chromium (Debian: chromium, chromium-driver)
	@CALLREPORT_BROWSER=1 $(BIN)/python -m pytest -q -p no:xdist tests/test_browser.py

bench: $(VENV)/.dev ## measure speed, memory and wrong rows beside other tools that do the same (BENCH=bad runs one part)
	@$(BIN)/python -m benchmarks.run $(BENCH)

docs: $(VENV)/.docs ## the docs site, in site/; every warning is an error
	@$(BIN)/python tools/docs_site.py

pages: $(VENV)/.dev ## write the tables, examples and pictures again that docs/ takes from the code
	@$(BIN)/python -m tools.page_blocks
	@$(BIN)/python -m tools.architecture

lock: $(VENV)/.uv ## resolve pyproject.toml to exact versions again (UPGRADE=--upgrade for the newest)
	@$(COMPILE) pyproject.toml --extra sandbox --extra encrypt --extra oauth2 --extra parquet --extra pandas --extra polars --extra sftp --extra socks \
	    --group airflow --group build --group test --group check --group bench --output-file requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra sandbox --group airflow --group build \
	    --constraint requirements/dev.txt --output-file requirements/demo.txt
	@$(COMPILE) pyproject.toml --extra sandbox --group airflow --group build --group wide \
	    --constraint requirements/dev.txt --output-file requirements/wide.txt
	@$(COMPILE) --group build --group docs --constraint requirements/dev.txt --output-file requirements/docs.txt
	@$(COMPILE) --group uv --output-file requirements/uv.txt

clean: ## remove .venv and everything else that was made
	rm -rf $(VENV) .venv-dlt .venv-wide demo-output dist build site .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment -------------------------------------------------------------------------------------------------

# A recipe that begins with ALOUD says every few seconds that it still runs, so that nobody takes it for dead.
EVERY := 5
ALOUD := { while sleep $(EVERY) >/dev/null 2>&1 && kill -0 $$$$; do echo "  ..."; done & } 2>/dev/null; trap "kill $$!" EXIT;
# uv installs five times as fast as pip. --system-certs: trust what the machine trusts, as other programs do.
INSTALL := pip install --quiet --require-hashes --no-deps --only-binary :all:
COMPILE = $(UV) pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)

$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and %s is %d.%d; name another one: make PYTHON=python3.12" % (sys.executable, v[0], v[1]))'
	@echo "Making $(VENV) ..."
	@$(ALOUD) $(PYTHON) -m venv $(VENV) && $(BIN)/python -m $(INSTALL) --disable-pip-version-check -r requirements/uv.txt
	@touch $@

# Where uv cannot reach a registry, pip tries with the mirror and the certificates of its own configuration. Both check
# every hash.
$(VENV)/.demo $(VENV)/.dev $(VENV)/.docs $(VENV)/.wide: $(VENV)/.%: requirements/%.txt pyproject.toml $(VENV)/.uv
	@echo "Installing $< ..."
	@$(ALOUD) $(UV) $(INSTALL) --system-certs --python $(BIN)/python -r $< || { \
	    echo "uv could not do it; pip tries, with its own configuration ..."; \
	    $(BIN)/python -m $(INSTALL) --disable-pip-version-check -r $<; }
	@echo "Installing this copy ..."
	@$(ALOUD) $(UV) pip install --quiet --offline --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@
