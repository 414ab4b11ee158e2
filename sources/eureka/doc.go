// Package eureka follows the applications registered in Netflix Eureka and in servers that speak its REST protocol, such as
// Spring Cloud's. Its invariant: what was reported is replaced only by what one server said in an answer that was read to
// its end, and a delta counts only if the registry that it leads to has the hash that came with it.
//
// # Layers
//
// server.go, client.go and peers.go ask one of several servers. decode.go and wire.go read an answer as it streams in,
// instance.go makes members of what it lists and member.go keeps them small. registry.go is what has been read, with the
// hash and the rules of deltas; settle.go doubts answers of a server that has just started. eureka.go drives them from one
// goroutine.
package eureka
