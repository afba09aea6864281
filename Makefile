# Every target sets itself up on a fresh machine: an environment in .venv, and the
# system libraries that napari's window needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Run once more with the other Qt binding: the main job, and signals between threads.
PYSIDE_TESTS := tests/e2e/test_window_pyside.py \
	tests/plugin/plumbing/test_background.py tests/plugin/document/test_store_writer.py

.PHONY: demo test test-all coverage fuzz lint audit bench bench-science docs screenshots clean system-libraries

demo: $(STAMP)
	$(BIN)/napari-fddm demo --out demo-output

# Two at a time, with one thread each: threads of torch that wait for each other cost minutes.
IN_TWO := -n 2 --dist loadfile

test test-all coverage: export OMP_NUM_THREADS = 1

test: $(STAMP) system-libraries
	$(BIN)/python -m pytest -m "not gui and not thorough" $(IN_TWO) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "gui and not thorough" $(IN_TWO) $(PYTEST_ARGS)
	QT_API=pyside6 PYTEST_QT_API=pyside6 $(BIN)/python -m pytest -m gui $(PYSIDE_TESTS) $(PYTEST_ARGS)

# And the long flows of the window, real slides among them, and the long trainings.
test-all: test
	$(BIN)/python -m pytest -m "not gui and thorough" $(IN_TWO) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "gui and thorough" $(IN_TWO) $(PYTEST_ARGS)

# Which modules have no test of their name, and which no quick test reaches at all.
coverage: $(STAMP) system-libraries
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,test,dev]"
	$(BIN)/python -m pytest -m "not gui and not thorough" $(IN_TWO) --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "gui and not thorough" $(IN_TWO) --cov --cov-append --cov-report= $(PYTEST_ARGS)
	$(BIN)/python -m coverage report --skip-covered --sort=cover
	$(BIN)/python -m coverage json --quiet -o coverage.json
	$(BIN)/python scripts/untested_modules.py --coverage coverage.json

# Damaged files of every kind, FUZZ_CASES in all, resumable; see docs/reliability.md. After a
# fix: FUZZ_KINDS=tiff,dicom FUZZ_AGAIN=1. Some minutes for the default of 20 000.
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz

lint: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,test,dev]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-fddm

# Known vulnerabilities of what is installed, and its licenses. Without a server that knows
# vulnerabilities it says so, and does not fail.
audit: $(STAMP)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "pip-audit>=2.7"
	$(BIN)/python scripts/audit.py

# Of the tests that take pictures, with the bundled model; some minutes on two cores.
screenshots: $(STAMP) system-libraries
	FDDM_SCREENSHOTS=docs/images FDDM_MODEL=fddm-small NAPARI_FDDM_DATA=none \
		NAPARI_CONFIG=$$(mktemp -d)/napari.yaml \
		$(BIN)/python -m pytest tests/e2e -m gui --timeout=1800
	$(BIN)/python scripts/tidy_pictures.py

# The site, in site/. SCREENSHOTS=1 makes the pictures of the window again first.
docs: $(STAMP) $(if $(SCREENSHOTS),screenshots)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,test,docs]"
	$(BIN)/python -m mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,test,dev]"
	$(BIN)/python -m benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only

# Does refining pay? About an hour on two idle cores, resumable; its data and results stay
# in SCIENCE_WORK. SCIENCE_DATA is a folder with osteosarcoma/ and seg/; without it only
# synthetic slides are measured.
SCIENCE_WORK ?= science-work
SCIENCE_DATA ?=
bench-science: $(STAMP)
	$(BIN)/python -m benchmarks.science_refinement --work $(SCIENCE_WORK) \
		$(if $(SCIENCE_DATA),--data $(SCIENCE_DATA))
	$(BIN)/python -m benchmarks.science_spreading --work $(SCIENCE_WORK) \
		$(if $(SCIENCE_DATA),--data $(SCIENCE_DATA))
	$(if $(SCIENCE_DATA),$(BIN)/python -m benchmarks.science_classification \
		--work $(SCIENCE_WORK) --data $(SCIENCE_DATA))

system-libraries:
	@sh scripts/system-libraries.sh

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "napari-fddm needs Python 3.11 or newer; say make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,test]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo-output site .coverage coverage.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
