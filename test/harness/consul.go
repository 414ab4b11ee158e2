package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// ConsulConfig is how an agent starts; the zero value is the only server of datacenter dc1, without access control.
type ConsulConfig struct {
	Datacenter string         // default dc1
	JoinWAN    *ConsulServer  // a server of another datacenter to federate with
	ACL        bool           // default policy deny; [ConsulServer.Token] may do all
	TLS        *Authority     // when set, serve TLS on SecureAddr too, for 127.0.0.1 and localhost
	VerifyTLS  bool           // ask clients of SecureAddr for a certificate of the authority
	Settings   map[string]any // further keys of the agent's configuration, as its JSON has them
}

// ConsulServer is one running agent in server mode. Kill and Start end and start it with its data; [ConsulServer.Wipe] takes that away.
type ConsulServer struct {
	*Process
	*api.Client        // with the management token
	Addr        string // host:port of the HTTP API
	SecureAddr  string // host:port of the HTTP API with TLS, or ""
	Datacenter  string
	Node        string // the agent's own name, with the service consul
	Token       string // may do all; empty without access control

	wan string // host:port for other datacenters
}

// managementToken is what [ConsulServer.Token] is; a secret that guards nothing.
const managementToken = "11111111-2222-3333-4444-555555555555"

// StartConsul starts an agent and returns when it leads its datacenter and knows itself.
func StartConsul(t testing.TB, config ConsulConfig) *ConsulServer {
	t.Helper()
	if config.Datacenter == "" {
		config.Datacenter = "dc1"
	}
	binary := filepath.Join(toolDir(t, Consul), "consul")
	s := &ConsulServer{
		Process: newProcess(t, "consul-"+config.Datacenter, binary), Datacenter: config.Datacenter,
		Addr: loopback(t), wan: loopback(t), Node: config.Datacenter + "-server",
	}
	if config.TLS != nil {
		s.SecureAddr = loopback(t)
	}
	if config.ACL {
		s.Token = managementToken
	}
	content, err := json.MarshalIndent(s.settings(config), "", "  ")
	if err != nil {
		t.Fatalf("encode the configuration of %s: %v", s.Name, err)
	}
	path := filepath.Join(s.Dir, "consul.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("write the configuration of %s: %v", s.Name, err)
	}
	s.args = []string{"agent", "-config-file", path}
	s.Client = s.Dial(s.Token)
	s.Start()
	return s
}

// settings is the agent's configuration.
func (s *ConsulServer) settings(config ConsulConfig) map[string]any {
	s.t.Helper()
	settings := map[string]any{
		"server": true, "bootstrap_expect": 1, "datacenter": s.Datacenter, "node_name": s.Node, "data_dir": filepath.Join(s.Dir, "data"),
		"bind_addr": "127.0.0.1", "advertise_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "warn",
		"disable_update_check": true, "leave_on_terminate": false, "performance": map[string]any{"raft_multiplier": 1},
		"ports": map[string]any{
			"http": portOf(s.t, s.Addr), "https": portOf(s.t, s.SecureAddr), "serf_wan": portOf(s.t, s.wan),
			"server": FreePort(s.t), "serf_lan": FreePort(s.t), "dns": -1, "grpc": -1, "grpc_tls": -1,
		},
	}
	if config.ACL {
		settings["primary_datacenter"] = s.Datacenter
		settings["acl"] = map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_persistence": true,
			"tokens": map[string]any{"initial_management": s.Token, "agent": s.Token},
		}
	}
	if config.TLS != nil {
		cert, key := config.TLS.Issue(s.Name, "127.0.0.1", "localhost")
		settings["tls"] = map[string]any{"https": map[string]any{
			"ca_file": config.TLS.File, "cert_file": cert, "key_file": key, "verify_incoming": config.VerifyTLS,
		}}
	}
	if config.JoinWAN != nil {
		settings["retry_join_wan"] = []string{config.JoinWAN.wan}
		settings["retry_interval_wan"] = "1s"
	}
	for key, value := range config.Settings {
		settings[key] = value
	}
	return settings
}

// Start starts the agent, again after Kill or Stop, and returns when it serves.
func (s *ConsulServer) Start() {
	s.t.Helper()
	s.start()
	s.ready(60*time.Second, s.serves)
}

// Wipe takes the data of an agent that has ended: the next Start begins with nothing, at a low index.
func (s *ConsulServer) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.Dir, "data")); err != nil {
		s.t.Fatalf("remove the data of %s: %v", s.Name, err)
	}
}

// serves is nil when the agent leads and its own node is in the catalog.
func (s *ConsulServer) serves() error {
	nodes, _, err := s.Catalog().Nodes(nil)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Node == s.Node {
			return nil
		}
	}
	return errors.New("its node is not in the catalog")
}

// Dial is a client of the agent with a token, "" for the anonymous one.
func (s *ConsulServer) Dial(token string) *api.Client {
	s.t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	s.t.Cleanup(transport.CloseIdleConnections)
	client, err := api.NewClient(&api.Config{Address: s.Addr, Token: token, HttpClient: &http.Client{Transport: transport, Timeout: 15 * time.Minute}})
	if err != nil {
		s.t.Fatalf("make a client of %s: %v", s.Name, err)
	}
	return client
}

