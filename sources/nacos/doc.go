// Package nacos follows service registrations in Nacos 2 and 3. Its invariant: what was reported is replaced only by an
// answer to a question that this package asked; what a server sends by itself only says where to look again. An outage, a
// refused login, a missing permission or a vanished namespace leave the last report as it is.
//
// # Why not the SDK's naming client
//
// nacos-sdk-go's naming client takes a refusal for an empty list, listens for datagrams from anyone on UDP, drops what a
// server with a slow clock sends, keeps a cache on disk and leaves a goroutine and a socket behind at every close. This
// package uses only the SDK's generated gRPC stubs and speaks the protocol itself: one connection for each source, which
// is also how a server reaches it. There is no listener of any kind, no file, no global, and every answer's code is read.
//
// # Three clocks
//
// A push makes the service that it names be read again at once, unless it says what is held already. Every Interval the
// lists of services are read; a service is new when a list has it, and gone when two complete lists in a row lack it,
// because a page of a list is a look at a set that moves. A service of which a list counts other instances than are held is
// read again. And every service is read again about every Reread in any case, under a renewed subscription, because a push
// can be lost without a word.
//
// # Layers
//
// auth.go, http.go and rpc.go hold the connections to one server; list.go, read.go and mapping.go say what is asked over
// them, watch.go when lists are read and queue.go when services are. decode.go and dubbo.go read what instances say and
// know nothing of servers. model.go is what is known, look.go what of it this connection has seen, report.go what the sink
// was told; follow.go drives them from one goroutine, nacos.go from server to server.
package nacos
