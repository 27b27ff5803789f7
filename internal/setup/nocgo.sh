#!/usr/bin/env bash
# Builds without cgo every package that need not have it: all but transcode and
# what imports it.
set -euo pipefail

transcode=$(go list -m)/transcode
CGO_ENABLED=0 go list -e -f '{{.ImportPath}} {{join .Deps " "}}' ./... |
	awk -v cgo="$transcode" '{ for (i = 1; i <= NF; i++) if ($i == cgo) next; print $1 }' |
	CGO_ENABLED=0 xargs go build -o /dev/null
