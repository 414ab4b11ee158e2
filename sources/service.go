package sources

// Key names a service in its registry's own words. It is comparable and unique within a source.
type Key struct {
	Scope     string // the scope that reports it
	Namespace string // the registry's namespace, "" if it has none
	Group     string // the registry's group, "" if it has none
	Name      string
	Version   string // a Dubbo interface's version, else ""
}

// Service is one service as its registry tells it. It is immutable once reported.
type Service struct {
	Key
	Datacenter string            // where the registry has datacenters
	Interface  bool              // Name is a Dubbo interface rather than an application
	Ports      []Port            // service-level ports, where the registry itself declares them
	Metadata   map[string]string // service-level metadata, or nil
	Instances  []Instance        // sorted by ID
	Skipped    []Fault           // instances that could not be read, and why
}

// Port is a port of a service or of an instance, in the registry's words.
type Port struct {
	Name     string // optional
	Protocol string // dubbo, tri, rest, http, …; "" where the registry does not say
	Number   uint32
}

// DefaultWeight is the weight to which every adapter maps its registry's default.
const DefaultWeight = 100

// Instance is one address of a service as its registry tells it.
type Instance struct {
	ID       string // unique within the service, stable while the instance lives
	Address  string // an IP address or a host name
	Ports    []Port // at least one
	Metadata map[string]string
	Weight   uint32 // DefaultWeight is the registry's default; 0 takes no traffic
	Healthy  bool
	Enabled  bool
	Locality string // region/zone/subzone, "" where the registry does not say
}

// Usable reports whether the instance may take traffic.
func (i *Instance) Usable() bool { return i.Healthy && i.Enabled && i.Weight > 0 }
