//go:build e2e

package validation

import (
	"encoding/json"
	"testing"

	"meshbridge/convert"
	"meshbridge/test/harness"
)

// policy is a traffic policy as an operator writes it, right or wrong.
func (d dice) policy() object {
	p := object{}
	for len(p) == 0 {
		d.maybe(p, "loadBalancer", 50, d.balancer())
		d.maybe(p, "connectionPool", 50, d.pool())
		d.maybe(p, "outlierDetection", 50, d.outliers())
		d.maybe(p, "tls", 20, d.clientTLS())
		d.maybe(p, "tunnel", 10, object{"protocol": odd(d, []string{"", "CONNECT", "POST"}, []string{"GET", "connect"}), "targetHost": odd(d, []string{"proxy.example.com", "Proxy", "10.0.0.1", "fd00::1", "a.b."},
			[]string{"", "a_b", "a.7", "10.0.0.256", "-a", "*.example.com"}), "targetPort": odd(d, []int{1, 443, 65535}, []int{0, 65536, -1})})
		if p["tunnel"] == nil || d.chance(d.odds) {
			d.maybe(p, "proxyProtocol", 5, object{"version": odd(d, []any{"V1", "V2", 1}, []any{2, "V3", -1})})
		}
		d.maybe(p, "retryBudget", 5, object{"percent": 20.5, "minRetryConcurrency": odd(d, []any{3, "3"}, []any{-3, "x"})})
		d.maybe(p, "portLevelSettings", 10, d.portLevels())
		if d.chance(d.odds) {
			p[pick(d, "loadBalance", "tls", "load_balancer", "outlierDetection")] = pick[any](d, nil, object{}, 7, []any{}, "x")
		}
	}
	return p
}

func (d dice) portLevels() []object {
	var all []object
	for range 1 + d.IntN(2) {
		level := object{}
		d.maybe(level, "port", 100-d.odds, object{"number": odd(d, []int{80, 443}, []int{-1})})
		d.maybe(level, "connectionPool", 60, d.pool())
		d.maybe(level, "loadBalancer", 60, d.balancer())
		if len(level) < 2 && !d.chance(d.odds) {
			level["outlierDetection"] = d.outliers()
		}
		all = append(all, level)
	}
	return all
}

func (d dice) duration() any {
	return odd(d, []any{"1ms", "3s", "5m", "1h30m", "1.5s", "0.001s", "2h0m0.25s"}, []any{"0s", "-1s", "1us", "1.5ms", "soon", "5", 5, "", "1d", "100000000h"})
}

func (d dice) count() any {
	return odd(d, []any{0, 1, 100, 1<<31 - 1, "10"}, []any{-1, -1 << 31, 1 << 31, "x", 1.5, true})
}

func (d dice) pool() object {
	c := object{}
	if d.chance(60) {
		tcp := object{}
		d.maybe(tcp, "maxConnections", 60, d.count())
		d.maybe(tcp, "connectTimeout", 40, d.duration())
		d.maybe(tcp, "maxConnectionDuration", 20, d.duration())
		d.maybe(tcp, "idleTimeout", 30, odd(d, []any{d.duration(), "0s"}, []any{"-1s", "0.5ms", "-0.5ms"}))
		d.maybe(tcp, "tcpKeepalive", 20, object{"time": d.duration(), "interval": d.duration(), "probes": odd(d, []any{9}, []any{-9})})
		c["tcp"] = tcp
	}
	if len(c) == 0 && !d.chance(d.odds) || d.chance(40) {
		http := object{}
		for _, key := range []string{"http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries", "maxConcurrentStreams"} {
			d.maybe(http, key, 25, d.count())
		}
		d.maybe(http, "idleTimeout", 30, d.duration())
		d.maybe(http, "h2UpgradePolicy", 30, odd(d, []any{"UPGRADE", "DO_NOT_UPGRADE", "DEFAULT"}, []any{"upgrade", 9}))
		d.maybe(http, "useClientProtocol", d.odds, true)
		if d.chance(20) {
			alive := object{}
			d.maybe(alive, "interval", 100-d.odds, d.duration())
			d.maybe(alive, "timeout", 100-d.odds, d.duration())
			http["http2KeepAlive"] = alive
		}
		c["http"] = http
	}
	return c
}

func (d dice) outliers() object {
	o := object{}
	d.maybe(o, "consecutive5xxErrors", 50, odd(d, []any{0, 5, "5", nil}, []any{-1, "x"}))
	d.maybe(o, "interval", 50, d.duration())
	d.maybe(o, "baseEjectionTime", 50, d.duration())
	d.maybe(o, "maxEjectionPercent", 40, odd(d, []any{0, 10, 100}, []any{-1, 101, "10%"}))
	d.maybe(o, "minHealthPercent", 40, odd(d, []any{0, 50, 100}, []any{-1, 101}))
	if d.chance(20) {
		o["consecutiveLocalOriginFailures"] = pick(d, 0, 3)
		d.maybe(o, "splitExternalLocalOriginErrors", 100-d.odds, true)
	}
	return o
}

func (d dice) balancer() object {
	b := object{}
	switch d.IntN(3) {
	case 0:
		b["simple"] = odd(d, []any{"ROUND_ROBIN", "LEAST_REQUEST", "PASSTHROUGH"}, []any{"BEST", "round_robin", 99})
	case 1:
		b["consistentHash"] = d.hash()
	}
	d.maybe(b, "localityLbSetting", 30, d.localities())
	if d.chance(10) && (b["localityLbSetting"] == nil || d.chance(d.odds)) {
		b["zoneAwareLbSetting"] = object{"failover": []object{d.failover()}, "failoverPriority": odd(d, [][]string{{"version"}, {}}, [][]string{{"topology.kubernetes.io/zone"}, {"topology.istio.io/subzone"}})}
	}
	if d.chance(15) {
		warm := object{}
		d.maybe(warm, "duration", 100-d.odds, d.duration())
		d.maybe(warm, "minimumPercent", 50, odd(d, []any{0, 10.5, 100}, []any{100.5, 101}))
		d.maybe(warm, "aggression", 50, odd(d, []any{1, 0.5, "NaN", nil}, []any{0, -1, "x"}))
		b["warmup"] = warm
	}
	return b
}

