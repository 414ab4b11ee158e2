.DEFAULT_GOAL := help
TESTFLAGS ?=
FUZZTIME  ?= 5s
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X meshbridge/cmd/internal/build.version=$(VERSION)

.PHONY: help run build test check generate fuzz integration e2e faults bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the bridge on its embedded default: the file source over deploy/quickstart/services
	go run ./cmd/meshbridge run

build: ## build bin/meshbridge
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/meshbridge ./cmd/meshbridge

test: ## every test that needs nothing but Go
	go test $(TESTFLAGS) ./...

check: ## format, vet, lint, race detector, tidy and generated files up to date
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'run gofmt on:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	cd test && go vet -tags 'e2e integration faults bench' ./...
	go run $(LINT) run ./...
	go mod tidy -diff
	cd test && go mod tidy -diff
	cd test && go test $(TESTFLAGS) ./bench
	go test -race $(TESTFLAGS) ./...

generate: ## write docs/config.md, docs/canary-reference.md and their schemas from the types
	go run ./config/gen

fuzz: ## every fuzz target for FUZZTIME each
	@.ci/fuzz $(FUZZTIME)

integration: ## the sources against real registries (fetches and builds them once; in a network namespace of their own)
	cd test && go run ./cmd/testtools integration
	cd test && go test -tags integration -count=1 -timeout 20m $(TESTFLAGS) ./integration/...

e2e: ## real istiods, Envoys, registries, producers and consumers, end to end (fetches and builds them once; in network namespaces of their own)
	cd test && go run ./cmd/testtools e2e
	cd test && go test -tags e2e -count=1 -p 1 -timeout 30m $(TESTFLAGS) ./e2e/...

faults: ## what a client holds in each fault of each registry, against docs/faults.md (10 minutes; fetches and builds as integration does)
	cd test && go run ./cmd/testtools integration
	cd test && go test -tags faults -count=1 -timeout 20m -v $(TESTFLAGS) ./faults

bench: ## measure, and write docs/benchmarks.md
	cd test && go run ./bench -out ../docs/benchmarks.md
