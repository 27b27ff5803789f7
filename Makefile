# Every target installs what it lacks first; that takes no time once it is there.

GOLANGCI_VERSION := v2.12.2
CACHE            := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice
GOLANGCI         := $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
FUZZTIME         := 20s
WEB              := examples/ugc/web

# Where setup.sh puts a newer Node.js if the system's is too old.
export PATH := $(CACHE)/node/bin:$(PATH)
# Where ffmpeg.sh puts FFmpeg 7.1 if the system has another; cgo finds it there.
export PKG_CONFIG_PATH := $(CACHE)/ffmpeg/lib/pkgconfig:$(PKG_CONFIG_PATH)

.DEFAULT_GOAL := help
.PHONY: help run test interop lint bench build setup fuzz web clean
.PHONY: needs-run needs-test needs-interop needs-bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: needs-run web ## the platform in one process, open to anyone; ARGS='--http :9090' …
	go run ./examples/ugc --open $(ARGS)

build: needs-run web ## bin/ugc, which runs from any folder
	go build -trimpath -o bin/ugc ./examples/ugc

test: needs-test web lint ## everything that must hold before a change lands
	go vet ./...
	go mod tidy -diff
	internal/setup/nocgo.sh
	npm --prefix $(WEB) --silent test
	go test -race -timeout 12m $$(go list ./... | grep -v /examples/)
	go test -race -timeout 14m -p 1 ./examples/... # real time and a browser: nothing beside them
	go test ./internal/hlstest # its long walks on fake time crash the race detector, and skip under it

lint: web $(GOLANGCI) ## static checks
	$(GOLANGCI) run ./...

interop: needs-interop build ## the slow matrix of real clients: OBS, GStreamer, VLC, mpv …
	SLUICE_INTEROP=1 go test -count=1 -timeout 90m -v ./internal/interop/... ./transcode/... ./examples/...

bench: needs-bench build ## speed and memory beside nginx and ffmpeg, as ratios: docs/BENCHMARKS.md
	@go run ./internal/bench $(ARGS)
	@go test -run '^$$' -bench 'Encode|Decode|Hop|Pull|Readers500' ./m4s
	@go test -run '^$$' -bench 'Ladder|Delay' -benchtime 1x ./transcode
	@go test -run '^$$' -bench Push -benchtime 10s ./ingest

fuzz: needs-test ## every fuzz target for FUZZTIME
	internal/setup/fuzz.sh $(FUZZTIME)

setup: needs-run needs-test web $(GOLANGCI) ## install what run and test need, and do nothing else

clean: ## remove what was built here
	rm -rf bin $(WEB)/static/dist $(WEB)/node_modules

needs-run needs-test needs-interop needs-bench: needs-%:
	@internal/setup/setup.sh $*

web: needs-run # at once when nothing has changed
	@$(WEB)/build.sh

# Built from source by the Go toolchain, checked against the sum database.
$(GOLANGCI):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
