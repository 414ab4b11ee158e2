package convert

import (
	"iter"
	"maps"
)

func mapsKeys[M ~map[string]V, V any](m M) iter.Seq[string] { return maps.Keys(m) }
