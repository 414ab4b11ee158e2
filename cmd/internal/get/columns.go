package get

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"meshbridge/cmd/internal/api"
)

// scopeRow is a row of sources: a source has one for each scope.
type scopeRow struct {
	api.Source
	scope api.Scope
}

func scopeRows(list []api.Source) []scopeRow {
	var rows []scopeRow
	for _, s := range list {
		if len(s.Scopes) == 0 {
			rows = append(rows, scopeRow{s, api.Scope{State: "unread"}})
		}
		for _, scope := range s.Scopes {
			rows = append(rows, scopeRow{s, scope})
		}
	}
	return rows
}

// clock tells the time for ages.
type clock func() time.Time

// age is the time since t in kubectl's form.
func (now clock) age(t *time.Time) string {
	if t == nil {
		return "<none>"
	}
	return duration.HumanDuration(now().Sub(*t))
}

func sourceColumns(now clock) []column[scopeRow] {
	return []column[scopeRow]{
		{name: "SOURCE", cell: func(r scopeRow) string { return r.Name }},
		{name: "KIND", cell: func(r scopeRow) string { return r.Kind }},
		{name: "SCOPE", cell: func(r scopeRow) string { return orDash(r.scope.Name) }},
		{name: "STATE", cell: func(r scopeRow) string { return r.scope.State }},
		{name: "SERVICES", cell: func(r scopeRow) string { return strconv.Itoa(r.scope.Services) }},
		{name: "USABLE", cell: func(r scopeRow) string { return fmt.Sprintf("%d/%d", r.scope.Usable, r.scope.Instances) }},
		{name: "HELD", cell: func(r scopeRow) string {
			if r.scope.Held == nil {
				return "0"
			}
			return strconv.Itoa(r.scope.Held.Instances)
		}},
		{name: "FAULTS", cell: func(r scopeRow) string { return strconv.Itoa(len(r.scope.Faults)) }},
		{name: "LAST REPORT", cell: func(r scopeRow) string { return now.age(r.scope.LastReport) }},
		{name: "EVENTS", wide: true, cell: func(r scopeRow) string { return strconv.FormatUint(r.scope.Events, 10) }},
		{name: "IN STATE", wide: true, cell: func(r scopeRow) string { return now.age(r.scope.Since) }},
		{name: "REQUIRED", wide: true, cell: func(r scopeRow) string { return strconv.FormatBool(r.Required) }},
		{name: "RESTARTS", wide: true, cell: func(r scopeRow) string { return strconv.Itoa(r.Restarts) }},
		{name: "ERROR", cell: func(r scopeRow) string { return firstOf(r.scope.Error, r.Error) }},
	}
}

func serviceColumns(now clock) []column[api.Service] {
	return []column[api.Service]{
		{name: "NAMESPACE", cell: func(s api.Service) string { return s.Namespace }},
		{name: "HOST", cell: func(s api.Service) string { return s.Host }},
		{name: "ENDPOINTS", cell: func(s api.Service) string { return strconv.Itoa(s.Endpoints) }},
		{name: "PORTS", cell: func(s api.Service) string { return orDash(some(portNames(s.Ports))) }},
		{name: "SOURCES", cell: func(s api.Service) string { return orDash(some(s.Sources)) }},
		{name: "SERVICES", wide: true, cell: func(s api.Service) string { return orDash(some(refNames(s.Services))) }},
		{name: "SUBSETS", wide: true, cell: func(s api.Service) string { return orDash(some(s.Subsets)) }},
		{name: "ADDRESS", wide: true, cell: func(s api.Service) string { return orDash(some(s.Addresses)) }},
		{name: "REVISION", wide: true, cell: func(s api.Service) string { return orDash(s.Revision) }},
		{name: "SLOT", wide: true, cell: func(s api.Service) string { return strconv.Itoa(s.Slot) }},
		{name: "RESOURCES", wide: true, cell: func(s api.Service) string { return strconv.Itoa(len(s.Resources)) }},
		{name: "CHANGED", cell: func(s api.Service) string { return now.age(s.Changed) }},
	}
}

// refNames are the services in their registries' words.
func refNames(refs []api.Ref) []string {
	var names []string
	for _, r := range refs {
		name := r.Name
		for _, part := range []string{r.Version, r.Group, r.Namespace} {
			if part != "" {
				name += ":" + part
			}
		}
		names = append(names, r.Source+"/"+name)
	}
	return names
}

func portNames(ports []api.Port) []string {
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprintf("%d/%s", p.Number, p.Protocol))
	}
	return names
}

