# Names for the lines in README.md ("Without make"). Only Python 3.11 or newer is needed.
#   make run                 the dashboard on the demo history (made on first use)
#   make run STORE=<url>     the dashboard on another store, read-only
#   make serve-demo BACKEND=mongodb   the demo history on a server of its own, until Ctrl-C
#   make test                linters, types, tests

PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
DEMO := data/demo.db
STORE ?=

BACKEND ?= mongodb

.PHONY: run test browser-test demo serve-demo clean

# By the environment, not the command line: a URL may hold a password, which make would print and `ps` would show.
ifneq ($(STORE),)
run: export XCSTORE_URL := $(value STORE)
endif
run: .venv/installed $(DEMO)
	@$(BIN)/streamlit run app.py --server.port $(PORT)

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST_ARGS)

# The tests in a real Chromium, which has to be on the machine.
browser-test: .venv/installed-dev
	$(BIN)/python -m pytest tests/browser --browser

demo: .venv/installed
	rm -f $(DEMO)
	$(MAKE) $(DEMO)

# BACKEND: sqlite, postgresql, mongodb, influxdb, redis or archive. A server that is not installed is fetched.
serve-demo: .venv/installed
	@$(BIN)/python -m xcstore serve-demo --backend $(BACKEND) --port $(PORT)

# Built beside and renamed, so that an interrupted run leaves no half history behind.
$(DEMO): | .venv/installed
	mkdir -p data
	rm -f $(DEMO).part*
	$(BIN)/python -m xcstore demo --into sqlite:///$(DEMO).part
	mv $(DEMO).part $(DEMO)

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=python3.12 or so")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv data build dist *.egg-info
