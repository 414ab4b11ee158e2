//go:build integration

package servers

import (
	"io"
	"net/http"
	"testing"
	"time"

	"meshbridge/test/harness"
)

func TestACableIsCutSpoiledAndMended(t *testing.T) {
	server := harness.StartConsul(t, harness.ConsulConfig{})
	cable := harness.NewCable(t, server.Addr)
	client := &http.Client{Timeout: time.Second}
	read := func() (string, error) {
		response, err := client.Get("http://" + cable.Addr + "/v1/catalog/services")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		return string(content), err
	}
	whole, err := read()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"cut": cable.Cut, "blackhole": cable.Blackhole, "inverted": func() { cable.Garble("") }, "late": func() { cable.Delay(2 * time.Second) },
	} {
		spoil()
		if got, err := read(); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
		cable.Mend()
		client.CloseIdleConnections()
		if got, err := read(); got != whole {
			t.Errorf("mended after %s: got %q, %v; want %q", name, got, err, whole)
		}
	}
	cable.Garble(harness.HTTPAnswer("text/html", "<html>sign in</html>"))
	if got, err := read(); got != "<html>sign in</html>" {
		t.Errorf("garbled: got %q, %v", got, err)
	}
}
