# The few commands of every day; CMake does the work.
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)

.PHONY: help bootstrap configure build test demo clean format
.DEFAULT_GOAL := help

help:
	@echo 'make demo     train two networks on real images (installs what is missing, builds)'
	@echo 'make test     build everything and run the tests'
	@echo 'make build    build everything into build/release; the command is build/release/pewter'
	@echo 'make format   run clang-format over the sources'
	@echo 'make clean    remove build/'
	@echo 'PRESET=debug|asan|tsan picks another build for build and test'

bootstrap:
	@scripts/bootstrap

configure: bootstrap
	@cmake --preset $(PRESET) --log-level=NOTICE >/dev/null

build: configure
	@cmake --build $(BUILD) --parallel $(JOBS)

# Every public header is compiled on its own too.
test: build
	@cmake --build $(BUILD) --parallel $(JOBS) --target all_verify_interface_header_sets
	@scripts/test $(PRESET)

# The tests are not needed here, so they are not built.
demo: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target pewter_command
	@if [ -x scripts/demo ]; then scripts/demo; else \
	    $(BUILD)/pewter train digits && $(BUILD)/pewter train mnist --epochs 1; fi

clean:
	rm -rf build

format:
	@git ls-files -z '*.cpp' '*.hpp' '*.h' | xargs -0 clang-format -i
