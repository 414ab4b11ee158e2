package consul

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"meshbridge/sources"
)

func TestAnIndexThatGoesBackStartsAnew(t *testing.T) {
	for _, test := range []struct {
		asked, got, next uint64
		changed, back    bool
	}{
		{asked: 0, got: 7, next: 7, changed: true},
		{asked: 7, got: 7, next: 7},
		{asked: 7, got: 9, next: 9, changed: true},
		{asked: 9, got: 7, next: 0, changed: true, back: true},
		{asked: 9, got: 0, next: 0, changed: true, back: true},
		{asked: 0, got: 0, next: 1, changed: true},
		{asked: 1, got: 0, next: 1},
	} {
		next, changed, back := advance(test.asked, test.got)
		if next != test.next || changed != test.changed || back != test.back {
			t.Errorf("asked %d, got %d: %d %v %v", test.asked, test.got, next, changed, back)
		}
	}
}

// known is a state with web-1 and web-2 on n1, db-1 on n2, a check of web-1 and one of n2.
func known() *state {
	st, none := newState(), names{}
	st.setNodes([]node{{Node: "n1", Address: "10.0.0.1"}, {Node: "n2", Address: "10.0.0.2"}}, none)
	st.setServices("n1", []*api.AgentService{{ID: "web-1", Service: "web", ModifyIndex: 5}, {ID: "web-2", Service: "web", ModifyIndex: 5}}, none)
	st.setServices("n2", []*api.AgentService{{ID: "db-1", Service: "db", ModifyIndex: 5}}, none)
	st.setChecks([]check{{Node: "n1", CheckID: "c", Status: "passing", ServiceID: "web-1", ServiceName: "web"}, {Node: "n2", CheckID: "serfHealth", Status: "passing"}}, none)
	return st
}

func TestADifferenceConcernsItsServicesAlone(t *testing.T) {
	n1, n2 := node{Node: "n1", Address: "10.0.0.1"}, node{Node: "n2", Address: "10.0.0.2"}
	web, serf := check{Node: "n1", CheckID: "c", Status: "passing", ServiceID: "web-1", ServiceName: "web"}, check{Node: "n2", CheckID: "serfHealth", Status: "passing"}
	for what, test := range map[string]struct {
		change func(st *state, affected names)
		want   []string
	}{
		"the same nodes":  {func(st *state, a names) { st.setNodes([]node{n1, n2}, a) }, nil},
		"another address": {func(st *state, a names) { st.setNodes([]node{n1, {Node: "n2", Address: "10.0.0.9"}}, a) }, []string{"db"}},
		"other metadata": {func(st *state, a names) {
			st.setNodes([]node{{Node: "n1", Address: n1.Address, Meta: map[string]string{"a": "b"}}, n2}, a)
		}, []string{"web"}},
		"another locality": {func(st *state, a names) {
			st.setNodes([]node{n1, {Node: "n2", Address: n2.Address, Locality: &api.Locality{Region: "r"}}}, a)
		}, []string{"db"}},
		"a node less":     {func(st *state, a names) { st.setNodes([]node{n1}, a) }, []string{"db"}},
		"a peer's node":   {func(st *state, a names) { st.setNodes([]node{n1, n2, {Node: "n3", PeerName: "p"}}, a) }, nil},
		"the same checks": {func(st *state, a names) { st.setChecks([]check{web, serf}, a) }, nil},
		"a service's check": {func(st *state, a names) {
			c := web
			c.Status = "critical"
			st.setChecks([]check{c, serf}, a)
		}, []string{"web"}},
		"a node's check": {func(st *state, a names) {
			c := serf
			c.Status = "critical"
			st.setChecks([]check{web, c}, a)
		}, []string{"db"}},
		"a check less": {func(st *state, a names) { st.setChecks([]check{serf}, a) }, []string{"web"}},
		"a check more": {func(st *state, a names) {
			st.setChecks([]check{web, serf, {Node: "n1", CheckID: api.NodeMaint, Status: "critical"}}, a)
		}, []string{"web"}},
		"a check that moves": {func(st *state, a names) { c := web; c.ServiceName = "other"; st.setChecks([]check{c, serf}, a) }, []string{"other", "web"}},
		"the same services": {func(st *state, a names) {
			st.setServices("n2", []*api.AgentService{{ID: "db-1", Service: "db", ModifyIndex: 5}}, a)
		}, nil},
		"a changed service": {func(st *state, a names) {
			st.setServices("n2", []*api.AgentService{{ID: "db-1", Service: "db", ModifyIndex: 6}}, a)
		}, []string{"db"}},
		"a renamed service": {func(st *state, a names) {
			st.setServices("n2", []*api.AgentService{{ID: "db-1", Service: "new", ModifyIndex: 6}}, a)
		}, []string{"db", "new"}},
		"an instance less": {func(st *state, a names) {
			st.setServices("n1", []*api.AgentService{{ID: "web-1", Service: "web", ModifyIndex: 5}}, a)
		}, []string{"web"}},
		"a node that empties": {func(st *state, a names) { st.setServices("n2", nil, a) }, []string{"db"}},
	} {
		affected := names{}
		test.change(known(), affected)
		if got := affected.sorted(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", what, got, test.want)
		}
	}
	if !known().setNodes([]node{n1, n2, {Node: "n3"}}, names{}) || known().setNodes([]node{n1}, names{}) {
		t.Error("a new node is to be swept, a lost one is not")
	}
}