func resourceColumns(now clock) []column[api.Resource] {
	return []column[api.Resource]{
		{name: "KIND", cell: func(r api.Resource) string { return r.Kind }},
		{name: "NAMESPACE", cell: func(r api.Resource) string { return r.Namespace }},
		{name: "NAME", cell: func(r api.Resource) string { return r.Name }},
		{name: "SOURCES", cell: func(r api.Resource) string { return orDash(some(r.Sources)) }},
		{name: "HOST", wide: true, cell: func(r api.Resource) string { return r.Host }},
		{name: "VERSION", wide: true, cell: func(r api.Resource) string { return r.Version }},
		{name: "REVISION", wide: true, cell: func(r api.Resource) string { return orDash(r.Revision) }},
		{name: "SLOT", wide: true, cell: func(r api.Resource) string { return strconv.Itoa(r.Slot) }},
		{name: "CHANGED", cell: func(r api.Resource) string { return now.age(r.Changed) }},
	}
}

func clientColumns(now clock) []column[api.Client] {
	return []column[api.Client]{
		{name: "CLIENT", cell: func(c api.Client) string { return ClientName(c.Node) }},
		{name: "AUTHORITY", cell: func(c api.Client) string { return orDash(c.Authority) }},
		{name: "SHARD", cell: func(c api.Client) string { return firstOf(c.Shard, "whole") }},
		{name: "REVISION", cell: func(c api.Client) string { return orDash(c.Revision) }},
		{name: "PROTOCOL", cell: func(c api.Client) string { return c.Protocol }},
		{name: "RESOURCES", cell: func(c api.Client) string {
			return total(c, func(k api.ClientKind) uint64 { return uint64(k.Resources) })
		}},
		{name: "STATE", cell: clientState},
		{name: "PEER", wide: true, cell: func(c api.Client) string { return c.Peer }},
		{name: "VIEW", wide: true, cell: func(c api.Client) string { return orDash(c.View) }},
		{name: "ISTIO", wide: true, cell: func(c api.Client) string { return orDash(c.TypeVersion) }},
		{name: "BYTES", wide: true, cell: func(c api.Client) string { return total(c, func(k api.ClientKind) uint64 { return k.Bytes }) }},
		{name: "HELD", wide: true, cell: func(c api.Client) string {
			return total(c, func(k api.ClientKind) uint64 { return uint64(k.HeldCount) })
		}},
		{name: "NACKS", wide: true, cell: func(c api.Client) string { return strconv.Itoa(c.Nacks) }},
		{name: "NODE", wide: true, cell: func(c api.Client) string { return orDash(c.Node) }},
		{name: "CONNECTED", cell: func(c api.Client) string { return now.age(&c.Connected) }},
	}
}

// total adds up something of all kinds.
func total(c api.Client, of func(api.ClientKind) uint64) string {
	var n uint64
	for _, k := range c.Kinds {
		n += of(k)
	}
	return strconv.FormatUint(n, 10)
}

// ClientName is the pod and namespace of a node ID of Istio's form, type~address~pod.namespace~domain, or all of another.
func ClientName(id string) string {
	if parts := strings.Split(id, "~"); len(parts) == 4 && parts[2] != "" {
		return parts[2]
	}
	return orDash(id)
}

// clientState is the worst that can be said of a client's kinds.
func clientState(c api.Client) string {
	state := "synced"
	for _, k := range c.Kinds {
		switch {
		case k.Nack != "":
			return "refused"
		case k.Waiting != "":
			state = "waiting"
		case k.InFlightSince != nil && state == "synced":
			state = "pending"
		}
	}
	if len(c.Kinds) == 0 {
		return "waiting"
	}
	return state
}

func rejectedColumns() []column[api.Rejection] {
	return []column[api.Rejection]{
		{name: "SOURCE", cell: func(r api.Rejection) string { return orDash(r.Source) }},
		{name: "SERVICE", cell: func(r api.Rejection) string { return orDash(firstOf(r.Service, r.Host)) }},
		{name: "INSTANCE", cell: func(r api.Rejection) string { return orDash(r.Instance) }},
		{name: "HOST", wide: true, cell: func(r api.Rejection) string { return orDash(r.Host) }},
		{name: "CLASS", wide: true, cell: func(r api.Rejection) string { return orDash(r.Class) }},
		{name: "REASON", cell: func(r api.Rejection) string { return r.Reason }},
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func orDash(s string) string { return firstOf(s, "-") }
