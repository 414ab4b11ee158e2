package convert

import (
	"slices"
	"strings"
	"testing"

	"meshbridge/sources"
)

func TestEveryTextBecomesALegalLabel(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"orders":                            "orders",
		"USER_SERVICE":                      "user-service",
		"-a_":                               "a",
		"providers:com.foo":                 "providers-com-foo",
		"支付":                                "x-" + hexOf("支付", 8),
		"***":                               "x-" + hexOf("***", 8),
		strings.Repeat("a", 63):             strings.Repeat("a", 63),
		strings.Repeat("a", 64):             strings.Repeat("a", 58) + "-" + hexOf(strings.Repeat("a", 64), 4),
		strings.Repeat("a", 57) + "--b--b":  strings.Repeat("a", 57) + "--b--b",
		strings.Repeat("a", 57) + "--b--bc": strings.Repeat("a", 57) + "-" + hexOf(strings.Repeat("a", 57)+"--b--bc", 4),
	} {
		if got := toLabel(text); got != want {
			t.Errorf("toLabel(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestAHostThatIstioDropsIsNone(t *testing.T) {
	long := strings.Repeat("a", 63)
	for host, want := range map[string]string{
		"orders.mesh": "", "orders": "", "7.mesh": "", "a.7b": "", "a.b7": "", "1.2.mesh": "", "10.0.0.mesh": "", long + ".mesh": "",
		"":             "it is empty",
		"10.1.2.3":     `its last part, "3", has digits alone`,
		"orders.7":     "has digits alone",
		"orders.007":   "has digits alone",
		"7":            "has digits alone",
		"orders.mesh.": "it ends in a dot",
		"a..mesh":      "a part between dots is empty",
		".mesh":        "a part between dots is empty",
		"Orders.mesh":  "is no DNS label", "orders-.mesh": "is no DNS label", "-orders.mesh": "is no DNS label", "a_b.mesh": "is no DNS label",
		"*.mesh": "is no DNS label", "*": "is no DNS label", "*-a.mesh": "is no DNS label", "ü.mesh": "is no DNS label",
		long + "a.mesh":                        "63 at most",
		strings.Repeat("a.", 126) + "mesh":     "253 at most",
		strings.Repeat(long+".", 4) + "mesh.7": "253 at most",
	} {
		if got := hostFault(host); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestNoHostWithDigitsAtItsEndComesFromOutside(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, host: '{{.Service}}.{{.Metadata.rel}}'}, {name: b}]"))
	s := service("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	for i, rel := range []string{"7", "r7", "1."} {
		s.Instances[i].Metadata = map[string]string{"rel": rel}
	}
	w.put("a", s)
	w.put("b", service("shop.7", "10.0.0.4"))
	w.step()
	if len(w.state()) != 2 || w.entry("registries/orders.r7") == nil || w.entry("registries/shop.7.mesh") == nil {
		t.Errorf("served %v", w.state())
	}
	for _, want := range []string{`a orders i000 - [host] "orders.7" is no host: its last part, "7", has digits alone`, `"orders.1." is no host: it ends in a dot`} {
		if text := rejectedText(w.engine.rejections()); !strings.Contains(text, want) {
			t.Errorf("not told: %s in %s", want, text)
		}
	}
	for _, domain := range []string{"mesh.7", "mesh.", "7"} {
		c := Default()
		c.Mesh.Domain = domain
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "mesh.domain: ") {
			t.Errorf("domain %s: %v", domain, err)
		}
	}
	for _, alias := range []string{"10.1.2.3", "shop.example.com.", "shop.7"} {
		if err := (SourceConfig{Overrides: []Override{{Service: "a", Aliases: []string{alias}}}}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "overrides[0].aliases[0]: ") {
			t.Errorf("alias %s: %v", alias, err)
		}
	}
}

func TestANameOfDottedPartsDoesNotMergeWithOneOfOther(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	grouped := service("orders", "10.0.0.2")
	grouped.Group = "gray"
	w.put("a", service("orders.gray", "10.0.0.1"))
	w.put("a", grouped)
	w.step()
	if len(w.state()) != 2 {
		t.Errorf("served %v, want two hosts", w.state())
	}
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "[clash]") {
		t.Errorf("the clash is not told: %q", text)
	}
}

