//go:build e2e

package rollout

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/yaml"
)

// documentNames are the documents of a walk: rollouts of a service each, and a lane over several.
var documentNames = []string{"echo", "foxtrot", "lane"}

// paths are those at the gateway that documents may claim.
var paths = []string{"/echo", "/foxtrot", "/golf", "/shared"}

// draft is a document as a walk writes it: a part of what documents may say, always without a fault.
type draft struct {
	Name     string            `json:"name"`
	Services []string          `json:"services"`
	Primary  any               `json:"primary,omitempty"` // a version, or labels
	Canaries []branch          `json:"canaries,omitempty"`
	From     map[string]labels `json:"from,omitempty"`
	Fallback string            `json:"fallback"`
	Expose   []exposure        `json:"expose,omitempty"`
}

type labels = map[string]string

// branch is a canary.
type branch struct {
	Version string         `json:"version,omitempty"`
	Name    string         `json:"name,omitempty"`
	Labels  labels         `json:"labels,omitempty"`
	Headers map[string]any `json:"headers,omitempty"`
	Weight  int            `json:"weight,omitempty"`
}

type exposure struct {
	Gateway string   `json:"gateway"`
	Hosts   []string `json:"hosts"`
	Prefix  string   `json:"prefix"`
	Service string   `json:"service"`
}

// gatewayHost is what requests to the gateway name.
const gatewayHost = "walk.example.com"

// selector is the labels that the canary's instances have.
func (b branch) selector() labels {
	if b.Version != "" {
		return labels{"version": b.Version}
	}
	return b.Labels
}

// selector is the labels of the primary's instances, or nil for those that no canary claims.
func (d *draft) selector() labels {
	switch p := d.Primary.(type) {
	case string:
		return labels{"version": p}
	case map[string]labels:
		return p["labels"]
	}
	return nil
}

// covers reports whether the document is for a host.
func (d *draft) covers(host string) bool {
	return slices.ContainsFunc(d.Services, func(glob string) bool { ok, err := path.Match(glob, host); return ok && err == nil })
}

// claims reports whether the document exposes a path.
func (d *draft) claims(prefix string) bool {
	return slices.ContainsFunc(d.Expose, func(e exposure) bool { return e.Prefix == prefix })
}

func (d *draft) copy() *draft {
	c := *d
	c.Canaries, c.Expose = slices.Clone(d.Canaries), slices.Clone(d.Expose)
	return &c
}

func (d *draft) String() string {
	if d == nil {
		return "deleted"
	}
	content, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(content)
}

// invent makes a document.
func (w *walk) invent(name string) *draft {
	d := &draft{Name: name, Services: []string{name + ".mesh"}, Fallback: w.pick("primary", "failover", "none")}
	if name == "lane" {
		w.lead(d)
	} else {
		w.choosePrimary(d)
		for range w.rand.IntN(3) {
			w.branch(d)
		}
		w.from(d)
	}
	for range w.rand.IntN(4) {
		w.expose(d, w.pick(paths...))
	}
	return d
}

// lead makes a lane one for other services.
func (w *walk) lead(d *draft) {
	d.Services = [][]string{{"*.mesh"}, {"?o*.mesh"}, {"?o*.mesh", "echo.mesh"}}[w.rand.IntN(3)]
	d.Canaries = []branch{{Name: "lane", Labels: labels{"istio.service.tag": "gray"}, Headers: map[string]any{"x-lane": "gray"}}}
	for i, e := range d.Expose {
		if !d.covers(e.Service) {
			d.Expose[i].Service = "golf.mesh"
		}
	}
}

func (w *walk) choosePrimary(d *draft) {
	switch n := w.rand.IntN(10); {
	case n < 3:
		d.Primary = nil
	case n < 7:
		d.Primary = w.pick("v1", "v1", "v2", "v3")
	default:
		d.Primary = map[string]labels{"labels": []labels{{"track": "stable"}, {"version": "v1"}, {"version": "v2", "track": "stable"}}[w.rand.IntN(3)]}
	}
	d.Canaries = slices.DeleteFunc(d.Canaries, func(b branch) bool { return d.clashes(b) })
}

// clashes reports whether a canary would be the primary, or be named like it.
func (d *draft) clashes(b branch) bool {
	p := d.selector()
	return maps.Equal(p, b.selector()) || p != nil && p["version"] == b.Version && b.Version != ""
}

// branch adds a canary, unless what was drawn does not fit.
func (w *walk) branch(d *draft) {
	var b branch
	switch n := w.rand.IntN(10); {
	case n < 6:
		b.Version = w.pick("v1", "v2", "v2", "v3")
	case n < 8:
		b.Name, b.Labels = "gray", labels{"istio.service.tag": "gray"}
	default:
		b.Name, b.Labels = "beta", labels{"track": "beta"}
	}
	if w.chance(60) {
		b.Headers = []map[string]any{{"stage": "canary"}, {"x-user": map[string]string{"regex": "u[0-9]+"}}}[w.rand.IntN(2)]
	}
	left := 100
	for _, o := range d.Canaries {
		left -= o.Weight
		if maps.Equal(o.selector(), b.selector()) || same(o.Headers, b.Headers) {
			return
		}
	}
	b.Weight = min(left, 25*w.rand.IntN(5))
	if len(d.Canaries) < 2 && !d.clashes(b) && (b.Weight > 0 || b.Headers != nil) {
		d.Canaries = append(d.Canaries, b)
	}
}

