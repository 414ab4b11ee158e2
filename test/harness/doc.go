// Package harness builds and starts the real servers that the integration and end-to-end tests run against.
//
// Every tool is built once by [Build] into a cache outside the tree, under a key of its sources, and never again until those
// change; `go run ./cmd/testtools NAME…` does that with a line of progress for each. A test only starts what is already
// built, and fails with the command that builds it when it is not.
//
// Tests run inside [Isolate]: network, mount and PID namespaces of their own in which only loopback exists. So fixed ports
// never clash, nothing listens where others can reach it (Dubbo and Nacos bind every address whatever they are told), the
// tests own /etc/hosts ([SetHosts]), and no process outlives them. Every address of 10.0.0.0/8 is local there, as those of
// 127.0.0.0/8 are.
//
// A server is started by StartX(t, …), which returns when it is ready, ends it when the test does, and prints the end of
// its log when the test failed. The invariant: a Start function either returns a server that answers, or fails the test.
//
// A further registry is a [Tool] with a folder of its go.mod or pom.xml, and a Start function of its own.
//
//	func TestMain(m *testing.M) { harness.Isolate(); os.Exit(m.Run()) } // Isolate(BuildBridge) where bridges are started
//
//	func TestX(t *testing.T) {
//		zk := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
//		harness.StartDubbo(t, harness.DubboConfig{Registry: zk.Addr, App: "orders"})
//		conn := zk.Dial(t)
//		…
//		zk.Kill(); zk.Start()      // data stays
//	}
package harness
