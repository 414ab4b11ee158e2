package convert

import (
	"slices"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// describe is what views show of the documents at the host.
func (d *draft) describe() []documentAt {
	if d.plan == nil {
		return nil
	}
	var all []documentAt
	for i, doc := range d.docs {
		at := documentAt{key: doc.key, service: CanaryService{Host: d.host, Namespace: d.memory.Namespace}}
		primary, canaries := d.plan.Chosen(i)
		subset := func(j int, isCanary bool) {
			at.service.Subsets = append(at.service.Subsets, CanarySubset{
				Name: d.names[j], Labels: d.plan.Subsets[j].Labels, Endpoints: d.plan.Endpoints(j, ""), Canary: isCanary})
		}
		if primary >= 0 {
			subset(primary, false)
		}
		for _, j := range canaries {
			subset(j, true)
		}
		for _, r := range d.plan.Routes(i) {
			route := CanaryRoute{Name: r.Name, Match: r.Match, Status: r.Status}
			for _, s := range r.Shares {
				route.Destinations = append(route.Destinations, CanaryShare{Subset: d.names[s.Subset], Weight: s.Weight})
			}
			at.service.Routes = append(at.service.Routes, route)
		}
		for _, f := range d.plan.Findings(i) {
			at.findings = append(at.findings, CanaryFinding{Class: string(f.Class), Warning: f.Warning, Host: d.host, Text: f.Text})
		}
		for _, o := range d.objects {
			if slices.Contains(o.Docs, doc.served.Document.Name) {
				at.objects = append(at.objects, store.Key{Kind: store.VirtualService, Name: d.memory.Namespace + "/" + d.routeName(o)})
			}
		}
		all = append(all, at)
	}
	return all
}

// canaries is what all documents have in common.
func (r *Rules) canaries() canary.Rules {
	label := ""
	if len(r.config.Subsets.Labels) > 0 {
		label = r.config.Subsets.Labels[0]
	}
	return canary.Rules{Label: label, Respond: r.config.Canary.Respond}
}
