package dubbo

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"meshbridge/sources"
)

// EmptyRevision is the metadata revision of an instance that offers no interface.
const EmptyRevision = "0"

// NoVersion maps Dubbo's way of saying "no version" to none.
func NoVersion(version string) string {
	if version == "0.0.0" {
		return ""
	}
	return version
}

// Weight reads a weight as Dubbo does: 100 unless said otherwise, nothing below 0.
func Weight(params map[string]string) uint32 {
	n, err := strconv.ParseInt(params["weight"], 10, 64)
	if err != nil {
		return sources.DefaultWeight
	}
	return uint32(min(max(n, 0), math.MaxInt32))
}

// Enabled reads whether traffic may come: a rule's disabled decides where it is set, else the provider's enabled.
func Enabled(params map[string]string) bool {
	if params["disabled"] != "" {
		return !Bool(params, "disabled", false)
	}
	return Bool(params, "enabled", true)
}

// Bool is a boolean parameter: true or false in any case, and false for everything else, as Java reads it.
func Bool(params map[string]string, key string, fallback bool) bool {
	v := params[key]
	if v == "" {
		return fallback
	}
	return strings.EqualFold(v, "true")
}

// Endpoints reads an application's dubbo.endpoints: JSON within a string, one entry for each protocol.
func Endpoints(text string) ([]sources.Port, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var list []struct {
		Port     json.Number `json:"port"`
		Protocol string      `json:"protocol"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("decode dubbo.endpoints: %w", err)
	}
	ports := make([]sources.Port, 0, len(list))
	for _, e := range list {
		number, err := PortNumber("dubbo.endpoints: port", e.Port)
		if err != nil {
			return nil, err
		}
		if number == 0 || e.Protocol == "" {
			return nil, errors.New("dubbo.endpoints: an entry lacks its port or protocol")
		}
		if protocol := strings.ToLower(e.Protocol); protocol != "injvm" {
			ports = append(ports, sources.Port{Protocol: protocol, Number: number})
		}
	}
	slices.SortFunc(ports, func(a, b sources.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(ports), nil
}

// PortNumber reads a port that may be absent, null or 0.
func PortNumber(what string, n json.Number) (uint32, error) {
	if n == "" {
		return 0, nil
	}
	port, err := strconv.ParseUint(n.String(), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s %s is no number up to 65535", what, n)
	}
	return uint32(port), nil
}

// Volatile names the parameters and metadata keys that differ between equal instances or say nothing about them; a
// trailing * stands for any ending.
func Volatile() []string {
	return []string{
		"anyhost", "background", "bind.ip", "bind.port", "category", "check", "deprecated", "dubbo", "dubbo.endpoints",
		"dubbo.metadata-service.*", "dubbo.metadata.*", "dynamic", "executor-management-mode", "file-cache", "generic", "id",
		"interface", "logger", "meta-v", "metadata-type", "methods", "path", "pid", "prefer.serialization", "qos.*", "register",
		"register-mode", "release", "revision", "serialization", "service-name-mapping", "side", "threads", "timestamp", "warmup",
	}
}

// IsVolatile reports whether one of the patterns names the key.
func IsVolatile(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return key == pattern || wild && strings.HasPrefix(key, prefix)
	})
}
