package convert

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// policyFaults reads a policy in YAML as the configuration does, and returns what is wrong with it.
func policyFaults(t *testing.T, text string) string {
	t.Helper()
	c := Default()
	if err := yaml.Unmarshal([]byte(text), &c.Subsets.TrafficPolicy); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	err := c.Validate()
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestATrafficPolicyThatIstioTakesIsTaken(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{outlierDetection: {interval: 5m, baseEjectionTime: 1h30m0.5s, maxEjectionPercent: 100, minHealthPercent: 0}}`,
		`{outlierDetection: {consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true}}`,
		`{outlierDetection: {consecutive5xxErrors: 7}}`,
		`{outlier_detection: {consecutive_5xx_errors: "7"}}`,
		`{connectionPool: {tcp: {maxConnections: 0, connectTimeout: 1ms, idleTimeout: 0s, tcpKeepalive: {time: 2h, interval: 75s, probes: 9}}}}`,
		`{connectionPool: {tcp: {maxConnectionDuration: 1h}, http: {maxRetries: 2147483647, idleTimeout: 1h, useClientProtocol: true}}}`,
		`{connectionPool: {http: {http2KeepAlive: {interval: 10s, timeout: 1s}, h2UpgradePolicy: UPGRADE}}}`,
		`{loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 1m, minimumPercent: 100, aggression: 0.5}}}`,
		`{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}`,
		`{loadBalancer: {consistentHash: {httpCookie: {name: u, ttl: 0s, attributes: [{name: SameSite, value: Lax}, {name: Secure}]}}}}`,
		`{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}`,
		`{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 1024}}}`,
		`{loadBalancer: {localityLbSetting: {distribute: [{from: "eu/z1/*", to: {"eu/z1/*": 80, "eu/z2/*": 20}}, {from: "*", to: {us: 100}}]}}}`,
		`{loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}], failoverPriority: [version]}}}`,
		`{loadBalancer: {localityLbSetting: {failoverPriority: [topology.kubernetes.io/region, topology.istio.io/network]}}}`,
		`{loadBalancer: {zoneAwareLbSetting: {failover: [{from: eu, to: us}], failoverPriority: [version]}}}`,
		`{tls: {mode: SIMPLE, credentialName: "configmap://registries/ca", insecureSkipVerify: false}}`,
		`{tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}}`,
		`{tls: {mode: MUTUAL, credentialName: client}}`,
		`{portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}`,
		`{tunnel: {protocol: CONNECT, targetHost: proxy.example.com, targetPort: 3128}}`,
		`{tunnel: {targetHost: 10.0.0.1, targetPort: 3128}}`,
		`{proxyProtocol: {version: V2}}`,
		`{retryBudget: {percent: 20, minRetryConcurrency: 3}}`,
	} {
		if got := policyFaults(t, text); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
	s := Subsets{TrafficPolicy: map[string]any{"outlierDetection": map[string]any{"interval": "5m"}}}
	if got := s.policy(new(faults), Mesh{}).GetOutlierDetection().GetInterval().AsDuration(); got != 5*time.Minute {
		t.Errorf("5m is read as %s", got)
	}
}

func TestATrafficPolicyThatIstioDropsIsRefusedWithPathAndRemedy(t *testing.T) {
	for _, c := range []struct{ text, path, reason string }{
		// What Istio cannot read.
		{`{loadBalance: {}}`, `loadBalance`, `is no field that Istio knows here; write one of connectionPool, loadBalancer`},
		{`{connectionPool: {tcp: {maxConnection: 1}}}`, `connectionPool.tcp.maxConnection`, `is no field that Istio knows here`},
		{`{connectionPool: {tcp: {maxConnections: many}}}`, `connectionPool.tcp.maxConnections`, `write a whole number, of int32`},
		{`{connectionPool: {tcp: {maxConnections: 3000000000}}}`, `connectionPool.tcp.maxConnections`, `3000000000 is not what Istio reads`},
		{`{outlierDetection: {interval: soon}}`, `outlierDetection.interval`, `write a duration such as 5m`},
		{`{outlierDetection: {interval: 5}}`, `outlierDetection.interval`, `write a duration such as 5m`},
		{`{outlierDetection: {consecutive5xxErrors: -1}}`, `outlierDetection.consecutive5xxErrors`, `write a whole number, of uint32`},
		{`{outlierDetection: [1]}`, `outlierDetection`, `write a mapping of baseEjectionTime`},
		{`{loadBalancer: {simple: BEST}}`, `loadBalancer.simple`, `write one of UNSPECIFIED, LEAST_CONN, RANDOM`},
		{`{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}, {port: {number: x}}]}`, `portLevelSettings[1].port.number`, `write a whole number`},
		{`{portLevelSettings: {port: 80}}`, `portLevelSettings`, `write a list`},
		{`{tls: {mode: SIMPLE, insecureSkipVerify: perhaps}}`, `tls.insecureSkipVerify`, `write true or false`},
		{`{loadBalancer: {warmup: {duration: 1m, aggression: fast}}}`, `loadBalancer.warmup.aggression`, `write a number`},
		// What Istio refuses.
		{`{loadBalancer: null}`, ``, `says nothing`},
		{`{tunnel: {targetHost: a.b, targetPort: 1}, proxyProtocol: {version: V1}}`, `proxyProtocol`, `stands beside tunnel`},
		{`{proxyProtocol: {version: 2}}`, `proxyProtocol.version`, `write V1 or V2`},
		{`{outlierDetection: {interval: 0s}}`, `outlierDetection.interval`, `0s is no duration that Istio takes; write whole milliseconds`},
		{`{outlierDetection: {baseEjectionTime: 1.5ms}}`, `outlierDetection.baseEjectionTime`, `1.5ms is no duration`},
		{`{outlierDetection: {maxEjectionPercent: 101}}`, `outlierDetection.maxEjectionPercent`, `101 is no percentage; write 0 to 100`},
		{`{outlierDetection: {minHealthPercent: -1}}`, `outlierDetection.minHealthPercent`, `-1 is no percentage`},
		{`{outlierDetection: {consecutiveLocalOriginFailures: 3}}`, `outlierDetection.consecutiveLocalOriginFailures`, `splitExternalLocalOriginErrors: true`},
		{`{connectionPool: {}}`, `connectionPool`, `write tcp or http`},
		{`{connectionPool: {tcp: {maxConnections: -1}}}`, `connectionPool.tcp.maxConnections`, `-1 is negative; write 0 or more`},
		{`{connectionPool: {tcp: {connectTimeout: -1s}}}`, `connectionPool.tcp.connectTimeout`, `-1s is no duration`},
		{`{connectionPool: {tcp: {maxConnectionDuration: 0s}}}`, `connectionPool.tcp.maxConnectionDuration`, `0s is no duration`},
		{`{connectionPool: {tcp: {idleTimeout: -1s}}}`, `connectionPool.tcp.idleTimeout`, `-1s is no duration`},
		{`{connectionPool: {tcp: {tcpKeepalive: {time: 0s}}}}`, `connectionPool.tcp.tcpKeepalive.time`, `0s is no duration`},
		{`{connectionPool: {tcp: {tcpKeepalive: {interval: 1us}}}}`, `connectionPool.tcp.tcpKeepalive.interval`, `is no duration`},
		{`{connectionPool: {http: {http1MaxPendingRequests: -1}}}`, `connectionPool.http.http1MaxPendingRequests`, `negative`},
		{`{connectionPool: {http: {http2MaxRequests: -1}}}`, `connectionPool.http.http2MaxRequests`, `negative`},
		{`{connectionPool: {http: {maxRequestsPerConnection: -1}}}`, `connectionPool.http.maxRequestsPerConnection`, `negative`},
		{`{connectionPool: {http: {maxRetries: -1}}}`, `connectionPool.http.maxRetries`, `negative`},
		{`{connectionPool: {http: {maxConcurrentStreams: -1}}}`, `connectionPool.http.maxConcurrentStreams`, `negative`},
		{`{connectionPool: {http: {idleTimeout: 0s}}}`, `connectionPool.http.idleTimeout`, `0s is no duration`},
		{`{connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}}`, `connectionPool.http.useClientProtocol`, `leave out one`},
		{`{connectionPool: {http: {http2KeepAlive: {timeout: 1s}}}}`, `connectionPool.http.http2KeepAlive.interval`, `is missing`},
		{`{connectionPool: {http: {http2KeepAlive: {interval: 1s}}}}`, `connectionPool.http.http2KeepAlive.timeout`, `is missing`},
		{`{loadBalancer: {consistentHash: {httpCookie: {ttl: 1s}}}}`, `loadBalancer.consistentHash.httpCookie.name`, `is missing`},
		{`{loadBalancer: {consistentHash: {httpCookie: {name: a, attributes: [{value: x}]}}}}`, `loadBalancer.consistentHash.httpCookie.attributes[0].name`, `is missing`},
		{`{loadBalancer: {consistentHash: {httpCookie: {name: a, attributes: [{name: x}, {name: x}]}}}}`, `loadBalancer.consistentHash.httpCookie.attributes[1].name`, `twice`},
		{`{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 8, ringHash: {}}}}`, `loadBalancer.consistentHash.minimumRingSize`, `leave it out`},
		{`{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}`, `loadBalancer.consistentHash.maglev.tableSize`, `0 is no size of a table; write a prime number`},
		{`{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65535}}}}`, `loadBalancer.consistentHash.maglev.tableSize`, `65535 is no size`},
		{`{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000011}}}}`, `loadBalancer.consistentHash.maglev.tableSize`, `below 5000011`},
		{`{loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}}`, `loadBalancer.zoneAwareLbSetting`, `leave out one`},
		{`{loadBalancer: {zoneAwareLbSetting: {failoverPriority: [topology.kubernetes.io/zone]}}}`, `loadBalancer.zoneAwareLbSetting.failoverPriority[0]`, `leave it out`},
		{`{loadBalancer: {zoneAwareLbSetting: {failover: [{from: eu, to: eu}]}}}`, `loadBalancer.zoneAwareLbSetting.failover[0]`, `to itself`},
		{`{loadBalancer: {warmup: {}}}`, `loadBalancer.warmup.duration`, `is missing`},
		{`{loadBalancer: {warmup: {duration: 1m, minimumPercent: 100.5}}}`, `loadBalancer.warmup.minimumPercent`, `100.5 is no percentage`},
		{`{loadBalancer: {warmup: {duration: 1m, aggression: 0}}}`, `loadBalancer.warmup.aggression`, `write a number above 0`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us: 100}}], failover: [{from: eu, to: us}]}}}`, `loadBalancer.localityLbSetting.failover`, `beside distribute`},
		{`{loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}], failoverPriority: [topology.istio.io/subzone]}}}`, `loadBalancer.localityLbSetting.failoverPriority[0]`, `beside failover`},
		{`{loadBalancer: {localityLbSetting: {failover: [{from: eu/z1, to: us}]}}}`, `loadBalancer.localityLbSetting.failover[0]`, `not between regions`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us: 99}}]}}}`, `loadBalancer.localityLbSetting.distribute[0].to`, `make 99 together`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us: 0, eu: 100}}]}}}`, `loadBalancer.localityLbSetting.distribute[0].to.us`, `0 is no share`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us/z1: 50, us/*: 50}}]}}}`, `loadBalancer.localityLbSetting.distribute[0].to`, `share localities`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: "*", to: {us: 100}}, {from: eu, to: {us: 100}}]}}}`, `loadBalancer.localityLbSetting.distribute[1].from`, `put the narrower first`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: "*/z1", to: {us: 100}}]}}}`, `loadBalancer.localityLbSetting.distribute[0].from`, `that is not its end`},
		{`{loadBalancer: {localityLbSetting: {distribute: [{from: "eu//s", to: {us: 100}}]}}}`, `loadBalancer.localityLbSetting.distribute[0].from`, `has an empty part`},
		{`{tls: {mode: MUTUAL, privateKey: /k}}`, `tls.clientCertificate`, `is missing`},
		{`{tls: {mode: MUTUAL, clientCertificate: /c}}`, `tls.privateKey`, `is missing`},
		{`{tls: {mode: SIMPLE, credentialName: x, caCertificates: /ca}}`, `tls.credentialName`, `stands beside files`},
		{`{tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: x}}`, `tls.insecureSkipVerify`, `leave out`},
		{`{tls: {mode: MUTUAL, insecureSkipVerify: true, subjectAltNames: [x], credentialName: x}}`, `tls.insecureSkipVerify`, `leave out`},
		{`{tls: {mode: SIMPLE, credentialName: "configmap://other/ca"}}`, `tls.credentialName`, `own namespace`},
		{`{tls: {mode: SIMPLE, credentialName: "configmap://ca"}}`, `tls.credentialName`, `own namespace`},
		{`{portLevelSettings: [{loadBalancer: {simple: RANDOM}}]}`, `portLevelSettings[0].port`, `is missing`},
		{`{portLevelSettings: [{port: {number: 80}}]}`, `portLevelSettings[0]`, `says nothing of the port`},
		{`{portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: -1}}}]}`, `portLevelSettings[0].connectionPool.tcp.maxConnections`, `negative`},
		{`{tunnel: {protocol: GET, targetHost: a.b, targetPort: 1}}`, `tunnel.protocol`, `write CONNECT or POST`},
		{`{tunnel: {targetHost: a_b, targetPort: 1}}`, `tunnel.targetHost`, `neither a host nor an IP address`},
		{`{tunnel: {targetHost: a.7, targetPort: 1}}`, `tunnel.targetHost`, `has digits alone`},
		{`{tunnel: {targetHost: a.b, targetPort: 65536}}`, `tunnel.targetPort`, `is no port`},
	} {
		want := strings.TrimSuffix("subsets.trafficPolicy."+c.path, ".") + ": "
		got := policyFaults(t, c.text)
		if strings.Count(got, "\n") > 0 || !strings.HasPrefix(got, want) || !strings.Contains(got, c.reason) {
			t.Errorf("%s: %q, want %s… %s", c.text, got, want, c.reason)
		}
	}
}
