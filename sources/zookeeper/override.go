package zookeeper

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"meshbridge/sources/dubbo"
)

// rule is one configurator: a change of provider parameters that an administrator wrote beside an interface.
type rule struct {
	url    dubboURL
	absent bool // sets only what a provider does not say itself
	node   string
}

const anyHost = "0.0.0.0"

// ruleConditions are the parameters of a rule that say where it holds rather than what it sets.
var ruleConditions = []string{
	"anyhost", "application", "category", "check", "classifier", "compatible_config", "configVersion", "dynamic",
	"enabled", "group", "id", "interface", "name", "priority", "providerAddresses", "providers", "runtime", "side", "version",
}

// parseRules reads the configurators of an interface in the order in which they apply: those for any host first, and
// those of higher priority later, so that they win. An empty:// URL says that there are none. Nodes that cannot be read
// are returned as errors by node.
func parseRules(nodes []string) (rules []rule, bad map[string]error) {
	for _, node := range nodes {
		u, err := parseURL(node)
		switch {
		case err != nil:
		case u.scheme == "empty":
			return nil, nil
		case u.scheme == "override" || u.scheme == "absent":
			if dubbo.Bool(u.params, "enabled", true) {
				rules = append(rules, rule{url: u, absent: u.scheme == "absent", node: node})
			}
			continue
		default:
			err = fmt.Errorf("scheme %s is neither override nor absent", u.scheme)
		}
		if bad == nil {
			bad = map[string]error{}
		}
		bad[node] = err
	}
	slices.SortFunc(rules, func(a, b rule) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(a.url.host, b.url.host),
			cmp.Compare(a.priority(), b.priority()),
			cmp.Compare(a.node, b.node))
	})
	return rules, bad
}

func (r rule) rank() int {
	if r.url.host == anyHost {
		return 0
	}
	return 1
}

func (r rule) priority() int {
	n, _ := strconv.Atoi(r.url.params["priority"]) // 0 where it says nothing sensible, as in Dubbo
	return n
}

// matches reports whether the rule holds for a provider, by Dubbo's AbstractConfigurator. A rule for one consumer cannot be expressed by
// a registry's view and never holds; one for all consumers does.
func (r rule) matches(p *provider) bool {
	params := r.url.params
	if !wildEqual(params["group"], p.group) || !wildEqual(dubbo.NoVersion(params["version"]), p.version) {
		return false
	}
	if app := params["application"]; app != "" && app != "*" && (params["side"] == "consumer" || app != p.params["application"]) {
		return false
	}
	if params["classifier"] != "" && !wildEqual(params["classifier"], p.params["classifier"]) {
		return false
	}
	if list := cmp.Or(params["providerAddresses"], params["providers"]); list != "" && !addressListed(list, p.address, p.port) {
		return false
	}
	for key, want := range params {
		if key, tilde := strings.CutPrefix(key, "~"); tilde && want != "*" && want != p.params[key] {
			return false
		}
	}
	return r.hostMatches(p)
}

// hostMatches reads the rule's own address. Before Dubbo 2.7 an address without a port was that of a consumer; since then,
// with a configVersion, it is that of the rule's side.
func (r rule) hostMatches(p *provider) bool {
	if r.url.port != 0 && r.url.port != p.port {
		return false
	}
	if r.url.host == anyHost {
		return true
	}
	consumers := r.url.port == 0 && (r.url.params["configVersion"] == "" || r.url.params["side"] != "provider")
	host, err := dubbo.Address(r.url.host)
	return err == nil && !consumers && host == p.address
}

// apply sets the rule's parameters, leaving the provider's own map alone.
func (r rule) apply(params map[string]string) map[string]string {
	out := maps.Clone(params)
	for key, value := range r.url.params {
		if strings.HasPrefix(key, "~") || slices.Contains(ruleConditions, key) {
			continue
		}
		if key == "tag" {
			key = tagKey
		}
		if r.absent && out[key] != "" {
			continue
		}
		out[key] = value
	}
	return out
}

func wildEqual(condition, value string) bool { return condition == "*" || condition == value }

// addressListed looks for the provider in a comma-separated list of host:port, where the host may be 0.0.0.0.
func addressListed(list, address string, port uint32) bool {
	number := strconv.FormatUint(uint64(port), 10)
	for entry := range strings.SplitSeq(list, ",") {
		host, p, err := net.SplitHostPort(strings.TrimSpace(entry))
		if err != nil {
			host, p = strings.TrimSpace(entry), "0"
		}
		if (host == anyHost || host == address) && (p == number || p == "0" || p == "*") {
			return true
		}
	}
	return false
}
