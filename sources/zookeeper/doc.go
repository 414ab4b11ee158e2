// Package zookeeper follows service registrations in Apache ZooKeeper: Dubbo 2 interfaces, Dubbo 3 applications and Spring
// Cloud applications. Its invariant: what was reported is replaced only by what was read, under a watch that was armed
// by that very read. An outage, a lost session, a missing permission or a vanished root leave the last report as it is.
//
// # One registration, one view
//
// With mode all, a Dubbo 3 provider appears twice: below the Dubbo root for each of its interfaces, and below the
// services root once for its application. The interface view wins: an endpoint (address, port and protocol) of an
// application that any interface lists is left out of the application's service, and an application all of whose
// endpoints are listed makes no service at all. What remains are instances that register only as applications; they
// make a service of the application's name, and, through the mapping node of each interface, also instances of the
// interfaces that their application is known to offer. Such an interface service has neither group nor version, because
// the mapping tells neither. Once listed by an interface, an endpoint stays left out for as long as the application's
// node lives, so that a provider that withdraws its interfaces first does not come back as an application.
//
// # Layers
//
// client.go and hosts.go hold one connection, watches.go what is armed on it, queue.go when a part of the tree is
// read, read.go how, model.go what has been read so far, report.go what the sink was told. follow.go drives them from
// one goroutine. The other files decode one format each and know nothing of ZooKeeper.
package zookeeper
