package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestConvertTakesTheDocumentsOfCanaries(t *testing.T) {
	dir := t.TempDir()
	config := write(t, filepath.Join(dir, "meshbridge.yaml"), "sources:\n- {name: hosts, file: {path: services}}\ncanary: {files: [canaries/*.yaml]}\n")
	write(t, filepath.Join(dir, "services/a.yaml"), services)
	write(t, filepath.Join(dir, "canaries/billing.yaml"), "name: billing\nservices: [billing.mesh]\nprimary: v1\n")
	good := command(t, "convert --strict --config "+config)
	if good.code != exitFine || good.errs != "" || !strings.Contains(good.out, "kind: VirtualService\nmetadata:") {
		t.Fatalf("exit %d\n%s%s", good.code, good.out, good.errs)
	}

	write(t, filepath.Join(dir, "canaries/other.yaml"), "name: other\nservices: [other]\n")
	lax, strict := command(t, "convert --config "+config), command(t, "convert --strict --config "+config)
	if want := `other.yaml:2: services[0]: "other" has no dot`; lax.code != exitFine || !strings.HasPrefix(lax.errs, "left out: canary other: ") || !strings.Contains(lax.errs, want) || lax.out != good.out {
		t.Errorf("exit %d\n%s%s", lax.code, lax.out, lax.errs)
	}
	if strict.code != exitTrouble || strict.out != good.out {
		t.Errorf("with --strict: exit %d\n%s%s", strict.code, strict.out, strict.errs)
	}
}
