package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
)

func (s *Server) canaries(w http.ResponseWriter, r *http.Request) {
	state, team := r.URL.Query().Get("state"), r.URL.Query().Get("team")
	if state != "" && !slices.Contains(api.CanaryStates(), state) {
		problem(w, http.StatusBadRequest, fmt.Sprintf("state: %q is none of %s", state, strings.Join(api.CanaryStates(), ", ")))
		return
	}
	var list []api.Canary
	clients, now := s.opts.Clients.Clients(), s.opts.Now()
	for _, v := range s.opts.Canaries.Canaries() {
		c := canaryOf(v, clients, now)
		if (state == "" || c.State == state) && (team == "" || c.Team == team) {
			list = append(list, c)
		}
	}
	writePage(w, r, list, func(c api.Canary) string { return c.Name + "\x00" + c.File }, same)
}

// forget has a document forgotten whose file has vanished. Without a team it is that of the only team with such a document.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	name, team := r.PathValue("name"), r.URL.Query().Get("team")
	var teams []string
	for _, v := range s.opts.Canaries.Canaries() {
		if v.Name == name && (team == "" || v.Team == team) && !slices.Contains(teams, v.Team) {
			teams = append(teams, v.Team)
		}
	}
	of := ""
	if team != "" {
		of = " of team " + team
	}
	switch {
	case name == "" || len(teams) == 0:
		problem(w, http.StatusNotFound, fmt.Sprintf("there is no document %q%s; %s lists them", name, of, api.CanariesPath))
		return
	case len(teams) > 1:
		problem(w, http.StatusConflict, fmt.Sprintf("several teams have a document %q: %s; name the team", name, strings.Join(teams, ", ")))
		return
	}
	if err := s.opts.Canaries.ForgetCanary(teams[0], name); err != nil {
		problem(w, http.StatusConflict, fmt.Sprintf("the document %q%s is not forgotten: %v", name, of, err))
		return
	}
	s.opts.Log.Info("canary document forgotten by an operator", "document", name, "team", teams[0], "peer", r.RemoteAddr)
	answer(w, api.Forgotten{Name: name, Team: teams[0]})
}

// canaryOf tells of a document in the API's words, with the clients that do not have all of it.
func canaryOf(v convert.CanaryView, clients []mcpserver.Client, now time.Time) api.Canary {
	c := api.Canary{
		Name: v.Name, Team: v.Team, File: v.File, State: v.State, Served: v.Served,
		Findings: v.Findings, Services: []api.CanaryService{}, Waiting: waitsOf(v, clients, now),
	}
	if v.Since != nil {
		c.Since = stamp(*v.Since)
	}
	for _, f := range v.Faults {
		c.Faults = append(c.Faults, api.DocumentFault{Path: f.Path, Text: f.Text})
	}
	for _, svc := range v.Services {
		svc.Subsets = append([]api.CanarySubset{}, svc.Subsets...)
		svc.Routes = append([]api.CanaryRoute{}, svc.Routes...)
		c.Services = append(c.Services, svc)
	}
	if c.State == convert.CanaryServing && len(c.Waiting) > 0 {
		c.State = api.CanaryWaiting
	}
	return c
}

// waitsOf lists what of a document the clients do not have yet: VirtualServices that are held back for one of them, or all
// of them for one that has just come.
func waitsOf(v convert.CanaryView, clients []mcpserver.Client, now time.Time) []api.CanaryWait {
	of := map[string]bool{}
	for _, key := range v.Resources {
		of[key.Name] = key.Kind == store.VirtualService
	}
	var waits []api.CanaryWait
	for _, c := range clients {
		for _, k := range c.Kinds {
			if k.Kind != store.VirtualService.Kind {
				continue
			}
			for _, h := range k.Held {
				if of[h.Name] {
					waits = append(waits, api.CanaryWait{Client: c.Node, Resource: h.Name, Seconds: secondsTo(h.Due, now), Reason: h.Reason})
				}
			}
			waits = append(waits, unlisted(c, k, of)...)
			if k.Waiting != "" && sees(c, v) {
				waits = append(waits, api.CanaryWait{Client: c.Node, Seconds: secondsTo(k.WaitingUntil, now), Reason: k.Waiting})
			}
		}
	}
	return waits
}

// unlisted are the VirtualServices of which a client does not tell whether they are held back: it lists the first by name. To
// say that they are served would be wrong for some.
func unlisted(c mcpserver.Client, k mcpserver.ClientKind, of map[string]bool) []api.CanaryWait {
	if k.HeldCount <= len(k.Held) || len(k.Held) == 0 {
		return nil
	}
	var waits []api.CanaryWait
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if of[name] && name > k.Held[len(k.Held)-1].Name {
			waits = append(waits, api.CanaryWait{Client: c.Node, Resource: name, Reason: fmt.Sprintf("%d resources are held back, and this one may be among them", k.HeldCount)})
		}
	}
	return waits
}

// sees reports whether one of a document's hosts is in the client's shard.
func sees(c mcpserver.Client, v convert.CanaryView) bool {
	var shard store.Shard
	if _, err := fmt.Sscanf(c.Shard, "%d-of-%d", &shard.Index, &shard.Of); err != nil {
		shard = store.Shard{}
	}
	return len(v.Resources) > 0 && slices.ContainsFunc(v.Services, func(s convert.CanaryService) bool { return shard.Has(store.Slot(s.Host)) })
}

// secondsTo is the whole seconds until a moment, rounded up; 0 once it has come, nil where there is none.
func secondsTo(due *time.Time, now time.Time) *int {
	if due == nil {
		return nil
	}
	seconds := int(max(0, due.Sub(now)+time.Second-1) / time.Second)
	return &seconds
}
