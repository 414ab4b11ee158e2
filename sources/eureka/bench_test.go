package eureka

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"meshbridge/sources"
)

// crowd writes an answer as Spring Cloud's server does, of so many applications and instances.
func crowd(apps, instances int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"applications":{"versions__delta":"1","apps__hashcode":"UP_%d_","application":[`, apps*instances)
	for a := range apps {
		if a > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"APP-%05d","instance":[`, a)
		for i := range instances {
			if i > 0 {
				b.WriteByte(',')
			}
			ip := fmt.Sprintf("10.%d.%d.%d", a/250, a%250, i+1)
			fmt.Fprintf(&b, `{"instanceId":"%s:app-%05d:8080","hostName":"%s","app":"APP-%05d","ipAddr":"%s","status":"UP","overriddenStatus":"UNKNOWN",`+
				`"port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},`+
				`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":1795241960209,"lastRenewalTimestamp":1795241960209,"evictionTimestamp":0,"serviceUpTimestamp":1795241960209},`+
				`"metadata":{"zone":"eu-%d","version":"v1","management.port":"9001"},"homePageUrl":"http://%s:8080/","statusPageUrl":"http://%s:9001/actuator/info","healthCheckUrl":"http://%s:9001/actuator/health",`+
				`"vipAddress":"app-%05d","secureVipAddress":"app-%05d","isCoordinatingDiscoveryServer":"false","lastUpdatedTimestamp":"1795241960209","lastDirtyTimestamp":"1795241960146","actionType":"ADDED"}`,
				ip, a, ip, a, ip, i%3, ip, ip, ip, a, a)
		}
		b.WriteString("]}")
	}
	b.WriteString("]}}")
	return b.Bytes()
}

func crowded(b *testing.B, body []byte) *registry {
	b.Helper()
	into := builder{apps: map[string][]member{}}
	if _, err := decode(bytes.NewReader(body), collect(&into)); err != nil {
		b.Fatal(err)
	}
	return into.registry()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A full read of 10,000 applications with 10 instances each, and what is kept of it.
func BenchmarkFull(b *testing.B) {
	body := crowd(10000, 10)
	var r *registry
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r = crowded(b, body)
	}
	with := heap()
	hash := r.counts.hash()
	runtime.KeepAlive(r)
	r = nil
	b.ReportMetric(float64(with-heap())/1e6, "MB-kept")
	runtime.KeepAlive(body)
	if hash != "UP_100000_" {
		b.Fatal(hash)
	}
}

// One delta of 20 applications that says what is known already, against 10,000 × 10: an idle poll.
func BenchmarkIdleDelta(b *testing.B) { benchmarkDelta(b, func(int, []byte) []byte { return nil }, 0) }

// The same delta in which one instance has changed: one service is reported.
func BenchmarkDelta(b *testing.B) {
	benchmarkDelta(b, func(n int, body []byte) []byte {
		return bytes.Replace(body, []byte(`"version":"v1"`), fmt.Appendf(nil, `"version":"w%d"`, n), 1)
	}, 1)
}

func benchmarkDelta(b *testing.B, change func(n int, body []byte) []byte, want int) {
	r := crowded(b, crowd(10000, 10))
	body := crowd(20, 10)
	var services []*sources.Service
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		delta := body
		if changed := change(n, body); changed != nil {
			delta = changed
		}
		var changes []entry
		if _, err := decode(bytes.NewReader(delta), func(app string, w *wireInstance, err error) {
			changes = append(changes, entry{app: app, member: reader{}.listed(w, err)})
		}); err != nil {
			b.Fatal(err)
		}
		services = services[:0]
		for _, app := range r.apply(r.revise(changes)) {
			services = append(services, r.service(Scope, app))
		}
		if len(services) != want && n > 1 {
			b.Fatalf("%d services changed, want %d", len(services), want)
		}
	}
}
