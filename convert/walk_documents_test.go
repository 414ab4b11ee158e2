package convert

import (
	"encoding/json"
	"fmt"
	"slices"

	"meshbridge/convert/canary"
)

// walkFile is a place for a document: the services that it may be for, and its team by the name of its file.
type walkFile struct {
	name, file, team string
	services         []string // one of them, or all with lane
	lane             bool
}

// walkFiles are the files of a walk. Two of one name belong to two teams.
var walkFiles = []walkFile{
	{name: "echo", file: "core-echo.yaml", team: "core", services: []string{"echo.mesh"}},
	{name: "foxtrot", file: "core-foxtrot.yaml", team: "core", services: []string{"foxtrot.mesh"}},
	{name: "golf", file: "edge-golf.yaml", team: "edge", services: []string{"golf.mesh"}},
	{name: "hotel", file: "edge-hotel.yaml", team: "edge", services: []string{"hotel.mesh"}},
	{name: "foxtrot", file: "edge-foxtrot.yaml", team: "edge", services: []string{"golf.mesh", "foxtrot.mesh"}},
	{name: "way", file: "edge-way.yaml", team: "edge", services: []string{"echo.mesh", "foxtrot.mesh", "golf.mesh"}},
	{name: "late", file: "core-late.yaml", team: "core", services: []string{"india.mesh", "echo.mesh"}, lane: true},
	{name: "lane", file: "core-lane.yaml", team: "core", services: []string{"echo.mesh", "foxtrot.mesh", "golf.mesh"}, lane: true},
	{name: "glob", file: "edge-glob.yaml", team: "edge", services: []string{"*.mesh"}, lane: true},
	{name: "some", file: "edge-some.yaml", team: "edge", services: []string{"?o*.mesh", "india.mesh"}, lane: true},
}

func (w *walk) pick(texts ...string) string { return texts[w.rand.IntN(len(texts))] }

// chance reports true in percent of the cases.
func (w *walk) chance(percent int) bool { return w.rand.IntN(100) < percent }

// write makes a document of a file: another one, or the former with something changed.
func (w *walk) write(f walkFile, former *canary.Document) *canary.Document {
	for {
		var d *canary.Document
		if former != nil && w.chance(65) {
			d = w.change(f, former)
		} else {
			d = w.invent(f)
		}
		if d.Validate("version") == nil && (former == nil || d.Hash() != former.Hash()) {
			w.known[d.Hash()] = d
			return d
		}
	}
}

func copyDocument(d *canary.Document) *canary.Document {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	c := canary.Default()
	if err := json.Unmarshal(raw, &c); err != nil {
		panic(err)
	}
	for i := range c.Expose {
		c.Expose[i].Hosts = slices.Clone(c.Expose[i].Hosts)
	}
	return &c
}

func (w *walk) invent(f walkFile) *canary.Document {
	d := canary.Default()
	d.Name = f.name
	d.Services = []string{f.services[w.rand.IntN(len(f.services))]}
	if f.lane {
		d.Services = slices.Clone(f.services)
	}
	if w.chance(10) {
		d.Label = "track"
	}
	d.Primary = w.primary(f)
	for range w.rand.IntN(3) {
		d.Canaries = append(d.Canaries, w.canary(&d, f))
	}
	d.Fallback = w.fallback()
	d.From = w.from()
	for range w.rand.IntN(3) {
		d.Expose = append(d.Expose, w.exposure(&d))
	}
	return &d
}

func (w *walk) primary(f walkFile) *canary.Primary {
	if f.lane && w.chance(60) {
		return nil
	}
	switch n := w.rand.IntN(10); {
	case n < 3:
		return nil
	case n < 8:
		return &canary.Primary{Version: w.pick("v1", "v1", "v2", "v3", "stable")}
	}
	return &canary.Primary{Labels: [](map[string]string){{"track": "stable"}, {"version": "v1"}, {"version": "v2", "track": "stable"}}[w.rand.IntN(3)]}
}

func (w *walk) canary(d *canary.Document, f walkFile) canary.Canary {
	c := canary.Canary{}
	switch n := w.rand.IntN(10); {
	case n < 6:
		c.Version = w.pick("v2", "v2", "v1", "v3", "beta")
	case n < 8:
		c.Name, c.Labels = "gray", map[string]string{"istio.service.tag": "gray"}
	default:
		c.Name, c.Labels = "beta", map[string]string{"track": "beta"}
	}
	if f.lane || w.chance(50) {
		c.Headers = w.headers(f)
	}
	if !f.lane && (len(c.Headers) == 0 || w.chance(50)) {
		c.Weight = w.rand.IntN(5) * 25
	}
	return c
}

