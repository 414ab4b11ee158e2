package harness

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	// DubboConsumer is a Dubbo consumer under Spring Boot.
	DubboConsumer = Tool{Name: "dubbo-consumer", Version: "3.3.5", Source: "servers/dubbo-consumer", Cold: 30 * time.Second, build: maven}
	// SpringConsumer is a Spring Cloud application that calls another one, and may be that one itself.
	SpringConsumer = Tool{Name: "spring-consumer", Version: "4.3.0", Source: "servers/spring-consumer", Cold: 40 * time.Second, build: maven}
)

// Consumers lists what the tests of docs/clients.md start beside what the other end-to-end tests do.
func Consumers() []Tool { return []Tool{PilotAgent, DubboConsumer, SpringConsumer} }

// Consumer is a running application of a workload that calls others when it is asked to.
type Consumer struct {
	*Process
	Address string // host:port; from outside of the workload only that of a [SpringConsumer] answers

	workload *Workload
}

// StartConsumer starts a consumer of one of the tools above inside the workload, with the settings as its application.yaml, and returns when
// it listens.
func (w *Workload) StartConsumer(t testing.TB, tool Tool, settings string, arguments ...string) *Consumer {
	t.Helper()
	c := &Consumer{Process: newJava(t, tool.Name, "192m"), workload: w}
	port := FreePort(t)
	c.Address = fmt.Sprintf("%s:%d", w.Address, port)
	file := filepath.Join(c.Dir, "application.yaml")
	writeFiles(t, map[string][]byte{file: []byte(settings)})
	c.args = append(c.args, "-jar", filepath.Join(toolDir(t, tool), "target", tool.Name+".jar"), "--spring.config.additional-location=file:"+file,
		fmt.Sprintf("--listen=%d", port))
	c.args = append(c.args, arguments...)
	w.move(c.Process)
	c.start()
	c.ready(60*time.Second, c.printed("consumer ready"))
	return c
}

// Call has the consumer call by its client of the name, and returns what it was answered.
func (c *Consumer) Call(client string) (string, error) {
	_, port, _ := strings.Cut(c.Address, ":")
	return c.workload.Get(fmt.Sprintf("http://127.0.0.1:%s/%s", port, client))
}
