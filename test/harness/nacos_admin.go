package harness

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// NacosService names a service; the zero namespace and group are Nacos's own, public and DEFAULT_GROUP.
type NacosService struct {
	Namespace string
	Group     string
	Name      string
}

func (n NacosService) group() string {
	if n.Group == "" {
		return "DEFAULT_GROUP"
	}
	return n.Group
}

func (n NacosService) namespace() string {
	if n.Namespace == "" {
		return "public"
	}
	return n.Namespace
}

// form names the service in a request.
func (n NacosService) form() url.Values {
	return url.Values{"namespaceId": {n.namespace()}, "groupName": {n.group()}, "serviceName": {n.Name}}
}

// NacosInstance is one instance; the zero value of its switches is an instance that serves.
type NacosInstance struct {
	IP        string
	Port      int
	Weight    float64 // default 1
	Drained   bool    // weight 0
	Disabled  bool
	Unhealthy bool
	Cluster   string // default DEFAULT
	Metadata  map[string]string
}

func (i NacosInstance) weight() float64 {
	switch {
	case i.Drained:
		return 0
	case i.Weight == 0:
		return 1
	default:
		return i.Weight
	}
}

func (i NacosInstance) cluster() string {
	if i.Cluster == "" {
		return "DEFAULT"
	}
	return i.Cluster
}

// form is the instance as the HTTP APIs take it.
func (i NacosInstance) form(service NacosService) url.Values {
	form := service.form()
	form.Set("ip", i.IP)
	form.Set("port", fmt.Sprint(i.Port))
	form.Set("clusterName", i.cluster())
	form.Set("weight", fmt.Sprint(i.weight()))
	form.Set("enabled", fmt.Sprint(!i.Disabled))
	form.Set("healthy", fmt.Sprint(!i.Unhealthy))
	form.Set("ephemeral", "false")
	if len(i.Metadata) > 0 {
		text, err := json.Marshal(i.Metadata)
		if err != nil {
			panic(err) // a map of strings
		}
		form.Set("metadata", string(text))
	}
	return form
}

// Persist registers persistent instances, by HTTP, without health checks: no API of either generation sets the health of
// one, as both take it for an ephemeral instance. An instance that exists is changed.
func (s *NacosServer) Persist(service NacosService, instances ...NacosInstance) {
	s.t.Helper()
	s.persistentService(service)
	for _, i := range instances {
		s.call("POST", "/v1/ns/instance", "/v3/admin/ns/instance", i.form(service))
		s.uncheck(service, i.cluster())
	}
}

// persistentService makes the service unless it exists.
func (s *NacosServer) persistentService(service NacosService) {
	s.t.Helper()
	form := service.form()
	form.Set("ephemeral", "false")
	form.Set("protectThreshold", "0")
	path := "/v3/admin/ns/service"
	if s.Major == 2 {
		path = "/v2/ns/service"
	}
	if _, err := s.Call("POST", path, form); err != nil {
		if _, there := s.Call("GET", path, form); there != nil {
			s.t.Fatalf("make %s in %s: %v", service.Name, s.Name, err)
		}
	}
}

// uncheck ends the server's own health checks of a cluster.
func (s *NacosServer) uncheck(service NacosService, cluster string) {
	s.t.Helper()
	form := service.form()
	form.Set("clusterName", cluster)
	form.Set("checkPort", "80")
	form.Set("useInstancePort4Check", "true")
	form.Set("useInstancePortForCheck", "true")
	form.Set("healthChecker", `{"type":"NONE"}`)
	s.call("PUT", "/v1/ns/cluster", "/v3/admin/ns/cluster", form)
}

// Unpersist takes persistent instances away.
func (s *NacosServer) Unpersist(service NacosService, instances ...NacosInstance) {
	s.t.Helper()
	for _, i := range instances {
		s.call("DELETE", "/v1/ns/instance", "/v3/admin/ns/instance", i.form(service))
	}
}

// Update changes weight, enabled and metadata of an instance, as an operator does in the console. It outlives the instance's
// own registrations.
func (s *NacosServer) Update(service NacosService, i NacosInstance, ephemeral bool) {
	s.t.Helper()
	form := i.form(service)
	form.Set("ephemeral", fmt.Sprint(ephemeral))
	s.call("PUT", "/v1/ns/instance", "/v3/admin/ns/instance", form)
}

// Protect sets a service's protect threshold.
func (s *NacosServer) Protect(service NacosService, threshold float64) {
	s.t.Helper()
	form := service.form()
	form.Set("protectThreshold", fmt.Sprint(threshold))
	s.call("PUT", "/v2/ns/service", "/v3/admin/ns/service", form)
}

// CreateNamespace makes a namespace whose ID and name are the same.
func (s *NacosServer) CreateNamespace(id string) {
	s.t.Helper()
	s.call("POST", "/v1/console/namespaces", "/v3/admin/core/namespace",
		url.Values{"customNamespaceId": {id}, "namespaceId": {id}, "namespaceName": {id}, "namespaceDesc": {id}})
}

// DropNamespace removes a namespace. Its services stay registered, listed by nobody.
func (s *NacosServer) DropNamespace(id string) {
	s.t.Helper()
	s.call("DELETE", "/v1/console/namespaces", "/v3/admin/core/namespace", url.Values{"namespaceId": {id}})
}

// CreateUser makes a user with a role of its own, named as the user, and waits until the user may log in.
func (s *NacosServer) CreateUser(user, password string) {
	s.t.Helper()
	s.call("POST", "/v1/auth/users", "/v3/auth/user", url.Values{"username": {user}, "password": {password}})
	s.call("POST", "/v1/auth/roles", "/v3/auth/role", url.Values{"username": {user}, "role": {user}})
	Eventually(s.t, 40*time.Second, user+" logs in", func() error { return s.Login(user, password) })
}

// Grant lets a user's role do something to a resource, e.g. "public:*:*", "r". It takes effect some seconds later.
func (s *NacosServer) Grant(user, resource, action string) {
	s.t.Helper()
	s.call("POST", "/v1/auth/permissions", "/v3/auth/permission", url.Values{"role": {user}, "resource": {resource}, "action": {action}})
}

// Revoke takes a permission away. It takes effect some seconds later.
func (s *NacosServer) Revoke(user, resource, action string) {
	s.t.Helper()
	s.call("DELETE", "/v1/auth/permissions", "/v3/auth/permission", url.Values{"role": {user}, "resource": {resource}, "action": {action}})
}

// SetPassword changes a user's password: the user is made anew, since 3.1.0 lets no administrator change it. It takes effect
// some seconds later.
func (s *NacosServer) SetPassword(user, password string) {
	s.t.Helper()
	s.call("DELETE", "/v1/auth/users", "/v3/auth/user", url.Values{"username": {user}})
	s.call("POST", "/v1/auth/users", "/v3/auth/user", url.Values{"username": {user}, "password": {password}})
}
