"""The compose stack really started, in podman: `make stack-test` (docs/development.md)."""
