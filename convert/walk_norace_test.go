//go:build !race

package convert

// walkDefault is how many walks TestWalk makes.
const walkDefault = 40
