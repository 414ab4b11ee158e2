package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// eureka answers as a Eureka server does: all of it, or what changed in the last three minutes, gzipped.
type eureka struct {
	apps, instances int

	mu    sync.Mutex
	added map[int]time.Time // applications with one instance more
}

// fillEureka scripts a Eureka of 10,000 applications with 10 instances each.
func fillEureka(b *bench) (*filled, error) {
	e := &eureka{apps: pick(b, 10000, 1000), instances: 10, added: map[int]time.Time{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(e.serve)}
	go server.Serve(listener) //nolint:errcheck // it ends with the row
	b.cleanups = append(b.cleanups, func() { server.Close() })
	m, err := httpMeter(b, "127.0.0.1:0", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	return &filled{
		name:   fmt.Sprintf("Eureka, scripted, %s applications × %d, asked every 5 s", thousands(int64(e.apps)), e.instances),
		source: fmt.Sprintf("{name: eureka, eureka: {servers: [\"http://%s/eureka\"], interval: 5s}}", m.address), meters: []*meter{m},
		wait: time.Second,
		change: func(n int) (string, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.added[n] = time.Now()
			return fmt.Sprintf("app-%05d.", n), nil
		},
	}, nil
}

func (e *eureka) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is one
	defer zip.Close()
	out := bufio.NewWriter(zip)
	defer out.Flush()
	fmt.Fprintf(out, `{"applications":{"versions__delta":"1","apps__hashcode":"UP_%d_","application":[`, e.apps*e.instances+len(e.added))
	defer out.WriteString("]}}")
	comma := ""
	for app := range e.apps {
		first, last, at := 0, e.instances, time.Time{}
		if added, ok := e.added[app]; ok {
			last, at = last+1, added
		}
		if r.URL.Path == "/eureka/apps/delta" {
			if first = e.instances; time.Since(at) > 3*time.Minute {
				continue
			}
		}
		fmt.Fprintf(out, `%s{"name":"APP-%05d","instance":[`, comma, app)
		for i := first; i < last; i++ {
			if i > first {
				out.WriteString(",")
			}
			instance(out, app, i)
		}
		out.WriteString("]}")
		comma = ","
	}
}

func instance(out *bufio.Writer, app, i int) {
	address := dotted(10, app*16+i)
	fmt.Fprintf(out, `{"instanceId":"%s:app-%05d:8080","hostName":"%s","app":"APP-%05d","ipAddr":"%s","status":"UP","overriddenStatus":"UNKNOWN",`+
		`"port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,`+
		`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},`+
		`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":1795000000000,"lastRenewalTimestamp":1795000000000,"evictionTimestamp":0,"serviceUpTimestamp":1795000000000},`+
		`"metadata":{"management.port":"8080","version":"v1","zone":"z1"},"homePageUrl":"http://%s:8080/","statusPageUrl":"http://%s:8080/actuator/info",`+
		`"healthCheckUrl":"http://%s:8080/actuator/health","vipAddress":"app-%05d","secureVipAddress":"app-%05d","isCoordinatingDiscoveryServer":"false",`+
		`"lastUpdatedTimestamp":"1795000000000","lastDirtyTimestamp":"1795000000000","actionType":"ADDED"}`,
		address, app, address, app, address, address, address, address, app, app)
}
