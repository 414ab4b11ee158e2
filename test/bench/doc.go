// Command bench measures what the bridge promises, and writes docs/benchmarks.md.
//
//	go run ./bench -out ../docs/benchmarks.md [-quick] [-only NAME,…] [-profile DIR]
//
// A row is one file, row_*.go. What is measured runs in a process of its own, started from this very binary with the name of
// a role as its first argument, so that its CPU and memory are its own: the bridge, go-control-plane's LinearCache, plain
// gRPC, the clients. The parent tells them what to do and does the sums. The invariant: every number in the report was
// measured by the run that wrote it, and nothing is judged by its duration but in words.
package main
