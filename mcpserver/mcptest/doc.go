// Package mcptest is a small istiod for tests and benchmarks: a client of MCP over xDS that asks, applies and acknowledges
// as istiod does, in state of the world or in delta. What it holds survives its streams, as istiod's configuration does.
package mcptest
