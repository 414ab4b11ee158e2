package sources

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *Service {
	return &Service{
		Key: Key{Scope: "/dubbo", Namespace: "ns", Group: "g", Name: "org.x.Greet", Version: "1.0"}, Datacenter: "dc1", Interface: true,
		Ports: []Port{{Name: "http", Protocol: "HTTP", Number: 80}}, Metadata: map[string]string{"team": "a", "zone": "z"},
		Instances: []Instance{
			{ID: "a", Address: "10.0.0.1", Ports: []Port{{Protocol: "dubbo", Number: 20880}, {Protocol: "tri", Number: 50051}}, Metadata: map[string]string{"version": "v1"}, Weight: 100, Healthy: true, Enabled: true, Locality: "eu/eu-1"},
			{ID: "b", Address: "2001:db8::1", Ports: []Port{{Number: 65535}}, Weight: 0, Healthy: true, Enabled: true},
			{ID: "c", Address: "host.example", Ports: []Port{{Number: 1}}, Weight: 1 << 31, Healthy: false, Enabled: true},
		},
		Skipped: []Fault{{Where: "x", Reason: "y"}},
	}
}

func TestAServiceSurvivesPacking(t *testing.T) {
	for _, s := range []*Service{sample(), {}, {Key: Key{Name: "empty"}}} {
		got, err := unpack(pack(s))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPackingCountsUsableInstances(t *testing.T) {
	if n, usable := pack(sample()).counts(); n != 3 || usable != 1 {
		t.Errorf("%d instances, %d usable; want 3 and 1", n, usable)
	}
}

func TestTheOrderOfInstancesDoesNotMatter(t *testing.T) {
	other := sample()
	other.Instances[0], other.Instances[2] = other.Instances[2], other.Instances[0]
	if !bytes.Equal(pack(sample()), pack(other)) {
		t.Error("the same instances in another order are packed differently")
	}
}

// FuzzUnpack shows that no bytes make unpack panic or read beyond them, and that what it accepts can be packed again.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(pack(sample())))
	f.Add([]byte{packFormat, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := unpack(data)
		if err != nil {
			return
		}
		again, err := unpack(pack(s))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Error(diff)
		}
	})
}