// hash leaves out what is deprecated: Istio's validation logs that among its verdicts.
func (d dice) hash() object {
	h := object{}
	switch d.IntN(3) {
	case 0:
		h["httpHeaderName"] = "x-user"
	case 1:
		h["useSourceIp"] = true
	default:
		h["httpCookie"] = object{"name": odd(d, []string{"user"}, []string{""}), "ttl": pick[any](d, "0s", "1h", nil),
			"attributes": odd(d, [][]object{{}, {{"name": "SameSite", "value": "Lax"}, {"name": "Secure"}}}, [][]object{{{"name": "a"}, {"name": "a"}}, {{"value": "x"}}})}
	}
	switch d.IntN(3) {
	case 0:
		h["maglev"] = object{"tableSize": odd(d, []any{1, 2, 3, 65537, 4999999, "251"}, []any{0, 4, 9, 25, 65535, 65536, 5000011, 5000077, -1})}
	case 1:
		h["ringHash"] = object{"minimumRingSize": 1024}
	}
	return h
}

func (d dice) failover() object {
	return odd(d, []object{{"from": "eu", "to": "us"}, {"from": "us", "to": ""}}, []object{{"from": "eu", "to": "eu"}, {}, {"from": "eu/z1", "to": "us"}, {"from": "eu", "to": "*"}})
}

// localities have no destinations of which Istio's verdict depends on the order of a map.
func (d dice) localities() object {
	l := object{}
	d.maybe(l, "failoverPriority", 30, odd(d, [][]string{{"version"}, {"topology.istio.io/network", "version"}}, [][]string{{"topology.kubernetes.io/region"}}))
	if d.chance(50) {
		l["failover"] = []object{d.failover()}
	}
	if l["failover"] == nil && d.chance(70) || d.chance(d.odds) {
		var all []object
		for _, from := range odd(d, [][]string{{"eu"}, {"eu/z1", "eu/z2"}, {"eu/z1/a", "eu/z1/*", "eu/*", "*"}, {"eu/z1/a/b"}, {"eu*"}},
			[][]string{{"*", "eu"}, {"eu/z1", "eu"}, {"eu", "eu/z1"}, {"eu/*", "eu/z1"}, {"eu/z1", "eu/z1/a"}, {""}, {"eu//a"}, {"*/z1"}, {"eu/"}, {"*/*"}, {"eu", "eu"}}) {
			all = append(all, object{"from": from, "to": odd(d, []object{{"us": 100}, {"us": 20, "eu/z1": 80}, {"eu/z1/a": 1, "eu/z1/b": 99}},
				[]object{{}, {"us": 99}, {"us": 0, "eu": 100}, {"us": 101}, {"us": 50, "us/z1": 50}, {"": 100}, {"us": -1}, {"us": 100, "eu": 100}})})
		}
		l["distribute"] = all
	}
	return l
}

func (d dice) clientTLS() object {
	t := object{"mode": odd(d, []any{"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"}, []any{"simple", 9})}
	named := d.chance(40)
	if named {
		t["credentialName"] = odd(d, []string{"client", "kubernetes://registries/ca"}, []string{"configmap://registries/ca", "configmap://registries/ca/x", "configmap://other/ca", "configmap://ca", "configmap:///ca", "configmap://registries/"})
	}
	if t["mode"] == "MUTUAL" && !named || d.chance(d.odds) {
		d.maybe(t, "clientCertificate", 100-d.odds, "/etc/cert.pem")
		d.maybe(t, "privateKey", 100-d.odds, "/etc/key.pem")
	}
	d.maybe(t, "caCertificates", d.odds, "/etc/ca.pem")
	d.maybe(t, "caCrl", d.odds, "/etc/crl.pem")
	d.maybe(t, "subjectAltNames", 10, []string{"a.example.com"})
	d.maybe(t, "insecureSkipVerify", 10, odd(d, []any{false, nil}, []any{true, "x"}))
	return t
}

// configured is a policy as the configuration has it: objects of any depth are plain mappings there.
func configured(t *testing.T, policy object) map[string]any {
	t.Helper()
	raw, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestTheBridgeAndIstioJudgeTrafficPoliciesAlike(t *testing.T) {
	var objects []json.RawMessage
	var mine []error
	for _, seed := range seeds(t) {
		d := newDice(seed)
		d.odds = pick(d, 0, 3, 8, 20)
		policy := configured(t, d.policy())
		c := convert.Default()
		c.Subsets.TrafficPolicy = policy
		mine = append(mine, c.Validate())
		raw, err := json.Marshal(object{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": object{"name": "mb-a.mesh", "namespace": "registries"},
			"spec": object{"host": "a.mesh", "trafficPolicy": policy}})
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, raw)
	}
	taken, told := 0, 0
	for i, refusal := range harness.JudgeJSON(t, objects) {
		if mine[i] == nil {
			taken++
		}
		if (refusal == "") != (mine[i] == nil) && told < 10 {
			told++
			t.Errorf("Istio says %q, the bridge %v\n%s", refusal, mine[i], objects[i])
		}
	}
	t.Logf("%d of %d taken", taken, len(objects))
	if refused := len(objects) - taken; taken < 500 || refused < 500 {
		t.Errorf("%d policies taken and %d refused: they show too little", taken, refused)
	}
}
