package canary

import (
	"cmp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// written is the document of a text, with its defaults.
func written(t *testing.T, text string) *Document {
	t.Helper()
	d := Default()
	if err := yaml.UnmarshalStrict([]byte(text), &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for i := range d.Expose {
		e := &d.Expose[i]
		e.Prefix = cmp.Or(e.Prefix, DefaultExpose().Prefix)
		if e.Hosts == nil {
			e.Hosts = DefaultExpose().Hosts
		}
	}
	return &d
}

func told(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The documents of all that must be possible.
func TestGoodDocumentsHaveNoFault(t *testing.T) {
	for name, text := range map[string]string{
		"primary only":           `{name: echo, services: [echo.mesh], primary: v1}`,
		"phase 1":                `{name: echo, services: [echo.mesh], primary: v1, canaries: [{version: v2, headers: {stage: canary}}]}`,
		"phase 2":                `{name: echo, services: [echo.mesh], primary: v1, canaries: [{version: v2, headers: {stage: canary}, weight: 100}]}`,
		"neither of the two":     `{name: echo, services: [echo.mesh], primary: v1, canaries: [{version: v2}]}`,
		"split of three":         `{name: echo, services: [echo.mesh], primary: v1, canaries: [{version: v2, weight: 30}, {version: v3, weight: 70}]}`,
		"one source":             `{name: benigno, services: [benigno.mesh], primary: v1, canaries: [{version: v2, weight: 10}], from: {labels: {app: magnanimo}}}`,
		"one namespace":          `{name: benigno, services: [benigno.mesh], canaries: [{version: v2, weight: 10}], from: {namespace: front}}`,
		"unclaimed primary":      `{name: gray, services: ["*.mesh"], canaries: [{name: gray, labels: {istio.service.tag: gray}, headers: {x-lane: gray}}], fallback: failover}`,
		"primary by labels":      `{name: gray, services: [a.mesh], primary: {labels: {version: base}}, canaries: [{name: gray, labels: {istio.service.tag: gray}, weight: 1}], fallback: none}`,
		"every service":          `{name: gray, services: ["*"], canaries: [{version: v2, headers: {x-lane: gray}}]}`,
		"another label":          `{name: gray, services: [a.mesh], label: release, primary: "1.0.0", canaries: [{version: "1.1.0", weight: 5}]}`,
		"all kinds of matches":   `{name: gray, services: [a.mesh], primary: v1, canaries: [{version: v2, headers: {a: {prefix: x}, b: {regex: "[0-9]+"}, baggage: {member: {lane: gray}}, c: "d"}}]}`,
		"either of two headers":  `{name: gray, services: [a.mesh], primary: v1, canaries: [{version: v2, headers: {a: b}, weight: 5}, {version: v2, headers: {c: d}}]}`,
		"narrow before wide":     `{name: gray, services: [a.mesh], primary: v1, canaries: [{version: v2, headers: {a: b, c: d}}, {version: v3, headers: {a: b}}]}`,
		"exact before prefix":    `{name: gray, services: [a.mesh], primary: v1, canaries: [{version: v2, headers: {a: bcd}}, {version: v3, headers: {a: {prefix: b}}}]}`,
		"gateway":                `{name: echo, services: [echo.mesh], primary: v1, expose: [{gateway: istio-system/app, hosts: ["*.example.com", shop.example.org], prefix: /echo}]}`,
		"an address as a host":   `{name: echo, services: [echo.mesh], primary: v1, expose: [{gateway: a/b, hosts: [10.0.0.1]}]}`,
		"delegates":              `{name: echo, services: [a.mesh, b.mesh], primary: v1, expose: [{delegate: a, service: a.mesh}, {delegate: b, service: b.mesh}]}`,
		"a host of a glob":       `{name: echo, services: ["*.mesh"], primary: v1, expose: [{delegate: a, service: a.mesh}]}`,
		"two exposures":          `{name: echo, services: [a.mesh], primary: v1, expose: [{gateway: a/b, prefix: /x/y}, {gateway: a/b, prefix: /x}, {gateway: a/b, prefix: /y}, {gateway: a/b, hosts: [h.example.com], prefix: /x}]}`,
		"colours":                `{name: gray, services: [a.mesh, b.mesh], primary: base, canaries: [{name: canary, labels: {tag: gray}, headers: {x-id: canary}}], expose: [{gateway: e/g, service: a.mesh, colour: [{when: {agent: pc}, set: {x-id: canary}}, {set: {x-id: base}}]}]}`,
		"a colour of another":    `{name: gray, services: [a.mesh], primary: base, canaries: [{version: v2, headers: {x-id: canary}}], expose: [{gateway: e/g, colour: [{set: {u: z}}]}]}`,
		"a colour decides no":    `{name: gray, services: [a.mesh], primary: base, canaries: [{version: v2, headers: {x-id: canary, u: z}}], expose: [{gateway: e/g, colour: [{set: {x-id: base}}]}]}`,
		"a colour decides fully": `{name: gray, services: [a.mesh], primary: base, canaries: [{version: v2, headers: {x-id: canary, u: z}}], expose: [{gateway: e/g, colour: [{set: {x-id: canary, u: z}}]}]}`,
	} {
		if got := told(written(t, text).Validate("version")); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestEveryFaultOfADocumentIsToldWithItsPathAndRemedy(t *testing.T) {
	// doc is a good document with more keys.
	doc := func(more string) string { return `{name: a, services: [a.mesh], ` + more + `}` }
	canaries := func(list string) string { return doc(`primary: v1, canaries: [` + list + `]`) }
	headers := func(fields string) string { return canaries(`{version: v2, headers: {` + fields + `}}`) }
	expose := func(list string) string { return doc(`primary: v1, expose: [` + list + `]`) }
	colour := func(list string) string {
		return doc(`primary: v1, canaries: [{version: v2, headers: {a: b, c: d}}], expose: [{gateway: g/g, colour: [` + list + `]}]`)
	}
	for name, test := range map[string]struct{ text, want string }{
		"no name":               {`{services: [a.mesh]}`, `name: is missing: a name such as checkout`},
		"name":                  {`{name: A_b, services: [a.mesh]}`, `name: "A_b" is no name: at most 63 lower-case letters, digits and "-", a letter or digit at both ends`},
		"no services":           {`{name: a}`, `services: names none: at least one host such as shop.mesh`},
		"host without dot":      {`{name: a, services: [shop]}`, `services[0]: "shop" has no dot, and Istio would take it for another host: write it whole, such as shop.mesh`},
		"host in upper case":    {`{name: a, services: [Shop.mesh]}`, `services[0]: "Shop.mesh" is no host: write it in lower case, shop.mesh`},
		"no host":               {`{name: a, services: [a_b.mesh, "*..mesh", ""]}`, "services[0]: \"a_b.mesh\" is no host: \"a_b\" is no DNS label: lower-case letters, digits and inner dashes, 63 at most\nservices[1]: \"*..mesh\" is no host: a part between dots is empty\nservices[2]: \"\" is no host: it is empty"},
		"service twice":         {`{name: a, services: [a.mesh, a.mesh]}`, `services[1]: "a.mesh" is there twice: keep one`},
		"label":                 {doc(`label: "a b"`), `label: "a b" is no key of a label: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"empty primary":         {doc(`primary: ""`), `primary: is empty: a version such as v1, {labels: {KEY: VALUE}}, or leave it out for all endpoints that no canary claims`},
		"primary version":       {doc(`primary: "v 1"`), `primary: "v 1" is no value of a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"primary label":         {doc(`primary: {labels: {a: "b,c"}}`), `primary.labels.a: "b,c" is no value of a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"no endpoints":          {canaries(`{weight: 5}`), `canaries[0]: says of no endpoints: a version, or labels and a name`},
		"version and labels":    {canaries(`{version: v2, name: x, labels: {a: b}}`), `canaries[0]: has both version and labels: one of the two`},
		"labels without name":   {canaries(`{labels: {a: b}}`), `canaries[0].name: is missing: a canary by labels needs a name such as gray`},
		"empty labels":          {canaries(`{name: x, labels: {}}`), `canaries[0].labels: is empty: labels that the endpoints have, such as {istio.service.tag: gray}`},
		"empty label value":     {canaries(`{name: x, labels: {a: ""}}`), `canaries[0].labels.a: is empty: the value that label a has`},
		"label of the bridge":   {doc(`label: meshbridge.subset, from: {labels: {meshbridge.x: y}}`), "label: \"meshbridge.subset\" is a label that meshbridge writes itself: a label that the registry or labels.set gives\nfrom.labels: \"meshbridge.x\" is a label that meshbridge writes itself: a label that the registry or labels.set gives"},
		"stamps as labels":      {canaries(`{name: x, labels: {meshbridge.pool.gray: "1"}}`), `canaries[0].labels: "meshbridge.pool.gray" is a label that meshbridge writes itself: a label that the registry or labels.set gives`},
		"label key":             {canaries(`{name: x, labels: {"a b/": c}}`), `canaries[0].labels: "a b/" is no key of a label: prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character; name part must be non-empty; name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"version value":         {canaries(`{version: "v2,v3"}`), `canaries[0].version: "v2,v3" is no value of a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"subset name":           {canaries(`{version: v2, name: "a b"}`), `canaries[0].name: "a b" is no name of a subset: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"weight":                {canaries(`{version: v2, weight: 101}, {version: v3, weight: -1}`), "canaries[0].weight: 101 is no percentage: 0 to 100\ncanaries[1].weight: -1 is no percentage: 0 to 100"},
		"weights":               {canaries(`{version: v2, weight: 60}, {version: v3, weight: 41}`), `canaries[1].weight: makes 101 percent of all canaries together: 100 at most, the primary gets what is left`},
		"weight twice":          {canaries(`{version: v2, weight: 6}, {version: v2, headers: {a: b}, weight: 4}`), `canaries[1].weight: v2 has a weight in canaries[0] already: one weight for it`},
		"canary is primary":     {canaries(`{version: v1, weight: 5}`), `canaries[0]: its endpoints are those of the primary: another version or labels, or take the canary out`},
		"primary in two words":  {doc(`primary: {labels: {version: v1}}, canaries: [{version: v1, weight: 5}]`), `canaries[0]: its endpoints are those of the primary: another version or labels, or take the canary out`},
		"names that become one": {canaries(`{version: "1.0", weight: 5}, {version: "1-0"}`), `canaries[1]: its subset would be named 1-0 as that of canaries[0]: write another name`},
		"name of the primary":   {canaries(`{name: V1, labels: {a: b}}`), `canaries[0]: its subset would be named v1 as that of the primary: write another name`},
		"name primary":          {doc(`canaries: [{name: primary, labels: {a: b}}]`), `canaries[0]: its subset would be named primary as that of the primary: write another name`},
		"fallback":              {doc(`fallback: v1`), `fallback: "v1" is none of primary, failover and none`},
		"from nobody":           {doc(`from: {}`), `from: names no clients: labels or a namespace, or leave it out for all`},
		"from labels":           {doc(`from: {labels: {a: "!"}}`), `from.labels.a: "!" is no value of a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`},
		"from namespace":        {doc(`from: {namespace: "a.b"}`), `from.namespace: "a.b" is no namespace: lower-case letters, digits and inner dashes, 63 at most`},

		"too long":          {`{name: a, services: [` + strings.Repeat("a.mesh, ", 1001) + `]}`, `services: has 1001 entries: 1000 at most, or several documents`},
		"too many canaries": {canaries(strings.Repeat(`{version: v2}, `, 51)), `canaries: has 51 entries: 50 at most, or several documents`},
		"too many hosts":    {expose(`{gateway: a/b, hosts: [` + strings.Repeat("a, ", 51) + `]}`), `expose[0].hosts: has 51 entries: 50 at most, or several documents`},

		"header in upper case": {headers(`X-Lane: gray`), `canaries[0].headers.X-Lane: "X-Lane" is not in lower case, as Envoy has all names: write x-lane`},
		"pseudo header":        {headers(`":path": /`), `canaries[0].headers: ":path" is no header that tells canaries from each other: one that the requests to a host differ in`},
		"host":                 {headers(`Host: a`), `canaries[0].headers.Host: "Host" is no header that tells canaries from each other: one that the requests to a host differ in`},
		"no token":             {headers(`"a b": c, "": d`), "canaries[0].headers: has a header without a name\ncanaries[0].headers: \"a b\" is no name of a header: letters, digits and dashes"},
		"empty value":          {headers(`a: ""`), `canaries[0].headers.a: the value of header a is empty: a text, {prefix: …}, {regex: …} or {member: {KEY: VALUE}}`},
		"empty prefix":         {headers(`a: {prefix: ""}`), `canaries[0].headers.a: the value of header a is empty: a text, {prefix: …}, {regex: …} or {member: {KEY: VALUE}}`},
		"two matches":          {headers(`a: {prefix: b, regex: c}`), `canaries[0].headers.a: says several things of header a: one of exact, prefix, regex and member`},
		"control character":    {headers(`a: "b\nc", d: " e"`), "canaries[0].headers.a: \"b\\nc\" is no value that header a can have: no control characters, no spaces at the ends\ncanaries[0].headers.d: \" e\" is no value that header d can have: no control characters, no spaces at the ends"},
		"regex":                {headers(`a: {regex: "(?=b)"}`), "canaries[0].headers.a: \"(?=b)\" is no regular expression (RE2): invalid or unsupported Perl syntax: `(?=`"},
		"long regex":           {headers(`a: {regex: "` + strings.Repeat("a", 1025) + `"}`), `canaries[0].headers.a: the regular expression has 1025 bytes: Istio takes 1024 at most`},
		"member elsewhere":     {headers(`a: {member: {b: c}}`), `canaries[0].headers.a: header a has no members: member is for the header baggage`},
		"two members":          {headers(`baggage: {member: {b: c, d: e}}`), `canaries[0].headers.baggage: names 2 members: exactly one key and its value`},
		"key of a member":      {headers(`baggage: {member: {"b=": c}}`), `canaries[0].headers.baggage: "b=" is no key of a member: letters, digits and dashes`},
		"value of a member":    {headers(`baggage: {member: {b: "c,d"}}`), `canaries[0].headers.baggage: "c,d" is no value of a member: printable characters without spaces, quotes, commas and semicolons`},
		"equal headers":        {canaries(`{version: v2, headers: {a: b}}, {version: v3, headers: {a: {exact: b}}}`), `canaries[1].headers: are those of canaries[0], which takes all such requests: other headers, or none`},
		"wide before narrow":   {canaries(`{version: v2, headers: {a: b}}, {version: v3, headers: {a: b, c: d}}`), `canaries[1].headers: are never looked at: canaries[0] before it takes all such requests; put this one first`},
		"prefix before exact":  {canaries(`{version: v2, headers: {a: {prefix: b}}}, {version: v3, headers: {a: bc}}, {version: v4, headers: {a: {prefix: bc}}}`), "canaries[1].headers: are never looked at: canaries[0] before it takes all such requests; put this one first\ncanaries[2].headers: are never looked at: canaries[0] before it takes all such requests; put this one first"},
		"regex before exact":   {canaries(`{version: v2, headers: {a: {regex: "b.*"}}}, {version: v3, headers: {a: bc}}`), `canaries[1].headers: are never looked at: canaries[0] before it takes all such requests; put this one first`},
		"member before exact":  {canaries(`{version: v2, headers: {baggage: {member: {a: b}}}}, {version: v3, headers: {baggage: "a=b,c=d"}}`), `canaries[1].headers: are never looked at: canaries[0] before it takes all such requests; put this one first`},

		"no exposure":           {expose(`{}`), `expose[0]: exposes nothing: a gateway such as istio-system/app, or the name of a delegate`},
		"two exposures":         {expose(`{gateway: a/b, delegate: c}`), `expose[0]: has both gateway and delegate: an entry for each`},
		"gateway":               {expose(`{gateway: app}, {gateway: a/b.c}`), "expose[0].gateway: \"app\" is no gateway: its namespace and its name, such as istio-system/app\nexpose[1].gateway: \"a/b.c\" is no gateway: its namespace and its name, such as istio-system/app"},
		"delegate":              {expose(`{delegate: A}`), `expose[0].delegate: "A" is no name of a VirtualService: lower-case letters, digits and inner dashes, 63 at most`},
		"delegate with more":    {expose(`{delegate: a, hosts: [b.c], prefix: /d}`), "expose[0].hosts: a delegate has no hosts: the VirtualService that names it has them\nexpose[0].prefix: a delegate has no prefix: the VirtualService that names it has it"},
		"no hosts":              {expose(`{gateway: a/b, hosts: []}`), `expose[0].hosts: names none: "*" for all`},
		"hosts":                 {expose(`{gateway: a/b, hosts: ["a*.b", "Shop.example.com", ""]}`), "expose[0].hosts[0]: \"a*.b\" is no host at a gateway: a pattern is \"*\" or begins with \"*.\"\nexpose[0].hosts[1]: \"Shop.example.com\" is no host at a gateway: write it in lower case, shop.example.com\nexpose[0].hosts[2]: \"\" is no host at a gateway: it is empty"},
		"prefix":                {expose(`{gateway: a/b, prefix: echo}, {gateway: a/b, prefix: "/a?b"}`), "expose[0].prefix: \"echo\" does not begin with a slash: /echo\nexpose[1].prefix: \"/a?b\" has characters that no path has: a beginning of paths such as /shop, without a pattern or query"},
		"service missing":       {`{name: a, services: [a.mesh, b.mesh], expose: [{delegate: a}]}`, `expose[0].service: is missing, and the document may be for several services: the host that is reached`},
		"service of a glob":     {`{name: a, services: ["*.mesh"], expose: [{delegate: a}]}`, `expose[0].service: is missing, and the document may be for several services: the host that is reached`},
		"service is a glob":     {`{name: a, services: ["*.mesh"], expose: [{delegate: a, service: "*.mesh"}]}`, `expose[0].service: "*.mesh" is a pattern: one host`},
		"service of others":     {expose(`{delegate: a, service: b.mesh}`), `expose[0].service: "b.mesh" is not among the services: a.mesh`},
		"hosts in digits":       {expose(`{gateway: a/b, hosts: ["*.7", shop.7, "*.10.0.0.1", "300.0.0.1"]}`), "expose[0].hosts[0]: \"*.7\" is no host at a gateway: its last part, \"7\", has digits alone, as that of an IP address: a part with a letter\nexpose[0].hosts[1]: \"shop.7\" is no host at a gateway: its last part, \"7\", has digits alone, as that of an IP address: a part with a letter\nexpose[0].hosts[2]: \"*.10.0.0.1\" is no host at a gateway: its last part, \"1\", has digits alone, as that of an IP address: a part with a letter\nexpose[0].hosts[3]: \"300.0.0.1\" is no host at a gateway: its last part, \"1\", has digits alone, as that of an IP address: a part with a letter"},
		"hosts with a dot":      {expose(`{gateway: a/b, hosts: ["shop.example.com.", "*."]}`), "expose[0].hosts[0]: \"shop.example.com.\" is no host at a gateway: it ends in a dot: without it\nexpose[0].hosts[1]: \"*.\" is no host at a gateway: it is empty"},
		"hosts that overlap":    {expose(`{gateway: a/b, hosts: ["*.c.d", e.c.d, f.g, "*"]}`), "expose[0].hosts[1]: \"e.c.d\" and \"*.c.d\" share hosts, which Istio refuses in one VirtualService: keep the wider, or an entry for each\nexpose[0].hosts[3]: \"*\" and \"*.c.d\" share hosts, which Istio refuses in one VirtualService: keep the wider, or an entry for each"},
		"one exposure twice":    {expose(`{gateway: a/b, hosts: [x, z], prefix: /p}, {gateway: a/b, hosts: [z], prefix: /p}`), `expose[1]: gateway a/b, host z, prefix /p is in expose[0] already: one entry for it`},
		"long behind short":     {expose(`{gateway: a/b, hosts: [c.d, e.f], prefix: /a}, {gateway: a/b, hosts: [g.h, e.f], prefix: /ab}, {gateway: a/b, hosts: [g.h], prefix: /a}`), `expose[1].prefix: /ab is never reached: expose[0] before it takes all paths that begin with /a; put this one first`},
		"one delegate twice":    {expose(`{delegate: a}, {delegate: a}`), `expose[1]: delegate a is in expose[0] already: one entry for it`},
		"colour without set":    {colour(`{when: {x: u}}`), `expose[0].colour[0].set: is missing: headers and their values, such as {x-lane: gray}`},
		"colour's when":         {colour(`{when: {X: u}, set: {z: z}}`), `expose[0].colour[0].when.X: "X" is not in lower case, as Envoy has all names: write x`},
		"colour's set":          {colour(`{set: {X: u, host: a, v: "%REQ(a)%", w: "", z: "a\rb"}}`), "expose[0].colour[0].set.X: \"X\" is not in lower case, as Envoy has all names: write x\nexpose[0].colour[0].set.host: \"host\" is no header that tells canaries from each other: one that the requests to a host differ in\nexpose[0].colour[0].set.v: \"%REQ(a)%\" has a %, which begins a variable of Envoy: leave it out\nexpose[0].colour[0].set.w: the value of header w is empty: a text\nexpose[0].colour[0].set.z: \"a\\rb\" is no value that header z can have: no control characters, no spaces at the ends"},
		"colour never reached":  {colour(`{set: {x: u}}, {when: {a: b}, set: {x: z}}`), `expose[0].colour[1]: is never reached: colour[0] before it takes all such requests; put this one first`},
		"colour behind its own": {colour(`{when: {a: b}, set: {x: u}}, {when: {a: b, c: d}, set: {x: z}}`), `expose[0].colour[1]: is never reached: colour[0] before it takes all such requests; put this one first`},
		"colour tells half":     {colour(`{set: {a: b}}`), `expose[0].colour[0].set: cannot tell whether these requests go to canaries[0], which asks for c as well: set it too`},
	} {
		if got := told(written(t, test.text).Validate("version")); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestAVersionNeedsALabel(t *testing.T) {
	const want = "label: is missing, and subsets.labels names none: the label whose values are versions"
	for text, want := range map[string]string{
		`{name: a, services: [a.mesh], primary: v1}`:                                                            want,
		`{name: a, services: [a.mesh], canaries: [{version: v1}]}`:                                              want,
		`{name: a, services: [a.mesh], label: x, primary: v1}`:                                                  "",
		`{name: a, services: [a.mesh], primary: {labels: {a: b}}, canaries: [{name: x, labels: {a: c}}]}`:       "",
		`{name: a, services: [a.mesh], canaries: [{name: gray, labels: {istio.service.tag: gray}, weight: 5}]}`: "",
	} {
		if got := told(written(t, text).Validate("")); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestNothingIsWiderOnlyByItsLooks(t *testing.T) {
	for _, test := range []struct {
		wide, narrow Match
		want         bool
	}{
		{Match{Exact: "a"}, Match{Exact: "a"}, true},
		{Match{Exact: "a"}, Match{Exact: "b"}, false},
		{Match{Exact: "a"}, Match{Prefix: "a"}, false},
		{Match{Prefix: "a"}, Match{Prefix: "ab"}, true},
		{Match{Prefix: "ab"}, Match{Prefix: "a"}, false},
		{Match{Prefix: "a"}, Match{Regex: "ab"}, false},
		{Match{Regex: "a|b"}, Match{Exact: "b"}, true},
		{Match{Regex: "a|b"}, Match{Exact: "ab"}, false},
		{Match{Regex: "a.*"}, Match{Regex: "a.*"}, true},
		{Match{Regex: "("}, Match{Exact: "a"}, false},
		{Match{Member: map[string]string{"a": "b"}}, Match{Member: map[string]string{"a": "b"}}, true},
		{Match{Member: map[string]string{"a": "b"}}, Match{Member: map[string]string{"a": "c"}}, false},
		{Match{Member: map[string]string{"a": "b"}}, Match{Exact: "x=y, a=b"}, true},
	} {
		if got := test.wide.takes(test.narrow); got != test.want {
			t.Errorf("%+v takes %+v: %v", test.wide, test.narrow, got)
		}
	}
}
