package convert

import (
	"cmp"
	"slices"
	"strings"
)

// Classes of rejections.
const (
	ClassRead     = "read"      // the source could not read the instance
	ClassHost     = "host"      // no legal host
	ClassClash    = "clash"     // two names became one host; this one was moved aside
	ClassAddress  = "address"   // no usable address
	ClassPort     = "port"      // no usable port
	ClassLabel    = "label"     // a label that Kubernetes or Istio does not allow
	ClassLocality = "locality"  // a locality that Istio does not understand
	ClassSubset   = "subset"    // a value that got no subset
	ClassVIP      = "vip"       // another address than the one wished for
	ClassInvalid  = "invalid"   // Istio's validation would refuse it
	maxRejections = 20          // kept per host and service; the rest is only counted
	moreRejected  = "and more…" // stands for the rest
)

// Rejection is something that is not served as the registry says it, and why.
type Rejection struct {
	Source   string `json:"source"`
	Service  string `json:"service"`            // the registry's name
	Instance string `json:"instance,omitempty"` // its ID, "" where the service is meant
	Host     string `json:"host,omitempty"`
	Class    string `json:"class"`
	Reason   string `json:"reason"`
}

func compareRejections(a, b Rejection) int {
	return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Service, b.Service), strings.Compare(a.Host, b.Host),
		strings.Compare(a.Instance, b.Instance), strings.Compare(a.Class, b.Class), strings.Compare(a.Reason, b.Reason))
}

// classCount is how many rejections of a class a source has at a host.
type classCount struct {
	source, class string
	count         int
}

// rejections collects the rejections of one host, bounded per service, and counts them all.
type rejections struct {
	kept   []Rejection
	counts []classCount
}

func (r *rejections) add(rej Rejection) {
	r.count(rej.Source, rej.Class)
	same := 0
	for i := range r.kept {
		if r.kept[i] == rej {
			return
		}
		if r.kept[i].Source == rej.Source && r.kept[i].Service == rej.Service {
			same++
		}
	}
	switch {
	case same < maxRejections:
		r.kept = append(r.kept, rej)
	case same == maxRejections:
		r.kept = append(r.kept, Rejection{Source: rej.Source, Service: rej.Service, Host: rej.Host, Class: rej.Class, Reason: moreRejected})
	}
}

func (r *rejections) count(source, class string) {
	i := slices.IndexFunc(r.counts, func(c classCount) bool { return c.source == source && c.class == class })
	if i < 0 {
		r.counts = append(r.counts, classCount{source: source, class: class})
		i = len(r.counts) - 1
	}
	r.counts[i].count++
}
