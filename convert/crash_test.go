package convert

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
)

// childVariable names the state directory to a test that runs itself once more.
const childVariable = "MESHBRIDGE_TEST_STATE"

// child runs the test of this name in another process.
func child(t *testing.T, dir string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// generation are records that belong together.
func generation(n int) (map[string]string, map[string][]netip.Addr) {
	hosts, names := map[string]string{}, map[string][]netip.Addr{}
	for i := range 40 {
		hosts[fmt.Sprintf("h%d.mesh", i)] = fmt.Sprintf(`{"n":%d,"pad":%q}`, n, strings.Repeat("x", n%7*100))
	}
	names["x.example.com"] = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
	return hosts, names
}

// TestAKilledProcessLeavesWholeState kills a process that keeps saving, at any moment: what it saved last is there as a whole.
func TestAKilledProcessLeavesWholeState(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		d, _, _ := openDisk(dir, quiet())
		for n := 1; ; n++ {
			hosts, names := generation(n)
			if retry := d.save(hosts, names, start); !retry.IsZero() {
				t.Fatal("it was not saved")
			}
			fmt.Println(n)
		}
	}
	t.Parallel()
	dir := t.TempDir()
	for round := range 8 {
		cmd := child(t, dir)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out, said := bufio.NewReader(pipe), 0
		read := func() bool {
			line, err := out.ReadString('\n')
			if n, bad := strconv.Atoi(strings.TrimSpace(line)); err == nil && bad == nil {
				said = n
			}
			return err == nil
		}
		for said < 3+7*round {
			if !read() {
				t.Fatalf("round %d: the child ended after %d", round, said)
			}
		}
		time.Sleep(time.Duration(round*313) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for read() {
		}
		_ = cmd.Wait() // it was killed
		log, text := logged()
		d, hosts, names := openDisk(dir, log)
		d.close()
		var n int
		if _, err := fmt.Sscanf(hosts["h0.mesh"], `{"n":%d`, &n); err != nil || n < said || n > said+1 {
			t.Errorf("round %d: state of %d, %d was saved; %v; log: %s", round, n, said, err, text)
		}
		wantHosts, wantNames := generation(n)
		if diff := cmp.Diff(wantHosts, hosts) + cmp.Diff(wantNames, names, sameAddrs); diff != "" || text.Len() > 0 {
			t.Errorf("round %d: log %q (-want +got):\n%s", round, text, diff)
		}
	}
}

// TestAFullDiskIsToldOnceAndWrittenWhenThereIsRoom limits the size of files in a child, where a write then fails as on a full
// disk.
func TestAFullDiskIsToldOnceAndWrittenWhenThereIsRoom(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		fillTheDisk(t, dir)
		return
	}
	t.Parallel()
	if out, err := child(t, t.TempDir()).Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fillTheDisk(t *testing.T, dir string) {
	limit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: 1 << 40}); err != nil {
			t.Fatal(err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ) // so that a write beyond the limit fails
	log, text := logged()

	limit(1 << 10) // not even the empty file fits
	d, hosts, _ := openDisk(dir, log)
	if len(hosts) != 0 || strings.Count(text.String(), "no room") != 1 {
		t.Errorf("read %v; log: %s", hosts, text)
	}
	now := start
	d.save(map[string]string{"a.mesh": "1"}, nil, now)
	limit(1 << 40)
	now = now.Add(retrySave)
	if retry := d.save(map[string]string{"b.mesh": "1"}, nil, now); !retry.IsZero() {
		t.Fatalf("to be tried again at %s; log: %s", retry, text)
	}

	limit(64 << 10)
	text.Reset()
	big := strings.Repeat("x", 1000)
	for i := range 500 {
		d.save(map[string]string{fmt.Sprintf("h%d.mesh", i): big}, nil, now.Add(time.Duration(i)*time.Second))
	}
	d.save(map[string]string{"a.mesh": "", "b.mesh": "2"}, nil, now)
	if got := text.String(); strings.Count(got, "cannot be written") != 1 || strings.Count(got, "\n") != 1 {
		t.Errorf("log: %s", got)
	}
	if again, _, _ := openDisk(dir, log); again.db != nil {
		t.Error("another one has it open at the same time")
	}
	limit(1 << 40)
	if retry := d.save(nil, nil, now.Add(time.Hour)); !retry.IsZero() || !strings.Contains(text.String(), "is written again") {
		t.Errorf("to be tried again at %s; log: %s", retry, text)
	}
	d.close()

	limit(64 << 10) // what is there can be read on a full disk, and is no damage
	d, hosts, _ = openDisk(dir, log)
	defer d.close()
	if _, err := os.Stat(filepath.Join(dir, stateFile+".damaged")); err == nil {
		t.Error("the file was set aside")
	}
	if len(hosts) != 501 || hosts["a.mesh"] != "" || hosts["b.mesh"] != "2" || hosts["h499.mesh"] != big {
		t.Errorf("%d records, a %q, b %q; log: %s", len(hosts), hosts["a.mesh"], hosts["b.mesh"], text)
	}
}

func TestWhatRanOutWhileNoProcessWasThereGoesAfterAClientCameBack(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m\nsubsets: {retain: 10m}"))
	w.put("a", service("gone", "10.0.0.1"))
	w.put("a", service("empty", "10.0.0.3"))
	w.put("a", service("left", "v1@10.0.0.4", "v2@10.0.0.5"))
	w.step()
	w.gone("a", sources.Key{Name: "gone"})
	w.put("a", service("empty"))
	w.put("a", service("left", "v1@10.0.0.4"))
	w.step()
	before := w.state()
	for what, away := range map[string]time.Duration{"away for an hour": time.Hour, "the clock went back by a year": -365 * 24 * time.Hour} {
		t.Run(what, func(t *testing.T) {
			next := w.restart()
			next.t = t
			next.now = w.now.Add(away)
			next.step()
			if diff := cmp.Diff(before, next.state()); diff != "" {
				t.Errorf("the restart changed (-before +after):\n%s", diff)
			}
			again := next.restart()
			again.step()
			if diff := cmp.Diff(before, again.state()); diff != "" {
				t.Errorf("the second restart changed (-before +after):\n%s", diff)
			}
			again.now = again.now.Add(10 * time.Minute)
			again.step()
			if len(again.state()) != 1 || again.entry("registries/left.mesh") == nil {
				t.Errorf("retained for ever: %v", again.state())
			}
		})
	}
}
