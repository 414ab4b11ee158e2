package nacos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources/changes"
	"meshbridge/sources/sourcetest"
)

// model is a scope with its report, for tests that need no server.
type model struct {
	*scope
	report *changes.Scope
	sink   *sourcetest.Recorder
	hosts  map[serviceID][]string // what a read would find
}

func newModel(mode string) *model {
	sink := sourcetest.NewRecorder()
	r := newReporter(sink)
	r.name([]string{public})
	return &model{newScope(namespace{public, public}, mode), r.scopes[public], sink, map[serviceID][]string{}}
}

// read takes a service as read with the hosts.
func (m *model) read(name string, hosts ...string) {
	id := plain(name)
	m.hosts[id] = hosts
	u := m.units[id]
	if u == nil {
		u = m.add(id)
	}
	m.set(u, decode(id, raw(hosts...)))
}

func (m *model) forget(name string) { m.drop(m.units[plain(name)]) }

// tell settles what changed, reads again what that wants, and returns what is reported.
func (m *model) tell() string {
	for {
		m.settle(m.report)
		again := m.reread
		m.reread = nil
		for _, u := range again {
			m.set(u, decode(u.id, raw(m.hosts[u.id]...)))
		}
		if len(again) == 0 {
			break
		}
	}
	m.report.Flush(m.unknown)
	p, _ := m.sink.Picture()
	var out []string
	for _, s := range p.Services {
		line := s.Name
		if s.Interface {
			line = strings.Join([]string{"interface " + s.Name, s.Version, s.Key.Group}, ":")
		}
		for _, i := range s.Instances {
			line += " " + i.Address
			for _, p := range i.Ports {
				line += fmt.Sprintf("/%s:%d", p.Protocol, p.Number)
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(append(out, p.Wrong...), "\n")
}

func application(ip string, endpoints ...string) string {
	var list []string
	for _, e := range endpoints {
		protocol, port, _ := strings.Cut(e, ":")
		list = append(list, fmt.Sprintf(`{\"port\":%s,\"protocol\":\"%s\"}`, port, protocol))
	}
	return fmt.Sprintf(`{"ip":%q,"port":20880,"metadata":{"dubbo.metadata.revision":"871f","dubbo.endpoints":"[%s]"}}`, ip, strings.Join(list, ","))
}

func (m *model) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), m.tell()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const greeter = "providers:a.Greeter:1.0.0:gray"

func TestAnEndpointThatAnInterfaceListsIsLeftOutOfItsApplication(t *testing.T) {
	m := newModel(ModeAll)
	m.read("orders", application("10.0.0.1", "dubbo:20880", "tri:50051"))
	m.want(t, "alone", "orders 10.0.0.1/dubbo:20880/tri:50051")
	m.read(greeter, offer("10.0.0.1", "dubbo", 20880, ""))
	m.want(t, "half listed", "interface a.Greeter:1.0.0:gray 10.0.0.1/dubbo:20880", "orders 10.0.0.1/tri:50051")
	m.read(greeter, offer("10.0.0.1", "dubbo", 20880, ""), offer("10.0.0.1", "tri", 50051, ""))
	m.want(t, "listed", "interface a.Greeter:1.0.0:gray 10.0.0.1/dubbo:20880/tri:50051")
	m.read(greeter)
	m.want(t, "withdrawn", "interface a.Greeter:1.0.0:gray")
	m.read("orders", application("10.0.0.1", "dubbo:20880", "tri:50051"), application("10.0.0.2", "dubbo:20880"))
	m.want(t, "another machine", "interface a.Greeter:1.0.0:gray", "orders 10.0.0.2/dubbo:20880")
	m.read("orders")
	m.want(t, "none", "interface a.Greeter:1.0.0:gray", "orders")
	m.read("orders", application("10.0.0.1", "dubbo:20880"))
	m.want(t, "another registration", "interface a.Greeter:1.0.0:gray", "orders 10.0.0.1/dubbo:20880")
}

func TestTheMappingGivesInterfacesTheirApplications(t *testing.T) {
	m := newModel(ModeAll)
	m.read("stock", application("10.0.0.1", "tri:50051"))
	m.takeMapping(map[string][]string{"a.Stock": {"gone", "stock"}}, nil)
	m.want(t, "through the mapping", "interface a.Stock:: 10.0.0.1/tri:50051", "stock 10.0.0.1/tri:50051")
	m.read("providers:a.Stock::", offer("10.0.0.2", "dubbo", 20880, ""))
	m.want(t, "and listed", "interface a.Stock:: 10.0.0.1/tri:50051 10.0.0.2/dubbo:20880", "stock 10.0.0.1/tri:50051")
	m.read("stock", application("10.0.0.1", "tri:50051"), application("10.0.0.3", "tri:50051"))
	m.want(t, "another one", "interface a.Stock:: 10.0.0.1/tri:50051 10.0.0.3/tri:50051 10.0.0.2/dubbo:20880", "stock 10.0.0.1/tri:50051 10.0.0.3/tri:50051")
	m.read("stock")
	m.want(t, "none", "interface a.Stock:: 10.0.0.2/dubbo:20880", "stock")
	m.forget("providers:a.Stock::")
	m.want(t, "nobody", "interface a.Stock::", "stock")
	m.forget("stock")
	m.takeMapping(map[string][]string{}, nil)
	m.want(t, "nothing", "")
}

func TestModesTakeHalf(t *testing.T) {
	m := newModel(ModeInterface)
	m.read("orders", application("10.0.0.1", "dubbo:20880"))
	m.read("billing", host8080("10.0.0.2"))
	m.want(t, "interface", "billing 10.0.0.2/:8080")
	m = newModel(ModeInstance)
	if m.follows(plain(greeter)) || m.follows(plain("consumers:a.Greeter::")) || !m.follows(plain("orders")) {
		t.Error("with mode instance interfaces are not followed, and applications are")
	}
}

func TestOneInterfaceInTwoGroupsIsOneService(t *testing.T) {
	m := newModel(ModeAll)
	m.read(greeter, offer("10.0.0.1", "dubbo", 20880, ""))
	m.want(t, "one", "interface a.Greeter:1.0.0:gray 10.0.0.1/dubbo:20880")
	other := serviceID{"DUBBO_GROUP", greeter}
	m.hosts[other] = []string{offer("10.0.0.2", "dubbo", 20880, "")}
	u := m.add(other)
	m.set(u, decode(other, raw(m.hosts[other]...)))
	m.want(t, "two", "interface a.Greeter:1.0.0:gray 10.0.0.1/dubbo:20880 10.0.0.2/dubbo:20880")
	m.drop(u)
	m.want(t, "one again", "interface a.Greeter:1.0.0:gray 10.0.0.1/dubbo:20880")
}

func TestWhatIsNewWithoutInstancesIsNoService(t *testing.T) {
	m := newModel(ModeAll)
	m.read("orders")
	m.read(greeter)
	m.want(t, "nothing yet", "")
	m.read("orders", host8080("10.0.0.1"))
	m.want(t, "one", "orders 10.0.0.1/:8080")
	m.read("orders")
	m.want(t, "none any more", "orders")
	m.forget("orders")
	m.want(t, "gone", "")
}

func TestWhatComesOutTheSameIsNotReportedAgain(t *testing.T) {
	m := newModel(ModeAll)
	m.read("orders", host8080("10.0.0.1"), application("10.0.0.2", "tri:50051"))
	m.read("stock", application("10.0.0.3", "tri:50051"))
	m.tell()
	before, _ := m.sink.Picture()
	m.read("orders", application("10.0.0.2", "tri:50051"), host8080("10.0.0.1"))
	for _, u := range m.units {
		m.dirty[u.key], m.dirtyApps[u] = true, true
	}
	m.tell()
	if after, _ := m.sink.Picture(); after.Reports != before.Reports || after.Removals > 0 {
		t.Errorf("%d more reports, %d removals", after.Reports-before.Reports, after.Removals)
	}
}

func TestOfWhatWasNotReadTheLastReportStands(t *testing.T) {
	m := newModel(ModeAll)
	unread := m.add(plain("unread"))
	m.read("orders", host8080("10.0.0.1"))
	m.tell()
	if !m.unknown(unread.key) || m.unknown(m.units[plain("orders")].key) {
		t.Error("unknown is what no read has told of, and nothing else")
	}
}

// However the state came about, what is reported is what a fresh start would report of it.
func TestTheReportDependsOnTheStateAlone(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newModel(ModeAll)
		mapped := map[string][]string{}
		var log []string
		for range 30 {
			ip := fmt.Sprintf("10.0.0.%d", 1+rng.IntN(3))
			name, hosts := "", []string(nil)
			switch rng.IntN(3) {
			case 0:
				name = fmt.Sprintf("app-%d", rng.IntN(2))
				for range rng.IntN(3) {
					hosts = append(hosts, application(fmt.Sprintf("10.0.0.%d", 1+rng.IntN(3)), fmt.Sprintf("tri:%d", 50051+rng.IntN(2))))
				}
			case 1:
				name = fmt.Sprintf("providers:a.I%d::", rng.IntN(2))
				if rng.IntN(2) == 0 {
					hosts = append(hosts, offer(ip, "dubbo", 20880+rng.IntN(2), "")) // never an application's, so that nothing is covered
				}
			case 2:
				name = fmt.Sprintf("plain-%d", rng.IntN(2))
				for range rng.IntN(3) {
					hosts = append(hosts, host8080(fmt.Sprintf("10.0.0.%d", 1+rng.IntN(3))))
				}
			}
			switch id := plain(name); {
			case rng.IntN(5) == 0 && m.units[id] != nil:
				m.forget(name)
				delete(m.hosts, id)
				log = append(log, "forget "+name)
			case rng.IntN(8) == 0:
				mapped = map[string][]string{fmt.Sprintf("a.I%d", rng.IntN(3)): {fmt.Sprintf("app-%d", rng.IntN(2))}}
				m.takeMapping(mapped, nil)
				log = append(log, fmt.Sprint("map ", mapped))
			default:
				m.read(name, hosts...)
				log = append(log, fmt.Sprint("read ", name, " ", len(hosts)))
			}
			if rng.IntN(3) > 0 {
				m.tell()
			}
		}
		fresh := newModel(ModeAll)
		for id, hosts := range m.hosts {
			fresh.read(id.name, hosts...)
		}
		fresh.takeMapping(mapped, nil)
		if diff := cmp.Diff(living(fresh.tell()), living(m.tell())); diff != "" {
			t.Fatalf("seed %d (-fresh +grown):\n%s%s", seed, diff, strings.Join(log, "\n"))
		}
	}
}

// living leaves out services without instances: whether one is told of depends on whether it had some.
func living(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		name := strings.TrimPrefix(strings.TrimSpace(line), "interface ")
		if strings.Contains(name, " ") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

func TestTheMappingOfBothGenerationsIsRead(t *testing.T) {
	for text, want := range map[string][]string{"": nil, "b,a": {"a", "b"}, " a , ,a": {"a"}} {
		if got := parseMapping(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