// same reports whether two canaries are for the same requests.
func same(a, b map[string]any) bool {
	for key := range a {
		if _, ok := b[key]; ok {
			return true
		}
	}
	return false
}

func (w *walk) from(d *draft) {
	d.From = nil
	if w.chance(20) {
		d.From = map[string]labels{"labels": {"app": "shop"}}
	}
}

// expose has a document claim a path, or lead it to another host.
func (w *walk) expose(d *draft, prefix string) {
	e := exposure{Gateway: "ops/gateway", Hosts: []string{gatewayHost}, Prefix: prefix, Service: d.Name + ".mesh"}
	if d.Name == "lane" {
		for e.Service = ""; !d.covers(e.Service); {
			e.Service = w.pick(slices.Sorted(maps.Keys(w.services))...)
		}
	}
	if i := slices.IndexFunc(d.Expose, func(o exposure) bool { return o.Prefix == prefix }); i >= 0 {
		d.Expose[i] = e
	} else {
		d.Expose = append(d.Expose, e)
	}
}

// change changes one thing of a document, as people do.
func (w *walk) change(former *draft) *draft {
	d := former.copy()
	n := len(d.Canaries)
	lane := d.Name == "lane"
	switch k := w.rand.IntN(12); {
	case k == 0 && lane:
		w.lead(d)
	case k < 2 && n > 0 && !lane: // another weight
		i := w.rand.IntN(n)
		left := 100
		for _, b := range d.Canaries {
			left -= b.Weight
		}
		if weight := 25 * w.rand.IntN((left+d.Canaries[i].Weight)/25+1); weight > 0 || d.Canaries[i].Headers != nil {
			d.Canaries[i].Weight = weight
		}
	case k < 4 && n > 0 && !lane: // promoted
		b := d.Canaries[w.rand.IntN(n)]
		d.Canaries, d.Primary = nil, map[string]labels{"labels": b.Labels}
		if b.Version != "" {
			d.Primary = b.Version
		}
	case k == 4 && !lane: // rolled back
		d.Canaries = nil
	case k == 5 && !lane:
		w.choosePrimary(d)
	case k == 6:
		d.Fallback = w.pick("primary", "failover", "none")
	case k == 7 && !lane:
		w.from(d)
	case k < 10 && !lane:
		if n > 1 {
			d.Canaries = d.Canaries[1:]
		}
		w.branch(d)
	default:
		if len(d.Expose) > 0 && w.chance(50) {
			d.Expose = slices.Delete(d.Expose, 0, 1)
		} else {
			w.expose(d, w.pick(paths...))
		}
	}
	return d
}

// edit edits a document, or deletes it, or writes it again. A path that it had is mostly another document's before.
func (w *walk) edit(name string) {
	former := w.documents[name]
	var d *draft
	switch {
	case former == nil || w.chance(25):
		d = w.invent(name)
	case !w.chance(10):
		d = w.change(former)
	}
	if former.String() == d.String() {
		return
	}
	for _, p := range paths {
		if former == nil || !former.claims(p) || d != nil && d.claims(p) || !w.chance(75) {
			continue
		}
		other := w.documents[w.pick(documentNames...)]
		if other == nil || other == former || other.claims(p) {
			continue
		}
		heir := other.copy()
		w.expose(heir, p)
		w.write(heir.Name, heir)
		w.pause([]time.Duration{0, 100 * time.Millisecond, time.Second}[w.rand.IntN(3)])
	}
	w.write(name, d)
}

// write writes a document, or deletes it. The load leaves paths alone before nobody claims them.
func (w *walk) write(name string, d *draft) {
	w.t.Helper()
	if d == nil {
		delete(w.documents, name)
	} else {
		w.documents[name] = d
	}
	w.traffic.claim()
	file := filepath.Join(w.dir, "canaries", name+".yaml")
	w.note("%s: %s", name, d)
	if d == nil {
		if err := os.Remove(file); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	content, err := yaml.Marshal(d)
	if err != nil {
		w.t.Fatal(err)
	}
	replaceFile(w.t, file, content)
}

// about are the documents of a host in the order of their names.
func (w *walk) about(host string) []*draft {
	var all []*draft
	for _, name := range documentNames {
		if d := w.documents[name]; d != nil && d.covers(host) {
			all = append(all, d)
		}
	}
	return all
}

// claimant is the document that a path at the gateway belongs to, the first of those that claim it, and the host it leads to.
func (w *walk) claimant(prefix string) (*draft, string) {
	for _, name := range documentNames {
		if d := w.documents[name]; d != nil {
			for _, e := range d.Expose {
				if e.Prefix == prefix {
					return d, e.Service
				}
			}
		}
	}
	return nil, ""
}
