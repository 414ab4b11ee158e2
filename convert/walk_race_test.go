//go:build race

package convert

// walkDefault is how many walks TestWalk makes; under the race detector each takes ten times as long.
const walkDefault = 8
