# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

# ---- the demo: city -> twins -> encoder -> index -> server -------------------------------------------------------
DEMO := demo
CITY := $(DEMO)/data/demo
ENCODER := $(DEMO)/result/demo_daco
MAP := $(DEMO)/maps/day
CHECKPOINT := $(DEMO)/result/demo_daco_last.ckpt
NIGHT = $(firstword $(sort $(wildcard $(CITY)/original/domain_b/val/*.jpg)))

.PHONY: demo test lint types format clean screenshot
.DELETE_ON_ERROR:

demo: $(MAP)/CURRENT
	@echo "Try it from another terminal, with a photograph taken at night:"
	@echo "  curl -F image=@$(NIGHT) 'http://127.0.0.1:$(PORT)/v1/query?k=5'"
	$(BIN)/daco-serve run --index $(MAP) --port $(PORT)

$(MAP)/CURRENT: $(DEMO)/trained
	$(BIN)/daco-index build demo/day --data-root $(DEMO)/data --encoder $(ENCODER) --out $(MAP)

$(DEMO)/trained: $(DEMO)/translated
	$(BIN)/daco-train --data_root $(DEMO)/data --data_name demo --method_name daco --save_root $(DEMO)/result \
	  --backbone tf_efficientnet_lite0 --pretrained imagenet --pooling gem --image_size 192 --lr 1e-4 \
	  --batch_size 16 --iters 40 $(if $(wildcard $(CHECKPOINT)),--resume)
	@touch $@

$(DEMO)/translated: $(DEMO)/rendered
	$(BIN)/daco-data translate demo --data-root $(DEMO)/data --method fourier
	@touch $@

$(DEMO)/rendered: | $(VENV)/demo-installed
	$(BIN)/daco-data demo --data-root $(DEMO)/data --places 80 --size 192 --seed 1 --domains day,night
	@touch $@

# ---- for developers ----------------------------------------------------------------------------------------------
test: $(VENV)/test-installed
	$(BIN)/pytest $(PYTEST_ARGS)

# the documentation's pictures of the page, of the demo city and nothing else; needs Chromium
screenshot: $(MAP)/CURRENT $(VENV)/test-installed
	$(BIN)/daco-bench calibrate demo/night --split val --data-root $(DEMO)/data --index $(MAP)
	$(BIN)/python docs/images/take.py $(MAP) $(CITY)/original/domain_b/val

lint: $(VENV)/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test-installed
	$(BIN)/mypy

format: $(VENV)/test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO)

# ---- installation ------------------------------------------------------------------------------------------------
$(VENV)/%-installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@
