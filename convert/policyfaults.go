package convert

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networkingpb "istio.io/api/networking/v1alpha3"
)

// policy says why Istio would refuse a traffic policy of a DestinationRule in the namespace (validateTrafficPolicy in its
// pkg/config/validation, rule by rule). Istio drops a refused DestinationRule with all its subsets.
func (f *faults) policy(path string, p *networkingpb.TrafficPolicy, namespace string) {
	switch {
	case p == nil:
		return
	case p.OutlierDetection == nil && p.ConnectionPool == nil && p.LoadBalancer == nil && p.Tls == nil && p.PortLevelSettings == nil &&
		p.Tunnel == nil && p.ProxyProtocol == nil && p.RetryBudget == nil:
		f.add(path, "says nothing; write a setting, or leave it out")
		return
	case p.Tunnel != nil && p.ProxyProtocol != nil:
		f.add(path+".proxyProtocol", "stands beside tunnel; leave out one of the two")
		return
	}
	f.outliers(path+".outlierDetection", p.OutlierDetection)
	f.pool(path+".connectionPool", p.ConnectionPool)
	f.balancer(path+".loadBalancer", p.LoadBalancer)
	f.clientTLS(path+".tls", p.Tls, namespace)
	for i, port := range p.PortLevelSettings {
		at := fmt.Sprintf("%s.portLevelSettings[%d]", path, i)
		if port == nil {
			f.add(at, "is empty; write a port and its settings, or leave it out")
			continue
		}
		if port.Port == nil {
			f.add(at+".port", "is missing; write {number: N}")
		}
		if port.OutlierDetection == nil && port.ConnectionPool == nil && port.LoadBalancer == nil && port.Tls == nil {
			f.add(at, "says nothing of the port; write a setting, or leave it out")
		}
		f.outliers(at+".outlierDetection", port.OutlierDetection)
		f.pool(at+".connectionPool", port.ConnectionPool)
		f.balancer(at+".loadBalancer", port.LoadBalancer)
		f.clientTLS(at+".tls", port.Tls, namespace)
	}
	f.tunnel(path+".tunnel", p.Tunnel)
	if v := p.ProxyProtocol.GetVersion(); v != 0 && v != 1 {
		f.add(path+".proxyProtocol.version", "%d is unknown; write V1 or V2", v)
	}
}

// duration checks one that is set (ValidateDuration).
func (f *faults) duration(path string, d *durationpb.Duration) {
	if d == nil {
		return
	}
	if v := d.AsDuration(); v < time.Millisecond || v%time.Millisecond != 0 {
		f.add(path, "%s is no duration that Istio takes; write whole milliseconds, 1ms at least", v)
	}
}

func (f *faults) notNegative(path string, n int32) {
	if n < 0 {
		f.add(path, "%d is negative; write 0 or more", n)
	}
}

func (f *faults) percent(path string, n int32) {
	if n < 0 || n > 100 {
		f.add(path, "%d is no percentage; write 0 to 100", n)
	}
}

// outliers is validateOutlierDetection.
func (f *faults) outliers(path string, o *networkingpb.OutlierDetection) {
	if o == nil {
		return
	}
	f.duration(path+".baseEjectionTime", o.BaseEjectionTime)
	f.duration(path+".interval", o.Interval)
	if n := o.ConsecutiveLocalOriginFailures.GetValue(); n > 0 && !o.SplitExternalLocalOriginErrors {
		f.add(path+".consecutiveLocalOriginFailures", "%d counts only with splitExternalLocalOriginErrors: true; write that too, or leave it out", n)
	}
	f.percent(path+".maxEjectionPercent", o.MaxEjectionPercent)
	f.percent(path+".minHealthPercent", o.MinHealthPercent)
}

// pool is validateConnectionPool.
func (f *faults) pool(path string, c *networkingpb.ConnectionPoolSettings) {
	if c == nil {
		return
	}
	if c.Http == nil && c.Tcp == nil {
		f.add(path, "says nothing; write tcp or http, or leave it out")
	}
	if h := c.Http; h != nil {
		f.notNegative(path+".http.http1MaxPendingRequests", h.Http1MaxPendingRequests)
		f.notNegative(path+".http.http2MaxRequests", h.Http2MaxRequests)
		f.notNegative(path+".http.maxRequestsPerConnection", h.MaxRequestsPerConnection)
		f.notNegative(path+".http.maxRetries", h.MaxRetries)
		f.notNegative(path+".http.maxConcurrentStreams", h.MaxConcurrentStreams)
		f.duration(path+".http.idleTimeout", h.IdleTimeout)
		if h.UseClientProtocol && h.H2UpgradePolicy == networkingpb.ConnectionPoolSettings_HTTPSettings_UPGRADE {
			f.add(path+".http.useClientProtocol", "true stands beside h2UpgradePolicy: UPGRADE; leave out one of the two")
		}
		if k := h.Http2KeepAlive; k != nil {
			f.required(path+".http.http2KeepAlive.interval", k.Interval)
			f.required(path+".http.http2KeepAlive.timeout", k.Timeout)
		}
	}
	if t := c.Tcp; t != nil {
		f.notNegative(path+".tcp.maxConnections", t.MaxConnections)
		f.duration(path+".tcp.connectTimeout", t.ConnectTimeout)
		f.duration(path+".tcp.maxConnectionDuration", t.MaxConnectionDuration)
		if t.IdleTimeout.AsDuration().Milliseconds() != 0 { // 0s is "never"
			f.duration(path+".tcp.idleTimeout", t.IdleTimeout)
		}
		f.duration(path+".tcp.tcpKeepalive.time", t.TcpKeepalive.GetTime())
		f.duration(path+".tcp.tcpKeepalive.interval", t.TcpKeepalive.GetInterval())
	}
}

