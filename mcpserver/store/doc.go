// Package store holds what is served: immutable Resources, encoded once, in immutable Snapshots. It knows no clients. Its
// invariant: two resources with equal spec, labels, annotations and create time have equal bytes and equal Versions, on
// every replica.
package store
