package schema

import (
	"slices"

	"meshbridge/config"
)

// values lists the words that a key takes, where it takes no others.
func values(path string) []string {
	switch path {
	case "log.level":
		return []string{"debug", "info", "warn", "error"}
	case "log.format":
		return []string{"text", "json"}
	case "mesh.location":
		return []string{"MESH_INTERNAL", "MESH_EXTERNAL"}
	case "mesh.tls":
		return []string{"disable", "istio"}
	case "canary.onInvalid":
		return []string{"keep", "respond"}
	case "canary.precedence":
		return []string{"yield", "override"}
	case "subsets.discover", "sources[].overrides[].subsets":
		return []string{"none", "multiple", "all"}
	case "sources[].zookeeper.dubbo.mode", "sources[].nacos.dubbo.mode":
		return []string{"interface", "instance", "all"}
	}
	return nil
}

// needed lists the keys without which there is no valid file, or no valid part of one.
func needed() []string {
	return []string{"sources", "sources[].name", "sources[].file.path", "sources[].zookeeper.servers", "sources[].nacos.servers", "sources[].eureka.servers", "sources[].consul.address", "sources[].overrides[].service",
		"canary.teams[].name", "canary.teams[].files", "canary.teams[].services"}
}

func isNeeded(path string) bool { return slices.Contains(needed(), path) }

// alternatives lists the keys of which a mapping has exactly one.
func alternatives(path string) []string {
	switch path {
	case "sources[]":
		return config.Kinds()
	case "canary.teams[].expose[]":
		return []string{"gateway", "delegate"}
	}
	return nil
}
