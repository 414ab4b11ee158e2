//go:build integration

package servers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// apps is what a server answers: instances by their ID, each with its status.
func apps(t *testing.T, server *harness.EurekaServer, user, password string) (map[string]string, int) {
	t.Helper()
	request, err := http.NewRequest("GET", server.URL+"/apps", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Applications struct {
			Application []struct {
				Instance []struct{ InstanceID, Status string }
			}
		}
	}
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(content, &answer); err != nil {
			t.Fatalf("%v in %s", err, content)
		}
	}
	found := map[string]string{}
	for _, a := range answer.Applications.Application {
		for _, i := range a.Instance {
			found[i.InstanceID] = i.Status
		}
	}
	return found, response.StatusCode
}

func waitApps(t *testing.T, server *harness.EurekaServer, want map[string]string) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, server.Name+" shows what was registered", func() error {
		got, _ := apps(t, server, "", "")
		for id, status := range want {
			if got[id] != status {
				return fmt.Errorf("got %v, want %v", got, want)
			}
		}
		return nil
	})
}

func TestEurekaStartsEmptyAgainAndItsClientsFillIt(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	instance := harness.EurekaInstance{App: "orders", IP: "10.1.0.1", Port: 8080, Lease: 4}
	other := harness.EurekaInstance{App: "orders", IP: "10.1.0.2", Port: 8080, Lease: 4}
	clients := server.Keep(time.Second, instance, other)
	waitApps(t, server, map[string]string{"10.1.0.1:orders:8080": "UP", "10.1.0.2:orders:8080": "UP"})
	server.SetStatus("OUT_OF_SERVICE", instance)
	waitApps(t, server, map[string]string{"10.1.0.1:orders:8080": "OUT_OF_SERVICE"})
	server.ClearStatus(instance)
	waitApps(t, server, map[string]string{"10.1.0.1:orders:8080": "UP"})
	server.Kill()
	server.Start()
	waitApps(t, server, map[string]string{"10.1.0.1:orders:8080": "UP"})
	clients.Remove(instance)
	clients.Lose(other)
	waitApps(t, server, map[string]string{"10.1.0.1:orders:8080": "", "10.1.0.2:orders:8080": ""})
}

func TestEurekaWantsItsPassword(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{User: "u", Password: "p"})
	if _, status := apps(t, server, "", ""); status != http.StatusUnauthorized {
		t.Errorf("without a password: %d", status)
	}
	if _, status := apps(t, server, "u", "p"); status != http.StatusOK {
		t.Errorf("with the password: %d", status)
	}
}

func TestEurekaPeersReplicateAndFillEachOther(t *testing.T) {
	first, second := harness.StartEurekaPeers(t, harness.EurekaConfig{})
	first.Keep(time.Second, harness.EurekaInstance{App: "orders", IP: "10.1.0.1", Port: 8080})
	spring := harness.StartSpringEureka(t, harness.SpringConfig{Registry: first.URL, App: "billing", Metadata: map[string]string{"version": "v1"}})
	billing := fmt.Sprintf("%s:billing:%d", spring.Address, spring.Port)
	want := map[string]string{"10.1.0.1:orders:8080": "UP", billing: "UP"}
	waitApps(t, second, want)
	second.Kill()
	second.Start()
	waitApps(t, second, want)
}
