// Package quickstart holds the configuration that the bridge starts with when it is given none.
package quickstart

import _ "embed"

// Config is meshbridge.yaml of this folder. Its paths are relative to the root of a checkout.
//
//go:embed meshbridge.yaml
var Config []byte