func TestAnInstanceIsReadFromItsEntry(t *testing.T) {
	const whole = `{"Node":{"Node":"n1","Address":"10.0.0.1","TaggedAddresses":{"wan":"192.0.2.1"}},"Service":{"ID":"a","Service":"web","Port":80`
	for what, test := range map[string]struct {
		entry  string
		change func(*Config)
		want   *sources.Instance
		reason string
	}{
		"the node's address":        {entry: whole + `}}`, want: &sources.Instance{Address: "10.0.0.1"}},
		"its own address":           {entry: whole + `,"Address":"10.0.0.9"}}`, want: &sources.Instance{Address: "10.0.0.9"}},
		"IPv6 in brackets":          {entry: whole + `,"Address":"[fd00::1]"}}`, want: &sources.Instance{Address: "fd00::1"}},
		"the node's tagged address": {entry: whole + `}}`, change: wan, want: &sources.Instance{Address: "192.0.2.1"}},
		"its own before the node's": {entry: whole + `,"Address":"10.0.0.9"}}`, change: wan, want: &sources.Instance{Address: "10.0.0.9"}},
		"a tagged one without port": {entry: whole + `,"TaggedAddresses":{"wan":{"Address":"192.0.2.9"}}}}`, change: wan, want: &sources.Instance{Address: "192.0.2.9"}},
		"a warning":                 {entry: whole + `,"Weights":{"Passing":3,"Warning":0}},"Checks":[{"CheckID":"c","Status":"warning"}]}`, want: &sources.Instance{Address: "10.0.0.1", Weight: 1}},
		"an unknown status":         {entry: whole + `},"Checks":[{"CheckID":"c","Status":"odd"}]}`, want: &sources.Instance{Address: "10.0.0.1", Locality: "unhealthy"}},
		"a socket":                  {entry: `{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Service":"web","SocketPath":"/s"}}`, reason: "it listens on the socket /s, which other machines do not reach"},
		"no port":                   {entry: `{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Service":"web"}}`, reason: "it has no port: register one, or leave the service out"},
		"a port that is none":       {entry: `{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Service":"web","Port":70000}}`, reason: "port 70000 is none of 1 to 65535"},
		"no address":                {entry: `{"Node":{},"Service":{"ID":"a","Service":"web","Port":1}}`, reason: "neither the service nor its node has an address"},
		"an address of no machine":  {entry: whole + `,"Address":"0.0.0.0"}}`, reason: "address 0.0.0.0 stands for no machine"},
		"a gateway":                 {entry: whole + `,"Kind":"ingress-gateway"}}`},
		"imported from a peer":      {entry: whole + `,"PeerName":"p"}}`},
		"another spelling":          {entry: `{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Service":"WEB","Port":1}}`},
		"no node":                   {entry: `{"Service":{"ID":"a","Service":"web","Port":1}}`},
		"null":                      {entry: `null`},
	} {
		var e *api.ServiceEntry
		if err := json.Unmarshal([]byte(test.entry), &e); err != nil {
			t.Fatal(what, err)
		}
		cfg := Default()
		if test.change != nil {
			test.change(&cfg)
		}
		s := reader{cfg: cfg, scope: Scope}.service("web", []*api.ServiceEntry{e})
		switch {
		case test.want == nil && test.reason == "":
			if s != nil {
				t.Errorf("%s: got %+v, want nothing", what, s)
			}
		case test.reason != "":
			if s == nil || len(s.Skipped) != 1 || s.Skipped[0].Reason != test.reason {
				t.Errorf("%s: got %+v, want it skipped: %s", what, s, test.reason)
			}
		case s == nil || len(s.Instances) != 1:
			t.Errorf("%s: got %+v", what, s)
		default:
			got, healthy := s.Instances[0], test.want.Locality != "unhealthy"
			weight := uint32(sources.DefaultWeight)
			if test.want.Weight == 1 {
				weight = 0
			}
			if got.Address != test.want.Address || got.Weight != weight || got.Healthy != healthy {
				t.Errorf("%s: got %+v", what, got)
			}
		}
	}
}

