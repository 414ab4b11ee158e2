package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// Cable carries TCP connections to a server, and may be cut, slowed down and spoiled.
type Cable struct {
	Addr string // host:port, instead of the server's

	t       testing.TB
	proxies []*toxiproxy.Proxy
}

// NewCable lays a cable to the server at target; it ends with the test.
func NewCable(t testing.TB, target string) *Cable {
	t.Helper()
	addr := loopback(t)
	c := &Cable{Addr: addr, t: t}
	c.lay(addr, target)
	return c
}

// NewNacosCable lays a cable to both ports of a Nacos server, the same 1000 apart.
func NewNacosCable(t testing.TB, s *NacosServer) *Cable {
	t.Helper()
	port := nacosPort()
	c := &Cable{Addr: fmt.Sprintf("127.0.0.1:%d", port), t: t}
	c.lay(c.Addr, s.Addr)
	c.lay(fmt.Sprintf("127.0.0.1:%d", port+1000), s.GRPCAddr)
	return c
}

func (c *Cable) lay(addr, target string) {
	c.t.Helper()
	registerToxics()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "cable-"+addr, addr, target)
	if err := server.Collection.Add(proxy, true); err != nil {
		c.t.Fatalf("lay a cable from %s to %s: %v", addr, target, err)
	}
	c.proxies = append(c.proxies, proxy)
	c.t.Cleanup(proxy.Stop)
}

// Cut closes every connection and refuses new ones.
func (c *Cable) Cut() {
	for _, p := range c.proxies {
		p.Stop()
	}
}

// Mend makes the cable whole again: what was cut, delayed or spoiled.
func (c *Cable) Mend() {
	c.t.Helper()
	for _, p := range c.proxies {
		p.Toxics.ResetToxics(context.Background())
		if p.Enabled {
			continue
		}
		if err := p.Start(); err != nil {
			c.t.Fatalf("mend the cable %s: %v", c.Addr, err)
		}
	}
}

// Delay holds back everything in both directions for so long.
func (c *Cable) Delay(d time.Duration) {
	c.t.Helper()
	c.add("latency", "upstream", map[string]any{"latency": d.Milliseconds()})
	c.add("latency", "downstream", map[string]any{"latency": d.Milliseconds()})
}

// Blackhole lets connections be made and carries nothing, in neither direction.
func (c *Cable) Blackhole() {
	c.t.Helper()
	c.add("timeout", "upstream", map[string]any{"timeout": 0})
	c.add("timeout", "downstream", map[string]any{"timeout": 0})
}

// Garble replaces everything that the server says by this answer; "" inverts its bytes instead. [HTTPAnswer] makes one.
func (c *Cable) Garble(answer string) {
	c.t.Helper()
	c.add("garbage", "downstream", map[string]any{"answer": answer})
}

// TurnBack makes the times in what the server says earlier: those by which Nacos and Eureka say when a list or an instance
// last changed. It finds them in uncompressed JSON.
func (c *Cable) TurnBack(d time.Duration) {
	c.t.Helper()
	c.add("clock", "downstream", map[string]any{"behind": d.Milliseconds()})
}

// HTTPAnswer is a 200 with this body, as a captive portal or a wrong load balancer gives it.
func HTTPAnswer(contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
}

func (c *Cable) add(kind, direction string, attributes map[string]any) {
	c.t.Helper()
	content, err := json.Marshal(map[string]any{"name": kind + direction, "type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		c.t.Fatalf("encode %s: %v", kind, err)
	}
	for _, p := range c.proxies {
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(string(content))); err != nil {
			c.t.Fatalf("spoil the cable %s with %s: %v", c.Addr, kind, err)
		}
	}
}

// registerToxics makes ours known to the proxy, which keeps its kinds in a global map.
var registerToxics = sync.OnceFunc(func() {
	toxics.Register("garbage", new(garbage))
	toxics.Register("clock", new(clock))
})

// garbage is the toxic behind [Cable.Garble].
type garbage struct {
	Answer string `json:"answer"`
}

// Pipe replaces every chunk.
func (g *garbage) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			if g.Answer != "" {
				stub.Output <- &stream.StreamChunk{Data: []byte(g.Answer), Timestamp: chunk.Timestamp}
				continue
			}
			for i := range chunk.Data {
				chunk.Data[i] ^= 0xff
			}
			stub.Output <- chunk
		}
	}
}

// clock is the toxic behind [Cable.TurnBack].
type clock struct {
	Behind int64 `json:"behind"` // milliseconds
}

// timestamp is a time in milliseconds behind a key that we change, or the beginning of one at the end of a chunk.
var (
	timestamp = regexp.MustCompile(`(?:"lastRefTime":|"lastUpdatedTimestamp":")(\d{13})`)
	beginning = regexp.MustCompile(`"last[A-Za-z]*"?:?"?\d{0,12}$`)
)

// Pipe changes every time. What may be the beginning of one waits for the next chunk.
func (c *clock) Pipe(stub *toxics.ToxicStub) {
	var rest []byte
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			data := append(rest, chunk.Data...)
			rest = nil
			if at := beginning.FindIndex(data); at != nil {
				data, rest = data[:at[0]], bytes.Clone(data[at[0]:])
			}
			for _, at := range timestamp.FindAllSubmatchIndex(data, -1) {
				digits := data[at[2]:at[3]]
				millis, err := strconv.ParseInt(string(digits), 10, 64)
				if err == nil {
					copy(digits, strconv.FormatInt(millis-c.Behind, 10)) // of the same length
				}
			}
			stub.Output <- &stream.StreamChunk{Data: data, Timestamp: chunk.Timestamp}
		}
	}
}
