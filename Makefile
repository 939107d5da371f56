# SPDX-License-Identifier: BSD-2-Clause
# The two commands of a newcomer are `make run` and `make check`; `make help`
# lists the rest.  The build itself is CMake's: see CMakePresets.json.
.DELETE_ON_ERROR:
.PHONY: all run check help setup clean fresh portable report-check check-report \
	differential check-mutants proof callgrind-maple callgrind-ops \
	callgrind-sharing

BUILD := build/release
QUIRE := $(BUILD)/cli/quire
OUT ?= build/run

all: setup ## build build/release/quire
	@scripts/build.sh release quire quire-counting embed

setup:
	@scripts/setup.sh build

run: all ## record a real parallel build, replay it, print and write report.html
	@scripts/run-example.sh

check: ## build and run all tests (under ten minutes on two cores)
	@scripts/setup.sh build check
	@scripts/check.sh

differential: all ## 20,000 random programs on the host kernel and on the core
	@scripts/setup.sh build check
	@scripts/build.sh release
	@$(BUILD)/tests/differential/quire-differential --programs 20000 --ops 40 --jobs 2

check-mutants: ## plant each defect of docs/testing.md; the tests must fail
	@scripts/setup.sh build check
	@scripts/check-mutants.sh

check-report: all ## open the HTML report in headless Chromium and check it
	@scripts/setup.sh build report
	@scripts/check-report.sh

proof: ## check the proof of moments (Coq)
	@scripts/setup.sh build proof
	@scripts/proof.sh

callgrind-maple: ## instructions per maple tree operation beside Linux 6.16's
	@scripts/setup.sh build measure
	@scripts/callgrind-maple

callgrind-ops: ## instructions per memory operation beside Linux 6.16's
	@scripts/setup.sh build measure
	@scripts/callgrind-ops

callgrind-sharing: ## instructions of each way to know who maps a large folio
	@scripts/setup.sh build measure
	@scripts/callgrind-sharing

portable: ## cross-compile for aarch64 (tests under qemu-user) and riscv64
	@scripts/setup.sh build portable
	@scripts/portable.sh

fresh: ## both newcomer's commands in a minimal Debian made with debootstrap
	@scripts/setup.sh fresh
	@scripts/fresh.sh

clean:
	rm -rf build report.html

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile
