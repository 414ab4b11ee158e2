package nacos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

func plain(name string) serviceID { return serviceID{"DEFAULT_GROUP", name} }

func raw(hosts ...string) []json.RawMessage {
	out := make([]json.RawMessage, len(hosts))
	for i, h := range hosts {
		out[i] = json.RawMessage(h)
	}
	return out
}

// show writes instances for comparison.
func show(list []sources.Instance) string {
	var lines []string
	for _, i := range list {
		line := i.ID
		for _, p := range i.Ports {
			line += fmt.Sprintf(" %s:%d", p.Protocol, p.Number)
		}
		line += fmt.Sprintf(" weight %d", i.Weight)
		if !i.Healthy {
			line += " unhealthy"
		}
		if !i.Enabled {
			line += " disabled"
		}
		if i.Locality != "" {
			line += " in " + i.Locality
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestInstancesAreReadAsNacosAndOthersWriteThem(t *testing.T) {
	for _, c := range []struct{ what, host, want string }{
		{"all there", `{"ip":"10.0.0.1","port":8080,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","metadata":{}}`, "10.0.0.1:8080 :8080 weight 100"},
		{"the least", `{"ip":"10.0.0.1","port":8080}`, "10.0.0.1:8080 :8080 weight 100"},
		{"nulls", `{"ip":"10.0.0.1","port":8080,"weight":null,"healthy":null,"enabled":null,"metadata":null,"clusterName":null}`, "10.0.0.1:8080 :8080 weight 100"},
		{"numbers as text", `{"ip":"10.0.0.1","port":"8080","weight":"0.5"}`, "10.0.0.1:8080 :8080 weight 50"},
		{"unhealthy", `{"ip":"10.0.0.1","port":8080,"healthy":false}`, "10.0.0.1:8080 :8080 weight 100 unhealthy"},
		{"disabled", `{"ip":"10.0.0.1","port":8080,"enabled":false}`, "10.0.0.1:8080 :8080 weight 100 disabled"},
		{"no traffic", `{"ip":"10.0.0.1","port":8080,"weight":0}`, "10.0.0.1:8080 :8080 weight 0"},
		{"less than none", `{"ip":"10.0.0.1","port":8080,"weight":-1}`, "10.0.0.1:8080 :8080 weight 0"},
		{"the least traffic", `{"ip":"10.0.0.1","port":8080,"weight":0.0001}`, "10.0.0.1:8080 :8080 weight 1"},
		{"the most traffic", `{"ip":"10.0.0.1","port":8080,"weight":10000}`, "10.0.0.1:8080 :8080 weight 1000000"},
		{"more than there is", `{"ip":"10.0.0.1","port":8080,"weight":1e300}`, "10.0.0.1:8080 :8080 weight 2147483647"},
		{"a cluster", `{"ip":"10.0.0.1","port":8080,"clusterName":"HZ"}`, "10.0.0.1:8080#HZ :8080 weight 100 in HZ"},
		{"IPv6", `{"ip":"2001:db8::1","port":8080}`, "[2001:db8::1]:8080 :8080 weight 100"},
		{"a host name", `{"ip":"orders.example.com","port":8080}`, "orders.example.com:8080 :8080 weight 100"},
		{"a protocol", `{"ip":"10.0.0.1","port":8080,"metadata":{"protocol":"gRPC"}}`, "10.0.0.1:8080 grpc:8080 weight 100"},
		{"Spring's secure", `{"ip":"10.0.0.1","port":8443,"metadata":{"secure":"true"}}`, "10.0.0.1:8443 https:8443 weight 100"},
		{"a Dubbo application", `{"ip":"10.0.0.1","port":20880,"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":50051,\"protocol\":\"tri\"}]","dubbo.metadata.revision":"871f"}}`, "10.0.0.1:20880 dubbo:20880 tri:50051 weight 100"},
		{"one that offers nothing", `{"ip":"10.0.0.1","port":20880,"metadata":{"dubbo.metadata.revision":"0"}}`, "10.0.0.1:20880 dubbo:20880 weight 100 disabled"},
		{"both weights", `{"ip":"10.0.0.1","port":20880,"weight":0.5,"metadata":{"dubbo.metadata.revision":"871f","weight":"30"}}`, "10.0.0.1:20880 dubbo:20880 weight 15"},
	} {
		got := decode(plain("orders"), raw(c.host))
		if text := show(append(got.instances, got.members...)); text != c.want || len(got.skipped) > 0 {
			t.Errorf("%s: got %q, skipped %v; want %q", c.what, text, got.skipped, c.want)
		}
	}
}

func TestABadInstanceIsLeftOutAlone(t *testing.T) {
	for _, c := range []struct{ host, where, reason string }{
		{`{"ip":"10.0.0.2","port":0}`, "10.0.0.2:0", "no port"},
		{`{"ip":"10.0.0.2","port":70000}`, "10.0.0.2:70000", "no number up to 65535"},
		{`{"ip":"0.0.0.0","port":80}`, "0.0.0.0:80", "stands for no machine"},
		{`{"ip":"","port":80}`, ":80", "no address"},
		{`{"ip":"a b","port":80}`, "a b:80", "neither an IP address nor a host name"},
		{`{"ip":"10.0.0.2","port":80,"weight":"many"}`, "10.0.0.2:80", "decode instance"},
		{`{"ip":"10.0.0.2","port":80,"metadata":[]}`, "10.0.0.2:80", "decode instance"},
		{`{"ip":"10.0.0.2","port":80,"metadata":{"dubbo.endpoints":"["}}`, "10.0.0.2:80", "decode dubbo.endpoints"},
		{`7`, "7", "decode instance"},
	} {
		got := decode(plain("orders"), raw(host8080("10.0.0.1"), c.host))
		if len(got.instances) != 1 || len(got.skipped) != 1 || got.total != 2 {
			t.Errorf("%s: got %+v, want one instance and one that was skipped", c.host, got)
			continue
		}
		if f := got.skipped[0]; f.Where != "DEFAULT_GROUP@@orders "+c.where || !strings.Contains(f.Reason, c.reason) {
			t.Errorf("%s: got %+v", c.host, f)
		}
	}
}

func TestTheUsableAndThenTheNewerOfTwoRegistrationsCounts(t *testing.T) {
	old, young := host8080("10.0.0.1", `,"metadata":{"timestamp":"1","version":"old"}`), host8080("10.0.0.1", `,"metadata":{"timestamp":"2","version":"young"}`)
	sick := strings.Replace(host8080("10.0.0.1", `,"metadata":{"timestamp":"3","version":"sick"}`), `"healthy":true`, `"healthy":false`, 1)
	out := strings.Replace(host8080("10.0.0.1", `,"metadata":{"timestamp":"4","version":"out"}`), `"enabled":true`, `"enabled":false`, 1)
	hosts := []string{old, young, sick, out}
	for range 4 {
		hosts = append(hosts[1:], hosts[0])
		got := decode(plain("orders"), raw(hosts...))
		if len(got.instances) != 1 || got.instances[0].Metadata["version"] != "young" {
			t.Errorf("got %+v of %v", got.instances, hosts)
		}
	}
}

func TestTheOrderOfInstancesIsNoChange(t *testing.T) {
	hosts := raw(host8080("10.0.0.1"), host8080("10.0.0.2"), `{"ip":"x y"}`, `{"ip":"0.0.0.0","port":1}`)
	first := decode(plain("orders"), hosts).digest
	for range len(hosts) {
		hosts = append(hosts[1:], hosts[0])
		if decode(plain("orders"), hosts).digest != first {
			t.Error("another order is another content")
		}
	}
	if decode(plain("orders"), hosts[1:]).digest == first {
		t.Error("another content is the same")
	}
}

func TestNamesOfDubboInterfaces(t *testing.T) {
	for name, want := range map[string]dubboInterface{
		"providers:com.example.Greeter::":          {"com.example.Greeter", "", ""},
		"providers:com.example.Greeter:1.0.0:gray": {"com.example.Greeter", "1.0.0", "gray"},
		"providers:com.example.Greeter:0.0.0:":     {"com.example.Greeter", "", ""},
		"providers:com.example.Greeter":            {"com.example.Greeter", "", ""},
		"providers:com.example.Greeter:1.0.0":      {"com.example.Greeter", "1.0.0", ""},
		"providers:":                               {},
		"providers:a:b:c:d":                        {},
		"orders":                                   {},
		"consumers:com.example.Greeter:1.0.0:gray": {},
	} {
		got, ok := parseInterface(name)
		if got != want || ok != (want != dubboInterface{}) {
			t.Errorf("%s: got %+v, %t", name, got, ok)
		}
	}
	for name, want := range map[string]bool{"consumers:a::": true, "routers:a::": true, "configurators:a::": true, "providers:a::": false, "orders": false} {
		if unfollowed(name) != want {
			t.Errorf("%s: got %t", name, !want)
		}
	}
}

// offer is an instance as Dubbo registers it for an interface.
func offer(ip, protocol string, port int, more string) string {
	return fmt.Sprintf(`{"ip":%q,"port":%d,"weight":1.0,"healthy":true,"enabled":true,"metadata":{"protocol":%q,"path":"a.B","side":"provider","category":"providers","timestamp":"1"%s}}`, ip, port, protocol, more)
}

func TestTheProtocolsOfADubboProviderAreOneInstance(t *testing.T) {
	for _, c := range []struct {
		what  string
		hosts []string
		want  string
	}{
		{"two protocols", []string{offer("10.0.0.1", "dubbo", 20880, ""), offer("10.0.0.1", "tri", 50051, "")}, "dubbo://10.0.0.1:20880 dubbo:20880 tri:50051 weight 100"},
		{"another tag", []string{offer("10.0.0.1", "dubbo", 20880, ""), offer("10.0.0.1", "tri", 50051, `,"dubbo.tag":"gray"`)}, "dubbo://10.0.0.1:20880 dubbo:20880 weight 100\ntri://10.0.0.1:50051 tri:50051 weight 100"},
		{"a consumer beside", []string{offer("10.0.0.1", "dubbo", 20880, ""), offer("10.0.0.2", "consumer", 1, "")}, "dubbo://10.0.0.1:20880 dubbo:20880 weight 100"},
		{"a weight", []string{offer("10.0.0.1", "dubbo", 20880, `,"weight":"0"`)}, "dubbo://10.0.0.1:20880 dubbo:20880 weight 0"},
		{"disabled by itself", []string{offer("10.0.0.1", "dubbo", 20880, `,"enabled":"false"`)}, "dubbo://10.0.0.1:20880 dubbo:20880 weight 100 disabled"},
	} {
		got := decode(plain("providers:a.B::"), raw(c.hosts...))
		if text := show(got.instances); text != c.want || len(got.skipped) > 0 {
			t.Errorf("%s (-want +got):\n%s%v", c.what, cmp.Diff(c.want, text), got.skipped)
		}
	}
}

// Whatever a server sends, what is made of it keeps the contract of a source.
func FuzzInstances(f *testing.F) {
	for _, h := range []string{
		host8080("10.0.0.1"), offer("10.0.0.1", "dubbo", 20880, ""), `{"ip":"::1","port":"1","weight":"1e3","metadata":{"a":1,"b":null}}`,
		`{"ip":"10.0.0.1","port":1,"metadata":{"dubbo.endpoints":"[{\"port\":1,\"protocol\":\"tri\"}]"}}`, `null`, `[]`, `7`,
	} {
		f.Add("orders", "["+h+","+h+"]")
		f.Add("providers:a.B:1.0.0:g", "["+h+"]")
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		var hosts []json.RawMessage
		if json.Unmarshal([]byte(text), &hosts) != nil {
			return
		}
		got := decode(plain(name), hosts)
		list := append(slices.Clone(got.instances), got.members...)
		ids := map[string]bool{}
		for i := range list {
			at := &list[i]
			if ids[at.ID] || at.ID == "" || len(at.Ports) == 0 {
				t.Errorf("got %+v twice, or without a port", at)
			}
			ids[at.ID] = true
			if _, err := dubbo.Address(at.Address); err != nil {
				t.Errorf("%+v: %v", at, err)
			}
			for _, p := range at.Ports {
				if p.Number == 0 || p.Number > 65535 {
					t.Errorf("%+v: port %d", at, p.Number)
				}
			}
		}
		if len(list)+len(got.skipped) > got.total {
			t.Errorf("%d instances and %d skipped of %d", len(list), len(got.skipped), got.total)
		}
		if slices.Reverse(hosts); decode(plain(name), hosts).digest != got.digest {
			t.Error("the order matters")
		}
	})
}
