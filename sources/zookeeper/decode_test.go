package zookeeper

import (
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

func TestRulesHoldWhereTheyAreMeantTo(t *testing.T) {
	target, err := parseProvider(url.QueryEscape("dubbo://10.0.0.1:20880/x?application=orders&group=g&version=1&env=prod"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"override://0.0.0.0/x?group=g&version=1&weight=1":                                        true,
		"override://0.0.0.0/x?weight=1":                                                          false, // of no group
		"override://0.0.0.0/x?group=*&version=*&weight=1":                                        true,
		"override://0.0.0.0/x?group=other&version=1&weight=1":                                    false,
		"override://10.0.0.1:20880/x?group=g&version=1&weight=1":                                 true,
		"override://10.0.0.1:20881/x?group=g&version=1&weight=1":                                 false,
		"override://0.0.0.0:20880/x?group=g&version=1&weight=1":                                  true,
		"override://10.0.0.2:20880/x?group=g&version=1&weight=1":                                 false,
		"override://10.0.0.1/x?group=g&version=1&weight=1":                                       false, // that of a consumer, before 2.7
		"override://10.0.0.1/x?group=g&version=1&weight=1&configVersion=v2.7&side=provider":      true,
		"override://10.0.0.1/x?group=g&version=1&weight=1&configVersion=v2.7&side=consumer":      false,
		"override://0.0.0.0/x?group=g&version=1&weight=1&configVersion=v2.7&side=consumer":       true, // all consumers
		"override://0.0.0.0/x?group=g&version=1&application=orders&weight=1":                     true,
		"override://0.0.0.0/x?group=g&version=1&application=*&weight=1":                          true,
		"override://0.0.0.0/x?group=g&version=1&application=others&weight=1":                     false,
		"override://0.0.0.0/x?group=g&version=1&application=orders&side=consumer&weight=1":       false,
		"override://0.0.0.0/x?group=g&version=1&providerAddresses=10.0.0.2:1,10.0.0.1:20880":     true,
		"override://0.0.0.0/x?group=g&version=1&providers=0.0.0.0:20880&weight=1":                true,
		"override://0.0.0.0/x?group=g&version=1&providers=10.0.0.1&weight=1":                     true,
		"override://0.0.0.0/x?group=g&version=1&providerAddresses=10.0.0.2:20880&weight=1":       false,
		"override://0.0.0.0/x?group=g&version=1&~env=prod&weight=1":                              true,
		"override://0.0.0.0/x?group=g&version=1&~env=test&weight=1":                              false,
		"absent://0.0.0.0/x?group=g&version=1&category=configurators&dynamic=false&classifier=*": true,
		"override://0.0.0.0/x?group=g&version=1&classifier=other":                                false,
	} {
		rules, bad := parseRules([]string{url.QueryEscape(text)})
		if len(rules) != 1 || bad != nil {
			t.Fatalf("%s: got %d rules, %v", text, len(rules), bad)
		}
		if got := rules[0].matches(&target); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestRulesApplyFromTheGeneralToTheParticular(t *testing.T) {
	apply := func(params map[string]string, rules ...string) map[string]string {
		nodes := make([]string, len(rules))
		for i, r := range rules {
			nodes[i] = url.QueryEscape(r)
		}
		parsed, bad := parseRules(nodes)
		if bad != nil {
			t.Fatal(bad)
		}
		for _, r := range parsed {
			params = r.apply(params)
		}
		return params
	}
	own := map[string]string{"weight": "100", "a": "b"}
	got := apply(own,
		"override://10.0.0.1:1/x?weight=3",
		"override://0.0.0.0/x?weight=2&priority=5&category=configurators&~a=b",
		"override://0.0.0.0/x?weight=1&tag=gray&priority=1",
		"override://0.0.0.0/x?weight=9&enabled=false",
		"absent://0.0.0.0/x?a=c&d=e")
	if diff := cmp.Diff(map[string]string{"weight": "3", "a": "b", "d": "e", "dubbo.tag": "gray"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if own["weight"] != "100" {
		t.Error("the provider's own parameters were changed")
	}
	if got := apply(own, "override://0.0.0.0/x?weight=2", "empty://0.0.0.0/x?category=configurators"); got["weight"] != "100" {
		t.Errorf("got %v, want empty:// to clear the rules", got)
	}
}

func TestParametersMayHoldAnything(t *testing.T) {
	p, err := parseProvider(url.QueryEscape("Dubbo://user:p@ss@10.0.0.1:20880/a/b?k=v=w&empty=&noval&%zz=50%&=x&名=值&interface=a+b"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"k": "v=w", "empty": "", "noval": "", "%zz": "50%", "名": "值", "interface": "a+b"}
	if diff := cmp.Diff(want, p.params); diff != "" || p.protocol != "dubbo" || p.address != "10.0.0.1" {
		t.Errorf("got %s at %s, (-want +got):\n%s", p.protocol, p.address, diff)
	}
}

func TestMappingListsEachApplicationOnce(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b"}, parseMapping([]byte(" b,a ,,b"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := parseMapping(nil); got != nil {
		t.Errorf("got %q of an empty node", got)
	}
}

// checkInstance holds for whatever was read.
func checkInstance(t *testing.T, i *sources.Instance) {
	t.Helper()
	if i.ID == "" || len(i.Ports) == 0 {
		t.Errorf("got %+v, want an ID and a port", i)
	}
	if _, err := dubbo.Address(i.Address); err != nil {
		t.Errorf("address %q is useless: %v", i.Address, err)
	}
	for _, p := range i.Ports {
		if p.Number == 0 || p.Number > 65535 {
			t.Errorf("port %d is none", p.Number)
		}
	}
}

func FuzzProviderURL(f *testing.F) {
	for _, seed := range []string{
		"dubbo://10.0.0.1:20880/x?interface=x&timestamp=1&weight=3", "tri://[::1]:1/x", "rest://a.b:65535", "injvm://127.0.0.1/x",
		"dubbo://fe80::1%en0:1/x", "://", "a://@:/?&=&", "dubbo://1:2:3:4:5:6:7:8:9/x", "dubbo://::/x", "dubbo://[::1", "dubbo://[::1]x:1",
	} {
		f.Add(url.QueryEscape(seed))
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, node string) {
		read := readInterface("/dubbo", "/dubbo/x", "x", []string{node, node + "1"}, []string{node})
		for _, s := range read.services {
			for i := range s.Instances {
				checkInstance(t, &s.Instances[i])
			}
		}
	})
}

func FuzzOverrideURL(f *testing.F) {
	target := "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fx%3Fapplication%3Da"
	for _, seed := range []string{
		"override://0.0.0.0/x?weight=1", "override://10.0.0.1:20880/x?disabled=true", "absent://0.0.0.0/x?dubbo.tag=a&priority=x",
		"empty://0.0.0.0", "override://0.0.0.0/x?~=a&providers=:,&weight=99999999999999999999", "override://[::]/x",
	} {
		f.Add(url.QueryEscape(seed))
	}
	f.Fuzz(func(t *testing.T, node string) {
		read := readInterface("/dubbo", "/dubbo/x", "x", []string{target}, []string{node})
		if len(read.services) != 1 || len(read.services[0].Instances) != 1 {
			t.Fatalf("the rule took the provider away: %+v", read.services)
		}
		checkInstance(t, &read.services[0].Instances[0])
	})
}

func FuzzCuratorJSON(f *testing.F) {
	f.Add([]byte(`{"name":"a","id":"1","address":"10.0.0.1","port":1,"sslPort":2,"payload":{"@class":"x","metadata":{"instance_status":"UP"}},"uriSpec":{"parts":[{"value":"https://"}]}}`))
	f.Add([]byte(`{"address":"h","port":"8080","payload":["x"],"enabled":false,"registrationTimeUTC":"1"}`))
	f.Add([]byte(`{"address":"h","payload":{"metadata":{"dubbo.endpoints":"[{\"port\":1,\"protocol\":\"TRI\"}]","weight":5,"a":null,"b":{}}}}`))
	f.Add([]byte(`10.0.0.1`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMember("id", data)
		if err == nil {
			checkInstance(t, &m.instance)
		}
	})
}

func FuzzDubboEndpoints(f *testing.F) {
	for _, seed := range []string{`[{"port":20880,"protocol":"dubbo"},{"port":"1","protocol":"tri"}]`, `[]`, `{}`, `[{"port":1e9}]`, `[{"port":-1,"protocol":"x"}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ports, err := dubbo.Endpoints(text)
		for _, p := range ports {
			if err != nil || p.Number == 0 || p.Number > 65535 || p.Protocol == "" {
				t.Errorf("got %+v, %v", p, err)
			}
		}
	})
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte("a,b"))
	f.Add([]byte(",, ,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, app := range parseMapping(data) {
			if app == "" || strings.Contains(app, ",") {
				t.Errorf("got application %q", app)
			}
		}
	})
}

func TestAnInstanceIDIsItsAddressAndProtocol(t *testing.T) {
	read := readInterface("/dubbo", "/dubbo/x", "x", []string{"dubbo%3A%2F%2F%5Bfd00%3A%3A1%5D%3A1%2Fx", "tri%3A%2F%2F%5Bfd00%3A%3A1%5D%3A1%2Fx"}, nil)
	i := read.services[0].Instances
	if len(i) != 1 || i[0].ID != "dubbo://"+net.JoinHostPort("fd00::1", "1") || len(i[0].Ports) != 2 {
		got, _ := json.Marshal(i)
		t.Errorf("got %s", got)
	}
}