// required checks a duration that must be there.
func (f *faults) required(path string, d *durationpb.Duration) {
	if d == nil {
		f.add(path, "is missing; write a duration such as 10s")
	}
	f.duration(path, d)
}

// balancer is validateLoadBalancer.
func (f *faults) balancer(path string, b *networkingpb.LoadBalancerSettings) {
	if b == nil {
		return
	}
	f.consistentHash(path+".consistentHash", b.GetConsistentHash())
	if b.LocalityLbSetting != nil && b.ZoneAwareLbSetting != nil {
		f.add(path+".zoneAwareLbSetting", "stands beside localityLbSetting; leave out one of the two")
	}
	f.localities(path+".localityLbSetting", b.LocalityLbSetting)
	if z := b.ZoneAwareLbSetting; z != nil {
		for i, key := range z.FailoverPriority {
			if slices.Contains(topologyLabels, key) {
				f.add(fmt.Sprintf("%s.zoneAwareLbSetting.failoverPriority[%d]", path, i), "%s is heeded in any case; leave it out", key)
			}
		}
		for i, o := range z.Failover {
			f.failover(fmt.Sprintf("%s.zoneAwareLbSetting.failover[%d]", path, i), o.GetFrom(), o.GetTo())
		}
	}
	if w := b.Warmup; w != nil {
		f.required(path+".warmup.duration", w.Duration)
		if p := w.MinimumPercent.GetValue(); p > 100 {
			f.add(path+".warmup.minimumPercent", "%v is no percentage; write 0 to 100", p)
		}
		if a := w.Aggression; a != nil && a.Value <= 0 {
			f.add(path+".warmup.aggression", "%v is not positive; write a number above 0", a.Value)
		}
	}
}

func (f *faults) consistentHash(path string, h *networkingpb.LoadBalancerSettings_ConsistentHashLB) {
	if h == nil {
		return
	}
	if c := h.GetHttpCookie(); c != nil {
		if c.Name == "" {
			f.add(path+".httpCookie.name", "is missing; write the name of the cookie")
		}
		seen := map[string]bool{}
		for i, a := range c.Attributes {
			at := fmt.Sprintf("%s.httpCookie.attributes[%d].name", path, i)
			switch {
			case a.GetName() == "":
				f.add(at, "is missing; write the name of the attribute")
			case seen[a.Name]:
				f.add(at, "%q is there twice; leave one out", a.Name)
			}
			seen[a.GetName()] = true
		}
	}
	//nolint:staticcheck // Istio deprecates minimumRingSize here and still takes it
	if n := h.MinimumRingSize; n != 0 && h.GetHashAlgorithm() != nil {
		f.add(path+".minimumRingSize", "%d stands beside ringHash or maglev; leave it out", n)
	}
	if m := h.GetMaglev(); m != nil && (m.TableSize >= maxTable || !isPrime(m.TableSize)) {
		f.add(path+".maglev.tableSize", "%d is no size of a table; write a prime number below %d, such as 65537", m.TableSize, maxTable)
	}
}

// maxTable is the size that Istio refuses for a table of maglev, and all above.
const maxTable = 5000011

// isPrime is that of Istio, for which 1 is a prime number.
func isPrime(n uint64) bool {
	if n == 0 || n > 2 && n%2 == 0 {
		return false
	}
	for factor := uint64(3); factor <= uint64(math.Sqrt(float64(n))); factor += 2 {
		if n%factor == 0 {
			return false
		}
	}
	return true
}

// topologyLabels are those of a region, a zone and a subzone.
var topologyLabels = []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}

// localities is ValidateLocalityLbSetting.
func (f *faults) localities(path string, l *networkingpb.LocalityLoadBalancerSetting) {
	if l == nil {
		return
	}
	if len(l.Distribute) > 0 && len(l.Failover) > 0 {
		f.add(path+".failover", "stands beside distribute; leave out one of the two")
	}
	for i, key := range l.FailoverPriority {
		if len(l.Failover) > 0 && slices.Contains(topologyLabels, key) {
			f.add(fmt.Sprintf("%s.failoverPriority[%d]", path, i), "%s stands beside failover; leave out one of the two", key)
		}
	}
	for i, d := range l.Distribute {
		at := fmt.Sprintf("%s.distribute[%d]", path, i)
		f.locality(at+".from", d.From)
		for j, earlier := range l.Distribute[:i] {
			if localityTaken(earlier.From, d.From) {
				f.add(at+".from", "%q shares localities with distribute[%d].from, %q; put the narrower first, or leave one out", d.From, j, earlier.From)
			}
		}
		f.shares(at+".to", d.To)
	}
	for i, o := range l.Failover {
		f.failover(fmt.Sprintf("%s.failover[%d]", path, i), o.GetFrom(), o.GetTo())
	}
}

