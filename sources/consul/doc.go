// Package consul follows the services in Consul's catalog, one scope for each datacenter. Its invariant: what was reported of
// a service is replaced only by what the leader of its datacenter said when it was asked for that service (or for all), and an
// answer from which access control may have left something out takes nothing away.
//
// # Layers
//
// client.go and transport.go ask an agent, access.go tells what an answer leaves out and why a request was refused.
// detect.go runs blocking queries, which only say where to look again. state.go is what was last seen of nodes, services and
// checks, kept small, and tells which services a difference concerns. read.go reads services, instance.go turns them into ours,
// report.go reports how they differ from what was reported. session.go drives them from one goroutine for each datacenter,
// consul.go starts those.
package consul
