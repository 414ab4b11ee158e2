// Package config holds the file meshbridge.yaml: it puts the parts' own Config structs together, loads them strictly,
// follows the file while the bridge runs and tells what a change touches. Its invariant: a Config that leaves this package
// is whole and valid. A file with a fault yields none, and while it has one, the last good Config stays active.
package config