// ConsulInstance is one instance of a service on a node that is no agent, as consul-esm, Nomad and scripts register them.
type ConsulInstance struct {
	Service     string
	ID          string // default Service-Address-Port
	Node        string // default node-1
	NodeAddress string // default 10.0.1.1
	Address     string // "" leaves it to the node
	Port        int
	Status      string // of its check, default passing; "none" registers no check
	Tags        []string
	Meta        map[string]string
	Weights     api.AgentWeights // default 1, 1

	Change func(*api.CatalogRegistration) // when set, changes what is registered: kind, tagged addresses, locality
}

// registration is the instance as the catalog takes it.
func (i ConsulInstance) registration() *api.CatalogRegistration {
	if i.ID == "" {
		i.ID = fmt.Sprintf("%s-%s-%d", i.Service, i.Address, i.Port)
	}
	if i.Node == "" {
		i.Node = "node-1"
	}
	if i.NodeAddress == "" {
		i.NodeAddress = "10.0.1.1"
	}
	if i.Status == "" {
		i.Status = api.HealthPassing
	}
	if i.Weights == (api.AgentWeights{}) {
		i.Weights = api.AgentWeights{Passing: 1, Warning: 1}
	}
	registration := &api.CatalogRegistration{
		Node: i.Node, Address: i.NodeAddress,
		Service: &api.AgentService{ID: i.ID, Service: i.Service, Address: i.Address, Port: i.Port, Tags: i.Tags, Meta: i.Meta, Weights: i.Weights},
	}
	if i.Status != "none" {
		registration.Checks = api.HealthChecks{{
			Node: i.Node, CheckID: "check:" + i.ID, Name: "check of " + i.ID, Status: i.Status, ServiceID: i.ID, ServiceName: i.Service,
		}}
	}
	if i.Change != nil {
		i.Change(registration)
	}
	return registration
}

// Register registers the instances; one that exists is replaced, so a changed Status is a check that changes.
func (s *ConsulServer) Register(instances ...ConsulInstance) {
	s.t.Helper()
	each(s.t, "register in "+s.Name, instances, func(i ConsulInstance) error {
		_, err := s.Catalog().Register(i.registration(), nil)
		return err
	})
}

// Deregister takes the instances away; their nodes stay.
func (s *ConsulServer) Deregister(instances ...ConsulInstance) {
	s.t.Helper()
	each(s.t, "deregister in "+s.Name, instances, func(i ConsulInstance) error {
		r := i.registration()
		_, err := s.Catalog().Deregister(&api.CatalogDeregistration{Node: r.Node, ServiceID: r.Service.ID}, nil)
		return err
	})
}

// DeregisterNode takes a node with all its instances away.
func (s *ConsulServer) DeregisterNode(node string) {
	s.t.Helper()
	if _, err := s.Catalog().Deregister(&api.CatalogDeregistration{Node: node}, nil); err != nil {
		s.t.Fatalf("deregister %s in %s: %v", node, s.Name, err)
	}
}

// ConsulToken is a token that [ConsulServer.Grant] made.
type ConsulToken struct {
	Accessor string
	Secret   string
	policy   string
}

// ReadAll are the rules that a reader of the whole catalog needs.
const ReadAll = `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`

// Grant makes a token with a policy of these rules.
func (s *ConsulServer) Grant(rules string) ConsulToken { return s.GrantAs("", rules) }

// GrantAs makes a token of this secret, which is a UUID, so that it is good for several datacenters.
func (s *ConsulServer) GrantAs(secret, rules string) ConsulToken {
	s.t.Helper()
	policy, _, err := s.ACL().PolicyCreate(&api.ACLPolicy{Name: fmt.Sprintf("test-%d", time.Now().UnixNano()), Rules: rules}, nil)
	if err != nil {
		s.t.Fatalf("create a policy in %s: %v", s.Name, err)
	}
	token, _, err := s.ACL().TokenCreate(&api.ACLToken{SecretID: secret, Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		s.t.Fatalf("create a token in %s: %v", s.Name, err)
	}
	return ConsulToken{Accessor: token.AccessorID, Secret: token.SecretID, policy: policy.ID}
}

// Restrict gives the token's policy other rules; the token stays.
func (s *ConsulServer) Restrict(token ConsulToken, rules string) {
	s.t.Helper()
	policy, _, err := s.ACL().PolicyRead(token.policy, nil)
	if err != nil {
		s.t.Fatalf("read a policy of %s: %v", s.Name, err)
	}
	policy.Rules = rules
	if _, _, err := s.ACL().PolicyUpdate(policy, nil); err != nil {
		s.t.Fatalf("change a policy of %s: %v", s.Name, err)
	}
}

// Revoke deletes the token.
func (s *ConsulServer) Revoke(token ConsulToken) {
	s.t.Helper()
	if _, err := s.ACL().TokenDelete(token.Accessor, nil); err != nil {
		s.t.Fatalf("delete a token of %s: %v", s.Name, err)
	}
}

// Restore makes a token again that was revoked, with the same secret.
func (s *ConsulServer) Restore(token ConsulToken) {
	s.t.Helper()
	again := &api.ACLToken{AccessorID: token.Accessor, SecretID: token.Secret, Policies: []*api.ACLTokenPolicyLink{{ID: token.policy}}}
	if _, _, err := s.ACL().TokenCreate(again, nil); err != nil {
		s.t.Fatalf("create a token of %s again: %v", s.Name, err)
	}
}