// headers are those of a lane, which are its own, or of a rollout.
func (w *walk) headers(f walkFile) map[string]canary.Match {
	if f.lane {
		return map[string]canary.Match{"x-lane": {Exact: f.name + w.pick("", "-2")}}
	}
	switch w.rand.IntN(4) {
	case 0:
		return map[string]canary.Match{"user-agent": {Prefix: "Mozilla"}}
	case 1:
		return map[string]canary.Match{"x-user": {Regex: "u[0-9]+"}}
	case 2:
		return map[string]canary.Match{"baggage": {Member: map[string]string{"lane": "gray"}}}
	}
	return map[string]canary.Match{"stage": {Exact: w.pick("canary", "gray")}}
}

func (w *walk) fallback() canary.Fallback {
	return []canary.Fallback{canary.FallbackPrimary, canary.FallbackPrimary, canary.FallbackFailover, canary.FallbackFailover, canary.FallbackNone}[w.rand.IntN(5)]
}

func (w *walk) from() *canary.From {
	switch w.rand.IntN(6) {
	case 0:
		return &canary.From{Labels: map[string]string{"app": "front"}}
	case 1:
		return &canary.From{Namespace: "web"}
	}
	return nil
}

// walkPatterns are the hosts at gateways.
var walkPatterns = []string{"*", "*", "*", "*.example.com", "shop.example.com"}

func (w *walk) exposure(d *canary.Document) canary.Expose {
	e := canary.Expose{}
	if w.chance(25) {
		e.Delegate = w.pick("routes", d.Name+"-routes")
	} else {
		e = canary.DefaultExpose()
		e.Gateway = w.pick("ops/public", "ops/public", "edge-app")
		e.Hosts = []string{walkPatterns[w.rand.IntN(len(walkPatterns))]}
		e.Prefix = w.pick("/"+d.Name, "/"+d.Name, "/echo", "/foxtrot", "/shop", "/")
	}
	if len(d.Services) > 1 || newGlobs(d.Services).match("echo.mesh") && d.Services[0] != "echo.mesh" {
		e.Service = w.pick("echo.mesh", "foxtrot.mesh", "golf.mesh")
		if !newGlobs(d.Services).match(e.Service) {
			e.Service = "echo.mesh"
		}
	}
	if e.Gateway != "" && w.chance(25) {
		name, value := "stage", "canary"
		if len(d.Canaries) > 0 {
			for header, m := range d.Canaries[0].Headers {
				if m.Exact != "" {
					name, value = header, m.Exact
				}
			}
		}
		e.Colour = []canary.Colour{{When: map[string]canary.Match{"agent": {Exact: "pc"}}, Set: map[string]string{name: value}}, {Set: map[string]string{name: "base"}}}
	}
	return e
}

// change changes one thing of a document, as people do.
func (w *walk) change(f walkFile, former *canary.Document) *canary.Document {
	d := copyDocument(former)
	n := len(d.Canaries)
	switch w.rand.IntN(14) {
	case 0, 1: // another weight
		if n > 0 && !f.lane {
			d.Canaries[w.rand.IntN(n)].Weight = w.rand.IntN(5) * 25
		}
	case 2, 3: // promoted
		if n > 0 {
			c := d.Canaries[w.rand.IntN(n)]
			d.Canaries, d.Primary = nil, &canary.Primary{Version: c.Version, Labels: c.Labels}
		}
	case 4: // rolled back
		d.Canaries = nil
	case 5, 6:
		d.Primary = w.primary(f)
	case 7:
		d.Fallback = w.fallback()
	case 8:
		d.From = w.from()
	case 9, 10:
		if n > 0 && w.chance(30) {
			d.Canaries = slices.Delete(d.Canaries, 0, 1)
		} else {
			d.Canaries = append(d.Canaries, w.canary(d, f))
		}
	case 11:
		if !f.lane {
			d.Services = []string{f.services[w.rand.IntN(len(f.services))]} // the way leads elsewhere
		}
	case 12:
		d.Label = w.pick("", "track")
	default:
		if e := len(d.Expose); e > 0 && w.chance(50) {
			d.Expose[w.rand.IntN(e)] = w.exposure(d)
		} else if e < 3 {
			d.Expose = append(d.Expose, w.exposure(d))
		}
	}
	return d
}

// entry is a document in its file.
func (f walkFile) entry(d *canary.Document) canary.Entry {
	return canary.Entry{Name: f.name, File: f.file, Team: f.team, Document: d}
}

// words is a document in short.
func words(d *canary.Document) string {
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Sprint(err)
	}
	return walkShort.Replace(string(raw))
}
