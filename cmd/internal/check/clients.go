package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/get"
	"meshbridge/cmd/internal/watch"
)

// stream is a client and the bridge that it is connected to.
type stream struct {
	api.Client
	server string
}

// slowACK is how long a response may be on its way before that is trouble.
const slowACK = 30 * time.Second

func clientsOf(streams []stream, now time.Time) Section {
	s := Section{Name: "clients", Fine: count(len(streams), "stream")}
	for _, c := range streams {
		name := get.ClientName(c.Node) + " (" + c.Peer + ")"
		for _, k := range c.Kinds {
			if k.Nack != "" {
				s.add(false, fmt.Sprintf("%s refused the last %s response: %s", name, k.Kind, k.Nack),
					"it still holds what it accepted before; stock istiods never refuse, so see what this client is")
			}
			if k.InFlightSince != nil && now.Sub(*k.InFlightSince) > slowACK {
				s.add(false, fmt.Sprintf("%s has not acknowledged its %s response %s", name, k.Kind, since(k.InFlightSince, now)),
					"is it overloaded? See its CPU, and whether more shards would make its pushes smaller")
			}
		}
	}
	if len(istiods(streams)) == 0 {
		s.add(true, "no istiod is connected",
			"list the bridge in istiod's meshConfig.configSources, beside k8s://, and restart istiod, which reads the list once")
	}
	return s
}

// The sizes of a shard, in services, that serve istiod well; and what is far off.
const (
	shardBest = 300
	shardMin  = 75
	shardMax  = 800
	maxShards = 1024
)

// istiods are the streams without those of people who watch.
func istiods(streams []stream) []stream {
	return slices.DeleteFunc(slices.Clone(streams), func(c stream) bool { return get.ClientName(c.Node) == watch.Workload })
}

// shards judges which parts of the hosts each istiod asked for, by its node ID.
func shards(streams []stream, services int, several bool) Section {
	s := Section{Name: "shards"}
	byNode := map[string][]stream{}
	sizes := map[int]bool{}
	for _, c := range istiods(streams) {
		byNode[c.Node] = append(byNode[c.Node], c)
		_, of := shardOf(c.Client)
		sizes[of] = true
	}
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		s.cover(get.ClientName(node), byNode[node], several)
	}
	for _, of := range slices.Sorted(maps.Keys(sizes)) {
		s.size(of, services)
	}
	return s
}

// shardOf is the part that a client asked for: 0 of 1 is the whole.
func shardOf(c api.Client) (i, of int) {
	if n, _ := fmt.Sscanf(c.Shard, "%d-of-%d", &i, &of); n == 2 && of > 0 {
		return i, of
	}
	return 0, 1
}

// cover judges whether the streams of one istiod hold every host once.
func (s *Section) cover(name string, list []stream, several bool) {
	held := map[int]map[int][]string{} // the authorities by n and i
	for _, c := range list {
		i, of := shardOf(c.Client)
		if held[of] == nil {
			held[of] = map[int][]string{}
		}
		held[of][i] = append(held[of][i], c.Authority)
	}
	counts := slices.Sorted(maps.Keys(held))
	for _, of := range counts {
		for _, i := range slices.Sorted(maps.Keys(held[of])) {
			s.once(name, i, of, held[of][i])
		}
	}
	if held[1] != nil && len(counts) > 1 {
		s.add(false, name+" holds the whole beside parts of it", "list either one address without a shard, or all shards of one count")
	}
	parts := slices.DeleteFunc(counts, func(of int) bool { return of == 1 })
	if len(parts) > 1 {
		s.add(false, fmt.Sprintf("%s mixes shards of %s", name, numbers(parts)), "list all shards of one count in its configSources, and no other")
	}
	for _, of := range parts {
		var missing []int
		for i := range of {
			if held[of][i] == nil {
				missing = append(missing, i)
			}
		}
		if len(missing) == 0 {
			continue
		}
		remedy := "list every shard from 0 on in its configSources"
		if !several {
			remedy += "; where replicas share the streams, name them all with --server"
		}
		s.add(false, fmt.Sprintf("%s lacks %s of %d: %s", name, count(len(missing), "shard"), of, numbers(missing[:min(len(missing), examples)])+more(len(missing))), remedy)
	}
}

// once judges the streams of one istiod for one shard.
func (s *Section) once(name string, i, of int, authorities []string) {
	if len(authorities) < 2 {
		return
	}
	what := "the whole"
	if of > 1 {
		what = fmt.Sprintf("shard %d of %d", i, of)
	}
	slices.Sort(authorities)
	s.add(false, fmt.Sprintf("%s has %d streams of %s, to %s", name, len(authorities), what, strings.Join(slices.Compact(authorities), ", ")),
		"list each shard once in its configSources; two istiods that share one POD_NAME look alike, too")
}

// size judges whether shards have a size that istiod takes in quickly.
func (s *Section) size(of, services int) {
	each := services / of
	better := 1
	for better < maxShards && services/better > shardBest {
		better *= 2
	}
	switch {
	case better == of:
	case each > shardMax:
		s.add(true, fmt.Sprintf("%s in %s is %d in each, and every change resends one whole", count(services, "service"), count(of, "shard"), each),
			fmt.Sprintf("150 to 400 serve best: use %d shards, <name>-<0…%d>-of-%d", better, better-1, better))
	case of > 1 && each < shardMin:
		s.add(true, fmt.Sprintf("%s in %d shards is %d in each: more streams than it needs", count(services, "service"), of, each),
			fmt.Sprintf("150 to 400 serve best: %s would do", count(better, "shard")))
	}
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