func wan(c *Config) { c.TaggedAddress = "wan" }

func TestAServiceOfSeveralPortsHasThemAll(t *testing.T) {
	s := &api.AgentService{Ports: api.ServicePorts{{Name: "http", Port: 80}, {Name: "admin", Port: 81}}, Meta: map[string]string{"protocol": "http"}}
	got, err := ports(s, 0)
	want := []sources.Port{{Name: "http", Protocol: "http", Number: 80}, {Name: "admin", Protocol: "http", Number: 81}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestAnEnterpriseNamespaceIsTheGroupAndOtherDatacentersTheNamespace(t *testing.T) {
	cfg := Default()
	cfg.Namespace = "team"
	if got, want := (reader{cfg: cfg, scope: "dc2", namespace: "dc2"}).key("web"), (sources.Key{Scope: "dc2", Namespace: "dc2", Group: "team", Name: "web"}); got != want {
		t.Errorf("got %+v", got)
	}
	cfg.Namespace = "Default"
	if got := (reader{cfg: cfg, scope: "dc1"}).key("web").Group; got != "" {
		t.Errorf("group %q", got)
	}
}

func FuzzAnyEntryGivesAServiceThatHoldsTheContract(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1","Meta":{"a":"b"}},"Service":{"ID":"i","Service":"web","Port":80,"Tags":["a=b","c|d","e","=","|"]},"Checks":[{"CheckID":"c","Status":"warning"},null]}]`))
	f.Add([]byte(`[null,{"Node":{},"Service":{"Service":"web","Ports":[{"Name":"x","Port":-1}]}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var entries []*api.ServiceEntry
		if json.Unmarshal(text, &entries) != nil {
			return
		}
		cfg := Default()
		cfg.TaggedAddress = "wan"
		s := reader{cfg: cfg, scope: Scope}.service("web", entries)
		if s == nil {
			return
		}
		seen := map[string]bool{}
		for _, i := range s.Instances {
			if i.ID == "" || seen[i.ID] || i.Address == "" || len(i.Ports) == 0 || i.Weight > maxWeight*sources.DefaultWeight {
				t.Errorf("%+v", i)
			}
			seen[i.ID] = true
		}
	})
}
