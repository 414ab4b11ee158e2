// Package mcpserver serves a store to istiods and other clients of MCP over xDS, as state of the world and as delta. A
// Session decides what one client is sent and is pure: requests, snapshots and time go in, responses come out. A pacer
// decides when the streams of one istiod may send, a stream moves bytes, and the Server owns the port. Its invariant: once
// quiet, a client holds exactly its view; it receives a resource when it has held what that Needs for a time, and keeps this
// for as long after it has lost the resource.
package mcpserver
