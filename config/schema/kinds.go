package schema

import (
	"embed"
	"reflect"

	"meshbridge/config"
	"meshbridge/config/canaries"
	"meshbridge/convert/canary"
)

// kind is a kind of file that people write.
type kind struct {
	schema, page       string // the generated files
	title, description string // of the schema
	intro              string // of the page
	value              reflect.Value
	defaultOf          func(reflect.Type) any
	references         bool // ${NAME} stands for a variable

	sections     []section
	words        map[string][]string // by path: those that a key takes, where it takes no others
	needed       []string            // paths without which there is no valid file, or no valid part of one
	alternatives map[string][]string // by path: the keys of which a mapping has exactly one
	inherits     []inheritance
}

// inheritance is a mapping whose keys start from those of another.
type inheritance struct{ path, from, said string }

//go:embed intro.md
var intro string

//go:embed documents.md
var documentsIntro string

//go:embed examples/*.yaml examples/documents/*.yaml
var examples embed.FS

// kinds are all of them.
func kinds() []*kind { return []*kind{configuration(), documents()} }

// configuration is the file meshbridge.yaml.
func configuration() *kind {
	return &kind{
		schema: "docs/config.schema.json", page: "docs/config.md",
		title: "meshbridge.yaml", description: "The configuration of meshbridge.", intro: intro,
		value: reflect.ValueOf(config.Default()), defaultOf: config.DefaultOf, references: true,
		sections: []section{
			{"", "The whole file", "whole"},
			{"mcp", "mcp", "mcp"},
			{"admin", "admin", "admin"},
			{"health", "health", "health"},
			{"state", "state", "state"},
			{"log", "log", "log"},
			{"mesh", "mesh", "mesh"},
			{"subsets", "subsets", "subsets"},
			{"canary", "canary", "canary"},
			{"canary.teams[]", "canary: teams", "teams"},
			{"canary.teams[].expose[]", "canary: teams: expose", "grants"},
			{"sources[]", "sources", "sources"},
			{"sources[].overrides[]", "sources: overrides", "overrides"},
			{"sources[].file", "sources: file", "file"},
			{"sources[].zookeeper", "sources: zookeeper", "zookeeper"},
			{"sources[].nacos", "sources: nacos", "nacos"},
			{"sources[].eureka", "sources: eureka", "eureka"},
			{"sources[].consul", "sources: consul", "consul"},
		},
		words: map[string][]string{
			"log.level":                      {"debug", "info", "warn", "error"},
			"log.format":                     {"text", "json"},
			"mesh.location":                  {"MESH_INTERNAL", "MESH_EXTERNAL"},
			"mesh.tls":                       {"disable", "istio"},
			"canary.onInvalid":               {"keep", "respond"},
			"canary.precedence":              {"yield", "override"},
			"subsets.discover":               {"none", "multiple", "all"},
			"sources[].overrides[].subsets":  {"none", "multiple", "all"},
			"sources[].zookeeper.dubbo.mode": {"interface", "instance", "all"},
			"sources[].nacos.dubbo.mode":     {"interface", "instance", "all"},
		},
		needed: []string{
			"sources", "sources[].name", "sources[].file.path", "sources[].zookeeper.servers", "sources[].nacos.servers",
			"sources[].eureka.servers", "sources[].consul.address", "sources[].overrides[].service",
			"canary.teams[].name", "canary.teams[].files", "canary.teams[].services",
		},
		alternatives: map[string][]string{"sources[]": config.Kinds(), "canary.teams[].expose[]": {"gateway", "delegate"}},
		inherits: []inheritance{
			{"sources[].overrides[]", "sources[]", "that of the source"},
			{"sources[].protect", "protect", "that of protect"},
		},
	}
}

// documents are the files that canary.files names.
func documents() *kind {
	return &kind{
		schema: "docs/canary.schema.json", page: "docs/canary-reference.md",
		title: "canary", description: "A document of canaries of meshbridge.", intro: documentsIntro,
		value: reflect.ValueOf(canary.Default()), defaultOf: canaries.DefaultOf,
		sections: []section{
			{"", "A document", "documents/document"},
			{"canaries[]", "canaries", "documents/canaries"},
			{"canaries[].headers.NAME", "canaries: headers", "documents/headers"},
			{"from", "from", "documents/from"},
			{"expose[]", "expose", "documents/expose"},
			{"expose[].colour[]", "expose: colour", "documents/colour"},
		},
		words:  map[string][]string{"fallback": {"primary", "failover", "none"}},
		needed: []string{"name", "services", "expose[].colour[].set"},
		alternatives: map[string][]string{
			"canaries[]": {"version", "labels"}, "expose[]": {"gateway", "delegate"}, "primary": {"labels"},
			"canaries[].headers.NAME":     {"exact", "prefix", "regex", "member"},
			"expose[].colour[].when.NAME": {"exact", "prefix", "regex", "member"},
		},
	}
}
