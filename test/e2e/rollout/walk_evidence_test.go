//go:build e2e

package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// evidences is how many times a walk writes down what there was.
const evidences = 20

// watch keeps evidence when a request has failed.
func (w *walk) watch() {
	if w.load == nil {
		return
	}
	if r := w.load.Report(); r.Failed > w.failed {
		w.failed = r.Failed
		w.keep(fmt.Sprintf("failure %d", r.Failed))
	}
}

// keep writes down what istiod, the proxies and the bridge have, in a folder that stays when the test has failed.
func (w *walk) keep(why string) {
	w.t.Helper()
	if w.kept++; w.kept > evidences {
		return
	}
	dir := filepath.Join(w.dir, "evidence "+time.Now().Format("150405.000"))
	w.t.Logf("%s: see %s", why, dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Error(err)
		return
	}
	save := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			w.t.Error(err)
		}
	}
	for _, name := range append(slices.Clone(callers), "gateway") {
		save(name+".json", w.proxies[name].ConfigDump())
	}
	objects, err := w.istiod.Objects()
	if err != nil {
		w.t.Error(err)
	}
	content, err := json.MarshalIndent(objects, "", " ")
	if err != nil {
		w.t.Error(err)
	}
	save("istiod.json", content)
	served, err := w.bridge.Resources()
	save("bridge.txt", fmt.Appendf(nil, "%s\n%v\n%v", w.explain(), slices.Sorted(maps.Keys(served)), err))
	save("edits.txt", []byte(strings.Join(w.edits, "\n")))
}