// shares checks how traffic is distributed. Istio looks at the destinations in any order.
func (f *faults) shares(path string, to map[string]uint32) {
	sum, localities := uint64(0), slices.Sorted(maps.Keys(to))
	for i, locality := range localities {
		f.locality(path, locality)
		for _, earlier := range localities[:i] {
			if localityTaken(earlier, locality) || localityTaken(locality, earlier) {
				f.add(path, "%q and %q share localities; leave one out", earlier, locality)
			}
		}
		share := to[locality]
		if share == 0 || share > 100 {
			f.add(path+"."+locality, "%d is no share; write 1 to 100", share)
		}
		sum += uint64(share)
	}
	if sum != 100 {
		f.add(path, "the shares make %d together; write shares of 100", sum)
	}
}

func (f *faults) locality(path, locality string) {
	if n := strings.Count(locality, "*"); n > 1 || n == 1 && !strings.HasSuffix(locality, "*") {
		f.add(path, `%q has a "*" that is not its end; write region/*, say`, locality)
	}
	if slices.Contains(strings.SplitN(locality, "/", 3), "") {
		f.add(path, "%q has an empty part; write region, region/zone or region/zone/subzone", locality)
	}
}

// localityTaken reports whether Istio takes a later locality for one that overlaps with an earlier one.
func localityTaken(earlier, later string) bool {
	e, l := strings.SplitN(earlier, "/", 3), strings.SplitN(later, "/", 3)
	for i := range min(len(e), len(l)) {
		switch {
		case e[i] == "*":
			return true
		case e[i] != l[i]:
			return false
		}
	}
	return true
}

func (f *faults) failover(path, from, to string) {
	if from == to {
		f.add(path, "goes from %q to itself; write another region", from)
	}
	if strings.ContainsAny(from+to, "/*") {
		f.add(path, "%q to %q is not between regions; write regions without zone and without *", from, to)
	}
}

// clientTLS is ValidateTLS.
func (f *faults) clientTLS(path string, t *networkingpb.ClientTLSSettings, namespace string) {
	if t == nil {
		return
	}
	if ref, ok := strings.CutPrefix(t.CredentialName, "configmap://"); ok {
		parts := strings.Split(ref, "/")
		if len(parts) < 2 || parts[1] == "" || parts[0] == "" || parts[0] != namespace {
			f.add(path+".credentialName", "%q names no ConfigMap of the DestinationRule's own namespace; write configmap://NAMESPACE/NAME with the one of mesh.namespace, which then is no template", t.CredentialName)
		}
	}
	simple, mutual := t.Mode == networkingpb.ClientTLSSettings_SIMPLE, t.Mode == networkingpb.ClientTLSSettings_MUTUAL
	if t.InsecureSkipVerify.GetValue() && (simple || mutual) && (t.CaCertificates != "" || t.SubjectAltNames != nil || simple && t.CredentialName != "") {
		f.add(path+".insecureSkipVerify", "true stands beside what would be verified; leave out caCertificates, subjectAltNames and, with mode SIMPLE, credentialName")
	}
	switch {
	case (simple || mutual) && t.CredentialName != "":
		if t.ClientCertificate != "" || t.CaCertificates != "" || t.PrivateKey != "" || t.CaCrl != "" {
			f.add(path+".credentialName", "%q stands beside files; leave out clientCertificate, privateKey, caCertificates and caCrl", t.CredentialName)
		}
	case mutual:
		if t.ClientCertificate == "" {
			f.add(path+".clientCertificate", "is missing; mode MUTUAL needs it, or a credentialName")
		}
		if t.PrivateKey == "" {
			f.add(path+".privateKey", "is missing; mode MUTUAL needs it, or a credentialName")
		}
	}
}

// tunnel is validateTunnelSettings.
func (f *faults) tunnel(path string, t *networkingpb.TrafficPolicy_TunnelSettings) {
	if t == nil {
		return
	}
	if t.Protocol != "" && t.Protocol != "CONNECT" && t.Protocol != "POST" {
		f.add(path+".protocol", "%q is unknown; write CONNECT or POST", t.Protocol)
	}
	if reason := hostFault(strings.ToLower(strings.TrimSuffix(t.TargetHost, "."))); reason != "" {
		if _, err := netip.ParseAddr(t.TargetHost); err != nil {
			f.add(path+".targetHost", "%q is neither a host nor an IP address: %s", t.TargetHost, reason)
		}
	}
	if reason := portFault(t.TargetPort); reason != "" {
		f.add(path+".targetPort", "%s", reason)
	}
}
