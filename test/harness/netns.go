package harness

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Network is a bridge, to which every [Workload] is attached by a namespace and an address of its own, as pods are. What the
// test runs on loopback is reached from there at [Network.Outside], and so is all of 10.0.0.0/8.
type Network struct{ t testing.TB }

const (
	bridgeLink    = "mesh0"
	bridgeAddress = "172.30.0.1"
)

// StartNetwork makes the bridge. The tests' namespaces have one at most.
func StartNetwork(t testing.TB) *Network {
	t.Helper()
	n := &Network{t: t}
	n.run("ip", "link", "add", bridgeLink, "type", "bridge")
	t.Cleanup(func() { n.run("ip", "link", "del", bridgeLink) })
	n.run("ip", "addr", "add", bridgeAddress+"/24", "dev", bridgeLink)
	n.run("ip", "link", "set", bridgeLink, "up")
	// Without it the kernel drops what another machine sends to 127.0.0.1.
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+bridgeLink+"/route_localnet", []byte("1"), 0o644); err != nil {
		t.Fatalf("let the workloads reach loopback: %v", err)
	}
	n.rule("-p", "tcp", "-j", "DNAT", "--to-destination", "127.0.0.1")
	n.serveDNS()
	return n
}

// serveDNS is the name server of all workloads. It knows no name.
func (n *Network) serveDNS() {
	n.t.Helper()
	conn, err := net.ListenPacket("udp", bridgeAddress+":53")
	if err != nil {
		n.t.Fatalf("serve DNS: %v", err)
	}
	done := make(chan struct{})
	n.t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		message := make([]byte, 1500)
		for {
			length, peer, err := conn.ReadFrom(message)
			if err != nil {
				return
			}
			if length > 3 {
				message[2] |= 0x80               // this is an answer:
				message[3] = message[3]&0x70 | 3 // NXDOMAIN
				conn.WriteTo(message[:length], peer)
			}
		}
	}()
}

// Outside is the address at which workloads reach what listens at an address of loopback.
func (n *Network) Outside(address string) string {
	return fmt.Sprintf("%s:%d", bridgeAddress, portOf(n.t, address))
}

// Forward has workloads reach what listens at an address of loopback at another port as well, and returns that address.
func (n *Network) Forward(port int, address string) string {
	n.rule("-p", "tcp", "--dport", fmt.Sprint(port), "-j", "DNAT", "--to-destination", address)
	return fmt.Sprintf("%s:%d", bridgeAddress, port)
}

// rule puts a rule for what workloads send to the bridge before those there are.
func (n *Network) rule(rule ...string) {
	n.t.Helper()
	rule = append([]string{"PREROUTING", "-i", bridgeLink, "-d", bridgeAddress}, rule...)
	n.run("iptables", append([]string{"-t", "nat", "-I"}, rule...)...)
	n.t.Cleanup(func() { n.run("iptables", append([]string{"-t", "nat", "-D"}, rule...)...) })
}

func (n *Network) run(name string, args ...string) {
	n.t.Helper()
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}

// Workload is a namespace of the network and of mounts, with its own address, /etc/resolv.conf and /etc/hosts.
type Workload struct {
	Name    string
	Address string

	t      testing.TB
	holder *Process // keeps the namespaces alive
	hosts  string   // file that is its /etc/hosts
}

// StartWorkload makes a workload whose address ends with the number, from 2 to 254. Its /etc/resolv.conf is that of a pod, with a
// name server that knows no name: what it resolves is what a sidecar answers, or what [Workload.SetHosts] says.
func (n *Network) StartWorkload(name string, number int) *Workload {
	n.t.Helper()
	w := &Workload{Name: name, Address: fmt.Sprintf("172.30.0.%d", number), t: n.t, holder: newProcess(n.t, name+"-namespace", "unshare")}
	w.hosts = filepath.Join(w.holder.Dir, "hosts")
	resolv := filepath.Join(w.holder.Dir, "resolv.conf")
	w.SetHosts("")
	writeFiles(n.t, map[string][]byte{resolv: []byte("search default.svc.cluster.local svc.cluster.local cluster.local\n" +
		"nameserver " + bridgeAddress + "\noptions ndots:5\n")})
	// Over the tests' own /etc/hosts, which has no name any more, the kernel mounts nothing.
	w.holder.args = []string{"-n", "-m", "sh", "-ec", `umount /etc/hosts; mount --bind "$1" /etc/resolv.conf; mount --bind "$2" /etc/hosts
ip link set lo up; echo made; exec sleep infinity`, "sh", resolv, w.hosts}
	w.holder.show = 5
	w.holder.start()
	w.holder.ready(10*time.Second, w.holder.printed("made"))
	link, pid := fmt.Sprintf("%s.%d", bridgeLink, number), fmt.Sprint(w.pid())
	n.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
	n.run("ip", "link", "set", link, "master", bridgeLink, "up")
	for _, args := range []string{"addr add " + w.Address + "/24 dev eth0", "link set eth0 up", "route add default via " + bridgeAddress} {
		n.run("nsenter", append([]string{"-t", pid, "-n", "ip"}, strings.Fields(args)...)...)
	}
	return w
}

func (w *Workload) pid() int { return w.holder.cmd.Process.Pid }

// move has the process start inside the workload; options are further ones of nsenter.
func (w *Workload) move(p *Process, options ...string) {
	args := append([]string{"-t", fmt.Sprint(w.pid()), "-n", "-m", "--wd=" + p.Dir}, options...)
	p.args = append(append(args, "--", p.path), p.args...)
	p.path = "nsenter"
}

// Run runs a command inside the workload and returns what it prints, with what it writes to stderr.
func (w *Workload) Run(name string, args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(w.pid()), "-n", "-m", "--", name}, args...)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s %s in %s: %w\n%s", name, strings.Join(args, " "), w.Name, err, output)
	}
	return string(output), nil
}

// SetHosts makes the content its /etc/hosts, after the lines of localhost and of the machine's name.
func (w *Workload) SetHosts(content string) {
	w.t.Helper()
	name, err := os.Hostname()
	if err != nil {
		w.t.Fatalf("look up the machine's name: %v", err)
	}
	// In place: the mount is on the file.
	if err := os.WriteFile(w.hosts, []byte(localhost+w.Address+" "+name+"\n"+content), 0o644); err != nil {
		w.t.Fatalf("write the hosts of %s: %v", w.Name, err)
	}
}

// Dial connects from inside the workload.
func (w *Workload) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with the goroutine, so no other one finds itself in there.
		runtime.LockOSThread()
		if err = w.enter(); err == nil {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
		}
	}()
	<-done
	return conn, err
}

func (w *Workload) enter() error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", w.pid()))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the namespace of %s: %w", w.Name, err)
	}
	return nil
}

// Lookup asks the workload's name server for the IPv4 addresses of a name, past its /etc/hosts.
func (w *Workload) Lookup(host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return w.Dial(ctx, network, net.JoinHostPort(bridgeAddress, "53"))
	}}
	addresses, err := resolver.LookupIP(ctx, "ip4", host)
	var list []string
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return list, err
}

// Get is the body of the answer to a request from inside the workload. The host of the URL is an address.
func (w *Workload) Get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: w.Dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	content, err := answer(client, request)
	return string(content), err
}