func TestOfTwoNamesThatBothNeededChangeByteOrderDecides(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	for _, name := range []string{"user@service", "user_service", "USER+service"} {
		w.put("a", service(name, "10.0.0.1"))
		w.step()
	}
	claimed := w.engine.hosts.all["user-service.mesh"].claims()
	if len(claimed) != 1 || claimed[0].ref.ref.Key.Name != "USER+service" || len(w.state()) != 3 {
		t.Errorf("user-service.mesh is that of %v; served %v", claimed, w.state())
	}
	w.gone("a", sources.Key{Name: "USER+service"})
	w.step()
	w.now = w.now.Add(w.engine.rules.config.RetainEmpty)
	w.step()
	claimed = w.engine.hosts.all["user-service.mesh"].claims()
	if len(claimed) != 1 || claimed[0].ref.ref.Key.Name != "user@service" || len(w.state()) != 2 {
		t.Errorf("user-service.mesh is that of %v; served %v", claimed, w.state())
	}
}

func TestANameSentAsideGivesWayAgainToWhoHasThatName(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	aside := strings.TrimSuffix(name{host: "user-service.mesh", identity: "user_service.mesh"}.aside(1), ".mesh")
	for _, name := range []string{"user_service", "user-service", aside} {
		w.put("a", service(name, "10.0.0.1"))
	}
	w.step()
	for host, want := range map[string]string{"user-service.mesh": "user-service", aside + ".mesh": aside} {
		if c := w.engine.hosts.all[host].claims(); len(c) != 1 || c[0].ref.ref.Key.Name != want {
			t.Errorf("%s is that of %v, want %s", host, c, want)
		}
	}
	if len(w.state()) != 3 {
		t.Errorf("served %v", w.state())
	}
}

func TestNamesEqualButForCaseAreOneServiceWhereverTheyAre(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("ORDERS", "10.0.0.1"))
	w.put("b", service("orders", "10.0.0.2"))
	w.step()
	if e := w.entry("registries/orders.mesh"); e == nil || len(e.Endpoints) != 2 || len(w.state()) != 1 {
		t.Errorf("%v", w.state())
	}
}

func TestObjectNamesHaveAtMost253Bytes(t *testing.T) {
	domain := strings.Join(slices.Repeat([]string{strings.Repeat("d", 60)}, 3), ".")
	long := strings.Repeat("s", 60)
	w := newWorld(t, compile(t, "mesh: {domain: "+domain+"}"))
	mixed := service(long, "v1@10.0.0.1", "v2@10.0.0.2")
	mixed.Instances[1].Ports = []sources.Port{{Protocol: "a-protocol-with-quite-a-long-name", Number: 1}}
	w.put("a", mixed)
	w.step()
	if len(w.state()) != 4 {
		t.Fatalf("served %v; rejected %v", w.state(), w.engine.rejections())
	}
	for key := range w.state() {
		if _, object, _ := strings.Cut(key.Name, "/"); len(object) > 253 {
			t.Errorf("%s has %d bytes", object, len(object))
		}
	}
}

func TestAHostBeyond253BytesIsSkippedWithAReason(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service(strings.Repeat("abcdefgh.", 40)+"x", "10.0.0.1"))
	w.step()
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "[host]") || !strings.Contains(text, "253 at most") || len(w.state()) != 0 {
		t.Errorf("rejected %q, served %v", text, w.state())
	}
}

func TestAHostWithoutADotHasNoDestinationRule(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, host: '{{.Service}}'}]"))
	w.put("a", service("orders", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	if w.entry("registries/orders") == nil || w.rule("registries/mb-orders") != nil {
		t.Errorf("%v", w.state())
	}
}

func TestATemplateThatNamesTheHostOfADefaultNameSharesIt(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a}, {name: b, host: '{{.Service}}.gray.mesh'}]"))
	grouped := service("orders", "10.0.0.2")
	grouped.Group = "gray"
	w.put("a", grouped)
	w.put("b", service("Orders", "10.0.0.1"))
	w.step()
	if e := w.entry("registries/orders.gray.mesh"); e == nil || len(e.Endpoints) != 2 || len(w.state()) != 1 {
		t.Errorf("%v", w.state())
	}
}

func TestATemplateThatFailsSkipsItsInstanceOnly(t *testing.T) {
	w := newWorld(t, compile(t, `sources: [{name: a, host: '{{slice .Metadata.version 0 2}}.{{.Service}}.mesh'}]`))
	w.put("a", service("orders", "v1@10.0.0.1", "v@10.0.0.2"))
	w.step()
	if e := w.entry("registries/v1.orders.mesh"); e == nil || len(e.Endpoints) != 1 {
		t.Errorf("%v", w.state())
	}
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "a orders i001 - [host] evaluate the template:") {
		t.Errorf("rejected: %s", text)
	}
}
