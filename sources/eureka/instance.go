package eureka

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// vipKey is the metadata key under which an instance's first VIP address is found, for templates.
const vipKey = "vipAddress"

// maxWeight bounds what the metadata's weight is taken for.
const maxWeight = 10000

const statusCount = 5

// statuses are those that Eureka has, sorted as in its hash.
func statuses() [statusCount]string {
	return [statusCount]string{"DOWN", "OUT_OF_SERVICE", "STARTING", "UNKNOWN", "UP"}
}

// status is an index of statuses.
type status uint8

const (
	outOfService status = 1
	unknown      status = 3
	up           status = 4
)

// statusOf takes what is none of the statuses for unknown, as Eureka does.
func statusOf(text string) status {
	for i, s := range statuses() {
		if strings.EqualFold(s, text) {
			return status(i)
		}
	}
	return unknown
}

// reader makes members of what an answer lists.
type reader struct {
	region string // of zones without one
}

// listed makes a member of what is listed as an instance, or of why it could not be read.
func (r reader) listed(w *wireInstance, err error) member {
	if err != nil {
		return member{status: unknown, body: packFault(err.Error())}
	}
	return r.member(w)
}

// member reads an instance. Whatever is wrong with it, it is a member, because the server's hash counts it.
func (r reader) member(w *wireInstance) member {
	m := member{id: identify(w), status: statusOf(string(w.Status)), updated: w.LastUpdated.millis()}
	i, err := r.instance(w)
	switch {
	case m.id == "":
		m.body = packFault("it has no instance ID, no host name and no address")
	case err != nil:
		m.body = packFault(err.Error())
	default:
		i.Healthy, i.Enabled = m.status == up || m.status == outOfService, m.status != outOfService
		m.body = pack(i)
	}
	return m
}

// identify is the instance's ID; old clients send none, and Amazon's have one of their own.
func identify(w *wireInstance) string {
	for _, id := range []string{string(w.InstanceID), w.DataCenter.Metadata["instance-id"], string(w.HostName), string(w.IPAddr)} {
		if id != "" {
			return id
		}
	}
	return ""
}

// instance reads all but ID and health.
func (r reader) instance(w *wireInstance) (sources.Instance, error) {
	i := sources.Instance{Weight: weight(w.Metadata["weight"]), Locality: r.locality(w)}
	var err error
	if i.Address, err = address(w); err != nil {
		return i, err
	}
	if i.Ports, err = ports(w); err != nil {
		return i, err
	}
	i.Metadata = maps.Clone(map[string]string(w.Metadata))
	vip, _, _ := strings.Cut(string(w.VIPAddress), ",")
	if vip = strings.TrimSpace(vip); vip != "" && i.Metadata[vipKey] == "" {
		if i.Metadata == nil {
			i.Metadata = map[string]string{}
		}
		i.Metadata[vipKey] = vip
	}
	return i, nil
}

// address is the IP address that the instance names, else Amazon's, else its host name.
func address(w *wireInstance) (string, error) {
	var first error
	for _, text := range []string{string(w.IPAddr), w.DataCenter.Metadata["local-ipv4"], string(w.HostName)} {
		if text == "" {
			continue
		}
		at, err := dubbo.Address(text)
		if err == nil {
			return at, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errors.New("no address")
	}
	return "", first
}

// ports are those that are enabled: the plain one, whose protocol Eureka does not say, and the secure one.
func ports(w *wireInstance) ([]sources.Port, error) {
	plain, err := w.Port.read("port", true)
	if err != nil {
		return nil, err
	}
	secure, err := w.SecurePort.read("securePort", false)
	if err != nil {
		return nil, err
	}
	var all []sources.Port
	if plain != 0 && plain != secure {
		all = append(all, sources.Port{Number: plain})
	}
	if secure != 0 {
		all = append(all, sources.Port{Protocol: "https", Number: secure})
	}
	if len(all) == 0 {
		return nil, errors.New("no port: neither port nor securePort is enabled")
	}
	return all, nil
}

// read is the port's number, 0 where it is not enabled.
func (p wirePort) read(key string, byDefault bool) (uint32, error) {
	enabled, err := strconv.ParseBool(strings.ToLower(string(p.enabled)))
	if err != nil {
		enabled = byDefault && p.number != ""
	}
	if !enabled {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(p.number), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s %q is none of 1 to 65535", key, string(p.number))
	}
	return uint32(n), nil
}

// weight is what Spring Cloud's load balancer makes of the metadata: a whole number, 1 where it is not one above 0.
func weight(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		n = 1
	}
	return uint32(min(n, maxWeight)) * sources.DefaultWeight
}

// locality is Amazon's, else that of the metadata keys region and zone.
func (r reader) locality(w *wireInstance) string {
	if zone := w.DataCenter.Metadata["availability-zone"]; zone != "" {
		return amazonRegion(zone) + "/" + zone
	}
	region, zone := w.Metadata["region"], w.Metadata["zone"]
	if region == "" {
		region = r.region
	}
	if region == "" || zone == "" {
		return region
	}
	return region + "/" + zone
}

// amazonRegion is the region that an availability zone's name begins with: us-east-1 of us-east-1c and of us-east-1-bos-1a.
func amazonRegion(zone string) string {
	parts := strings.Split(zone, "-")
	for i, part := range parts {
		digits := strings.TrimRight(part, "abcdefghijklmnopqrstuvwxyz")
		if _, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return strings.Join(append(parts[:i:i], digits), "-")
		}
	}
	return zone
}
